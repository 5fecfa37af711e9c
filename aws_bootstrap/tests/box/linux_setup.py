"""The real setup over real ssh on a real Linux: systemd, sshd, apt, uv, Jupyter. Run by .ci/box, as root.

The tests of this file share one box and stand in the order of its life.
"""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from aws_bootstrap.tests.box.machines import Box, Container, Network, until, upload
from aws_bootstrap.tests.box.standins import RESOURCES

CHECKS = {"gpu", "cuda-test"}
UNPACK = "mkdir -p ~/.aws-bootstrap/setup && cd ~/.aws-bootstrap/setup && tar xzf -"
RUN = "bash ./remote_setup.sh"
IMPATIENT = "SETUP_PATIENCE=3 SETUP_RETRY_PAUSE=0 UV_HTTP_RETRIES=0"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"]), tmp_path_factory.mktemp("boxes"))
    yield network
    network.close()


@pytest.fixture(scope="module")
def box(network: Network) -> Iterator[Container]:
    box = Container(network, 11).start()
    yield box
    box.cut_power()


def setup(box: Box, before: str = "", **extra: bytes) -> tuple[subprocess.CompletedProcess[str], dict]:
    """Upload and run the setup over one connection, as the tool does; what it printed and setup.json."""
    done = box.ssh(f"{UNPACK} && {before} {RUN}", check=False, stdin=upload(box, RESOURCES, **extra))
    return done, state(box)


def state(box: Box) -> dict:
    return json.loads(box.says("cat ~/.aws-bootstrap/setup.json"))


def outcomes(found: dict) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in found["steps"]}


def tell(title: str, found: dict) -> None:
    """Print the figures of a run, for the notes."""
    steps = ", ".join(f"{step['name']} {step['seconds']}" for step in found["steps"])
    sys.stderr.write(f"\n[{title}: {found['seconds']} s: {steps}]\n")


# --- The life of one box -----------------------------------------------------------------------------------------


def test_a_fresh_box_is_set_up_over_ssh(box):
    done, found = setup(box)
    tell("first run", found)
    assert done.returncode == 0, done.stdout
    assert set(outcomes(found).values()) == {"ok"}
    assert found["cuda_version"] == "13.0"
    assert found["python"] == box.says("/usr/bin/python3 -c 'import platform; print(platform.python_version())'")


def test_pytorch_is_of_the_newest_index_that_has_wheels_for_this_python(box):
    # The mirror does not know cu130, and its cu129 wheels are for another Python.
    assert state(box)["cuda_tag"] == "cu128"
    assert box.says("python -c 'import torch, importlib.metadata as m; print(m.version(\"torch\"))'") == "2.9.0+cu128"


def test_nothing_was_downloaded_twice(box, network):
    files = [path for path in network.fetched(box.address) if path.endswith((".whl", ".deb", "/uv"))]
    assert len(files) > 100
    assert not [path for path, times in collections.Counter(files).items() if times > 1]


def test_jupyter_is_active_and_listens_on_loopback_only(box):
    assert box.says("systemctl is-active jupyter") == "active"
    assert box.says("systemctl is-enabled jupyter") == "enabled"
    listening = box.says("ss -H -l -t -n 'sport = :8888'").split("\n")
    assert [line.split()[3] for line in listening] == ["127.0.0.1:8888"]
    other = ["curl", "-s", "-m", "3", f"http://{box.address}:8888/api"]
    assert subprocess.run([*box.network.inside, *other], capture_output=True).returncode == 7, "refused from outside"


def test_jupyter_s_page_opens_through_the_tunnel(box):
    with subprocess.Popen(
        [*box.ssh_words("-N", "-L", "18888:127.0.0.1:8888", "-o", "ExitOnForwardFailure=yes")]
    ) as tunnel:
        fetch = ["curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}"]
        page = [*box.network.inside, *fetch, "http://localhost:18888/lab"]
        until(lambda: subprocess.run(page, capture_output=True).returncode == 0, "tunnel", 20)
        assert subprocess.run(page, capture_output=True, text=True).stdout == "200"
        # Another site's page that resolved its own name to this address is turned away.
        foreign = [*page[:-1], "-H", "Host: evil.example", page[-1]]
        assert subprocess.run(foreign, capture_output=True, text=True).stdout == "403"
        tunnel.terminate()


@pytest.mark.parametrize("shell", ["{}", "bash -lc '{}'", "bash -ic '{}' 2>/dev/null"])
def test_every_way_in_uses_the_venv(box, shell):
    code = 'python -c "import sys; print(sys.prefix)"'
    assert box.says(shell.format(code)) == "/home/ubuntu/venv"


def test_logging_in_prints_nothing_of_ours(box):
    assert box.says("true") == ""


def test_what_was_configured_holds(box):
    assert "clientaliveinterval 60" in box.says("sudo sshd -T").lower()
    assert (
        box.says("cat /etc/modprobe.d/aws-bootstrap-nvidia.conf")
        == "options nvidia NVreg_RestrictProfilingToAdminUsers=0"
    )
    assert box.says("jq --version").startswith("jq-")
    assert "-arch=sm_75" in box.says("cat ~/workspace/.vscode/tasks.json")
    assert box.says("ls ~/gpu_benchmark.py ~/gpu_smoke_test.ipynb ~/workspace/saxpy.cu")
    assert box.says("stat -c %a ~/.aws-bootstrap") == "700"


def test_a_second_run_changes_nothing(box, network):
    fetched = len(network.fetched(box.address))
    found_by = "-newer ~/.aws-bootstrap/mark -not -type d -not -path '*/__pycache__/*'"
    marks = f"sudo find /etc ~/venv ~/workspace ~/.bashrc ~/gpu_* {found_by}"
    box.says("touch ~/.aws-bootstrap/mark; sleep 0.01")
    since = box.says("systemctl show -p ActiveEnterTimestampMonotonic jupyter")
    done, found = setup(box)
    tell("second run", found)
    assert done.returncode == 0
    assert {name for name, outcome in outcomes(found).items() if outcome != "unchanged"} == CHECKS
    assert box.says(marks) == ""
    assert len(network.fetched(box.address)) == fetched
    assert box.says("systemctl show -p ActiveEnterTimestampMonotonic jupyter") == since


def test_your_script_runs_after_the_rest(box):
    _, found = setup(box, user_setup_script=b"#!/bin/sh\npython -c 'import sys; print(sys.prefix)' >~/seen\n")
    assert outcomes(found)["setup-script"] == "ok" and box.says("cat ~/seen") == "/home/ubuntu/venv"


def test_a_python_that_cannot_be_had_leaves_the_venv_as_it_was(box):
    assert outcomes(setup(box, "PYTHON_VERSION=3.11")[1])["venv"] == "unchanged"
    done, found = setup(box, f"{IMPATIENT} PYTHON_VERSION=3.12")
    report = next(report for report in found["steps"] if report["name"] == "venv")
    assert done.returncode == 1 and report["message"] == "uv could not install Python 3.12"
    assert box.says("python -c 'import torch, jupyterlab, sys; print(sys.prefix)'") == "/home/ubuntu/venv"


def test_a_token_is_asked_for_where_one_is_set(box):
    page = "curl -s -o /dev/null -w '%{{http_code}}' 'http://127.0.0.1:8888/api/contents{}'"
    assert box.says(page.format("")) == "200"
    box.says("echo JUPYTER_TOKEN=secret >~/.aws-bootstrap/jupyter.env && sudo systemctl restart jupyter")
    assert box.says(page.format("")) == "403" and box.says(page.format("?token=secret")) == "200"
    box.says("rm ~/.aws-bootstrap/jupyter.env && sudo systemctl restart jupyter")


# --- Each step made to fail, and mended --------------------------------------------------------------------------

STATE = "~/.aws-bootstrap/state"
# What a box fetches from is mapped to an address where nobody is.
DEAD = "sudo sed -i -E 's/^[0-9.]+ (astral.*)/10.99.9.9 \\1/' /etc/hosts"
ALIVE = "sudo sed -i -E 's/^[0-9.]+ (astral.*)/10.99.0.1 \\1/' /etc/hosts"
THIEF = "setsid python3 -m http.server 8888 --bind 127.0.0.1 >/dev/null 2>&1 & echo $! >~/thief"


class Fault(NamedTuple):
    """How a step is spoilt, how that is mended, and what the step must say."""

    spoil: str
    mend: str
    message: str


FAILURES = {
    "gpu": Fault("sudo chmod -x /usr/bin/nvidia-smi", "sudo chmod +x /usr/bin/nvidia-smi", "nvidia-smi"),
    "utilities": Fault(
        "sudo dpkg -r tree && sudo apt-get clean && sudo sed -i s/:8000/:9/ /etc/apt/sources.list",
        "sudo sed -i s/:9/:8000/ /etc/apt/sources.list",
        "the package mirror does not answer: http://10.99.0.1:9",
    ),
    "venv": Fault(
        f"mv ~/.local ~/.kept && {DEAD}", f"mv ~/.kept ~/.local; {ALIVE}", "astral.sh/uv/install.sh does not answer"
    ),
    "requirements": Fault(
        f"rm ~/venv/bin/jupyter ~/venv/.aws-bootstrap/requirements && rm -rf ~/.cache/uv && {DEAD}"
        " && ~/.local/bin/uv pip uninstall -q -p ~/venv jupyterlab",
        ALIVE,
        "could not install requirements.txt",
    ),
    "pytorch": Fault(f"rm ~/venv/.aws-bootstrap/pytorch && {DEAD}", ALIVE, "wheel index does not answer"),
    "shell": Fault("mv ~/.bashrc ~/.b && mkdir ~/.bashrc", "rmdir ~/.bashrc && mv ~/.b ~/.bashrc", "is not a file"),
    "nsight": Fault(
        "sudo rm /etc/modprobe.d/aws-* && sudo mv /etc/modprobe.d /etc/m && sudo touch /etc/modprobe.d",
        "sudo rm /etc/modprobe.d && sudo mv /etc/m /etc/modprobe.d",
        "could not be written",
    ),
    "samples": Fault(
        f"rm ~/gpu_benchmark.py {STATE}/deployed-gpu_benchmark.py && mkdir -p ~/gpu_benchmark.py/gpu_benchmark.py",
        "rm -r ~/gpu_benchmark.py",
        "is a folder",
    ),
    "vscode": Fault("mv ~/workspace ~/w && touch ~/workspace", "rm ~/workspace && mv ~/w ~/workspace", "exit status"),
    "keepalive": Fault(
        "cd /etc/ssh/sshd_config.d && sudo rm 60-aws-* && echo Nonsense yes | sudo tee 99-mine.conf",
        "sudo rm /etc/ssh/sshd_config.d/*",
        "sshd does not accept",
    ),
    "jupyter": Fault(f"sudo systemctl stop jupyter; ({THIEF})", "kill $(cat ~/thief)", "jupyter does not"),
}


@pytest.mark.parametrize("step", FAILURES)
def test_a_step_that_fails_is_named_and_mended_it_passes(box, step):
    spoil, mend, message = FAILURES[step]
    box.says(spoil)
    try:
        done, found = setup(box, IMPATIENT)
    finally:
        box.says(mend)
    report = next(report for report in found["steps"] if report["name"] == step)
    assert done.returncode == 1 and found["outcome"] == "failed" and found["failed_step"] == step, done.stdout
    assert message in report["message"], report
    assert f"    {report['title']}: FAILED " in done.stdout
    done, found = setup(box)
    assert done.returncode == 0, done.stdout


def test_the_smoke_test_warns_and_does_not_abort(box):
    box.says("echo 'raise ImportError(1)' >>~/venv/lib/python3*/site-packages/torch/__init__.py")
    done, found = setup(box)
    box.says("sed -i '$d' ~/venv/lib/python3*/site-packages/torch/__init__.py")
    assert done.returncode == 0 and outcomes(found)["cuda-test"] == "warning"


HOLD = "import fcntl as f, time; l = open('/var/lib/dpkg/lock-frontend', 'w'); f.lockf(l, 2); print(1, flush=True)"


def test_a_locked_apt_is_waited_for_with_a_bound_and_named(box):
    box.says("sudo dpkg -r tree")
    hold = [*box.ssh_words("-tt"), f'sudo python3 -c "{HOLD}; time.sleep(120)"']
    with subprocess.Popen(hold, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline().strip() == b"1"
        _, found = setup(box, IMPATIENT)
        holder.kill()
    report = next(report for report in found["steps"] if report["name"] == "utilities")
    assert found["failed_step"] == "utilities" and "apt was locked" in report["message"], report
    assert setup(box)[0].returncode == 0


@pytest.mark.parametrize("state", ["half-installed", "unpacked"])
def test_a_package_that_was_being_unpacked_at_a_power_cut_is_unpacked_again(box, state):
    half = f"Status: install reinstreq {state}"
    box.says(f"sudo sed -i '/^Package: tree$/,/^$/s/^Status: .*/{half}/' /var/lib/dpkg/status")
    box.says("sudo dpkg -r jq")
    done, found = setup(box, IMPATIENT)
    assert done.returncode == 0 and outcomes(found)["utilities"] == "ok", done.stdout
    assert box.says("sudo dpkg --audit") == "" and box.says("tree --version && jq --version")


# --- Interrupted -------------------------------------------------------------------------------------------------


def begin(box: Box) -> subprocess.Popen[bytes]:
    """Start the setup and return its ssh."""
    running = subprocess.Popen(
        [*box.ssh_words(), f"{UNPACK} && {RUN}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert running.stdin
    running.stdin.write(upload(box, RESOURCES))
    running.stdin.close()
    return running


@pytest.mark.parametrize(
    ("number", "step", "half_way"),
    [
        (21, "venv", "venv/bin"),
        (22, "requirements", "venv/lib/python3*/site-packages/jupyterlab"),
        (23, "utilities", "/usr/share/doc/git"),
    ],
)
def test_after_a_power_cut_half_way_the_next_run_ends_well(network, number, step, half_way):
    box = Container(network, number).start()
    running = begin(box)
    until(lambda: box.ssh(f"ls -d {half_way}", check=False).returncode == 0, f"{step} half way", 120)
    box.cut_power()
    running.wait(60)
    box.start()
    assert state(box)["outcome"] == "running"
    done, found = setup(box)
    tell(f"after a power cut in {step}", found)
    assert done.returncode == 0, done.stdout
    assert box.says("systemctl is-active jupyter") == "active"
    assert box.says("python -c 'import torch, numpy, jupyterlab, sys; print(sys.prefix)'") == "/home/ubuntu/venv"
    assert box.says("sudo dpkg --audit") == ""
    box.cut_power()


def test_a_lost_connection_does_not_stop_the_setup(network):
    box = Container(network, 24).start()
    running = begin(box)
    until(lambda: box.ssh("test -e .aws-bootstrap/setup.json", check=False).returncode == 0, "begun")
    running.kill()
    running.wait(30)
    until(lambda: state(box)["outcome"] == "completed", "completed by itself", 180)
    box.cut_power()

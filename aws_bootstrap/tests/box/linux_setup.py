"""The real setup, run by the tool's own client over real ssh on a real Linux: systemd, sshd, apt, uv, Jupyter.

Run by .ci/box, as root. The tests of this file share one box and stand in the order of its life.
"""

from __future__ import annotations

import collections
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from aws_bootstrap.errors import SshError
from aws_bootstrap.tests.box.client import Client, Running, client_of
from aws_bootstrap.tests.box.machines import Box, Container, Network, until
from aws_bootstrap.workflows.provision import SetupOutcome

CHECKS = {"gpu", "cuda-test"}
COMPLETED = SetupOutcome("completed", None, "13.0")
PAGE = ("curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}")


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


@pytest.fixture(scope="module")
def client(box: Container) -> Client:
    return client_of(box)


def state(box: Box) -> dict:
    return json.loads(box.says("cat ~/.aws-bootstrap/setup.json"))


def written_state(box: Box) -> str:
    """The setup.json as it is; empty where there is none."""
    return box.ssh("cat ~/.aws-bootstrap/setup.json", check=False).stdout


def outcomes(box: Box) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in state(box)["steps"]}


def messages(box: Box) -> dict[str, str]:
    """What each step that failed says."""
    return {step["name"]: step["message"] for step in state(box)["steps"] if step["outcome"] == "failed"}


def tell(title: str, box: Box) -> None:
    """Print the figures of a run, for the notes."""
    found = state(box)
    steps = ", ".join(f"{step['name']} {step['seconds']}" for step in found["steps"])
    sys.stderr.write(f"\n[{title}: {found['seconds']} s: {steps}]\n")


# --- The life of one box -----------------------------------------------------------------------------------------


def test_a_fresh_box_is_set_up_over_ssh(box, client, capsys):
    outcome = client.set_up()
    told = capsys.readouterr().err
    found = state(box)
    tell("first run", box)
    assert outcome == COMPLETED, told
    assert set(outcomes(box).values()) == {"ok"}
    assert found["python"] == box.says("/usr/bin/python3 -c 'import platform; print(platform.python_version())'")
    assert all(f"==> {step['title']}\n" in told for step in found["steps"])


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


def link(client: Client) -> tuple[str, str]:
    """What the printed command shows: Jupyter's address on the user's machine, and the token."""
    shown = subprocess.run([*client.ssh_words(), ".aws-bootstrap/jupyter-link"], capture_output=True, text=True)
    address, _, token = shown.stdout.strip().partition("?token=")
    assert address == "http://localhost:8888/lab", shown
    assert re.fullmatch("[0-9a-f]{48}", token), shown
    return address, token


def test_jupyter_s_page_opens_through_the_tunnel_with_the_token_alone(box, client):
    address, token = link(client)
    contents = address.replace("/lab", "/api/contents")

    def status(*words: str) -> str:
        return subprocess.run([*box.network.inside, *PAGE, *words], capture_output=True, text=True).stdout

    with subprocess.Popen([*client.ssh_words(), "-NL", "8888:localhost:8888"]) as tunnel:
        until(lambda: status(address) != "000", "tunnel", 20)
        assert [status(address), status(contents), status(f"{contents}?token=0")] == ["302", "403", "403"]
        assert [status(f"{address}?token={token}"), status(f"{contents}?token={token}")] == ["200", "200"]
        # Another site's page that resolved its own name to this address is turned away.
        assert status(f"{address}?token={token}", "-H", "Host: evil.example") == "403"
        tunnel.terminate()


def test_the_token_is_seen_by_the_login_user_alone(box, client):
    _, token = link(client)
    box.says("sudo useradd -m other")
    watch = (
        "cat ~ubuntu/.aws-bootstrap/jupyter.env; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; systemctl show jupyter"
    )
    seen = box.ssh(f"sudo -u other sh -c '{watch}' 2>/dev/null", check=False).stdout
    assert "--ServerApp.ip=127.0.0.1" in seen
    assert token not in seen
    assert token not in box.says("sudo journalctl -u jupyter")
    assert box.says("stat -c '%a %U' ~/.aws-bootstrap/jupyter.env") == "600 ubuntu"
    assert box.says(f"grep -rlF {token} ~/.aws-bootstrap") == "/home/ubuntu/.aws-bootstrap/jupyter.env"


def test_the_gpu_is_asked_for_through_the_same_door(client):
    gpu = client.query_gpu()
    assert gpu
    assert (gpu.name, gpu.architecture, gpu.cuda_toolkit) == ("Tesla T4", "Turing", "13.0")
    assert (gpu.driver, gpu.cuda_driver_max) == ("580.95.05", "13.0")


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


def test_a_second_run_changes_nothing(box, client, network):
    fetched = len(network.fetched(box.address))
    shown = link(client)
    found_by = "-newer ~/.aws-bootstrap/mark -not -type d -not -path '*/__pycache__/*'"
    marks = f"sudo find /etc ~/venv ~/workspace ~/.bashrc ~/gpu_* {found_by}"
    box.says("touch ~/.aws-bootstrap/mark; sleep 0.01")
    since = box.says("systemctl show -p ActiveEnterTimestampMonotonic jupyter")
    assert client.set_up() == COMPLETED
    tell("second run", box)
    assert {name for name, outcome in outcomes(box).items() if outcome != "unchanged"} == CHECKS
    assert box.says(marks) == ""
    assert len(network.fetched(box.address)) == fetched
    assert box.says("systemctl show -p ActiveEnterTimestampMonotonic jupyter") == since
    assert link(client) == shown


# --- Whatever the account's shell and its startup files are --------------------------------------------------------


# Each login shell, and whether a command over ssh finds the venv's python: tcsh and sh read no file of ours.
SHELLS = {"/usr/bin/fish": True, "/usr/bin/zsh": True, "/usr/bin/tcsh": False, "/bin/sh": False}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_will_do(box, client, shell):
    box.says(f"sudo usermod -s {shell} ubuntu")
    try:
        assert client.set_up() == COMPLETED
        gpu = client.query_gpu()
        python = box.ssh("which python", check=False).stdout.strip()
    finally:
        box.says("sudo usermod -s /bin/bash ubuntu")
    assert gpu
    assert gpu.name == "Tesla T4"
    assert (python == "/home/ubuntu/venv/bin/python") is SHELLS[shell]


RC_FILES = {
    "noise on stdout": "echo hello; printf 'no line end'",
    "a flood on stderr": "for i in {1..20000}; do echo noise-noise-noise-$i >&2; done",
    "a trace": "set -x",
    "stops at errors": "set -euo pipefail; trap 'echo bye' EXIT",
    "another place": "cd /; umask 077; alias bash=false tar=false; CDPATH=/",
}


@pytest.fixture
def bashrc(box: Container) -> Iterator[Path]:
    """The user's ~/.bashrc, as it was before once the test is over, also where no command can be run any more."""
    path = box.path("home/ubuntu/.bashrc")
    before = path.read_text()
    yield path
    path.write_text(before)


@pytest.mark.parametrize("lines", RC_FILES.values(), ids=RC_FILES)
def test_what_a_startup_file_does_is_not_taken_for_our_own(box, client, bashrc, lines):
    bashrc.write_text(f"{lines}\n{bashrc.read_text()}")
    gpu = client.query_gpu()
    assert gpu
    assert gpu.name == "Tesla T4"
    box.path("usr/bin/nvidia-smi").chmod(0o644)
    try:
        outcome = client.set_up()
    finally:
        box.path("usr/bin/nvidia-smi").chmod(0o755)
    assert (outcome.setup, outcome.failed_step, outcome.cuda_version) == ("failed", "gpu", "13.0")
    assert outcome.message
    assert "nvidia-smi" in outcome.message


@pytest.mark.parametrize("lines", ["exit 3", "[[ $- == *i* ]] || exit", "exec true"])
def test_a_startup_file_that_ends_the_shell_is_reported_as_the_cause(client, bashrc, lines):
    bashrc.write_text(f"echo no entry\n{lines}\n{bashrc.read_text()}")
    with pytest.raises(SshError, match="ended the login before the command ran") as caught:
        client.set_up()
    assert "~/.bashrc" in (caught.value.hint or "")


def test_a_startup_file_that_swallows_the_upload_is_reported_as_a_failed_upload(client, bashrc):
    bashrc.write_text(f"cat >/dev/null\n{bashrc.read_text()}")
    outcome = client.set_up()
    assert (outcome.setup, outcome.failed_step) == ("failed", "upload")
    assert outcome.message
    assert "could not be uploaded: gzip: stdin: unexpected end of file" in outcome.message


# --- What is in the way ------------------------------------------------------------------------------------------


def test_a_full_disk_is_reported_in_one_sentence(box, client):
    ours = "~/.aws-bootstrap"
    box.says(f"sudo mount -t tmpfs -o size=64k,uid=$(id -u),mode=700 tmpfs {ours}")
    box.ssh(f"head -c 1M /dev/zero >{ours}/fill", check=False)
    outcome = client.set_up()
    left = box.says(f"ls {ours}")
    box.says(f"sudo umount {ours}")
    assert (outcome.setup, outcome.failed_step) == ("failed", "upload")
    assert outcome.message
    assert "No space left on device" in outcome.message
    assert left == "fill"


def test_a_lock_of_another_user_is_reported_in_one_sentence(box, client):
    lock = "~/.aws-bootstrap/setup.lock"
    box.says(f"sudo chown root: {lock} && sudo chmod 600 {lock}")
    outcome = client.set_up()
    box.says(f"sudo chown ubuntu: {lock}")
    assert (outcome.setup, outcome.failed_step) == ("failed", "start")
    assert outcome.message == (
        "/home/ubuntu/.aws-bootstrap/setup.lock: Permission denied"
        " (if it belongs to another user: sudo chown -R ubuntu ~/.aws-bootstrap)"
    )


def test_what_an_older_version_left_does_not_run(box, client):
    ours = "~/.aws-bootstrap"
    box.says(f"echo 'touch ~/old-ran' >{ours}/setup/setup.d/66-old.sh; mkdir {ours}/step.killed")
    assert client.set_up() == COMPLETED
    assert "old" not in outcomes(box)
    assert box.says(f"ls -d ~/old-ran {ours}/step.* {ours}/setup.new.* {ours}/setup.old 2>/dev/null || true") == ""


def failure(outcome: SetupOutcome) -> tuple[str | None, str | None]:
    """The step that failed, and why."""
    assert outcome.setup == "failed"
    assert outcome.cuda_version == "13.0"
    return outcome.failed_step, outcome.message


def test_your_script_runs_after_the_rest_and_only_when_it_is_given(box, client):
    outcome = client.set_up(script=b"#!/bin/sh\npython -c 'import sys; print(sys.prefix)' >~/seen\nexit 3\n")
    assert failure(outcome) == ("setup-script", "exit status 3")
    assert outcome.output
    assert box.says("cat ~/seen") == "/home/ubuntu/venv"
    assert client.set_up() == COMPLETED
    assert "setup-script" not in outcomes(box)


def test_a_python_that_cannot_be_had_leaves_the_venv_as_it_was(box, client):
    assert client.set_up(python_version="3.11") == COMPLETED
    assert outcomes(box)["venv"] == "unchanged"
    outcome = client.set_up(python_version="3.12")
    assert failure(outcome) == ("venv", "uv could not install Python 3.12")
    assert "error: Failed to install cpython-3.12" in "\n".join(outcome.output)
    assert box.says("python -c 'import torch, jupyterlab, sys; print(sys.prefix)'") == "/home/ubuntu/venv"
    assert failure(client.set_up()) == ("venv", "uv could not install Python 3.12"), "the box keeps what it was asked"
    assert client.set_up(python_version="3.11") == COMPLETED


# --- Each step, failed once --------------------------------------------------------------------------------------


# What a box fetches from is mapped to an address where nobody listens.
DEAD = "sudo sed -i -E 's/^[0-9.]+ (astral.*)/127.0.0.3 \\1/' /etc/hosts"
ALIVE = "sudo sed -i -E 's/^[0-9.]+ (astral.*)/10.99.0.1 \\1/' /etc/hosts"
THIEF = "setsid python3 -m http.server 8888 --bind 127.0.0.1 >/dev/null 2>&1 & echo $! >~/thief"
NOTES = "~/venv/.aws-bootstrap"
STATE = "~/.aws-bootstrap/state"


class Fault(NamedTuple):
    """How a step is spoilt, how that is mended, and what the step must say."""

    spoil: str
    mend: str
    message: str


# Steps that do not need one another fail in one run; the steps stand in the order in which they are numbered.
ALONE = {
    "gpu": Fault("sudo chmod -x /usr/bin/nvidia-smi", "sudo chmod +x /usr/bin/nvidia-smi", "nvidia-smi"),
    "utilities": Fault(
        "sudo dpkg -r tree && sudo apt-get clean && sudo sed -i s/:8000/:9/ /etc/apt/sources.list",
        "sudo sed -i s/:9/:8000/ /etc/apt/sources.list",
        "the package mirror does not answer: http://10.99.0.1:9",
    ),
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
        "(cd /etc/ssh/sshd_config.d && sudo rm 60-aws-* && echo Nonsense yes | sudo tee 99-mine.conf)",
        "sudo rm /etc/ssh/sshd_config.d/*",
        "sshd does not accept",
    ),
    "jupyter": Fault(
        f"sudo systemctl stop jupyter; ({THIEF})",
        "kill $(cat ~/thief)",
        "jupyter does not start: another program uses port 8888 (python3, process ",
    ),
}
FAILURES = {
    "steps that need nothing": ALONE,
    "venv": {
        "venv": Fault(f"mv ~/.local ~/.kept && {DEAD}", f"mv ~/.kept ~/.local; {ALIVE}", "install.sh does not answer"),
    },
    "a venv of the user's": {
        "venv": Fault(
            "mv ~/venv ~/kept && mkdir -p ~/venv/project && touch ~/venv/project/thesis",
            "rm ~/venv/project/thesis && rmdir ~/venv/project ~/venv && mv ~/kept ~/venv",
            "is not a virtual environment (no pyvenv.cfg) and was not changed",
        ),
    },
    "requirements": {
        "requirements": Fault(
            f"rm ~/venv/bin/jupyter {NOTES}/requirements && {DEAD}"
            " && ~/.local/bin/uv pip uninstall -q -p ~/venv jupyterlab && ~/.local/bin/uv cache clean -q jupyterlab",
            ALIVE,
            "could not install requirements.txt",
        ),
    },
    "pytorch": {
        "pytorch": Fault(f"rm {NOTES}/pytorch && {DEAD}", ALIVE, "wheel index does not answer"),
    },
}


@pytest.mark.parametrize("group", FAILURES)
def test_a_step_that_fails_is_named_and_mended_it_passes(box, client, capsys, group):
    faults = FAILURES[group]
    for fault in faults.values():
        box.says(fault.spoil)
    try:
        outcome = client.set_up()
    finally:
        for fault in faults.values():
            box.says(fault.mend)
    told, said = capsys.readouterr().err, messages(box)
    assert list(said) == list(faults), told
    assert state(box)["outcome"] == "failed", told
    for step, fault in faults.items():
        assert fault.message in said[step]
        assert f": FAILED: {said[step]}\n" in told
    first = next(iter(faults))
    assert (outcome.setup, outcome.failed_step, outcome.message) == ("failed", first, said[first])
    assert client.set_up() == COMPLETED


def test_a_jupyter_that_does_not_start_is_not_taken_for_a_port_that_is_taken(box, client):
    box.says("sudo systemctl stop jupyter; mv ~/venv/bin/jupyter ~/kept; printf '#!/bin/false' >~/venv/bin/jupyter")
    box.says("chmod +x ~/venv/bin/jupyter")
    outcome = client.set_up()
    box.says("mv ~/kept ~/venv/bin/jupyter")
    assert failure(outcome) == ("jupyter", "jupyter does not start: sudo journalctl -u jupyter")
    assert outcome.output
    assert client.set_up() == COMPLETED


def test_a_block_without_its_end_is_left_alone_and_reported(box, client, bashrc):
    broken = bashrc.read_text().replace("# <<< aws-bootstrap <<<\n", "") + "alias mine=yes\n"
    bashrc.write_text(broken)
    assert client.set_up() == COMPLETED
    assert bashrc.read_text() == broken
    assert outcomes(box)["shell"] == "warning"


def test_the_smoke_test_warns_and_does_not_abort(box, client):
    box.says("echo 'raise ImportError(1)' >>~/venv/lib/python3*/site-packages/torch/__init__.py")
    outcome = client.set_up()
    box.says("sed -i '$d' ~/venv/lib/python3*/site-packages/torch/__init__.py")
    assert outcome == COMPLETED
    assert outcomes(box)["cuda-test"] == "warning"


HOLD = "import fcntl as f, time; l = open('/var/lib/dpkg/lock-frontend', 'w'); f.lockf(l, 2); print(1, flush=True)"


def test_a_locked_apt_is_waited_for_with_a_bound_and_named(box, client):
    box.says("sudo dpkg -r tree")
    hold = [*box.ssh_words("-tt"), f'sudo python3 -c "{HOLD}; time.sleep(120)"']
    with subprocess.Popen(hold, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline().strip() == b"1"
        outcome = client.set_up()
        holder.kill()
    assert outcome.failed_step == "utilities"
    assert "apt was locked" in (outcome.message or "")
    assert client.set_up() == COMPLETED


@pytest.mark.parametrize("state", ["half-installed", "unpacked"])
def test_a_package_that_was_being_unpacked_at_a_power_cut_is_unpacked_again(box, client, state):
    half = f"Status: install reinstreq {state}"
    box.says(f"sudo sed -i '/^Package: tree$/,/^$/s/^Status: .*/{half}/' /var/lib/dpkg/status")
    box.says("sudo dpkg -r jq")
    assert client.set_up() == COMPLETED
    assert outcomes(box)["utilities"] == "ok"
    assert box.says("sudo dpkg --audit") == ""
    assert box.says("tree --version && jq --version")


# --- Interrupted: the life of a second box -----------------------------------------------------------------------

HALF_WAY = {
    "venv": "venv/bin",
    "requirements": "venv/lib/python3*/site-packages/jupyterlab",
    "utilities": "/usr/share/doc/git",
}


@pytest.fixture(scope="module")
def second(network: Network) -> Iterator[Container]:
    box = Container(network, 21).start()
    yield box
    box.cut_power()


@pytest.fixture(scope="module")
def second_client(second: Container) -> Client:
    return client_of(second)


@pytest.mark.parametrize("step", HALF_WAY)
def test_the_power_is_cut_half_way(second, second_client, step):
    running = Running(second_client)
    until(lambda: second.ssh(f"ls -d {HALF_WAY[step]}", check=False).returncode == 0, f"{step} half way", 120)
    second.cut_power()
    running.break_connection()
    assert isinstance(running.error, SshError)
    assert running.error.code == "ssh-lost"
    second.start()
    assert state(second)["outcome"] == "running"


def test_a_lost_connection_does_not_stop_the_setup_and_after_three_power_cuts_it_ends_well(second, second_client):
    before = written_state(second)
    running = Running(second_client)
    until(lambda: written_state(second) not in ("", before), "begun")
    running.break_connection()
    assert isinstance(running.error, SshError)
    assert running.error.code == "ssh-lost"
    until(lambda: state(second)["outcome"] != "running", "ended by itself", 180)
    tell("after three power cuts and a lost connection", second)
    assert state(second)["outcome"] == "completed", messages(second)
    assert second.says("systemctl is-active jupyter") == "active"
    assert second.says("python -c 'import torch, numpy, jupyterlab, sys; print(sys.prefix)'") == "/home/ubuntu/venv"
    assert second.says("sudo dpkg --audit") == ""
    assert second.says("ls -d ~/.aws-bootstrap/step.* 2>/dev/null || true") == ""
    assert second_client.set_up() == COMPLETED

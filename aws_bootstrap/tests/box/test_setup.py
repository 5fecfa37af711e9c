"""The remote setup, start to end, on a box of stand-ins: what it promises the tool and the person who watches."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import FakeBox

STEPS = [
    "gpu",
    "utilities",
    "tools",
    "venv",
    "requirements",
    "pytorch",
    "cuda-test",
    "more-packages",
    "shell",
    "nsight",
]
STEPS += ["samples", "vscode", "keepalive", "jupyter"]
CHECKS = {"gpu", "cuda-test"}


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(tmp_path / "box")


def until(condition, seconds: float = 20):
    """Poll until the condition holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "never came to be"
        time.sleep(0.02)


def installed_all(box: FakeBox) -> FakeBox:
    """Let dpkg-query say that every package is there, and sudo write nothing new."""
    (box.home / "apt-done").touch()
    return box


def test_a_fresh_box(box):
    done = box.setup()
    state = box.state()
    assert done.returncode == 0, done.stdout
    assert [step["name"] for step in state["steps"]] == STEPS
    assert {step["outcome"] for step in state["steps"]} == {"ok"}
    assert state["outcome"] == "completed"
    assert state["failed_step"] is None
    assert state["schema"] == 1
    assert (state["cuda_version"], state["cuda_tag"]) == ("12.8", "cu128")
    assert re.fullmatch(r"3\.\d+\.\d+", state["python"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", state["started"])
    assert done.stderr == ""
    for step in state["steps"]:
        assert done.stdout.count(f"==> {step['title']}\n") == 1
        assert re.search(rf"^    {re.escape(step['title'])}: done in \d+ s", done.stdout, re.MULTILINE)


def test_every_line_is_a_title_or_an_outcome(box):
    box.faults(("^sudo -n sshd", 1, "bad option"))
    lines = box.setup().stdout.splitlines()
    assert all(re.match(r"==> \S|    \S.*: (done in|unchanged|FAILED|WARNING|skipped)|    \| ", line) for line in lines)


def test_what_is_on_the_box_afterwards(box):
    box.setup()
    assert (box.home / "gpu_benchmark.py").exists()
    assert (box.home / "gpu_smoke_test.ipynb").exists()
    folder = box.home / "workspace" / ".vscode"
    assert f'"debuggerPath": "{box.bin}/cuda-gdb"' in (folder / "launch.json").read_text()
    assert "-arch=sm_75" in (folder / "tasks.json").read_text()
    assert "__" not in (folder / "launch.json").read_text() + (folder / "tasks.json").read_text()
    log = (box.home / ".aws-bootstrap" / "setup.log").read_text()
    assert "Tesla T4, 570.86.15" in log
    assert "--- jupyter: ok" in log
    assert not list((box.home / ".aws-bootstrap").glob("step.*")), "scratch folders are left"


def test_a_second_run_changes_nothing(box):
    installed_all(box).setup()
    kept = {
        path: path.read_bytes()
        for path in [box.home / ".bashrc", *(box.home / "workspace").rglob("*.*")]
        if path.is_file()
    }
    # The stand-in for sudo has written no system file: let the files look written.
    for name in ("nsight", "keepalive", "jupyter"):
        path = next((box.folder / "setup.d").glob(f"*-{name}.sh"))
        path.write_text(path.read_text().replace("if put_root_file", "if ! true || false && put_root_file"))
    box.forget_calls()
    assert box.setup().returncode == 0
    assert {name for name, outcome in box.outcomes().items() if outcome != "unchanged"} == CHECKS
    assert not [call for call in box.calls("sudo") if "systemctl" not in call]
    assert not box.calls("uv pip")
    assert not box.calls("uv venv")
    assert not box.calls("curl")
    assert all(path.read_bytes() == content for path, content in kept.items())


# What is made to fail, so that this step fails, and what it must say.
FAILURES = {
    "gpu": (r"^nvidia-smi --query-gpu=name", 9, "No devices were found", "finds no working GPU"),
    "utilities": (r"apt-get .* install", 100, "E: Could not get lock /var/lib/dpkg/lock-frontend", "apt was locked"),
    "venv": (r"^uv venv", 2, "error: No interpreter found", "could not create"),
    "requirements": (r"^uv pip install .*-r ", 1, "error: no route to host", "could not install requirements.txt"),
    "pytorch": (r"^uv pip install .*dry-run", 2, "error: Failed to fetch", "wheel index does not answer"),
    "nsight": (r"^sudo -n install .*modprobe", 1, "read-only file system", "could not be written"),
    "keepalive": (r"^sudo -n sshd -t", 255, "bad configuration option", "does not accept"),
    "jupyter": (r"^sudo -n systemctl restart jupyter", 1, "Job for jupyter.service failed", "does not start"),
}


@pytest.mark.parametrize("step", FAILURES)
def test_a_step_that_fails_is_named_with_the_end_of_its_output(box, step):
    pattern, status, says, message = FAILURES[step]
    box.faults((pattern, status, says))
    done = box.setup()
    state = box.state()
    report = next(report for report in state["steps"] if report["name"] == step)
    assert done.returncode == 1
    assert (state["outcome"], state["failed_step"], report["outcome"]) == ("failed", step, "failed")
    assert message in report["message"]
    assert any(says in line for line in report["tail"])
    assert len(report["tail"]) <= 20
    assert f"    {report['title']}: FAILED: {report['message']}\n" in done.stdout
    assert f"    | {report['tail'][-1]}" in done.stdout


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ("shell", ".bashrc"),
        ("samples", "gpu_benchmark.py/gpu_benchmark.py"),
        ("vscode", "workspace/.vscode/launch.json/launch.json"),
    ],
)
def test_a_step_that_cannot_write_is_named(box, step, path):
    (box.home / path).mkdir(parents=True)
    if step != "shell":
        (box.home / path / "in the way").touch()
    assert box.setup().returncode == 1
    assert box.state()["failed_step"] == step


UBUNTU = "http://us-west-2.ec2.archive.ubuntu.com/ubuntu"


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (f"E: Failed to fetch {UBUNTU}/pool/j/jq.deb  Could not connect", f"does not answer: {UBUNTU}/pool/j/jq.deb"),
        (f"Err:1 {UBUNTU} noble InRelease", f"does not answer: {UBUNTU}"),
        ("E: Could not resolve 'archive.ubuntu.com'", "does not answer: archive.ubuntu.com"),
        ("E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend)", "apt was locked"),
        ("dpkg: error: dpkg frontend lock was locked by another process with pid 7", "apt was locked"),
        ("E: Unable to locate package jq", "apt-get could not install: build-essential curl"),
    ],
)
def test_what_stops_apt_is_named(box, says, message):
    box.keep("utilities")
    box.faults((r"apt-get .* install", 100, says))
    box.setup()
    assert message in box.state()["steps"][0]["message"]


def test_what_needs_a_failed_step_is_skipped_and_the_rest_still_runs(box):
    box.faults((r"^uv venv", 2, "no"))
    stdout = box.setup().stdout
    outcomes = box.outcomes()
    assert [name for name, outcome in outcomes.items() if outcome == "skipped"] == [
        "requirements",
        "pytorch",
        "cuda-test",
        "more-packages",
        "jupyter",
    ]
    assert all(outcomes[name] == "ok" for name in ("gpu", "utilities", "shell", "samples", "vscode", "keepalive"))
    assert "    Jupyter: skipped: it needs requirements, which did not complete\n" in stdout


def test_a_gpu_that_pytorch_cannot_use_is_a_warning(box):
    (box.home / "torch.py").write_text(TORCHLESS)
    done = box.setup()
    assert done.returncode == 0
    assert box.outcomes()["cuda-test"] == "warning"
    assert "    CUDA smoke test: WARNING: PyTorch cannot use the GPU" in done.stdout


TORCHLESS = (
    "__version__ = '1'\nclass cuda:\n    is_available = staticmethod(lambda: False)\nclass version:\n    cuda = None\n"
)


def test_the_python_asked_for_is_fetched_only_if_uv_has_none(box):
    box.faults((r"^uv python find", 1, "none"))
    box.keep("venv")
    box.setup(PYTHON_VERSION="3.13")
    assert "uv python install 3.13" in box.calls()
    assert f"uv venv --seed --python 3.13 {box.home}/venv" in box.calls()


def test_another_python_replaces_the_venv_and_what_was_in_it(box):
    installed_all(box).setup()
    box.forget_calls()
    box.setup(PYTHON_VERSION="3.99")
    assert box.calls("uv venv")
    assert box.calls("uv pip install")
    assert "sudo -n systemctl restart jupyter" in box.calls()


def test_an_install_cut_short_is_done_again(box):
    box.setup()
    (box.home / "venv" / ".aws-bootstrap" / "pytorch.installing").touch()
    box.forget_calls()
    box.setup()
    assert [call for call in box.calls("uv pip install") if "--reinstall" in call and "--dry-run" not in call]


def test_files_that_the_user_changed_are_kept(box):
    box.setup()
    (box.home / "gpu_smoke_test.ipynb").write_text("mine")
    (box.folder / "gpu_benchmark.py").write_text("a newer benchmark")
    box.setup()
    assert (box.home / "gpu_smoke_test.ipynb").read_text() == "mine"
    assert (box.home / "gpu_benchmark.py").read_text() == "a newer benchmark"


def test_files_that_the_user_wrote_before_any_setup_are_kept(box):
    """On a box that was launched with --no-setup, or whose state was lost, nothing says whose a file is."""
    (box.home / "gpu_benchmark.py").write_text("mine")
    (box.home / "gpu_smoke_test.ipynb").symlink_to("elsewhere.ipynb")
    for _ in range(2):
        done, report = box.step("samples")
        assert done.returncode == 0
        assert report == ["note kept your own gpu_benchmark.py", "note kept your own gpu_smoke_test.ipynb"]
        assert (box.home / "gpu_benchmark.py").read_text() == "mine"
        assert (box.home / "gpu_smoke_test.ipynb").is_symlink()


def test_files_of_the_workspace_that_the_user_wrote_are_kept(box):
    workspace = box.home / "workspace"
    names = [".vscode/extensions.json", ".vscode/launch.json", ".vscode/tasks.json", "saxpy.cu"]
    (workspace / ".vscode").mkdir(parents=True)
    for name in names:
        (workspace / name).write_text("mine")
    done, report = box.step("vscode")
    assert done.returncode == 0
    assert [(workspace / name).read_text() for name in names] == ["mine"] * 4
    assert report == [f"note kept your own {Path(name).name}" for name in names]


def test_a_venv_that_is_replaced_is_said_on_the_screen(box):
    box.keep("venv")
    box.setup()
    (box.home / "venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    shown = box.setup().stdout
    [old] = box.home.glob("venv.old-*")
    assert f"{box.home}/venv was replaced; " in shown
    assert f"rm -r {old})" in shown


def test_a_file_is_unmodified_again_when_the_setup_died_between_the_file_and_its_note(box):
    box.step("samples")
    first = (box.home / "gpu_benchmark.py").read_text()
    (box.folder / "gpu_benchmark.py").write_text("newer")
    box.tool("mv", "kill -9 $PPID")
    assert box.step("samples")[0].returncode == -9
    assert (box.home / "gpu_benchmark.py").read_text() == first, "never half written"
    (box.bin / "mv").unlink()
    assert box.step("samples")[1] == ["changed"]
    assert (box.home / "gpu_benchmark.py").read_text() == "newer"


def test_bashrc_stands_before_the_guard_and_once(box):
    guard = "case $- in\n    *i*) ;;\n      *) return;;\nesac\nalias mine=yes\n"
    (box.home / ".bashrc").write_text(guard)
    os.chmod(box.home / ".bashrc", 0o600)
    box.setup()
    box.setup()
    text = (box.home / ".bashrc").read_text()
    assert text.endswith(guard)
    assert text.count("venv/bin/activate") == 2
    assert text.count(">>> aws-bootstrap >>>") == 1
    assert (box.home / ".bashrc").stat().st_mode & 0o777 == 0o600
    shown = box.shell('source ~/.bashrc; source ~/.bashrc; echo "$VIRTUAL_ENV|$PATH"')
    assert shown.stdout.startswith(f"{box.home}/venv|{box.home}/venv/bin:")
    assert shown.stderr == ""


# --- Your own script ---------------------------------------------------------------------------------------------


def test_your_script_runs_last_with_its_own_shebang_and_the_venv(box):
    script = (
        "#!/usr/bin/env python3\nimport os\nopen('seen', 'a').write(os.environ['VIRTUAL_ENV'] + os.getcwd() + '\\n')\n"
    )
    (box.folder / "user-setup-script").write_text(script)
    box.setup()
    assert list(box.outcomes())[-1] == "setup-script"
    box.setup()
    assert (box.home / "seen").read_text() == f"{box.home}/venv{box.home}\n", "once, for it has not changed"


def test_your_script_that_fails_is_named(box):
    (box.folder / "user-setup-script").write_text("echo about to fail\nexit 3\n")
    assert box.setup().returncode == 1
    report = box.state()["steps"][-1]
    assert (box.state()["failed_step"], report["message"]) == ("setup-script", "exit status 3")
    assert report["tail"][0] == "about to fail"


def test_your_script_is_skipped_after_a_failure(box):
    (box.folder / "user-setup-script").write_text("touch ran\n")
    box.faults((r"^sudo -n sshd -t", 1, "no"))
    box.setup()
    assert box.outcomes()["setup-script"] == "skipped"
    assert not (box.home / "ran").exists()


# --- Interruptions -----------------------------------------------------------------------------------------------


def hang(box: FakeBox, step: str) -> Path:
    """Let a step wait until the file returned is removed; it writes its process id into it."""
    path = next((box.folder / "setup.d").glob(f"*-{step}.sh"))
    flag = box.home / "hanging"
    path.write_text(path.read_text() + f'\necho $$ >"{flag}"\nwhile [[ -e {flag} ]]; do sleep 0.05; done\n')
    return flag


def test_a_signal_ends_the_steps_and_says_so(box):
    flag = hang(box, "venv")
    with box.start() as process:
        until(lambda: flag.exists() and flag.read_text().strip())
        assert box.state()["outcome"] == "running"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 1
    assert box.state()["outcome"] == "failed"
    assert next(step["message"] for step in box.state()["steps"] if step["name"] == "venv") == "interrupted"
    with pytest.raises(ProcessLookupError):
        os.kill(int(flag.read_text()), 0)


def test_killed_half_way_the_next_run_ends_well(box):
    flag = hang(box, "requirements")
    with box.start() as process:
        until(lambda: flag.exists())
        process.kill()
        process.communicate(timeout=30)
    assert box.state()["outcome"] == "running"
    # The step outlived its driver and keeps the lock: the next run waits for it.
    with box.start() as second:
        assert "another setup is running" in second.stdout.readline()
        flag.unlink()
        second.communicate(timeout=60)
    assert second.returncode == 0
    assert box.state()["outcome"] == "completed"


def test_two_runs_do_not_meet(box):
    flag = hang(box, "samples")
    with box.start() as first:
        until(lambda: flag.exists())
        second = box.setup(SETUP_LOCK_TIMEOUT="0")
        flag.unlink()
        first.communicate(timeout=60)
    assert second.returncode == 1
    assert "still running" in second.stdout
    assert first.returncode == 0


def test_the_setup_goes_on_when_nobody_listens_any_more(box):
    flag = hang(box, "venv")
    with box.start() as process:
        until(lambda: flag.exists())
        process.stdout.close()
        flag.unlink()
        assert process.wait(60) == 0
    assert box.state()["outcome"] == "completed"


def test_a_step_that_takes_too_long_is_stopped(box):
    hang(box, "samples")
    path = box.folder / "setup.d" / "70-samples.sh"
    path.write_text(path.read_text().replace("# limit: 60", "# limit: 1"))
    assert box.setup().returncode == 1
    assert box.state()["failed_step"] == "samples"
    stopped = next(s["message"] for s in box.state()["steps"] if s["name"] == "samples")
    assert "stopped: not finished after 1 s" in stopped

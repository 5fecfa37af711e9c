"""The files that go to the box are what their readers expect: shell, Python, VSCode, Jupyter, nvcc."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aws_bootstrap.resources.run_steps import read_step
from aws_bootstrap.tests.box.standins import RESOURCES, nvcc

SCRIPTS = sorted([*RESOURCES.glob("*.sh"), *(RESOURCES / "setup.d").glob("*.sh")])
STEPS = [script for script in SCRIPTS if re.match(r"\d\d-", script.name)]


def shellcheck() -> str | None:
    beside = Path(sys.executable).with_name("shellcheck")
    return str(beside) if beside.exists() else shutil.which("shellcheck")


@pytest.mark.skipif(shellcheck() is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say():
    done = subprocess.run([str(shellcheck()), "-x", *SCRIPTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", STEPS, ids=lambda path: path.name)
def test_a_step_is_strict_titled_and_short(script):
    text = script.read_text()
    assert "\nset -euo pipefail\n" in text
    assert re.search(r"^# title: \S", text, re.MULTILINE)
    assert len(text.splitlines()) <= 90
    assert "/tmp" not in text.replace("$STEP_TMP", "")


def test_no_step_waits_for_what_is_good_to_have():
    """But the user's own script, which finds everything there; it waits for how they end, not for success."""
    steps = [read_step(script) for script in STEPS]
    optional = {step.name for step in steps if step.optional}
    assert optional == {"tools", "more-packages"}
    waiting = {step.name for step in steps if {*optional, "all"} & {*step.needs, *step.after}}
    assert waiting == {"setup-script"}


def test_everything_that_changes_the_system_goes_through_sudo():
    """The sandbox runs the real scripts on the developer's own machine, with a stand-in for sudo."""
    changing = (
        r"\b(apt-get|dnf|systemctl (restart|reload|enable|daemon-reload)|update-initramfs|dpkg --configure|mkfs\S*)\b"
    )
    for script in (RESOURCES / "setup.d").glob("*.sh"):
        for line in script.read_text().splitlines():
            if re.search(changing, line) and not line.lstrip().startswith("#"):
                wrapped = (
                    "as_root" in line
                    or "have apt-get" in line
                    or "have dnf" in line
                    or "echo" in line
                    or "warn" in line
                    or "die" in line
                )
                assert wrapped, f"{script.name}: {line}"


@pytest.mark.parametrize("name", ["run_steps.py", "put_block.py"])
def test_a_program_of_the_setup_runs_on_the_oldest_python_of_an_image(name):
    ast.parse((RESOURCES / name).read_text(), feature_version=(3, 8))


def without_comments(text: str) -> str:
    """Return JSON with // comments outside strings taken out."""
    return re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*', lambda match: match[1] or "", text)


def vscode(name: str) -> dict:
    return json.loads(without_comments((RESOURCES / name).read_text()))


def test_the_extensions_are_those_that_debugging_needs():
    recommended = vscode("extensions.json")["recommendations"]
    assert {"nvidia.nsight-vscode-edition", "ms-python.debugpy"} <= set(recommended)


def test_every_build_task_that_debugging_or_running_starts_exists():
    launch, tasks = vscode("launch.json"), vscode("tasks.json")["tasks"]
    labels = {task["label"] for task in tasks}
    cuda = [c for c in launch["configurations"] if c["type"] == "cuda-gdb"]
    assert launch["version"]
    assert {c["preLaunchTask"] for c in cuda} <= labels
    assert all(c["debuggerPath"] == "__CUDA_GDB_PATH__" for c in cuda)
    assert {label for task in tasks for label in task.get("dependsOn", [])} <= labels
    assert all("-arch=__GPU_ARCH__" in task["args"] for task in tasks if task["command"] == "nvcc")
    assert [task["label"] for task in tasks if task["command"] != "nvcc"] == ["nvcc: build and run the open file"]


def test_what_can_be_debugged():
    configurations = vscode("launch.json")["configurations"]
    python = [c for c in configurations if c["type"] == "debugpy"]
    assert all(c["program"] == "${file}" and c["python"] == "${env:HOME}/venv/bin/python" for c in python)
    assert [c.get("args") for c in python] == [None, "${command:pickArgs}"]
    assert [c["name"] for c in configurations if c.get("stopAtEntry")] == ["CUDA: debug the open file, stop at main"]
    assert sum(c.get("breakOnLaunch", False) for c in configurations) == 1


def test_the_notebook_is_clean():
    notebook = json.loads((RESOURCES / "gpu_smoke_test.ipynb").read_text())
    assert notebook["nbformat"] == 4
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")
        if cell["cell_type"] == "code":
            ast.parse("".join(cell["source"]))


def test_the_requirements_leave_torch_to_the_step_that_knows_the_cuda():
    lists = [(RESOURCES / name).read_text() for name in ("requirements.txt", "requirements-more.txt")]
    names = [line.split(">")[0].strip() for text in lists for line in text.splitlines()]
    assert {"jupyterlab", "scipy", "datasets", "transformers", "tensorboard"} <= set(names)
    assert not {"torch", "torchvision"} & set(names)


def test_the_wheel_tags_are_in_the_script_that_system_says():
    assert "KNOWN_CUDA_TAGS=(118 121 124 126 128 129 130 132)" in (RESOURCES / "remote_setup.sh").read_text()


@pytest.mark.skipif(nvcc() is None, reason="no nvcc on this machine")
def test_saxpy_compiles_for_a_t4_and_fails_without_a_gpu(tmp_path):
    done = subprocess.run(
        [str(nvcc()), "-arch=sm_75", "-Werror", "all-warnings", "-o", "saxpy", RESOURCES / "saxpy.cu"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ran = subprocess.run(["./saxpy"], cwd=tmp_path, capture_output=True, text=True, env={"CUDA_VISIBLE_DEVICES": ""})
    assert ran.returncode == 1
    assert "saxpy.cu:" in ran.stderr
    assert "PASSED" not in ran.stdout

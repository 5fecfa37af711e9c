"""Which CUDA a box has and which wheel tags fit it: the shell functions over what the tools print."""

from __future__ import annotations

import re
import subprocess

import pytest

from aws_bootstrap.resources.run_steps import read_step
from aws_bootstrap.tests.box.standins import RESOURCES, TOOLS, FakeBox
from aws_bootstrap.tests.box.texts import NVCC, NVIDIA_SMI

SETUP = (RESOURCES / "remote_setup.sh").read_text()


def cuda(code: str, text: str = "") -> str:
    """Run shell code with cuda.sh sourced and the text on stdin; its stdout."""
    command = ["bash", "-c", f'set -euo pipefail; source "{RESOURCES}/setup.d/cuda.sh"; {code}']
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.strip()


def known_tags() -> str:
    found = re.search(r"^KNOWN_CUDA_TAGS=\(([0-9 ]+)\)", SETUP, re.MULTILINE)
    assert found, "KNOWN_CUDA_TAGS is where people look for it"
    return found[1]


@pytest.mark.parametrize("version", NVCC)
def test_nvcc(version):
    assert cuda("parse_nvcc", NVCC[version]) == version


@pytest.mark.parametrize("version", NVIDIA_SMI)
def test_nvidia_smi(version):
    assert cuda("parse_nvidia_smi", NVIDIA_SMI[version]) == ("" if version == "N/A" else version)


@pytest.mark.parametrize(
    ("version", "tags"),
    [
        ("11.4", ""),
        ("11.8", "118"),
        ("12.0", "118"),
        ("12.1", "121 118"),
        ("12.2", "121 118"),
        ("12.4", "124 121 118"),
        ("12.5", "124 121 118"),
        ("12.6", "126 124 121 118"),
        ("12.8", "128 126 124 121 118"),
        ("12.9", "129 128 126 124 121 118"),
        ("12.10", "129 128 126 124 121 118"),
        ("13.0", "130 129 128 126 124 121 118"),
        ("13.1", "130 129 128 126 124 121 118"),
        ("13.2", "132 130 129 128 126 124 121 118"),
        ("14.0", "132 130 129 128 126 124 121 118"),
    ],
)
def test_tags_not_above_the_toolkit_newest_first(version, tags):
    assert cuda(f"candidate_tags {version} {known_tags()}").split() == tags.split()


@pytest.fixture
def box(tmp_path):
    return FakeBox(tmp_path / "box")


def gpu(box: FakeBox, **more: str) -> tuple[int, list[str], dict[str, str]]:
    """Run the step gpu: its status, its report, what it noted for the other steps."""
    done, report = box.step("gpu", **more)
    noted = (box.home / ".aws-bootstrap" / "state" / "gpu").read_text()
    return done.returncode, report, dict(line.split(" ", 1) for line in noted.splitlines())


def test_toolkit_and_driver_are_found_and_noted(box):
    box.tool("nvcc", f"cat <<'TEXT'\n{NVCC['12.4']}TEXT")
    status, report, noted = gpu(box)
    assert status == 0 and "fact cuda_version 12.4" in report
    assert noted == {"state": "works", "toolkit": "12.4", "driver": "12.8", "arch": "sm_75"}


def test_without_a_toolkit_that_answers_the_driver_counts(box):
    box.tool("nvcc", "exit 1")
    status, report, noted = gpu(box)
    assert status == 0 and "fact cuda_version 12.8" in report and noted["toolkit"] == ""
    assert "warning no CUDA toolkit (nvcc) on this box: extensions will not compile" in report


def test_a_driver_that_comes_up_late_is_waited_for(box):
    late = f"""echo >>~/asked
[[ $(wc -l <~/asked) -gt 3 ]] || {{ echo 'Failed to initialize NVML: Driver Not Loaded'; exit 9; }}
{TOOLS["nvidia-smi"]}"""
    box.tool("nvidia-smi", late)
    status, report, noted = gpu(box, SETUP_PATIENCE="60")
    assert status == 0 and "passed" in report and noted["state"] == "works"


def test_a_driver_may_take_two_minutes_within_the_limit_of_the_step():
    """Longer than any that was seen to come up; the last question begins at the end of that time."""
    script = RESOURCES / "setup.d" / "10-gpu.sh"
    [bound] = re.findall(
        r"^DRIVER_PATIENCE=\$\(\(PATIENCE < (\d+) \? PATIENCE : \1\)\)$", script.read_text(), re.MULTILINE
    )
    [question] = re.findall(r"SETUP_SMI_LIMIT:-(\d+)", (script.parent / "cuda.sh").read_text())
    [patience] = re.findall(r"SETUP_PATIENCE:-(\d+)", (script.parent / "lib.sh").read_text())
    assert int(patience) >= int(bound) >= 120
    assert read_step(script).limit >= int(bound) + int(question)


def test_a_card_without_a_working_driver_is_a_failure(box):
    box.tool("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    status, report, noted = gpu(box)
    assert status == 1 and report[-1] == "error nvidia-smi finds no working GPU"
    assert noted == {"state": "broken", "toolkit": "12.8", "driver": "", "arch": "sm_75"}


def test_a_driver_that_hangs_costs_a_bounded_time_once(box):
    box.tool("nvidia-smi", "sleep 600")
    status, report, noted = gpu(box, SETUP_SMI_LIMIT="0.3", SETUP_PATIENCE="60")
    assert status == 1 and "nvidia-smi does not answer within 0.3 s" in report[-1]
    assert len(box.calls("nvidia-smi")) == 2 and noted["state"] == "broken"
    # Nobody after it asks again.
    assert "-arch=sm_75" in box.step("vscode")[0].stdout + (box.home / "workspace/.vscode/tasks.json").read_text()
    box.step("venv")
    assert "warning no working GPU, so PyTorch could not be tried on one" in box.step("cuda-test")[1]
    assert len(box.calls("nvidia-smi")) == 2


def test_a_toolkit_that_hangs_does_not_hold_up_the_step(box):
    box.tool("timeout", '[[ "$*" != *nvcc* ]] || exit 124; exec /usr/bin/timeout "$@"')
    status, _, noted = gpu(box)
    assert status == 0 and noted["toolkit"] == ""


@pytest.mark.parametrize("driver", ["echo 'NVIDIA-SMI has failed'; exit 9", None])
def test_a_box_without_a_card_is_told_and_no_failure(box, driver):
    """A t3.medium, for trying things out."""
    box.tool("lspci", "exit 0")
    if driver:
        box.tool("nvidia-smi", driver)
    else:
        (box.bin / "nvidia-smi").unlink()
    status, report, noted = gpu(box, SETUP_PATIENCE="60")
    assert status == 0 and noted["state"] == "absent"
    assert report[-1] == "warning no NVIDIA GPU on this instance type: what needs one does not run here"


def test_a_card_without_a_driver_is_a_failure(box):
    (box.bin / "nvidia-smi").unlink()
    status, report, _ = gpu(box)
    assert status == 1 and "no NVIDIA driver on this box" in report[-1]


@pytest.mark.parametrize(
    ("versions", "lower"),
    [("12.8 13.0", "12.8"), ("13.2 12.8", "12.8"), ("12.10 12.9", "12.9"), ("'' 12.4", "12.4"), ("12.4 ''", "12.4")],
)
def test_the_lower_of_two_versions(versions, lower):
    assert cuda(f"lower_version {versions}") == lower


def test_without_both_nothing_is_known():
    assert cuda("lower_version '' ''") == ""


@pytest.mark.parametrize(
    ("says", "arch"), [("8.6", "sm_86"), ("10.0", "sm_100"), ("7.5\n7.5", "sm_75"), ("[N/A]", "sm_75")]
)
def test_the_architecture_of_the_first_card(box, says, arch):
    box.tool("nvidia-smi", f"printf '%s\\n' '{says}'")
    assert box.shell("gpu_arch", "cuda.sh").stdout == arch + "\n"


def test_the_newest_nsight_systems_goes_on_path(box, tmp_path):
    for version in ("2023.4.4", "2024.10.1", "2024.6.2"):
        (tmp_path / "ns" / version / "bin").mkdir(parents=True)
        (tmp_path / "ns" / version / "bin" / "nsys").touch()
    shown = box.shell(f"NSIGHT_SYSTEMS={tmp_path}/ns; newest_nsys; NSIGHT_SYSTEMS=/nowhere; newest_nsys", "lib.sh")
    assert shown.stdout == f"{tmp_path}/ns/2024.10.1/bin\n"

"""Which CUDA a box has and which wheel tags fit it: the shell functions over what the tools print."""

from __future__ import annotations

import re
import subprocess

import pytest

from aws_bootstrap.tests.box.standins import RESOURCES, FakeBox
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
        ("13.2", "130 129 128 126 124 121 118"),
    ],
)
def test_tags_not_above_the_toolkit_newest_first(version, tags):
    assert cuda(f"candidate_tags {version} {known_tags()}").split() == tags.split()


@pytest.fixture
def box(tmp_path):
    return FakeBox(tmp_path / "box")


def test_the_toolkit_goes_before_the_driver(box):
    assert box.shell("cuda_version", "cuda.sh").stdout == "12.8\n"
    box.tool("nvcc", f"cat <<'TEXT'\n{NVCC['12.4']}TEXT")
    assert box.shell("cuda_version", "cuda.sh").stdout == "12.4\n"


def test_without_a_toolkit_that_answers_the_driver_counts(box):
    box.tool("nvcc", "exit 1")
    box.tool("nvidia-smi", f"cat <<'TEXT'\n{NVIDIA_SMI['13.0']}TEXT")
    assert box.shell("cuda_version", "cuda.sh").stdout == "13.0\n"


def test_without_both_nothing_is_known(box):
    box.tool("nvcc", "exit 1")
    box.tool("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    assert box.shell("cuda_version; gpu_arch", "cuda.sh").stdout == "\nsm_75\n"


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

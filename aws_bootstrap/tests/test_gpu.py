"""What gpu.py reads from real outputs of nvidia-smi and nvcc."""

import pytest

from aws_bootstrap.gpu import ARCHITECTURES, GpuInfo, architecture, driver_max_version, parse, toolkit_version
from aws_bootstrap.tests.box.texts import NVCC, NVIDIA_SMI


@pytest.mark.parametrize(("version", "text"), NVCC.items())
def test_the_toolkit_is_read_from_nvcc(version, text):
    assert toolkit_version(text) == version


@pytest.mark.parametrize(("version", "text"), NVIDIA_SMI.items())
def test_the_driver_maximum_is_read_from_nvidia_smi(version, text):
    assert driver_max_version(text) == (None if version == "N/A" else version)


@pytest.mark.parametrize(
    ("capability", "name"),
    [("7.0", "Volta"), ("7.5", "Turing"), ("8.0", "Ampere"), ("8.6", "Ampere"), ("8.9", "Ada Lovelace")]
    + [("9.0", "Hopper"), ("10.0", "Blackwell"), ("12.0", "Blackwell"), ("99.9", None), ("[N/A]", None)],
)
def test_the_architecture_follows_the_compute_capability(capability, name):
    assert architecture(capability) == name


def test_every_capability_is_written_as_nvidia_smi_writes_it():
    assert all(key.count(".") == 1 and key.replace(".", "").isdigit() for key in ARCHITECTURES)


def test_a_whole_answer():
    text = f"Tesla T4, 7.5, 570.86.15\n---\n{NVIDIA_SMI['12.8']}---\n{NVCC['12.4']}"
    assert parse(text) == GpuInfo("Tesla T4", "Turing", "12.4", "12.8", "570.86.15")


def test_a_box_without_a_toolkit():
    text = f"NVIDIA A10G, 8.6, 580.95.05\n---\n{NVIDIA_SMI['13.0']}---\n"
    assert parse(text) == GpuInfo("NVIDIA A10G", "Ampere", None, "13.0", "580.95.05")


@pytest.mark.parametrize(
    "text",
    ["", "---\n---\n", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n---\n---\n"],
)
def test_no_gpu_that_answers(text):
    assert parse(text) is None

"""What nvidia-smi and nvcc say about a box's GPU: text in, facts out. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Compute capability -> the name of its architecture. https://developer.nvidia.com/cuda-gpus
ARCHITECTURES = {
    "3.0": "Kepler",
    "3.5": "Kepler",
    "3.7": "Kepler",
    "5.0": "Maxwell",
    "5.2": "Maxwell",
    "6.0": "Pascal",
    "6.1": "Pascal",
    "7.0": "Volta",
    "7.2": "Volta",
    "7.5": "Turing",
    "8.0": "Ampere",
    "8.6": "Ampere",
    "8.7": "Ampere",
    "8.9": "Ada Lovelace",
    "9.0": "Hopper",
    "10.0": "Blackwell",
    "10.3": "Blackwell",
    "11.0": "Blackwell",
    "12.0": "Blackwell",
    "12.1": "Blackwell",
}

#: The shell script whose output `parse` reads; a toolkit that is not installed is no failure.
QUERY = """\
export PATH="$PATH:/usr/local/cuda/bin"
nvidia-smi --query-gpu=name,compute_cap,driver_version --format=csv,noheader | head -n 1
echo '---'
nvidia-smi
echo '---'
nvcc --version 2>/dev/null
true
"""

_NVCC_RELEASE = re.compile(r"release (\d+\.\d+)")
# Newer drivers have a version each for the kernel's and the user's side: "CUDA UMD Version".
_DRIVER_MAX = re.compile(r"CUDA(?: UMD)? Version: *(\d+\.\d+)")


@dataclass(frozen=True)
class GpuInfo:
    """The first GPU of a box and its CUDA versions; None where the box did not say."""

    name: str
    architecture: str | None
    cuda_toolkit: str | None
    cuda_driver_max: str | None
    driver: str | None


def architecture(compute_capability: str) -> str | None:
    """Return the name of the architecture of a compute capability such as "7.5", None if it is not known."""
    return ARCHITECTURES.get(compute_capability.strip())


def toolkit_version(nvcc: str) -> str | None:
    """Return the CUDA version that `nvcc --version` reports."""
    found = _NVCC_RELEASE.search(nvcc)
    if found is None:
        return None
    return found[1]


def driver_max_version(nvidia_smi: str) -> str | None:
    """Return the highest CUDA version that the driver supports, from the head of `nvidia-smi`."""
    found = _DRIVER_MAX.search(nvidia_smi)
    if found is None:
        return None
    return found[1]


def parse(text: str) -> GpuInfo | None:
    """Return what QUERY's output says; None if there is no GPU that answers."""
    answers = text.split("---\n", 2)
    while len(answers) < 3:  # the box broke off
        answers.append("")
    card, smi, nvcc = answers
    fields = [field.strip() for field in card.strip().split(",")]
    if len(fields) != 3:
        return None
    name, capability, driver = fields
    return GpuInfo(name, architecture(capability), toolkit_version(nvcc), driver_max_version(smi), driver or None)

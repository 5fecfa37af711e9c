"""nvidia-smi, nvcc and cuda-gdb: the output of a real driver and toolkit, for the GPU of the instance type.

The format follows driver 590 (https://docs.nvidia.com/deploy/nvidia-smi/) and CUDA 12.8, the versions are those of the
Deep Learning AMIs of September 2026, which have several toolkits.
"""

from __future__ import annotations

import os
import time

import box

DRIVER, CUDA_DRIVER = "595.91.07", "13.2"
NVCC = """\
nvcc: NVIDIA (R) Cuda compiler driver
Copyright (c) 2005-{year} NVIDIA Corporation
Built on {built}
Cuda compilation tools, release {release}, V{version}
Build cuda_{release}.r{release}/compiler.{build}_0"""
#: By release: the version, the build and its date.
TOOLKITS = {
    "12.8": ("12.8.93", "35583870", "Fri_Feb_21_20:23:50_PST_2025"),
    "12.9": ("12.9.86", "36037853", "Tue_May_27_02:21:03_PDT_2025"),
    "13.0": ("13.0.88", "36424714", "Wed_Aug_20_01:58:59_PM_PDT_2025"),
    "13.2": ("13.2.51", "37500000", "Mon_Feb_16_09:12:44_PM_PST_2026"),
}
_NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)
_NO_DRIVER_STATUS = 9


def nvidia_smi(program: str, arguments: list[str]) -> int:
    """Print a summary, a list, or the requested fields."""
    gpus = box.facts("machine.json")["gpus"]
    if not gpus:
        box.say(_NO_DRIVER)
        return _NO_DRIVER_STATUS
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if "-L" in arguments or "--list-gpus" in arguments:
        box.say(*(f"GPU {n}: {gpu['name']} (UUID: {_uuid(n)})" for n, gpu in enumerate(gpus)))
    elif "--query-gpu" in options:
        return _query(options, gpus)
    else:
        box.say(_summary(gpus))
    return 0


def lspci(program: str, arguments: list[str]) -> int:
    """Print the NVIDIA devices as `lspci -n -d 10de:` does; the machine's own are hidden."""
    for number, _ in enumerate(box.facts("machine.json")["gpus"]):
        box.say(f"00:{0x1E - number:02x}.0 0302: 10de:1eb8 (rev a1)")
    return 0


def _uuid(number: int) -> str:
    return f"GPU-5a1d0b0e-0000-4000-8000-{number:012d}"


def _fields(number: int, gpu: dict) -> dict[str, tuple[str, str]]:
    """Return each field's value and unit."""
    return {
        "index": (str(number), ""),
        "name": (gpu["name"], ""),
        "gpu_name": (gpu["name"], ""),
        "uuid": (_uuid(number), ""),
        "driver_version": (DRIVER, ""),
        "compute_cap": (gpu["compute_cap"], ""),
        "memory.total": (str(gpu["memory_mib"]), "MiB"),
        "memory.used": ("3", "MiB"),
        "memory.free": (str(gpu["memory_mib"] - 3), "MiB"),
        "utilization.gpu": ("0", "%"),
        "utilization.memory": ("0", "%"),
        "temperature.gpu": ("27", ""),
        "power.draw": ("9.42", "W"),
        "power.limit": (f"{gpu['watts']:.2f}", "W"),
        "pstate": ("P8", ""),
        "count": ("1", ""),
    }


def _query(options: dict[str, str], gpus: list[dict]) -> int:
    """Print the fields of --query-gpu as CSV."""
    names = [name.strip() for name in options["--query-gpu"].split(",")]
    form = options.get("--format", "").split(",")
    if "csv" not in form:
        return box.complain("\"--format=\" switch is missing. Run 'nvidia-smi --help-query-gpu'.") + 1
    for name in names:
        if name not in _fields(0, gpus[0]):
            box.say(f'Field "{name}" is not a valid field to query.\n')
            return 2
    units = "nounits" not in form
    if "noheader" not in form:
        shown = _fields(0, gpus[0])
        box.say(", ".join(f"{name} [{shown[name][1]}]" if units and shown[name][1] else name for name in names))
    for number, gpu in enumerate(gpus):
        values = _fields(number, gpu)
        box.say(", ".join(" ".join(filter(None, values[name])) if units else values[name][0] for name in names))
    return 0


def _summary(gpus: list[dict]) -> str:
    """Return the table that nvidia-smi prints without arguments."""
    rule = "+-----------------------------------------------------------------------------------------+"
    split = "|-----------------------------------------+------------------------+----------------------+"
    lines = [
        time.strftime("%a %b %e %H:%M:%S %Y"),
        rule,
        f"| NVIDIA-SMI {DRIVER:<18} KMD Version: {DRIVER:<12} CUDA UMD Version: {CUDA_DRIVER:<8} |",
        "+-----------------------------------------+------------------------+----------------------+",
        "| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |",
        "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |",
        "|                                         |                        |               MIG M. |",
        split.replace("-", "="),
    ]
    for number, gpu in enumerate(gpus):
        lines += [
            f"| {number:>3}  {gpu['name']:<30}  On |   00000000:00:{0x1E - number:02X}.0 Off |                    0 |",
            f"| N/A   27C    P8              9W / {gpu['watts']:>4}W |"
            f"       3MiB / {gpu['memory_mib']:>6}MiB |      0%      Default |",
            "|                                         |                        |                  N/A |",
            "+-----------------------------------------+------------------------+----------------------+",
        ]
    lines += [
        "",
        rule,
        "| Processes:                                                                              |",
        "|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |",
        "|        ID   ID                                                               Usage      |",
        "|=========================================================================================|",
        "|  No running processes found                                                             |",
        rule,
    ]
    return "\n".join(lines)


def nvcc(program: str, arguments: list[str]) -> int:
    """Print the version; fail for anything else: there is no compiler."""
    if "--version" in arguments or "-V" in arguments:
        release = os.environ.get("SANDBOX_CUDA", CUDA_DRIVER)
        version, build, built = TOOLKITS[release]
        box.say(NVCC.format(year=built[-4:], built=built, release=release, version=version, build=build))
        return 0
    return box.complain("nvcc: this box of the aws-bootstrap sandbox has no CUDA compiler")


def cuda_gdb(program: str, arguments: list[str]) -> int:
    """Print the version; there is no debugger."""
    release = os.environ.get("SANDBOX_CUDA", CUDA_DRIVER)
    box.say(f"NVIDIA (R) cuda-gdb {release}", "Portions Copyright (C) 2007-2026 NVIDIA Corporation")
    return 0

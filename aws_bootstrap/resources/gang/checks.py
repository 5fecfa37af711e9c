"""Print what the nodes of a cluster must have in common, and what keeps them from training: one JSON object.

It is sent over ssh, or runs as a job. Whatever is not known is null.
"""

import glob
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import threading
import time

#: How long a driver or a name server may take.
LIMIT_SECONDS = 30
NAME_SECONDS = 10
VENV = os.path.expanduser("~/venv")


def main():
    """Print the object."""
    cards = rows("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    name = socket.gethostname()
    addresses = resolve(name)
    found = {
        "gpus": [card.split(",")[0].strip() for card in cards],
        "gpu_count": len(cards),
        "driver": cards[0].split(",")[-1].strip() if cards else None,
        "cuda_driver_max": first(r"CUDA(?: UMD)? Version: *(\d+\.\d+)", output("nvidia-smi")),
        "cuda_toolkit": first(r"release (\d+\.\d+)", output("nvcc", "--version")),
        "torch": torch_version("__version__"),
        "torch_cuda": torch_version("cuda"),
        "venv_python": first(r"^version(?:_info)? *= *(\d+\.\d+(?:\.\d+)?)", text(f"{VENV}/pyvenv.cfg")),
        "python": platform.python_version(),
        "host_name": name,
        "addresses": addresses,
        "is_loopback": any(is_loopback(address) for address in addresses or []),
        "time": time.time(),
        "free_bytes": shutil.disk_usage(os.path.expanduser("~")).free,
    }
    print(json.dumps(found), flush=True)


def output(*words):
    """Return what a program prints, "" if there is none or it fails."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/cuda/bin"])
    program = shutil.which(words[0], path=path)
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LIMIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace")


def rows(*words):
    """Return the lines that a program prints."""
    return [line for line in output(*words).splitlines() if line.strip()]


def text(path):
    """Return the content of a file, "" if there is none."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def first(pattern, content):
    """Return what the pattern's group has matched first, None for nothing."""
    found = re.search(pattern, content, re.MULTILINE)
    return found.group(1) if found else None


def torch_version(name):
    """Return a version from the file that each PyTorch has: `import torch` takes seconds, on a fresh disk a minute."""
    for path in glob.glob(f"{VENV}/lib/python3*/site-packages/torch/version.py"):
        return first(rf"^{name}\b[^=\n]*= *['\"]([^'\"]+)['\"]", text(path))
    return None


def resolve(name):
    """Return the addresses of a host name; None if a name server does not answer in time, or knows none."""
    found = []

    def look_up():
        for reply in socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP):
            found.append(reply[4][0])

    asking = threading.Thread(target=look_up, daemon=True)
    asking.start()
    asking.join(NAME_SECONDS)
    return sorted(set(found)) or None


def is_loopback(address):
    """Return whether other nodes cannot reach this one by an address."""
    return address.startswith("127.") or address == "::1"


if __name__ == "__main__":
    main()

"""What the job runs on a node, and with which variables.

torchrun (with its rendezvous c10d) sorts the nodes of a rendezvous by the text of their `--local-addr`, and numbers
them in this order: PyTorch, torch/distributed/elastic/rendezvous/dynamic_rendezvous.py, `_NodeDesc` and
`sorted(state.participants)`. By their addresses, 10.0.0.10 would come before 10.0.0.9. Of all these texts it connects
to that of the first node alone. So the first node gives its address, and the others a name that sorts after it and in
the order of the positions: GROUP_RANK is AWSB_NODE_RANK, and RANK is GROUP_RANK * LOCAL_WORLD_SIZE + LOCAL_RANK.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path

SIOCGIFADDR = 0x8915
#: What torchrun waits for its store, at least: `import torch` on a disk that was just created takes a minute.
READ_SECONDS = 60


def words(spec, run, nproc, environment):
    """Return the command of the job. FileNotFoundError if torchrun is missing."""
    script = [spec["script"], *spec["arguments"]]
    if spec["launcher"] == "shell":
        return plain(spec["script"], environment) + script
    return torchrun(environment) + options(spec, nproc) + [str(run / "marked.py"), *script]


def plain(script, environment):
    """Return what runs a script without torchrun: Python or bash."""
    if script.endswith(".py"):
        return [shutil.which("python", path=environment["PATH"]) or "python3", "-u"]
    return ["/bin/bash"]


def torchrun(environment):
    """Return how to call torchrun."""
    path = environment["PATH"]
    found = shutil.which("torchrun", path=path)
    if found:
        return [found]
    python = shutil.which("python", path=path) or shutil.which("python3", path=path)
    if python is None:
        raise FileNotFoundError("there is no torchrun")
    return [python, "-m", "torch.distributed.run"]


def options(spec, nproc):
    """Return the options of torchrun."""
    own = spec["nodes"][spec["position"]]["address"]
    hub = spec["nodes"][0]["address"]
    seconds = max(READ_SECONDS, int(spec["join_seconds"]))
    is_host = int(spec["position"] == 0)
    name = own
    if spec["position"] > 0:
        name = f"node-{spec['position']:05d}"
    return [
        f"--nnodes={len(spec['nodes'])}",
        f"--nproc-per-node={nproc}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={hub}:{spec['rendezvous_port']}",
        f"--rdzv-id={spec['job']}",
        f"--rdzv-conf=join_timeout={seconds},read_timeout={seconds},is_host={is_host}",
        f"--local-addr={name}",
        "--max-restarts=0",
    ]


def environment(spec, run, nproc):
    """Return the variables of the job: those of this agent and those of the cluster."""
    nodes = spec["nodes"]
    own = nodes[spec["position"]]["address"]
    found = dict(os.environ)
    found["PATH"] = path(found.get("PATH", os.defpath))
    found.update(
        AWSB_CLUSTER_ID=spec["cluster_id"],
        AWSB_NODE_RANK=str(spec["position"]),
        AWSB_NUM_NODES=str(len(nodes)),
        AWSB_NUM_GPUS_PER_NODE=str(nproc),
        AWSB_NODE_IPS=",".join(node["address"] for node in nodes),
        AWSB_MASTER_ADDR=nodes[0]["address"],
        AWSB_JOB=spec["job"],
        AWSB_SUCCESS_FILE=str(run / "success"),
    )
    if spec["checkpoint_dir"]:
        found["AWSB_CHECKPOINT_DIR"] = os.path.expanduser(spec["checkpoint_dir"])
    interface = interface_of(own)
    if interface:
        found.setdefault("NCCL_SOCKET_IFNAME", interface)
        found.setdefault("GLOO_SOCKET_IFNAME", interface)
    return found


def path(found):
    """Return the PATH with the virtual environment of the box first, if it has one."""
    own = Path.home() / "venv/bin"
    if own.is_dir() and str(own) not in found.split(os.pathsep):
        return f"{own}{os.pathsep}{found}"
    return found


def interface_of(address):
    """Return the name of the interface that has an address, "" if none has."""
    if address.startswith("127."):
        return "lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                reply = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)
            except OSError:
                continue  # it has no address
            if socket.inet_ntoa(reply[20:24]) == address:
                return name
    return ""


def processes_per_node(spec):
    """Return how many processes torchrun starts here: as requested, or one for each GPU, or one."""
    if spec["nproc"] != "auto":
        return int(spec["nproc"])
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], stdout=subprocess.PIPE, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 1
    return max(1, sum(line.startswith(b"GPU ") for line in listed.stdout.splitlines()))

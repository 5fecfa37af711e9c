"""A fake `torchrun`: it starts the processes of a node with torchrun's variables, and waits for them.

https://docs.pytorch.org/docs/stable/elastic/run.html. It has no rendezvous: a node's place follows from `--node-rank`,
from the position of `--local-addr` in AWSB_NODE_IPS, or from AWSB_NODE_RANK. A missing node is not noticed, no process
is started again, and what the processes say to each other is their own business.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time

#: https://docs.pytorch.org/docs/stable/elastic/run.html: the port of a rendezvous that names none.
DEFAULT_PORT = 29400
_TICK = 0.02
_ENDING_SECONDS = 10


class Workers:
    """The processes of this node."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        signal.signal(signal.SIGTERM, self.on_signal)
        signal.signal(signal.SIGINT, self.on_signal)

    def on_signal(self, number: int, frame: object) -> None:
        """End the processes, then this one, with the signal's exit code."""
        self.end()
        sys.exit(128 + number)

    def wait(self) -> int:
        """Return 0 when all processes have ended well. At the first that fails, end the others and return 1."""
        running = dict(enumerate(self.started))
        while running:
            for local_rank, process in list(running.items()):
                code = process.poll()
                if code is None:
                    continue
                del running[local_rank]
                if code:
                    self.end()
                    return _failed(local_rank, process.pid, code)
            time.sleep(_TICK)
        return 0

    def end(self) -> None:
        """End every process: SIGTERM, and SIGKILL to those that stay."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _ENDING_SECONDS
        for process in self.started:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> int:
    """Return the exit code: 0 if every process has ended well."""
    sys.stderr.write("torchrun of the aws-bootstrap sandbox: a fake one, without rendezvous\n")
    options = _options(sys.argv[1:])
    count = _processes(options.nproc_per_node)
    workers = Workers()
    for local_rank in range(count):
        workers.started.append(subprocess.Popen(_command(options), env=_environment(options, local_rank, count)))
    return workers.wait()


def _options(words: list[str]) -> argparse.Namespace:
    """Return the options. Those that change nothing here are accepted, too; each may have `_` for `-`."""
    parser = argparse.ArgumentParser(prog="torchrun", description=__doc__)
    for name, default in (
        ("nnodes", "1"),
        ("nproc-per-node", "1"),
        ("node-rank", ""),
        ("local-addr", ""),
        ("rdzv-endpoint", ""),
        ("rdzv-id", "none"),
        ("master-addr", "127.0.0.1"),
        ("master-port", "29500"),
    ):
        parser.add_argument(f"--{name}", f"--{name.replace('-', '_')}", default=default)
    for name in (
        "rdzv-backend",
        "rdzv-conf",
        "max-restarts",
        "monitor-interval",
        "start-method",
        "role",
        "log-dir",
        "redirects",
        "tee",
        "numa-binding",
        "shutdown-timeout",
    ):
        parser.add_argument(f"--{name}", f"--{name.replace('-', '_')}")
    parser.add_argument("--standalone", action="store_true")
    parser.add_argument("-m", "--module", action="store_true")
    parser.add_argument("--no-python", "--no_python", action="store_true")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args(words)


def _processes(requested: str) -> int:
    """Return how many processes are requested: a number, or one for each GPU or CPU."""
    if requested == "cpu":
        return os.cpu_count() or 1
    if requested in ("auto", "gpu"):
        return _gpus() or (os.cpu_count() or 1)
    return int(requested)


def _gpus() -> int:
    """Return how many GPUs the box has."""
    with open(os.environ.get("SANDBOX_ROOT", "") + "/run/sandbox/machine.json") as facts:
        return len(json.load(facts)["gpus"])


def _command(options: argparse.Namespace) -> list[str]:
    """Return the command of one process."""
    if options.no_python:
        return [options.script, *options.arguments]
    python = [os.environ.get("SANDBOX_WORKER_PYTHON", sys.executable), "-u"]
    if options.module:
        python.append("-m")
    return [*python, options.script, *options.arguments]


def _environment(options: argparse.Namespace, local_rank: int, count: int) -> dict[str, str]:
    """Return the variables of one process."""
    node, nodes = _node_rank(options), int(options.nnodes.rpartition(":")[2])
    address, port = _master(options)
    values = {
        "LOCAL_RANK": local_rank,
        "RANK": node * count + local_rank,
        "GROUP_RANK": node,
        "ROLE_RANK": node * count + local_rank,
        "LOCAL_WORLD_SIZE": count,
        "WORLD_SIZE": nodes * count,
        "GROUP_WORLD_SIZE": nodes,
        "ROLE_WORLD_SIZE": nodes * count,
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "TORCHELASTIC_RESTART_COUNT": 0,
        "TORCHELASTIC_MAX_RESTARTS": 0,
        "TORCHELASTIC_RUN_ID": options.rdzv_id,
    }
    found = {"OMP_NUM_THREADS": "1", **os.environ}
    found.update((name, str(value)) for name, value in values.items())
    return found


def _node_rank(options: argparse.Namespace) -> int:
    """Return the place of this node."""
    addresses = os.environ.get("AWSB_NODE_IPS", "").split(",")
    if options.node_rank:
        return int(options.node_rank)
    if options.local_addr in addresses:
        return addresses.index(options.local_addr)
    return int(os.environ.get("AWSB_NODE_RANK", "0"))


def _master(options: argparse.Namespace) -> tuple[str, str]:
    """Return where the process with rank 0 listens: torchrun chooses a free port there, this one the next one."""
    if options.standalone or not options.rdzv_endpoint:
        return options.master_addr, options.master_port
    host, _, port = options.rdzv_endpoint.rpartition(":")
    if not host:
        host, port = options.rdzv_endpoint, str(DEFAULT_PORT)
    return host, str(int(port) + 1)


def _failed(local_rank: int, pid: int, code: int) -> int:
    """Say which process has failed; return the exit code."""
    sys.stderr.write(f"torchrun: failed (exitcode: {code}) local_rank: {local_rank} (pid: {pid})\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

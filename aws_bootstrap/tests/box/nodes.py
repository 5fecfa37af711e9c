"""A cluster of containers: boxes with PyTorch, addresses and aliases, that can be cut off or lose their power."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from aws_bootstrap import sshconfig
from aws_bootstrap.app import App
from aws_bootstrap.paths import Paths
from aws_bootstrap.tests.box.machines import Container, Network, command
from aws_bootstrap.workflows.cluster.members import alias_of

T = TypeVar("T")
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "cluster"


class Process(NamedTuple):
    """A process of a box, as it is seen from outside."""

    command: str
    environment: str


class Node(Container):
    """A box whose name leads to its own address, as on EC2, with PyTorch in ~/venv."""

    layers = ("nodes", "rootfs")

    @property
    def private_address(self) -> str:
        """Return its address among the nodes."""
        return self.address

    def prepare(self, root: Path) -> None:
        """Write its name."""
        super().prepare(root)
        name = "ip-" + self.private_address.replace(".", "-")
        (root / "etc" / "hostname").write_text(f"{name}\n")
        (root / "etc" / "hosts").write_text(f"127.0.0.1 localhost\n{self.private_address} {name}\n")

    @property
    def is_running(self) -> bool:
        """Return whether its container runs."""
        return self.process is not None and self.process.poll() is None

    def set_link(self, *state: str) -> None:
        """Change its network interface outside. `down`: the box loses the carrier. `nomaster`: it notices nothing."""
        command(*self.network.inside, "ip", "link", "set", f"vb-{self.machine}", *state)

    def cut_power(self) -> None:
        """End it as a power cut does. The link goes first, so that no connection is closed in order."""
        self.set_link("nomaster")
        super().cut_power()

    def processes(self) -> list[Process]:
        """Return the processes of the box, seen from outside: that works without a network, too."""
        if not self.process or not self.is_running:
            return []
        (first,) = command("ps", "-o", "pid=", "--ppid", str(self.process.pid)).split()
        space = os.readlink(f"/proc/{first}/ns/pid")
        found: list[Process] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(folder / "ns" / "pid") == space:
                    words, variables = (folder / name for name in ("cmdline", "environ"))
                    found.append(Process(_text(words), _text(variables)))
            except OSError:
                continue  # it has ended
        return found


class CodeNode(Node):
    """A node that has the user's code already, and an instance id that its number gives."""

    @property
    def instance_id(self) -> str:
        """Return the id."""
        return f"i-{self.number:017x}"

    def prepare(self, root: Path) -> None:
        """Write the code as well."""
        super().prepare(root)
        home = root / "home" / "ubuntu"
        shutil.copytree(EXAMPLES, home / "code", ignore=shutil.ignore_patterns("__pycache__"))
        command("chown", "-R", "--reference", self.network.cache / "nodes" / "home" / "ubuntu", home)


def _text(path: Path) -> str:
    return path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


class ContainerCluster:
    """A cluster of so many nodes, by rank, and a user's machine that knows them by their aliases."""

    def __init__(self, network: Network, cluster_id: str, size: int, numbers: Iterator[int]) -> None:
        """Boot the nodes, all at the same time. `numbers` gives each an address of its own."""
        self.network, self.cluster_id, self.numbers = network, cluster_id, numbers
        self.nodes: dict[int, CodeNode] = {}
        folder = network.scratch / f"client-{cluster_id}"
        folder.mkdir()
        self.settings: Mapping[str, str] = {
            "AWS_BOOTSTRAP_CONFIG": "",
            "AWS_BOOTSTRAP_HOME": str(folder),
            "AWS_BOOTSTRAP_SSH_CONFIG": str(folder / "ssh_config"),
        }
        self.app = App(paths=Paths(self.settings))
        self.each(self.boot, list(range(size)))

    def boot(self, rank: int) -> CodeNode:
        """Boot a new box at this rank, in place of one that there was. Nothing of that is on it."""
        former = self.nodes.get(rank)
        node = CodeNode(self.network, next(self.numbers))
        node.start()
        self.nodes[rank] = node
        paths = self.app.paths
        if former:
            sshconfig.remove(paths.ssh_config, [former.instance_id])
        host = sshconfig.Host(
            instance_id=node.instance_id,
            alias=self.alias(rank),
            hostname=node.address,
            user="ubuntu",
            identity_file=str(self.network.cache / "key"),
            known_hosts=str(paths.known_hosts),
            region="us-west-2",
        )
        sshconfig.add(paths.ssh_config, host)
        return node

    def alias(self, rank: int) -> str:
        """Return the alias of a node."""
        return alias_of(self.cluster_id, rank)

    def host(self, rank: int) -> sshconfig.Host:
        """Return how ssh reaches a node."""
        found = sshconfig.find(sshconfig.read(self.app.paths.ssh_config), self.alias(rank))
        assert found
        return found

    @property
    def running(self) -> dict[int, CodeNode]:
        """Return the nodes that run."""
        return {rank: node for rank, node in self.nodes.items() if node.is_running}

    def each(self, do: Callable[[int], T], ranks: list[int] | None = None) -> dict[int, T]:
        """Do this for each node that runs, at the same time, inside their network. The results by rank."""
        chosen = sorted(self.running) if ranks is None else ranks

        def entered(rank: int) -> T:
            with self.network.entered():
                return do(rank)

        with ThreadPoolExecutor(len(chosen)) as pool:
            return dict(zip(chosen, pool.map(entered, chosen), strict=True))

    def cut_power(self, rank: int) -> None:
        """End a node as a power cut does."""
        self.nodes[rank].cut_power()

    def cut_link(self, rank: int, way: str = "nomaster") -> None:
        """Cut a node off the network. It runs on."""
        self.nodes[rank].set_link(way)

    def restore_link(self, rank: int) -> None:
        """Connect a node again."""
        self.nodes[rank].set_link("master", "br0", "up")

    def close(self) -> None:
        """End all nodes."""
        for node in self.running.values():
            node.cut_power()

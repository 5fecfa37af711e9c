"""Containers that boot and end as the instances of a sandbox's EC2 do, at the addresses that these have.

The sandbox has no boxes of its own. It runs in the network of the containers, and so does the program.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests.box.machines import Network, command
from aws_bootstrap.tests.box.nodes import Node

#: The user's machine among the public addresses that a sandbox without boxes gives. EC2's default VPC has the others.
USER = "198.18.255.1/15"
#: Between two looks at EC2.
LOOK_SECONDS = 0.1
ALIVE = ("pending", "running")


class InstanceNode(Node):
    """The container of an instance: both of its addresses lead to it."""

    def __init__(self, network: Network, number: int, instance: Mapping[str, Any]) -> None:
        """Name it after the instance. It is not started yet."""
        super().__init__(network, number)
        self.instance_id: str = instance["InstanceId"]
        self.address = instance["PublicIpAddress"]
        self._private: str = instance["PrivateIpAddress"]
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        self.cluster_id = tags.get("aws-bootstrap-cluster", "")

    @property
    def private_address(self) -> str:
        """Return its address within the VPC."""
        return self._private

    @property
    def interface(self) -> tuple[str, ...]:
        """Return both addresses."""
        return (f"{self._private}/16", f"{self.address}/15")


class Instances:
    """A sandbox, and a container for each of its instances that runs."""

    def __init__(self, network: Network, folder: Path, numbers: Iterator[int]) -> None:
        """Start the sandbox, and look at its instances from now on."""
        self.network, self.numbers = network, numbers
        self.nodes: dict[str, InstanceNode] = {}
        self.errors: list[BaseException] = []
        for setting in (f"addr add {USER} dev br0", "addr add 172.31.255.254/16 dev br0"):
            command(*network.inside, "ip", *setting.split())
        with network.entered():
            self.sandbox = Sandbox(folder, boxes=False)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        """Boot and end containers until `close`."""
        with self.network.entered(), ThreadPoolExecutor(16) as pool:
            client = self.sandbox.client()
            while not self._is_over.wait(LOOK_SECONDS):
                for reservation in client.describe_instances()["Reservations"]:
                    for instance in reservation["Instances"]:
                        self._follow(instance, pool)

    def _follow(self, instance: Mapping[str, Any], pool: ThreadPoolExecutor) -> None:
        """Boot the container of an instance that runs now, end that of one that has ended."""
        state, node = instance["State"]["Name"], self.nodes.get(instance["InstanceId"])
        if state == "running" and node is None:
            node = InstanceNode(self.network, next(self.numbers), instance)
            self.nodes[node.instance_id] = node
            pool.submit(self._boot, node)
        elif state not in ALIVE and node and node.is_running:
            node.cut_power()

    def _boot(self, node: InstanceNode) -> None:
        try:
            node.start()
        except BaseException as error:
            self.errors.append(error)
            raise

    def node(self, cluster_id: str, rank: int) -> InstanceNode:
        """Return the container of a node that EC2 says is alive."""
        with self.network.entered():
            found = self.sandbox.client().describe_instances(
                Filters=[
                    {"Name": "tag:aws-bootstrap-cluster", "Values": [cluster_id]},
                    {"Name": "tag:aws-bootstrap-cluster-rank", "Values": [str(rank)]},
                    {"Name": "instance-state-name", "Values": list(ALIVE)},
                ]
            )
        ((instance,),) = [reservation["Instances"] for reservation in found["Reservations"]]
        return self.nodes[instance["InstanceId"]]

    @property
    def running(self) -> list[InstanceNode]:
        """Return the containers that run."""
        return [node for node in self.nodes.values() if node.is_running]

    def words(self, *words: str) -> list[str]:
        """Return the command that is the program with these words, in the network."""
        return [*self.network.inside, sys.executable, "-m", "aws_bootstrap", *words]

    def close(self) -> None:
        """End everything."""
        self._is_over.set()
        self._thread.join()
        for node in self.running:
            node.cut_power()
        with self.network.entered():
            self.sandbox.stop()

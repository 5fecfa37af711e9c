"""What is known of the nodes of a cluster before a job: the results of `cluster prepare` and `cluster test`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result
from .cluster_job import NodeResult
from .facts import RegionFailure


@dataclass(frozen=True)
class Check:
    """Something that the nodes of a cluster need."""

    #: `reachable`, `gpu`, `cuda`, `torch`, `clock`, `host-name`, `disk`, `bandwidth`, or `canary`.
    name: str
    passed: bool
    #: What was found; what differs, where it did not pass.
    detail: str


@dataclass(frozen=True)
class NodeFacts:
    """What a node is and has. What is not known is null."""

    rank: int
    instance_id: str
    ssh_alias: str
    private_ip: str
    #: The names of its GPUs.
    gpus: tuple[str, ...] = ()
    driver: str | None = None
    #: The newest CUDA that the driver supports, and that of the toolkit.
    cuda_driver_max: str | None = None
    cuda_toolkit: str | None = None
    #: PyTorch in ~/venv, and the CUDA that it was built with.
    torch: str | None = None
    torch_cuda: str | None = None
    #: The Python of ~/venv.
    python: str | None = None
    host_name: str | None = None
    #: What its host name resolves to on the node itself.
    host_addresses: tuple[str, ...] = ()
    #: By how much its clock is ahead of that of this machine.
    clock_offset_seconds: float | None = None
    free_gb: float | None = None
    #: What it gets from the node before it, in 10^9 bits a second, and the round trip to the one after it.
    gbit_per_second: float | None = None
    round_trip_ms: float | None = None


@dataclass(frozen=True)
class ClusterPrepareReport(Result):
    """Whether the nodes of a cluster are ready for a job."""

    cluster_id: str
    region: str | None
    #: Whether all checks have passed, the canary among them unless it was left out.
    verified: bool
    #: Null if it was left out, or not reached.
    canary_passed: bool | None
    #: The private address of the first node.
    master_addr: str
    node_count: int
    checks: tuple[Check, ...]
    nodes: tuple[NodeFacts, ...]
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class ClusterTestReport(Result):
    """A test in which all processes of a cluster compute together."""

    cluster_id: str
    region: str | None
    #: The test's job; that which failed, if one did.
    job: str
    passed: bool
    #: One sentence.
    reason: str | None
    results: tuple[NodeResult, ...]
    #: Of all-reduce over all processes, in 10^9 bytes a second, as nccl-tests has it (busbw); null without --bandwidth.
    bandwidth_gb_per_second: float | None = None
    #: What all processes communicated with, `nccl` or `gloo`, and how many they were; null if the test failed.
    backend: str | None = None
    processes: int | None = None
    regions_failed: tuple[RegionFailure, ...] = ()

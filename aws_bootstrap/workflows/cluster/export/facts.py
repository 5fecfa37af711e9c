"""What a file for another tool is written from: the nodes of a cluster, and the job that runs on them."""

from __future__ import annotations

from dataclasses import dataclass

from ....models.facts import Market


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster as another tool would launch it: all nodes alike."""

    cluster_id: str
    region: str
    zone: str
    instance_type: str
    market: Market
    image_id: str
    node_count: int
    #: GPUs of each node; 0 if the type has none.
    gpus: int
    #: The login user of the nodes.
    user: str = "ubuntu"
    #: Size of each root volume; None if it is unknown.
    root_gb: int | None = None
    #: Size of the largest data volume; None without any.
    data_gb: int | None = None


@dataclass(frozen=True)
class Job:
    """What each node runs, as `cluster run` would."""

    script: str = "train.py"
    arguments: tuple[str, ...] = ()
    #: Processes of a node, or `auto`: one for each GPU.
    nproc: str = "auto"
    #: Whether nobody has named the script: the file has an example.
    is_example: bool = False

    @property
    def is_shell(self) -> bool:
        """Return whether bash runs the script, once a node; else torchrun does."""
        return self.script.endswith(".sh")

    def processes(self, gpus: int) -> int:
        """Return how many processes a node runs that has so many GPUs."""
        if self.nproc == "auto":
            return max(1, gpus)
        return int(self.nproc)

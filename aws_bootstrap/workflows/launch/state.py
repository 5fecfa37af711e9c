"""The state of a launch: its plan, and what its steps have found and created so far.

A step does not return the resources that it created. They are noted here as soon as each exists, by the `note` of
`Calls.make`. An interrupted step returns nothing although what it created still bills, and the outcome of an unanswered
call is found only after its step has ended (`Calls.settle`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...config import LaunchConfig
from ...errors import BootstrapError
from ...models import Image, Instance, LocalKey, OnDemandOffer, Resource, Volume
from ..provision import SetupOutcome
from ..unknown import Calls
from .capacity import Attempt
from .cluster_plan import ClusterPlan
from .places import RegionPlan
from .plan import LaunchPlan

if TYPE_CHECKING:
    from ...app import App

#: The name of RunInstances among the launch's calls.
INSTANCE = "the instance"
#: The name of CreateVolume among the launch's calls.
VOLUME = "the data volume"


@dataclass
class Node:
    """One box of a launch, as far as its steps have completed."""

    instance: Instance | None = None
    #: Its rank in the cluster; None for a single box.
    rank: int | None = None
    #: Whether it existed before the launch.
    existing: bool = False
    #: The box's host alias in the SSH config.
    alias: str | None = None
    volume: Volume | None = None
    #: Whether its data volume existed before the launch.
    had_volume: bool = False
    #: Why the data volume is not mounted, if a step of it failed.
    volume_error: BootstrapError | None = None
    mounted: bool = False
    #: How the remote setup ended.
    outcome: SetupOutcome | None = None

    @property
    def instance_id(self) -> str:
        """Return the id of the instance, which must have been started."""
        assert self.instance
        return self.instance.instance_id


def volume_call(node: Node) -> str:
    """Return the name of the node's CreateVolume among the launch's calls."""
    if node.rank is None:
        return VOLUME
    return f"{VOLUME} of rank {node.rank}"


def _nodes(plan: LaunchPlan) -> list[Node]:
    """Return the boxes of a launch that begins: those of a cluster that exist, and those to start, by rank."""
    if plan.cluster is None:
        return [Node()]
    nodes: list[Node] = []
    for box in plan.cluster.existing:
        nodes.append(Node(box.instance, rank=box.instance.rank, existing=True, alias=box.alias))
    for rank in plan.cluster.missing:
        nodes.append(Node(rank=rank))
    return sorted(nodes, key=_rank)


def _rank(node: Node) -> int:
    """Return what to sort nodes by."""
    return node.rank or 0


@dataclass
class Launch:
    """The state that the steps of a launch share."""

    plan: LaunchPlan
    app: App
    #: Returns whether the user accepts on-demand.
    ask_on_demand: Callable[[OnDemandOffer], bool]
    key: LocalKey
    #: The name of the EC2 key pair, by region.
    key_names: dict[str, str] = field(default_factory=dict)
    #: The id of the security group, by region.
    group_ids: dict[str, str] = field(default_factory=dict)
    #: The key pairs and security groups that this launch created. They do not bill.
    other_resources: list[Resource] = field(default_factory=list)
    #: The attempts of the search. The last one may be unanswered.
    attempts: list[Attempt] = field(default_factory=list)
    #: The names of the cluster's placement group and the ids of its security group, by region.
    placement_groups: dict[str, str] = field(default_factory=dict)
    cluster_group_ids: dict[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(init=False)
    #: When the launch began, on the monotonic clock.
    began: float = field(default_factory=time.monotonic)
    #: The calls that create something, with those whose outcome is unknown.
    calls: Calls = field(init=False)

    def __post_init__(self) -> None:
        self.calls = Calls(self.app.lookup_seconds)
        self.nodes = _nodes(self.plan)

    @property
    def node(self) -> Node:
        """Return the first box that has an instance, else the first one."""
        for node in self.nodes:
            if node.instance:
                return node
        return self.nodes[0]

    @property
    def to_start(self) -> list[Node]:
        """Return the boxes that this launch starts."""
        return [node for node in self.nodes if not node.existing]

    @property
    def cluster(self) -> ClusterPlan:
        """Return the cluster that the boxes form. The launch must be that of a cluster."""
        assert self.plan.cluster
        return self.plan.cluster

    @property
    def config(self) -> LaunchConfig:
        """Return the launch's settings."""
        return self.plan.config

    @property
    def region_plan(self) -> RegionPlan:
        """Return the plan of the instance's region, else of the last attempt's, else of the first region."""
        instance = self.node.instance
        if instance:
            return self.plan.of(instance.region)
        if self.attempts:
            return self.plan.of(self.attempts[-1].region)
        return self.plan.first

    @property
    def client(self) -> Any:
        """Return the EC2 client of that region."""
        return self.app.aws.ec2(self.region_plan.region)

    @property
    def instance_type(self) -> str:
        """Return the instance's type, else the last attempt's, else the preferred one."""
        instance = self.node.instance
        if instance:
            return instance.instance_type
        if self.attempts:
            return self.attempts[-1].instance_type
        _, first_type = self.plan.pairs[0]
        return first_type

    @property
    def image(self) -> Image:
        """Return the image that the instance boots from."""
        images = self.region_plan.images
        image = images.get(self.instance_type)
        if image:
            return image
        first_image, *_ = images.values()
        return first_image

    def created_volume(self, node: Node) -> Volume | None:
        """Return the box's data volume if this launch created it; None for an existing one."""
        if self.plan.volume or node.had_volume:
            return None
        return node.volume

"""A launch under way: its plan, and what its steps have learnt so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...config import LaunchConfig
from ...errors import BootstrapError
from ...keys import LocalKey
from ...models import Image, Instance, Resource, Volume
from ..provision import SetupOutcome
from ..unknown import Calls
from .capacity import Attempt
from .plan import LaunchPlan, RegionPlan

if TYPE_CHECKING:
    from ...app import App

INSTANCE = "the instance"
"""The name of RunInstances among the launch's calls."""
VOLUME = "the data volume"
"""The name of CreateVolume among the launch's calls."""


@dataclass
class Node:
    """What a launch has learnt about one box."""

    instance: Instance | None = None
    alias: str | None = None
    volume: Volume | None = None
    volume_error: BootstrapError | None = None
    mounted: bool = False
    outcome: SetupOutcome | None = None

    @property
    def instance_id(self) -> str:
        """Return the id of its instance, which has been started."""
        assert self.instance
        return self.instance.instance_id


def _one_node() -> list[Node]:
    """Return the boxes of a launch that has just begun."""
    return [Node()]


@dataclass
class Launch:
    """A launch under way: the plan, and what each step has learnt."""

    plan: LaunchPlan
    app: App
    ask_on_demand: Callable[[Callable[[], str]], bool]
    """Whether to take on-demand, given what puts the question to a person together."""
    key: LocalKey
    key_names: dict[str, str] = field(default_factory=dict)
    """The name of the EC2 key pair by region."""
    group_ids: dict[str, str] = field(default_factory=dict)
    """The id of the security group by region."""
    made_beside: list[Resource] = field(default_factory=list)
    """The key pairs and security groups that this launch created. They do not bill.

    Noted as soon as each exists, not returned by its step: an interrupted step returns nothing.
    """
    attempts: list[Attempt] = field(default_factory=list)
    """RunInstances sent, the last one perhaps unanswered."""
    nodes: list[Node] = field(default_factory=_one_node)
    """The boxes of this launch."""
    began: float = field(default_factory=time.monotonic)
    calls: Calls = field(init=False)

    def __post_init__(self) -> None:
        self.calls = Calls(self.app.lookup_seconds)

    @property
    def node(self) -> Node:
        """Return the first box."""
        return self.nodes[0]

    @property
    def config(self) -> LaunchConfig:
        """Return the launch's settings."""
        return self.plan.config

    @property
    def region_plan(self) -> RegionPlan:
        """Return the plan of the region of the instance, or of the last attempt, or the one that comes first."""
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
        """Return the type started, or tried last, or first in the order of preference."""
        instance = self.node.instance
        if instance:
            return instance.instance_type
        if self.attempts:
            return self.attempts[-1].instance_type
        _, first_type = self.plan.pairs[0]
        return first_type

    @property
    def image(self) -> Image:
        """Return the image that it boots from."""
        images = self.region_plan.images
        image = images.get(self.instance_type)
        if image:
            return image
        first_image, *_ = images.values()
        return first_image

    def created_volume(self, node: Node) -> Volume | None:
        """Return the box's data volume, if this launch created it: the user's own was there before."""
        if self.plan.volume:
            return None
        return node.volume

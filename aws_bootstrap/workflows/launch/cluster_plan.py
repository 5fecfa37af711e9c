"""The cluster of a launch: which nodes it has and lacks, and what they share in a region. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...errors import BootstrapError, UsageError
from ...models import PlacementGroup, SecurityGroup
from ...parallel import gather
from ..box import Box
from ..cluster.members import alias_of
from ..owners import is_of_another

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from types_boto3_ec2 import EC2Client

    from ...models import InstanceType
    from .places import RegionPlan


@dataclass(frozen=True)
class ClusterPlan:
    """The cluster that a launch creates or completes."""

    cluster_id: str
    #: How many nodes it shall have, and how many are enough.
    size: int
    least: int
    #: Its nodes that exist, by rank.
    existing: tuple[Box, ...] = ()
    #: Whether its nodes shall be in a placement group.
    in_placement_group: bool = True

    @property
    def name(self) -> str:
        """Return the name of its placement group and of its security group."""
        return ec2.shared_name(self.cluster_id)

    @property
    def missing(self) -> tuple[int, ...]:
        """Return the ranks that are missing, ascending."""
        taken = {box.instance.rank for box in self.existing}
        return tuple(rank for rank in range(self.size) if rank not in taken)

    @property
    def least_to_start(self) -> int:
        """Return how many of the missing nodes must start."""
        return max(1, self.least - len(self.existing))

    @property
    def zone(self) -> str | None:
        """Return the zone of its nodes, which further nodes must be in; None while it has none."""
        if not self.existing:
            return None
        return self.existing[0].instance.availability_zone

    @property
    def deadline(self) -> datetime | None:
        """Return when the first of its nodes ends by itself; None where none does."""
        deadlines = [box.instance.deadline for box in self.existing if box.instance.deadline]
        return min(deadlines, default=None)

    def alias(self, rank: int) -> str:
        """Return the alias of a node."""
        return alias_of(self.cluster_id, rank)

    def tags(self, plan_tags: Mapping[str, str]) -> dict[str, str]:
        """Return the tags of what the nodes share. Their names stay those of this tool."""
        shared = dict(plan_tags) | ec2.cluster_tag(self.cluster_id)
        shared.pop("Name", None)
        return shared

    def supports_placement(self, instance_type: InstanceType) -> bool:
        """Return whether nodes of the type are started in a placement group."""
        return self.in_placement_group and ec2.STRATEGY in instance_type.placement_strategies


def read_shared(
    client: EC2Client, cluster: ClusterPlan, vpc_id: str
) -> tuple[PlacementGroup | None, SecurityGroup | None]:
    """Return the placement group and the security group of the cluster in a region, as far as they exist."""
    placement_group, groups = gather(
        partial(ec2.find_placement_group, client, cluster.name),
        partial(ec2.find_security_groups, client, cluster.name),
    )
    return placement_group, ec2.group_in(groups, vpc_id)


def check_cluster(cluster: ClusterPlan, region_plans: Sequence[RegionPlan], caller: str | None) -> None:
    """Raise BootstrapError if the groups of that name are not of this cluster, or are another's.

    Warn of instance types that cannot be in a placement group.
    """
    _warn_of_types(cluster, region_plans)
    for region_plan in region_plans:
        for group in (region_plan.placement_group, region_plan.cluster_group):
            if group is None:
                continue
            if not group.created_by_us or group.cluster != cluster.cluster_id:
                raise UsageError(
                    f"A group {cluster.name} in {region_plan.region} exists, and this program did not create it.",
                    hint="Choose another --cluster-id.",
                )
            if is_of_another(group.owner, caller):
                raise BootstrapError(
                    f"The cluster {cluster.cluster_id} in {region_plan.region} is not yours: {group.owner} owns it.",
                    hint="Choose another --cluster-id.",
                    code="not-yours",
                )


def _warn_of_types(cluster: ClusterPlan, region_plans: Sequence[RegionPlan]) -> None:
    """Warn of instance types that cannot be in a placement group."""
    if not cluster.in_placement_group:
        return
    types: dict[str, InstanceType] = {}
    for region_plan in region_plans:
        types |= region_plan.types
    for name, instance_type in types.items():
        if not cluster.supports_placement(instance_type):
            message = f"{name} cannot be in a cluster placement group: its nodes may be far from each other."
            output.warn(message, code="no-placement-group")

"""Where a launch may go: what a region offers, and in which of its subnets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...config import LaunchConfig
from ...errors import BootstrapError
from ...invocation import PROFILE
from ...models import Image, InstanceType, KeyPair, Network, PlacementGroup, RegionFailure, SecurityGroup


@dataclass(frozen=True)
class RegionPlan:
    """The facts of one region that a launch uses."""

    region: str
    #: The requested instance types that the region offers, by name.
    types: dict[str, InstanceType]
    #: The image for each of these types.
    images: dict[str, Image]
    network: Network
    #: The security group of the configured name; None if it is missing.
    group: SecurityGroup | None
    key_pairs: tuple[KeyPair, ...]
    #: Of the cluster to launch, as far as they exist.
    placement_group: PlacementGroup | None = None
    cluster_group: SecurityGroup | None = None

    @property
    def subnet_ids(self) -> tuple[str, ...]:
        """Return the ids of the subnets to try, in order; none where EC2 chooses."""
        return tuple(subnet.subnet_id for subnet in self.network.subnets)


def check_subnets(config: LaunchConfig, region_plans: Sequence[RegionPlan], failed: Sequence[RegionFailure]) -> None:
    """Raise BootstrapError for a subnet that no region has. One may be in a region that could not be read."""
    found: set[str] = set()
    for region_plan in region_plans:
        found.update(region_plan.subnet_ids)
    missing = [subnet_id for subnet_id in config.subnet_id if subnet_id not in found]
    if missing and not failed:
        regions = " or ".join(region_plan.region for region_plan in region_plans)
        raise BootstrapError(
            f"There is no subnet {' or '.join(missing)} in {regions}.",
            hint=f"List your subnets: aws ec2 describe-subnets{PROFILE} --region {region_plans[0].region}",
            code="not-found",
        )


def in_zone(region_plans: Sequence[RegionPlan], zone: str | None, holder: str) -> tuple[RegionPlan, ...]:
    """Return the plans with those subnets alone that are in the zone; as they are without one.

    BootstrapError if none is. `holder`: what determines the zone, as messages name it.
    """
    if zone is None:
        return tuple(region_plans)
    return tuple(_in_zone(region_plan, zone, holder) for region_plan in region_plans)


def _in_zone(region_plan: RegionPlan, zone: str, holder: str) -> RegionPlan:
    network = region_plan.network
    if not network.subnets:
        return region_plan
    subnets = tuple(subnet for subnet in network.subnets if subnet.availability_zone == zone)
    if not subnets:
        raise BootstrapError(
            f"{holder} is in {zone}, and none of the subnets is.",
            hint=f"Pass a --subnet-id in {zone}.",
            code="usage",
        )
    return replace(region_plan, network=replace(network, subnets=subnets))

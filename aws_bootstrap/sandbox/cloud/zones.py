"""Where a launch goes: the zones that offer its type and have capacity for it.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

from .http_responses import ServiceError
from .placement import in_another_zone

if TYPE_CHECKING:
    from .world import World

_OCCUPIES = frozenset({"pending", "running", "stopping"})


class Zones:
    """The part of the EC2 backend that chooses the zone of a launch. Mixed into `SandboxBackend`."""

    region_name: str
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.launched = 0

    def offering_zones(self, instance_type: str) -> list[str]:
        """Return the region's zones that offer the type, in order."""
        offered = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(self.region_name, [])
        found = {offer["Location"] for offer in offered if offer["InstanceType"] == instance_type}
        return sorted(zone for zone in found if self.world.account.offers(instance_type, zone))

    def describe_instance_type_offerings(
        self, location_type: str | None = None, filters: dict[str, Any] | None = None
    ) -> list[Any]:
        """Return the offerings that pass the filters, without those that the account's settings take away.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html
        """
        found = super().describe_instance_type_offerings(location_type, filters)  # type: ignore[misc]
        if not self.world.account.lacking:
            return found
        names = {zone.zone_id: zone.name for zone in self.describe_availability_zones()}  # type: ignore[attr-defined]
        return [offer for offer in found if self._is_offered(offer, names)]

    def _is_offered(self, offer: dict[str, Any], names: dict[str, str]) -> bool:
        location = names.get(offer["Location"], offer["Location"])
        zones = self.offering_zones(offer["InstanceType"])
        return location in zones or (location == self.region_name and bool(zones))

    def place(self, kwargs: dict[str, Any], group: str, least: int, most: int) -> int:
        """Choose the zone of a launch and, if it names no subnet, its default subnet. Return how many instances fit.

        All instances of a launch are in one zone, and those of a cluster placement group are in the group's. Raise
        EC2's error if the requested zone, or every zone, lacks the type or the capacity for `least`.
        https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html
        """
        instance_type, spot = kwargs["instance_type"], bool(kwargs["instance_market_options"])
        zones = self.offering_zones(instance_type)
        pinned = self._pinned_zone(kwargs)
        group_zone = self.zone_of_group(group)  # type: ignore[attr-defined]
        if pinned and group_zone and pinned != group_zone:
            raise in_another_zone(group, group_zone)
        pinned = pinned or group_zone
        if pinned and pinned not in zones and any(zone.startswith(pinned[:-1]) for zone in zones):
            raise _unsupported_zone(instance_type, pinned, zones)
        fits = {zone: self._fitting(instance_type, zone, most) for zone in zones}
        free = [zone for zone in zones if fits[zone] >= least]
        if pinned and pinned in zones and pinned not in free:
            raise _no_capacity(instance_type, pinned, free, spot=spot)
        if kwargs.get("subnet_id") or kwargs.get("launch_template") or _interface_subnet(kwargs):
            return fits.get(pinned or "", most)
        if not free:
            raise _no_capacity(instance_type, None, [], spot=spot)
        zone = self._use_default_subnet(kwargs, [pinned] if pinned else _roomiest(free, fits))
        return fits.get(zone or "", most)

    def _pinned_zone(self, kwargs: dict[str, Any]) -> str | None:
        """Return the zone that the launch names, by itself or by a subnet."""
        subnet_id = kwargs.get("subnet_id") or _interface_subnet(kwargs)
        if subnet_id:
            return str(self.get_subnet(subnet_id).availability_zone)  # type: ignore[attr-defined]
        return kwargs.get("placement")

    def _fitting(self, instance_type: str, zone: str, most: int) -> int:
        """Return how many more instances fit into the zone, up to `most`."""
        for pattern, limit in self.world.account.limits(instance_type, zone):
            most = min(most, limit - self._occupied(pattern, zone))
        return most

    def _occupied(self, pattern: str, zone: str) -> int:
        """Return how many instances of these types the zone has."""
        occupied = 0
        for instance in self.live_instances():  # type: ignore[attr-defined]
            is_there = instance.availability_zone == zone and instance.state in _OCCUPIES
            occupied += is_there and fnmatchcase(instance.instance_type, pattern)
        return occupied

    def _use_default_subnet(self, kwargs: dict[str, Any], zones: list[str]) -> str | None:
        """Have the launch use the default subnet of one of the zones, each in turn. Return the zone."""
        vpc, defaults = self.get_default_vpc(), self.get_default_subnets()  # type: ignore[attr-defined]
        if vpc is None:
            raise EC2ClientError("VPCIdNotSpecified", "No default VPC for this user")
        if not defaults:
            words = f"No subnets found for the default VPC '{vpc.id}'. Please specify a subnet."
            raise EC2ClientError("MissingInput", words)
        candidates = [zone for zone in zones if zone in defaults]
        if not candidates:
            return None
        zone = candidates[self.launched % len(candidates)]
        subnet_id = defaults[zone].id
        self.launched += 1
        if kwargs.get("nics"):
            first, *others = kwargs["nics"]
            kwargs["nics"] = [{"AssociatePublicIpAddress": True} | first | {"SubnetId": subnet_id}, *others]
        else:
            kwargs["subnet_id"] = subnet_id
            kwargs["associate_public_ip"] = None  # as the subnet says
        return zone


def _roomiest(zones: list[str], fits: dict[str, int]) -> list[str]:
    """Return those of the zones into which the most instances fit."""
    most = max(fits[zone] for zone in zones)
    return [zone for zone in zones if fits[zone] == most]


def _interface_subnet(kwargs: dict[str, Any]) -> str | None:
    """Return the subnet that the launch names for its network interface."""
    for interface in kwargs.get("nics") or []:
        if interface.get("SubnetId"):
            return str(interface["SubnetId"])
    return None


def _unsupported_zone(instance_type: str, zone: str, zones: list[str]) -> EC2ClientError:
    return EC2ClientError(
        "Unsupported",
        f"Your requested instance type ({instance_type}) is not supported in your requested Availability Zone "
        f"({zone}). Retry your request by not specifying an Availability Zone or choosing {', '.join(zones)}.",
    )


def _no_capacity(instance_type: str, zone: str | None, free: list[str], *, spot: bool) -> ServiceError:
    """Return EC2's error, which has the status of a server's fault."""
    if spot:
        words = "There is no Spot capacity available that matches your request."
    elif zone is None:
        words = f"We currently do not have sufficient {instance_type} capacity in the region you requested."
    else:
        words = (
            f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested "
            f"({zone}). Our system will be working on provisioning additional capacity."
        )
        if free:
            words += (
                f" You can currently get {instance_type} capacity by not specifying an Availability Zone in your "
                f"request or choosing {', '.join(free)}."
            )
    return ServiceError("InsufficientInstanceCapacity", words, 500)

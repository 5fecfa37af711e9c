"""The EC2 actions that moto lacks or implements differently from EC2. Each calls the backend with its parameters."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from . import catalog, placement_scores, prices, spot_requests
from .backend import SandboxBackend
from .launches import Requested
from .power_actions import PowerActions, changes

MAX_RESULTS = 1000
_ACCEPTED_FILTERS = {"product-description", "instance-type", "availability-zone"}


def _unchanged(state: Any) -> Any:
    """Return the state: moto's own transformer shows every new instance as `pending`."""
    return state


class SandboxEC2(PowerActions):
    """The EC2 actions."""

    RESPONSE_KEY_PATH_TO_TRANSFORMER = EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER | {
        "RunInstances.Reservation.Instances.Instance.State": _unchanged,
    }

    @property
    def backend(self) -> SandboxBackend:
        """Return the backend of the called region."""
        return self.ec2_backend

    def _authenticate_and_authorize_normal_action(self, resource: str = "*") -> None:
        """Check nothing: the router has checked the access key, and moto's own check would import its IAM and S3."""

    def _list(self, *names: str) -> list[Any]:
        """Return the first of these list parameters that the request has. Some lists of EC2 have two names."""
        for name in names:
            value = self._get_param(name)
            if value:
                return value
        return []

    def describe_instances(self) -> ActionResult:
        """Return up to 1,000 instances at once without MaxResults, as EC2 does; moto returns 100."""
        if not self._get_param("InstanceIds") and not self._get_param("MaxResults"):
            self.params["MaxResults"] = MAX_RESULTS
        return super().describe_instances()

    def run_instances(self) -> ActionResult:
        """Launch as many instances as quota and capacity allow, from MinCount to MaxCount; moto launches MinCount."""
        group = self._get_param("Placement.GroupName", "")
        if group:
            self.backend.get_placement_group(group)
        least, most = self._get_int_param("MinCount", 1), self._get_int_param("MaxCount", 1)
        if least > most:
            raise EC2ClientError("InvalidParameterValue", "MinCount must not be greater than MaxCount")
        self.params["MinCount"] = most
        self.backend.check_image_available(self._get_param("ImageId", ""))
        self._check_price()
        self._complete_devices()
        with self.backend.requesting(Requested(least, group)):
            return super().run_instances()

    def _complete_devices(self) -> None:
        """Complete the block device mappings from the image, as EC2 does.

        NVMe instance stores need no mapping; one in the request is ignored:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-device-mapping-concepts.html
        """
        requested = [one for one in self._get_param("BlockDeviceMappings", []) if "VirtualName" not in one]
        found = self.backend.amis.get(self._get_param("ImageId"))
        if not requested or found is None:
            self.params.pop("BlockDeviceMappings", None)
            return
        root, *_ = found.block_device_mappings
        named = {one["DeviceName"]: one for one in requested}
        given = named.pop(root["DeviceName"], {}).get("Ebs", {})
        own = {key: root["Ebs"][key] for key in ("VolumeSize", "VolumeType", "DeleteOnTermination")}
        merged = {"DeviceName": root["DeviceName"], "Ebs": own | given}
        self.params["BlockDeviceMappings"] = [merged, *named.values()]

    def _check_price(self) -> None:
        """Raise EC2's error for a spot request whose maximum price is below the market's.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html
        """
        limit = self._get_param("InstanceMarketOptions.SpotOptions.MaxPrice")
        instance_type = self._get_param("InstanceType", "")
        zones = self.backend.offering_zones(instance_type)
        if limit is None or not zones:
            return
        now = datetime.now(UTC)
        lowest = min(prices.current(instance_type, zone, now).price for zone in zones)
        if float(limit) < lowest:
            raise EC2ClientError(
                "SpotMaxPriceTooLow",
                f"Your Spot request price of {limit} is lower than the minimum required Spot request fulfillment "
                f"price of {lowest}.",
            )

    def terminate_instances(self) -> ActionResult:
        """Terminate instances. moto would also update load balancers, whose import takes seconds."""
        self.error_on_dryrun()
        changed = self.backend.terminate_instances(self._list("InstanceIds"))
        return ActionResult({"TerminatingInstances": changes(changed)})

    def describe_regions(self) -> ActionResult:
        """Return the enabled regions; with AllRegions also those that require an opt-in."""
        self.error_on_dryrun()
        regions = []
        for enabled in self.backend.describe_regions(self._list("RegionNames")):
            regions.append(_region(enabled.name, "opt-in-not-required"))
        if self._get_bool_param("AllRegions", False):
            for name in catalog.OPT_IN_REGIONS:
                regions.append(_region(name, "not-opted-in"))
        filters = self._filters_from_querystring()
        return ActionResult({"Regions": [region for region in regions if _region_passes(region, filters)]})

    def describe_vpc_block_public_access_options(self) -> ActionResult:
        """Return the account's mode of VPC Block Public Access.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcBlockPublicAccessOptions.html
        """
        self.error_on_dryrun()
        mode = self.backend.world.account.public_access
        options = {
            "AwsAccountId": catalog.ACCOUNT,
            "AwsRegion": self.region,
            "State": "default-state" if mode == "off" else "update-complete",
            "InternetGatewayBlockMode": mode,
            "ManagedBy": "account",
            "ExclusionsAllowed": "allowed",
        }
        return ActionResult({"VpcBlockPublicAccessOptions": options})

    def describe_spot_price_history(self) -> ActionResult:
        """Return prices by zone and time, with the price in effect at StartTime, as EC2 does.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
        """
        filters = self._filters_from_querystring()
        unknown = set(filters) - _ACCEPTED_FILTERS
        if unknown:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{min(unknown)}' is invalid")
        now = datetime.now(UTC)
        start = _time(self._get_param("StartTime"), now - prices.HISTORY)
        end = max(_time(self._get_param("EndTime"), now), start)
        rows: list[prices.SpotPrice] = []
        for instance_type, zone in self._priced(filters):
            rows += prices.history(instance_type, zone, start, min(end, now))
        rows.sort(key=attrgetter("since"), reverse=True)
        return self._price_page(rows, self._product(filters))

    def _product(self, filters: Any) -> str | None:
        """Return the requested product; None if it has no prices here."""
        requested = self._list("ProductDescriptions", "ProductDescription") or filters.get("product-description") or []
        for product in prices.PRODUCTS:
            if not requested or product in requested:
                return product
        return None

    def _priced(self, filters: Any) -> list[tuple[str, str]]:
        """Return the requested (type, zone) pairs."""
        types = set(self._list("InstanceTypes") or filters.get("instance-type") or catalog.ON_DEMAND)
        zones = set(filters.get("availability-zone") or [])
        named = self._get_param("AvailabilityZone")
        if named:
            zones = {named}
        found = []
        for offer in self.backend.describe_instance_type_offerings("availability-zone"):
            instance_type, zone = offer["InstanceType"], offer["Location"]
            if instance_type in types and (not zones or zone in zones):
                found.append((instance_type, zone))
        return found

    def _price_page(self, rows: list[prices.SpotPrice], product: str | None) -> ActionResult:
        """Return one page of prices, and the token of the next page if there is one."""
        first = int(self._get_param("NextToken") or 0)
        after = first + self._get_int_param("MaxResults", MAX_RESULTS)
        if product is None:
            return ActionResult({"SpotPriceHistory": [], "NextToken": ""})
        shown = [_price(row, product) for row in rows[first:after]]
        more = str(after) if after < len(rows) else ""
        return ActionResult({"SpotPriceHistory": shown, "NextToken": more})

    def get_spot_placement_scores(self) -> ActionResult:
        """Return how likely a spot request of this size is to succeed, 1 to 10, best first.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSpotPlacementScores.html
        """
        self.error_on_dryrun()
        types, target = self._list("InstanceTypes"), self._get_int_param("TargetCapacity", 1)
        regions = self._list("RegionNames", "RegionName") or catalog.REGIONS
        if self._list("RegionNames", "RegionName") and len(regions) > placement_scores.MOST_REGIONS:
            raise EC2ClientError("InvalidParameterValue", "The number of regions must not exceed 10")
        shown = placement_scores.scores(
            types, target, sorted(regions), by_zone=bool(self._get_bool_param("SingleAvailabilityZone", False))
        )
        first = int(self._get_param("NextToken") or 0)
        after = first + self._get_int_param("MaxResults", MAX_RESULTS)
        more = str(after) if after < len(shown) else ""
        return ActionResult({"SpotPlacementScores": shown[first:after], "NextToken": more})

    def create_placement_group(self) -> ActionResult:
        """Create a placement group."""
        self.error_on_dryrun()
        group = self.backend.create_placement_group(
            self._get_param("GroupName"),
            self._get_param("Strategy", "cluster"),
            self._parse_tag_specification().get("placement-group", {}),
            self._get_int_param("PartitionCount"),
        )
        return ActionResult({"PlacementGroup": group.facts()})

    def describe_placement_groups(self) -> ActionResult:
        """Return the placement groups of these names, ids and filters."""
        groups = self.backend.find_placement_groups(
            self._list("GroupNames", "GroupName"),
            self._list("GroupIds", "GroupId"),
            self._filters_from_querystring(),  # type: ignore[arg-type]
        )
        return ActionResult({"PlacementGroups": [group.facts() for group in groups]})

    def delete_placement_group(self) -> ActionResult:
        """Delete a placement group."""
        self.error_on_dryrun()
        self.backend.delete_placement_group(self._get_param("GroupName"))
        return EmptyResult()

    def _once(self, action: str, create: Callable[[], ActionResult]) -> ActionResult:
        """Return the result of `create`, or that of an earlier identical request with this client token."""
        self.error_on_dryrun()
        requested = {name: value for name, value in self.params.items() if name != "ClientToken"}
        return self.backend.once(action, self._get_param("ClientToken", ""), repr(sorted(requested.items())), create)

    def create_volume(self) -> ActionResult:
        """Create one volume per client token.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html (ClientToken)
        """
        return self._once("CreateVolume", super().create_volume)

    def detach_volume(self) -> ActionResult:
        """Detach a volume; InstanceId is optional, as in EC2's documentation."""
        self.error_on_dryrun()
        attachment = self.backend.detach_volume(
            self._get_param("VolumeId"), self._get_param("InstanceId"), self._get_param("Device")
        )
        return ActionResult(
            {
                "VolumeId": attachment.volume.id,
                "InstanceId": attachment.instance.id,
                "Device": attachment.device,
                "State": "detaching",
                "AttachTime": attachment.attach_time,
            }
        )

    def describe_snapshots(self) -> ActionResult:
        """Return the snapshots of the owners; moto returns everybody's, those behind public images among them.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
        """
        found = self.backend.describe_snapshots(
            snapshot_ids=self._list("SnapshotIds"), filters=self._filters_from_querystring()
        )
        owners = self._list("OwnerIds", "Owners")
        if owners:
            accounts = {catalog.ACCOUNT if owner == "self" else owner for owner in owners}
            found = [snapshot for snapshot in found if snapshot.owner_id in accounts]
        return ActionResult({"Snapshots": found})

    def create_image(self) -> ActionResult:
        """Create an image, which is pending for some time. moto copies no device, and tags no snapshot."""
        self.error_on_dryrun()
        without = set()
        for mapping in self._get_param("BlockDeviceMappings", []):
            if "NoDevice" in mapping:
                without.add(mapping["DeviceName"])
        tags: dict[str, dict[str, str]] = {"image": {}, "snapshot": {}}
        for specification in self._get_param("TagSpecifications", []):
            if specification["ResourceType"] not in tags:
                raise EC2ClientError("InvalidParameterValue", "Only image and snapshot can be tagged")
            tags[specification["ResourceType"]] |= {one["Key"]: one["Value"] for one in specification["Tags"]}
        facts = {
            "description": self._get_param("Description", ""),
            "without": without,
            "image_tags": tags["image"],
            "snapshot_tags": tags["snapshot"],
        }
        reboot = not self._get_bool_param("NoReboot", False)
        name, instance_id = self._get_param("Name", ""), self._get_param("InstanceId")
        return ActionResult({"ImageId": self.backend.create_image_of(instance_id, name, facts, reboot=reboot).id})

    def describe_spot_instance_requests(self) -> ActionResult:
        """Return the spot requests of the instances that EC2 still shows."""
        self.error_on_dryrun()
        filters = self._filters_from_querystring()
        request_ids = self._list("SpotInstanceRequestIds")
        requests = spot_requests.find(self.backend.live_instances(), request_ids, filters)
        return ActionResult({"SpotInstanceRequests": requests})

    def get_console_output(self) -> ActionResult:
        """Return the machine's console output, the last 64 KB.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
        """
        instance = self.backend.get_instance(self._get_param("InstanceId"))
        console = self.backend.world.machines.console(instance.id).encode()[-65536:]
        output = Base64EncodedString(base64.b64encode(console).decode())
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": output})


def _price(row: prices.SpotPrice, product: str) -> dict[str, Any]:
    """Return one entry of the price history."""
    return {
        "InstanceType": row.instance_type,
        "ProductDescription": product,
        "SpotPrice": f"{row.price:.6f}",
        "AvailabilityZone": row.zone,
        "Timestamp": row.since,
    }


def _region(name: str, opted: str) -> dict[str, str]:
    """Return one entry of DescribeRegions."""
    return {"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": opted}


def _region_passes(region: dict[str, str], filters: Any) -> bool:
    """Return whether a region passes every filter; filters that this action lacks are ignored."""
    fields = {"region-name": "RegionName", "opt-in-status": "OptInStatus", "endpoint": "Endpoint"}
    for name, values in filters.items():
        field = fields.get(name)
        if field and region[field] not in values:
            return False
    return True


def _time(value: datetime | str | None, default: datetime) -> datetime:
    """Return the time in a request, else the default. moto parses some times, and leaves others as text."""
    if not value:
        return default
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value

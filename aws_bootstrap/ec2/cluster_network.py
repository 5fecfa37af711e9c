"""What the nodes of a cluster share: a placement group, and a security group that allows all traffic within it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import CREATED_BY, TAG_CLUSTER, TAG_CREATED_BY, TAG_OWNER, TAG_RANK
from ..errors import AwsError
from ..models import PlacementGroup, SecurityGroup
from ..retry import poll
from . import tags
from .network import security_groups

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef, PlacementGroupTypeDef

#: Instances close to each other, in one zone: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html
STRATEGY = "cluster"
GROUP_DESCRIPTION = "Traffic between the nodes of a cluster of aws-bootstrap"
_NO_PLACEMENT_GROUP = "InvalidPlacementGroup.Unknown"
_NO_SECURITY_GROUP = "InvalidGroup.NotFound"
#: The group still has instances. EC2 releases it some seconds after they are terminated.
_IN_USE = ("InvalidPlacementGroup.InUse", "DependencyViolation")
#: What this tool created for a cluster.
_OF_CLUSTERS: list[FilterTypeDef] = [tags.CREATED_BY_FILTER, {"Name": "tag-key", "Values": [TAG_CLUSTER]}]


def shared_name(cluster_id: str) -> str:
    """Return the name of the placement group and of the security group of a cluster."""
    return f"aws-bootstrap-cluster-{cluster_id}"


# --- placement groups ------------------------------------------------------------------------------------


def find_placement_group(ec2: EC2Client, name: str) -> PlacementGroup | None:
    """Return the placement group of that name, whoever created it; None if there is none."""
    found = _placement_groups(ec2, [{"Name": "group-name", "Values": [name]}])
    return found[0] if found else None


@translate_aws_errors()
def find_placement_groups(ec2: EC2Client) -> list[PlacementGroup]:
    """Return the placement groups of the region that this tool created for clusters."""
    found = _placement_groups(ec2, _OF_CLUSTERS)
    _check_tags(found)
    return found


@translate_aws_errors()
def _placement_groups(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[PlacementGroup]:
    region = ec2.meta.region_name
    found: list[PlacementGroup] = []
    for raw in ec2.describe_placement_groups(Filters=filters)["PlacementGroups"]:
        if raw.get("State") not in ("deleting", "deleted"):
            found.append(_placement_group(raw, region))
    return found


def _placement_group(raw: PlacementGroupTypeDef, region: str) -> PlacementGroup:
    named = tags.values(raw.get("Tags", []))
    return PlacementGroup(
        name=raw.get("GroupName", ""),
        region=region,
        strategy=raw.get("Strategy", STRATEGY),
        state=raw.get("State", "available"),
        created_by_us=named.get(TAG_CREATED_BY) == CREATED_BY,
        owner=named.get(TAG_OWNER),
        cluster=named.get(TAG_CLUSTER),
    )


def ensure_placement_group(
    ec2: EC2Client, name: str, found: PlacementGroup | None, extra_tags: Mapping[str, str]
) -> tuple[PlacementGroup, bool]:
    """Create the placement group unless it was found before. Return it, and whether it was created now.

    Where another launch was quicker, return that one's.
    """
    if found:
        return found, False
    try:
        with translate_aws_errors():
            created = ec2.create_placement_group(
                GroupName=name,
                Strategy="cluster",
                TagSpecifications=[tags.specification("placement-group", name, extra_tags)],
            )
            return _placement_group(created["PlacementGroup"], ec2.meta.region_name), True
    except AwsError as exc:
        if exc.aws_code != "InvalidPlacementGroup.Duplicate":
            raise
        existing = find_placement_group(ec2, name)
        if existing is None:
            raise
        return existing, False


def delete_placement_group(ec2: EC2Client, name: str, *, timeout: float = 60.0) -> bool:
    """Delete the placement group once its instances are terminated. Return True; one that does not exist is no error.

    AwsError if it is still in use after `timeout` seconds.
    """

    def delete() -> None:
        ec2.delete_placement_group(GroupName=name)

    return _delete(delete, _NO_PLACEMENT_GROUP, timeout)


# --- security groups -------------------------------------------------------------------------------------


@translate_aws_errors()
def find_cluster_groups(ec2: EC2Client) -> list[SecurityGroup]:
    """Return the security groups of the region that this tool created for clusters."""
    found = security_groups(ec2, _OF_CLUSTERS)
    _check_tags(found)
    return found


def _check_tags(groups: Iterable[PlacementGroup | SecurityGroup]) -> None:
    """Raise KeyError for a reply without the tags that it was filtered by: a group would be left, and not mentioned."""
    if not all(group.cluster for group in groups):
        raise KeyError("Tags")


def ensure_traffic_within(
    ec2: EC2Client, group: SecurityGroup, extra_tags: Mapping[str, str], *, timeout: float = 15.0
) -> None:
    """Add the rule by which the group allows all traffic from itself, unless it has it.

    A group that was created a second ago may not be found at first.
    """
    if group.allows_itself:
        return
    refusals: list[AwsError] = []

    def attempt() -> bool | None:
        try:
            _authorize_itself(ec2, group.group_id, extra_tags)
        except AwsError as exc:
            if exc.aws_code != _NO_SECURITY_GROUP:
                raise
            refusals.append(exc)
            return None
        return True

    if not poll(attempt, timeout=timeout, every=1.0):
        raise refusals[-1]


def _authorize_itself(ec2: EC2Client, group_id: str, extra_tags: Mapping[str, str]) -> None:
    """Add the rule; one that exists already is no error."""
    try:
        with translate_aws_errors():
            ec2.authorize_security_group_ingress(
                GroupId=group_id,
                IpPermissions=[
                    {
                        "IpProtocol": "-1",
                        "UserIdGroupPairs": [{"GroupId": group_id, "Description": "aws-bootstrap"}],
                    }
                ],
                TagSpecifications=[tags.specification("security-group-rule", "within-cluster", extra_tags)],
            )
    except AwsError as exc:
        if exc.aws_code != "InvalidPermission.Duplicate":
            raise


def delete_security_group(ec2: EC2Client, group_id: str, *, timeout: float = 60.0) -> bool:
    """Delete the security group, with its rules, once no interface uses it. Return True; a missing one is no error.

    AwsError if it is still in use after `timeout` seconds.
    """

    def delete() -> None:
        ec2.delete_security_group(GroupId=group_id)

    return _delete(delete, _NO_SECURITY_GROUP, timeout)


def _delete(delete: Callable[[], None], not_found: str, timeout: float) -> bool:
    """Delete a group, and try again while EC2 says that it is in use."""
    refusals: list[AwsError] = []

    def attempt() -> bool | None:
        try:
            with translate_aws_errors():
                delete()
        except AwsError as exc:
            if exc.aws_code == not_found:
                return True
            if exc.aws_code not in _IN_USE:
                raise
            refusals.append(exc)
            return None
        return True

    if not poll(attempt, timeout=timeout, every=1.0):
        raise refusals[-1]
    return True


# --- nodes -----------------------------------------------------------------------------------------------


@translate_aws_errors(reading=False)
def tag_node(ec2: EC2Client, instance_id: str, rank: int, name: str) -> None:
    """Write a node's rank and its name into its tags."""
    named = {TAG_RANK: str(rank), "Name": name}
    ec2.create_tags(Resources=[instance_id], Tags=tags.as_list(named))

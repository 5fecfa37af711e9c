"""EBS data volumes: found by the tag that names their instance, deleted only if this tool created them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import CREATED_BY, FORMAT_ONCE, TAG_CREATED_BY, TAG_FORMAT, TAG_INSTANCE, TAG_KEEP, TAG_OWNER
from ..errors import AwsError, BootstrapError, TransientError
from ..invocation import PROFILE
from ..models import Instance, Volume
from ..retry import poll
from . import tags
from .instances import UNKNOWN

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef, VolumeResponseTypeDef, VolumeTypeDef

EBS_DEVICE_NAME = "/dev/sdf"
EBS_MOUNT_POINT = "/data"
#: EC2 takes so many values in one filter.
_FILTER_VALUES = 200


@translate_aws_errors()
def find_volumes(ec2: EC2Client) -> list[Volume]:
    """Return the data volumes of this tool in the client's region, and those of the user that it attached to a box."""
    return _filtered(ec2, [{"Name": "tag-key", "Values": [TAG_INSTANCE]}])


@translate_aws_errors()
def find_volumes_and_roots(ec2: EC2Client) -> tuple[list[Volume], list[Volume]]:
    """Return the data volumes as `find_volumes` does, and this tool's other volumes, in one call.

    Those others are the root volumes of its instances, and any that were detached from one.
    """
    data: list[Volume] = []
    roots: list[Volume] = []
    for volume in _filtered(ec2, [{"Name": "tag-key", "Values": [TAG_INSTANCE, TAG_CREATED_BY]}]):
        if volume.instance_id is not None:
            data.append(volume)
        elif volume.created_by_us:
            roots.append(volume)
    return data, roots


@translate_aws_errors()
def find_ebs_volumes_for_instances(ec2: EC2Client, instance_ids: Iterable[str]) -> list[Volume]:
    """Return the data volumes that are meant for these instances."""
    found: list[Volume] = []
    for some in batched(instance_ids, _FILTER_VALUES):
        found += _filtered(ec2, [{"Name": f"tag:{TAG_INSTANCE}", "Values": list(some)}])
    return found


def _filtered(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[Volume]:
    """Return the volumes that DescribeVolumes finds by the tag of their instance.

    KeyError for a reply without complete tags: they alone record who created the volume, and whether it is to be
    deleted with its instance.
    """
    found: list[Volume] = []
    for page in ec2.get_paginator("describe_volumes").paginate(Filters=filters):
        for raw in page["Volumes"]:
            for tag in raw["Tags"]:
                if "Key" not in tag or "Value" not in tag:
                    raise KeyError("Tags")
            found.append(volume_of(raw, ec2.meta.region_name))
    return found


def find_volume(ec2: EC2Client, volume_id: str) -> Volume | None:
    """Return the volume of that id; None if EC2 does not know it, or no longer."""
    try:
        with translate_aws_errors():
            return _described(ec2, volume_id)
    except AwsError as exc:
        if exc.aws_code == "InvalidVolume.NotFound":
            return None
        raise


@translate_aws_errors()
def find_volumes_by_id(ec2: EC2Client, volume_ids: Iterable[str]) -> dict[str, Volume]:
    """Return those of the volumes that exist, by id. A filter, since EC2 refuses all ids for one that is missing."""
    found: dict[str, Volume] = {}
    for some in batched(volume_ids, _FILTER_VALUES):
        filters: list[FilterTypeDef] = [{"Name": "volume-id", "Values": list(some)}]
        for page in ec2.get_paginator("describe_volumes").paginate(Filters=filters):
            for raw in page["Volumes"]:
                volume = volume_of(raw, ec2.meta.region_name)
                found[volume.volume_id] = volume
    return found


def find_named_volume(ec2: EC2Client, name: str) -> Volume | None:
    """Return this tool's volume with that Name tag; None if there is none."""
    with translate_aws_errors():
        found = _filtered(ec2, [tags.CREATED_BY_FILTER, {"Name": "tag:Name", "Values": [name]}])
    return found[0] if found else None


def _described(ec2: EC2Client, volume_id: str) -> Volume:
    """Return the volume of that id, as DescribeVolumes reports it."""
    reply = ec2.describe_volumes(VolumeIds=[volume_id])
    return volume_of(reply["Volumes"][0], ec2.meta.region_name)


def create_ebs_volume(
    ec2: EC2Client, instance: Instance, size_gb: int, extra: Mapping[str, str] | None = None
) -> Volume:
    """Create an encrypted gp3 volume in the instance's zone, tagged in the call that creates it; return it."""
    name = f"aws-bootstrap-data-{instance.instance_id}"
    volume_tags = dict(extra or {})
    volume_tags.pop("Name", None)
    volume_tags[TAG_INSTANCE] = instance.instance_id
    volume_tags[TAG_FORMAT] = FORMAT_ONCE
    with translate_aws_errors():
        raw = ec2.create_volume(
            AvailabilityZone=instance.availability_zone,
            Size=size_gb,
            VolumeType="gp3",
            Encrypted=True,
            ClientToken=f"data-{instance.instance_id}",  # one data volume an instance, however often it is requested
            TagSpecifications=[tags.specification("volume", name, volume_tags)],
        )
        # The request replaces what the reply lacks.
        raw.setdefault("Size", size_gb)
        raw.setdefault("State", "creating")
        raw.setdefault("VolumeType", "gp3")
        raw.setdefault("AvailabilityZone", instance.availability_zone)
        return volume_of(raw, ec2.meta.region_name)


def validate_ebs_volume(ec2: EC2Client, volume_id: str) -> Volume:
    """Return the user's volume, available to be attached. BootstrapError if it is unknown or in use."""
    with translate_aws_errors():
        volume = _described(ec2, volume_id)
        if not volume.availability_zone:
            raise KeyError("AvailabilityZone")  # it decides where the box goes
    if volume.state != "available":
        raise volume_in_use(volume)
    return volume


def volume_in_use(volume: Volume) -> BootstrapError:
    """Return the error for a volume that cannot be attached in its state."""
    volume_id = volume.volume_id
    return BootstrapError(
        f"{volume_id} is {volume.state}; a volume must be available to be attached.",
        hint=f"Show its attachment: aws ec2 describe-volumes{PROFILE} --region {volume.region} "
        f"--volume-ids {volume_id}",
        code="volume-in-use",
    )


def claim_ebs_volume(ec2: EC2Client, volume_id: str, instance_id: str, settings: str | None = None) -> None:
    """Tag the user's volume as the instance's, with the settings of its launch, and as kept when that is terminated."""
    marks = {TAG_INSTANCE: instance_id, TAG_KEEP: "true"}
    if settings is not None:
        marks |= tags.of_settings(settings)
    claim = tags.as_list(marks)
    with translate_aws_errors():
        ec2.create_tags(Resources=[volume_id], Tags=claim)


def wait_created(ec2: EC2Client, volume_ids: Sequence[str], timeout: float = 60.0) -> None:
    """Wait until none of the volumes is being created, for so long at most. One call a second looks at all of them."""

    def are_created() -> bool | None:
        found = find_volumes_by_id(ec2, volume_ids)
        is_ready = [volume.state != "creating" for volume in found.values()]
        if len(is_ready) < len(volume_ids) or not all(is_ready):
            return None
        return True

    poll(are_created, timeout=timeout, every=1.0)


def attach_ebs_volume(ec2: EC2Client, volume_id: str, instance_id: str, timeout: float = 60.0) -> None:
    """Attach the volume to the running instance, once both are ready for it.

    A volume is `creating` for some seconds; EC2 answers IncorrectState until volume and instance are ready.
    """

    def attempt() -> bool | None:
        try:
            with translate_aws_errors():
                ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=EBS_DEVICE_NAME)
        except AwsError as exc:
            if exc.aws_code in ("IncorrectState", "InvalidVolume.NotFound"):
                refusals.append(exc)
                return None
            if not _may_have_attached(exc) or not _is_attached(ec2, volume_id, instance_id):
                raise
        return True

    refusals: list[AwsError] = []
    if not poll(attempt, timeout=timeout, every=1.0):
        raise refusals[-1]


def _may_have_attached(error: AwsError) -> bool:
    """Return whether the volume may be attached all the same.

    It may where no answer came, and where the SDK repeated the request after an answer was lost.
    """
    return error.aws_code == "VolumeInUse" or not error.outcome_known or isinstance(error, TransientError)


def _is_attached(ec2: EC2Client, volume_id: str, instance_id: str) -> bool:
    """Return whether EC2 reports the volume as attached to the instance."""
    volume = find_volume(ec2, volume_id)
    return volume is not None and volume.attached_to == instance_id


def detach_ebs_volume(ec2: EC2Client, volume_id: str) -> None:
    """Request that EC2 detach the volume; `wait_detached` waits for that."""
    with translate_aws_errors():
        ec2.detach_volume(VolumeId=volume_id)


def delete_ebs_volume(ec2: EC2Client, volume_id: str) -> None:
    """Delete the volume for good; one that no longer exists is no error."""
    try:
        with translate_aws_errors():
            ec2.delete_volume(VolumeId=volume_id)
    except AwsError as exc:
        if exc.aws_code != "InvalidVolume.NotFound":
            raise


def find_deletion(ec2: EC2Client, volume_id: str) -> bool | None:
    """Return True once the volume is deleted or being deleted; None while it is not."""
    volume = find_volume(ec2, volume_id)
    if volume is None:
        return True
    if volume.state in ("deleting", "deleted"):
        return True
    return None


def keep_ebs_volume(ec2: EC2Client, volume_id: str) -> None:
    """Tag the volume as kept."""
    with translate_aws_errors():
        ec2.create_tags(Resources=[volume_id], Tags=[{"Key": TAG_KEEP, "Value": "true"}])


def revoke_format_permissions(ec2: EC2Client, volume_ids: Iterable[str], timeout: float = 10.0) -> set[str]:
    """Remove the tag that permits formatting from the volumes, so that each is formatted once only. One call does all.

    Return those alone whose tag was seen, whose removal was answered, and whose tag was then seen to be missing.
    AwsError if a call failed: tags may be missing all the same, but this call must then not count as the one that
    removed them.
    """
    tagged = _with_format_tag(ec2, volume_ids)
    if not tagged:
        return set()
    with translate_aws_errors():
        ec2.delete_tags(Resources=sorted(tagged), Tags=[{"Key": TAG_FORMAT}])
    removed: set[str] = set()

    def are_removed() -> bool | None:
        for volume in find_volumes_by_id(ec2, tagged - removed).values():
            if not volume.format_once:
                removed.add(volume.volume_id)
        return True if removed == tagged else None

    poll(are_removed, timeout=timeout, every=0.5)
    return removed


def _with_format_tag(ec2: EC2Client, volume_ids: Iterable[str]) -> set[str]:
    """Return those of the volumes that may be formatted, as their tags say."""
    tagged: set[str] = set()
    for volume in find_volumes_by_id(ec2, volume_ids).values():
        if volume.format_once:
            tagged.add(volume.volume_id)
    return tagged


def volume_of(raw: VolumeTypeDef | VolumeResponseTypeDef, region: str) -> Volume:
    """Return the volume of a reply."""
    named = tags.values(raw.get("Tags", []))
    is_blank = not raw.get("SnapshotId")
    return Volume(
        volume_id=raw["VolumeId"],
        region=region,
        size_gb=raw.get("Size", 0),
        state=raw.get("State", UNKNOWN),
        availability_zone=raw.get("AvailabilityZone", ""),
        created_by_us=named.get(TAG_CREATED_BY) == CREATED_BY,
        kept=TAG_KEEP in named,
        owner=named.get(TAG_OWNER),
        instance_id=named.get(TAG_INSTANCE),
        attached_to=_attached_to(raw),
        volume_type=raw.get("VolumeType", UNKNOWN),
        created=raw.get("CreateTime"),
        format_once=is_blank and named.get(TAG_FORMAT) == FORMAT_ONCE,
        settings=tags.settings(named),
    )


def _attached_to(raw: VolumeTypeDef | VolumeResponseTypeDef) -> str | None:
    """Return the instance that the volume is attached to: `unknown` if the reply lacks its id, None if none."""
    attachments = raw.get("Attachments", [])
    if not attachments:
        return None
    return attachments[0].get("InstanceId", UNKNOWN)

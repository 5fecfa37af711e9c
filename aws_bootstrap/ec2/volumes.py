"""EBS data volumes: found by the tag that names their instance, deleted only if this tool made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..aws import explained, pages
from ..config import CREATED_BY, FORMAT_ONCE, TAG_CREATED_BY, TAG_FORMAT, TAG_INSTANCE, TAG_KEEP
from ..errors import AwsError, BootstrapError, TransientError
from ..models import Instance, Volume
from ..retry import poll
from . import tags
from .instances import UNKNOWN

EBS_DEVICE_NAME = "/dev/sdf"
EBS_MOUNT_POINT = "/data"


@explained()
def find_volumes(ec2: Any) -> list[Volume]:
    """Return every data volume of ours in the client's region, and those of the user's that were attached for a box."""
    filters = [{"Name": "tag-key", "Values": [TAG_INSTANCE]}]
    return _volumes(ec2, filters)


@explained()
def find_ebs_volumes_for_instance(ec2: Any, instance_id: str) -> list[Volume]:
    """Return the data volumes that are meant for this instance."""
    filters = [{"Name": f"tag:{TAG_INSTANCE}", "Values": [instance_id]}]
    return _volumes(ec2, filters)


def _volumes(ec2: Any, filters: list[dict[str, Any]]) -> list[Volume]:
    """Return the volumes that EC2 finds by the tag of their instance.

    A reply that does not show that tag is not believed: whose the volume is, and whether it is to be deleted with
    its instance, stands in its tags alone.
    """
    found: list[Volume] = []
    for raw in pages(ec2, "describe_volumes", "Volumes", Filters=filters):
        for tag in raw["Tags"]:
            if "Key" not in tag or "Value" not in tag:
                raise KeyError("Tags")
        found.append(_volume(raw, ec2.meta.region_name))
    return found


def find_volume(ec2: Any, volume_id: str) -> Volume | None:
    """Return the volume of that id; None where EC2 does not know it (any more)."""
    try:
        with explained():
            return _described(ec2, volume_id)
    except AwsError as exc:
        if exc.aws_code == "InvalidVolume.NotFound":
            return None
        raise


def _described(ec2: Any, volume_id: str) -> Volume:
    """Return the volume of that id, as DescribeVolumes answers."""
    reply = ec2.describe_volumes(VolumeIds=[volume_id])
    return _volume(reply["Volumes"][0], ec2.meta.region_name)


def create_ebs_volume(ec2: Any, instance: Instance, size_gb: int, extra: Mapping[str, str] | None = None) -> Volume:
    """Create an encrypted gp3 volume in the instance's zone, tagged in the call that creates it; return it."""
    name = f"aws-bootstrap-data-{instance.instance_id}"
    volume_tags = dict(extra or {})
    volume_tags.pop("Name", None)
    volume_tags[TAG_INSTANCE] = instance.instance_id
    volume_tags[TAG_FORMAT] = FORMAT_ONCE
    with explained():
        raw = ec2.create_volume(
            AvailabilityZone=instance.availability_zone,
            Size=size_gb,
            VolumeType="gp3",
            Encrypted=True,
            ClientToken=f"data-{instance.instance_id}",  # one data volume an instance, however often it is asked for
            TagSpecifications=[tags.specification("volume", name, volume_tags)],
        )
        # The request stands in for what the reply does not say.
        known = {"Size": size_gb, "State": "creating", "AvailabilityZone": instance.availability_zone}
        return _volume({**known, **raw}, ec2.meta.region_name)


def validate_ebs_volume(ec2: Any, volume_id: str) -> Volume:
    """Return the user's volume, free to be attached. BootstrapError where it is unknown or in use."""
    with explained():
        volume = _described(ec2, volume_id)
        if not volume.availability_zone:
            raise KeyError("AvailabilityZone")  # it decides where the box goes
    if volume.state != "available":
        raise BootstrapError(
            f"{volume_id} is {volume.state}; a volume must be available to be attached.",
            hint=f"See who has it: aws ec2 describe-volumes --region {volume.region} --volume-ids {volume_id}",
            code="volume-in-use",
        )
    return volume


def claim_ebs_volume(ec2: Any, volume_id: str, instance_id: str) -> None:
    """Tag the user's volume as the instance's, to be kept when that ends."""
    claim = tags.as_list({TAG_INSTANCE: instance_id, TAG_KEEP: "true"})
    with explained():
        ec2.create_tags(Resources=[volume_id], Tags=claim)


def attach_ebs_volume(ec2: Any, volume_id: str, instance_id: str, timeout: float = 60.0) -> None:
    """Attach the volume to the running instance, once both are ready for it.

    A volume is `creating` for some seconds; EC2 answers IncorrectState until volume and instance are ready.
    """

    def attempt() -> bool | None:
        try:
            with explained():
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
    return error.aws_code == "VolumeInUse" or not error.answered or isinstance(error, TransientError)


def _is_attached(ec2: Any, volume_id: str, instance_id: str) -> bool:
    """Return whether EC2 says that the instance has the volume."""
    volume = find_volume(ec2, volume_id)
    return volume is not None and volume.attached_to == instance_id


def detach_ebs_volume(ec2: Any, volume_id: str) -> None:
    """Ask EC2 to detach the volume; `wait_detached` tells when it is free."""
    with explained():
        ec2.detach_volume(VolumeId=volume_id)


def wait_detached(ec2: Any, volume_id: str, instance_id: str, timeout: float = 600.0) -> None:
    """Return once the instance has let go of the volume; one that is gone counts.

    BootstrapError `volume-in-use` if that takes too long, or if another instance has it.
    """

    def free() -> bool | None:
        volume = find_volume(ec2, volume_id)
        if volume is None or volume.state == "available":
            return True
        if volume.state == UNKNOWN and volume.attached_to is None:
            return True  # EC2 does not say its state, but nothing has it
        if volume.attached_to not in (None, instance_id, UNKNOWN):
            raise BootstrapError(f"{volume_id} is attached to {volume.attached_to}.", code="volume-in-use")
        return None

    if not poll(free, timeout=timeout, every=1.0):
        raise BootstrapError(f"{volume_id} did not detach within {timeout:.0f} s.", code="volume-in-use")


def delete_ebs_volume(ec2: Any, volume_id: str) -> None:
    """Delete the volume, for good; one that is gone already is fine."""
    try:
        with explained():
            ec2.delete_volume(VolumeId=volume_id)
    except AwsError as exc:
        if exc.aws_code != "InvalidVolume.NotFound":
            raise


def find_deletion(ec2: Any, volume_id: str) -> bool | None:
    """Return True once the volume is deleted or on its way; None while it is not."""
    volume = find_volume(ec2, volume_id)
    if volume is None:
        return True
    if volume.state in ("deleting", "deleted"):
        return True
    return None


def keep_ebs_volume(ec2: Any, volume_id: str) -> None:
    """Mark the volume as meant to stay."""
    with explained():
        ec2.create_tags(Resources=[volume_id], Tags=[{"Key": TAG_KEEP, "Value": "true"}])


def take_format_leave(ec2: Any, volume_id: str, timeout: float = 10.0) -> bool:
    """Use up the volume's leave to be formatted: remove its tag.

    Return True only where the tag was seen, the removal was answered, and the tag was then seen to be gone. AwsError
    where a call failed: the tag may be gone all the same, and must then never be taken for removed by us.
    """
    volume = find_volume(ec2, volume_id)
    if volume is None or not volume.format_once:
        return False
    with explained():
        ec2.delete_tags(Resources=[volume_id], Tags=[{"Key": TAG_FORMAT}])

    def is_gone() -> bool | None:
        left = find_volume(ec2, volume_id)
        if left is None or left.format_once:
            return None
        return True

    return bool(poll(is_gone, timeout=timeout, every=0.5))


def _volume(raw: dict[str, Any], region: str) -> Volume:
    """Return the volume of a reply."""
    named = tags.values(raw)
    is_blank = not raw.get("SnapshotId")
    return Volume(
        volume_id=raw["VolumeId"],
        region=region,
        size_gb=raw.get("Size", 0),
        state=raw.get("State", UNKNOWN),
        availability_zone=raw.get("AvailabilityZone", ""),
        created_by_us=named.get(TAG_CREATED_BY) == CREATED_BY,
        kept=TAG_KEEP in named,
        instance_id=named.get(TAG_INSTANCE),
        attached_to=_attached_to(raw),
        format_once=is_blank and named.get(TAG_FORMAT) == FORMAT_ONCE,
    )


def _attached_to(raw: dict[str, Any]) -> str | None:
    """Return the instance that has the volume, `unknown` where EC2 does not say which; None where none has it."""
    attachments = raw.get("Attachments", [])
    if not attachments:
        return None
    instance_id: str = attachments[0].get("InstanceId", UNKNOWN)
    return instance_id

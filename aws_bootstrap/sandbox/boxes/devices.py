"""The disks of a box as a Nitro instance shows them. Pure.

On a g4dn the root volume and the instance store exist from the boot on, so a data volume is never nvme1n1:
https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html says that the order is not fixed, and that a
volume is identified by its serial, which is its id without the dash.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..cloud.world import Attachment, Machine

EBS_MODEL = "Amazon Elastic Block Store"
STORE_MODEL = "Amazon EC2 NVMe Instance Storage"
GIB = 1 << 30
GB = 10**9
# Decimal GB of the NVMe instance store: https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html
_STORE_GB = {
    "g4dn.xlarge": 125,
    "g4dn.2xlarge": 225,
    "g4dn.4xlarge": 225,
    "g4dn.8xlarge": 900,
    "g4dn.12xlarge": 900,
    "g4dn.16xlarge": 900,
    "g5.xlarge": 250,
    "g5.2xlarge": 450,
    "g5.4xlarge": 600,
    "g5.8xlarge": 900,
    "g6.xlarge": 250,
    "g6.2xlarge": 450,
}
_XEN = ("p2.", "p3.2", "p3.8", "p3.16", "g3.", "g3s.", "t2.", "m4.", "c4.")


def listing(machine: Machine) -> list[dict[str, Any]]:
    """Return every disk of the machine: name, serial, model, size in bytes, and its use."""
    volumes = sorted(machine.volumes, key=lambda volume: volume.device)
    if machine.instance_type.startswith(_XEN):
        return [_xen_root(machine), *(_xen_volume(volume) for volume in volumes)]
    disks = [_disk("root", f"vol0{machine.instance_id[2:]}"[:20], EBS_MODEL, machine.root_gb * GIB)]
    store = _STORE_GB.get(machine.instance_type)
    if store:
        serial = f"AWS{machine.instance_id[2:].upper():0<17}"[:20]
        disks.append(_disk("store", serial, STORE_MODEL, store * GB))
    disks += [_disk(v.volume_id, v.volume_id.replace("-", ""), EBS_MODEL, v.size_gb * GIB) for v in volumes]
    return [disk | {"name": f"nvme{number}n1"} for number, disk in enumerate(disks)]


def with_volumes(machine: Machine, volumes: tuple[Attachment, ...]) -> Machine:
    """Return the machine with these data volumes."""
    return replace(machine, volumes=volumes)


def _disk(use: str, serial: str, model: str, size: int) -> dict[str, Any]:
    """Return one disk, without its name. `use` is `root`, `store` or a volume id."""
    return {"use": use, "serial": serial, "model": model, "size": size, "name": ""}


def _xen_root(machine: Machine) -> dict[str, Any]:
    """Return the root disk of a Xen instance."""
    return _disk("root", "", "", machine.root_gb * GIB) | {"name": "xvda"}


def _xen_volume(volume: Attachment) -> dict[str, Any]:
    """Return a data volume of a Xen instance, where /dev/sdf is xvdf and has no serial."""
    name = volume.device.removeprefix("/dev/").replace("sd", "xvd", 1)
    return _disk(volume.volume_id, "", "", volume.size_gb * GIB) | {"name": name}

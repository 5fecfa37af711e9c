"""The disks of this box: their properties, filesystems and mounts.

A data volume's contents are a folder of their own: /run/sandbox/volumes/VOLUME holds `format.json`
once it is formatted, `files`, and `disk`, the sparse file that real programs read instead of its device. The root
disk and the instance store have no contents here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import box

STORE_MOUNT = "/opt/dlami/nvme"
_VOLUMES = "/run/sandbox/volumes"
_MOUNTS = "/run/sandbox/mounts.json"


def listing() -> list[dict]:
    """Return every disk of the box."""
    return box.facts("devices.json")


def find(text: str) -> dict | None:
    """Return the disk with this device name or UUID=, or None."""
    for disk in listing():
        if text in (disk["name"], device(disk)) or text == f"UUID={filesystem(disk).get('uuid')}":
            return disk
    return None


def device(disk: dict) -> str:
    """Return the path of the disk's device."""
    return "/dev/" + disk["name"]


def is_volume(disk: dict) -> bool:
    """Return whether the disk is a data volume: neither the root disk nor the instance store."""
    return disk["use"] not in ("root", "store")


def contents(disk: dict) -> Path:
    """Return the folder with the volume's contents."""
    if box.HAS_NAMESPACES:
        return Path(_VOLUMES, disk["use"])
    return Path(os.environ["SANDBOX_VOLUMES"], disk["use"])


def filesystem(disk: dict) -> dict[str, str]:
    """Return the disk's filesystem: {"type", "uuid"}; empty if it has none."""
    if disk["use"] == "root":
        return {"type": "ext4", "uuid": "7a1c0000-0000-4000-8000-000000000001", "label": "cloudimg-rootfs"}
    if disk["use"] == "store":
        return {"type": "ext4", "uuid": "7a1c0000-0000-4000-8000-000000000002"}
    kept = contents(disk) / "format.json"
    if not kept.exists():
        return {}
    return json.loads(kept.read_text())


def image(word: str) -> str:
    """Return the file that a program must read instead of a data volume's device; any other word unchanged."""
    if not word.startswith("/dev/"):
        return word
    disk = find(word)
    if disk is None or not is_volume(disk):
        return word
    path = contents(disk) / "disk"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(disk["size"])
    return str(path)


def volume_mounts() -> dict[str, str]:
    """Return where each data volume is mounted: mount point -> device name without /dev/."""
    table = box.place(_MOUNTS)
    if not table.exists():
        return {}
    return json.loads(table.read_text())


def save_volume_mounts(mounts: dict[str, str]) -> None:
    """Save where each data volume is mounted."""
    box.place(_MOUNTS).write_text(json.dumps(mounts))


def all_mounts() -> dict[str, str]:
    """Return every mount of a disk, the root's and the instance store's included."""
    names = {disk["use"]: disk["name"] for disk in listing()}
    found = {"/": names["root"]}
    if "store" in names:
        found[STORE_MOUNT] = names["store"]
    found.update(volume_mounts())
    return found

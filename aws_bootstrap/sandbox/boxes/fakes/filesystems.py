"""blkid, wipefs, mkfs and e2fsck: the filesystems of the disks, read and changed."""

from __future__ import annotations

import json
import shutil
import uuid

import box
import disks

NOTHING_FOUND = 2
_MAGIC_AT = 0x438


def blkid(program: str, arguments: list[str]) -> int:
    """Print the filesystems of the disks; return 2 if nothing is found, as blkid(8) does."""
    output, tag, names = _blkid_options(arguments)
    status = NOTHING_FOUND
    for disk in _chosen(names):
        shown = _tags(disk, tag)
        if shown:
            status = 0
            _show_tags(disk, shown, output)
    return status


def _chosen(names: list[str]) -> list[dict]:
    """Return the disks of these names, without those that do not exist; all disks if there are no names."""
    if not names:
        return disks.listing()
    found = []
    for name in names:
        disk = disks.find(name)
        if disk:
            found.append(disk)
    return found


def _blkid_options(arguments: list[str]) -> tuple[str, str, list[str]]:
    """Return the output format (-o), the one tag to print (-s), and the devices."""
    output, tag = "full", ""
    names = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "-o":
            output = rest.pop(0)
        elif word == "-s":
            tag = rest.pop(0)
        elif not word.startswith("-"):
            names.append(word)
    return output, tag, names


def _tags(disk: dict, tag: str) -> dict[str, str]:
    """Return this tag of the disk's filesystem, or all tags."""
    carried = disks.filesystem(disk)
    found = {}
    for name in ("LABEL", "UUID", "TYPE"):
        value = carried.get(name.lower())
        if value and tag in ("", name):
            found[name] = value
    return found


def _show_tags(disk: dict, tags: dict[str, str], output: str) -> None:
    if output == "value":
        box.say(*tags.values())
    elif output == "export":
        box.say(f"DEVNAME={disks.device(disk)}")
        for name, value in tags.items():
            box.say(f"{name}={value}")
    else:
        shown = " ".join(f'{name}="{value}"' for name, value in tags.items())
        box.say(f"{disks.device(disk)}: {shown}")


def wipefs(program: str, arguments: list[str]) -> int:
    """Print the signatures on a disk; with -a wipe them."""
    wipe = "-a" in arguments or "--all" in arguments
    for name in box.words(arguments):
        disk = disks.find(name)
        if disk is None:
            return box.complain(f"wipefs: error: {name}: probing initialization failed: No such file or directory")
        carried = disks.filesystem(disk)
        if carried and wipe:
            (disks.contents(disk) / "format.json").unlink(missing_ok=True)
            (disks.contents(disk) / "disk").unlink(missing_ok=True)
        elif carried:
            box.say("DEVICE OFFSET TYPE UUID LABEL", f"{disk['name']} 0x438 {carried['type']} {carried['uuid']}")
    return 0


def mkfs(program: str, arguments: list[str]) -> int:
    """Format a data volume; its contents are deleted."""
    filesystem_type = program.partition(".")[2]
    disk = disks.find(_last_device(arguments))
    if disk is None:
        return box.complain(f"The file {arguments[-1]} does not exist and no size was specified.")
    device = disks.device(disk)
    if disk["name"] in disks.all_mounts().values():
        return box.complain(f"{device} is mounted; will not make a filesystem here!")
    if not disks.is_volume(disk):
        return box.complain(f"{device} is apparently in use by the system; will not make a filesystem here!")
    folder = disks.contents(disk)
    shutil.rmtree(folder / "files", ignore_errors=True)
    (folder / "files").mkdir(parents=True)
    (folder / "files/lost+found").mkdir()
    (folder / "format.json").write_text(json.dumps({"type": filesystem_type, "uuid": str(uuid.uuid4())}))
    _write_magic(disk)
    return 0


def _last_device(arguments: list[str]) -> str:
    """Return the last argument that is a device; empty if there is none."""
    found = ""
    for word in arguments:
        if word.startswith("/dev/"):
            found = word
    return found


def _write_magic(disk: dict) -> None:
    """Write ext's magic number: a program that reads the device of a formatted disk must not find it empty."""
    with open(disks.image(disks.device(disk)), "r+b") as file:
        file.seek(_MAGIC_AT)
        file.write(b"\x53\xef")


def blockdev(program: str, arguments: list[str]) -> int:
    """Print the size of a disk in bytes."""
    name = box.words(arguments)[0]
    disk = disks.find(name)
    if disk is None:
        return box.complain(f"blockdev: cannot open {name}: No such file or directory")
    box.say(str(disk["size"]))
    return 0


def grow(program: str, arguments: list[str]) -> int:
    """Grow a filesystem to the size of its disk: resize2fs takes the device, xfs_growfs the mount point."""
    name = box.words(arguments)[0]
    disk = disks.find(name) or disks.find("/dev/" + disks.volume_mounts().get(box.box_path(name), ""))
    if disk is None or not disks.is_volume(disk):
        return box.complain(f"{program}: {name}: No such file or directory")
    carried = disks.filesystem(disk)
    (disks.contents(disk) / "format.json").write_text(json.dumps({**carried, "bytes": disk["size"]}))
    return 0


def e2fsck(program: str, arguments: list[str]) -> int:
    """Report every ext filesystem as clean."""
    return 0

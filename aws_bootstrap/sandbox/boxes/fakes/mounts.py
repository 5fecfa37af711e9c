"""mount, umount, findmnt and mountpoint, on the disks of this box."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import box
import disks

MOUNT_FAILED = 32
_REAL_MOUNT, _REAL_UMOUNT = "/bin/mount", "/bin/umount"
_WITH_VALUE = ("-t", "-o", "--types", "--options")


def mount(program: str, arguments: list[str]) -> int:
    """Mount a data volume. Without arguments print the mounts; run the real mount for anything but a disk."""
    if not arguments:
        for point, name in disks.all_mounts().items():
            box.say(f"/dev/{name} on {point} type ext4 (rw,relatime)")
        return 0
    if "-a" in arguments:
        return _mount_fstab()
    words = _words(arguments)
    disk = None
    if words:
        disk = disks.find(words[0])
    if disk is None and box.HAS_NAMESPACES:
        return _real(_REAL_MOUNT, arguments)
    if disk is None:
        return box.complain(f"mount: {words[0]}: no such device", status=MOUNT_FAILED)
    point = _point(words)
    if not point:
        return box.complain(f"mount: {words[0]}: can't find in /etc/fstab.")
    return _mount(disk, point)


def _words(arguments: list[str]) -> list[str]:
    """Return the arguments that are neither options nor their values."""
    words = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in _WITH_VALUE:
            rest.pop(0)
        elif not word.startswith("-"):
            words.append(word)
    return words


def _point(words: list[str]) -> str:
    """Return the mount point on the command line, else the one in /etc/fstab; empty if there is none."""
    if len(words) > 1:
        return box.box_path(words[1])
    for row in _fstab():
        if words[0] in (row[0], row[1]):
            return row[1]
    return ""


def _mount(disk: dict, point: str) -> int:
    if not disks.filesystem(disk):
        device = disks.device(disk)
        return box.complain(
            f"mount: {point}: wrong fs type, bad option, bad superblock on {device}.", status=MOUNT_FAILED
        )
    if not box.place(point).is_dir():
        return box.complain(f"mount: {point}: mount point does not exist.", status=MOUNT_FAILED)
    if not disks.is_volume(disk):
        return 0
    status = _bind(disks.contents(disk) / "files", box.place(point))
    if status:
        return status
    mounts = disks.volume_mounts()
    mounts[point] = disk["name"]
    disks.save_volume_mounts(mounts)
    return 0


def _bind(source: Path, target: Path) -> int:
    """Make the folder appear at the mount point: a real mount in a namespace, a link in a plain box."""
    if box.HAS_NAMESPACES:
        return _real(_REAL_MOUNT, ["--bind", str(source), str(target)])
    target.rmdir()
    target.symlink_to(source)
    return 0


def _unbind(target: Path) -> None:
    if box.HAS_NAMESPACES:
        _real(_REAL_UMOUNT, ["--lazy", str(target)])
        return
    target.unlink()
    target.mkdir()


def _real(program: str, arguments: list[str]) -> int:
    return subprocess.run([program, *arguments], check=False).returncode


def _fstab() -> list[list[str]]:
    """Return the fields of each line."""
    lines = box.place("/etc/fstab").read_text().splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def _mount_fstab() -> int:
    """Mount the existing volumes of /etc/fstab, as a boot does. Missing ones are skipped (nofail)."""
    status = 0
    for device, point, *_ in _fstab():
        disk = disks.find(device)
        if disk is None or not disks.is_volume(disk) or point in disks.volume_mounts():
            continue
        box.place(point).mkdir(parents=True, exist_ok=True)
        status = _mount(disk, point) or status
    return status


def umount(program: str, arguments: list[str]) -> int:
    """Unmount a data volume, by its mount point or its device."""
    for word in box.words(arguments):
        points = _points_of(word)
        if not points:
            return box.complain(f"umount: {word}: not mounted.", status=MOUNT_FAILED)
        for point in points:
            _unbind(box.place(point))
            mounts = disks.volume_mounts()
            del mounts[point]
            disks.save_volume_mounts(mounts)
    return 0


def _points_of(word: str) -> list[str]:
    """Return the mount points of the data volumes with this mount point or device."""
    disk = disks.find(word)
    found = []
    for point, name in disks.volume_mounts().items():
        if point == box.box_path(word) or (disk and name == disk["name"]):
            found.append(point)
    return found


def eject(program: str, arguments: list[str]) -> int:
    """Unmount a volume wherever it is mounted. The sandbox runs this before it detaches a volume."""
    volume = arguments[0]
    names = [disk["name"] for disk in disks.listing() if disk["use"] == volume]
    points = [point for point, name in disks.volume_mounts().items() if name in names]
    return umount(program, points)


def mountpoint(program: str, arguments: list[str]) -> int:
    """Print whether a folder is a mount point."""
    path = box.box_path(box.words(arguments)[0])
    is_one = _is_mount_point(path)
    if "-q" not in arguments:
        box.say(f"{path} is a mountpoint" if is_one else f"{path} is not a mountpoint")
    return 0 if is_one else MOUNT_FAILED


def _is_mount_point(path: str) -> bool:
    for point in disks.all_mounts():
        if point.rstrip("/") == path.rstrip("/"):
            return True
    return box.HAS_NAMESPACES and os.path.ismount(path)


# --- findmnt ----------------------------------------------------------------------------------------------------


def findmnt(program: str, arguments: list[str]) -> int:
    """Print the mounts that match --source, --target or --mountpoint (or a bare word), in the requested columns."""
    columns, requested, header = _findmnt_options(arguments)
    rows = []
    for point, name in disks.all_mounts().items():
        if _matches(point, name, requested):
            rows.append(_row(point, name))
    if not rows:
        return 1
    if header:
        box.say(" ".join(columns))
    for row in rows:
        box.say(" ".join(row.get(column, "") for column in columns))
    return 0


def _findmnt_options(arguments: list[str]) -> tuple[list[str], list[str], bool]:
    """Return the columns, what a mount must match, and whether to print a header."""
    columns = "TARGET,SOURCE,FSTYPE,OPTIONS"
    requested = []
    header = True
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, _, value = word.partition("=")
        if name in ("-o", "--output"):
            columns = value or rest.pop(0)
        elif name in ("--source", "-S", "--target", "-T", "--mountpoint", "-M"):
            requested.append(box.box_path(value or rest.pop(0)))
        elif not word.startswith("-"):
            requested.append(box.box_path(word))
        elif "n" in word:  # -n, --noheadings, or an n among other letters
            header = False
    return columns.upper().split(","), requested, header


def _matches(point: str, name: str, requested: list[str]) -> bool:
    """Return whether each of the requested words is the mount's point, its device or its UUID=."""
    names = {point, "/dev/" + name}
    disk = disks.find(name)
    if disk:
        names.add(f"UUID={disks.filesystem(disk).get('uuid')}")
    return all(word in names or word.rstrip("/") in names for word in requested)


def _row(point: str, name: str) -> dict[str, str]:
    carried = disks.filesystem(disks.find(name) or {"use": "root"})
    return {
        "TARGET": point,
        "SOURCE": "/dev/" + name,
        "FSTYPE": carried.get("type", ""),
        "UUID": carried.get("uuid", ""),
        "OPTIONS": "rw,relatime",
    }

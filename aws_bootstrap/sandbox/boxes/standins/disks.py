"""lsblk, blkid, mount and their like, on the disks that EC2 shows this box.

A data volume's contents are a folder that goes with the volume: /run/sandbox/volumes/VOLUME holds `format.json`
once it is formatted, `files`, and `disk`, the sparse file that real programs read in place of its device. The root
disk and the instance store are shown, not kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import box

VOLUMES = "/run/sandbox/volumes"
STORE_MOUNT = "/opt/dlami/nvme"
NOTHING_FOUND, USAGE = 2, 2
_REAL_MOUNT, _REAL_UMOUNT = "/bin/mount", "/bin/umount"


def _disks() -> list[dict]:
    return box.facts("devices.json")


def _store(disk: dict) -> Path:
    """The folder with the volume's contents."""
    base = Path(os.environ["SANDBOX_VOLUMES"]) if not box.APART else Path(VOLUMES)
    return base / disk["use"]


def _format(disk: dict) -> dict:
    """What the disk carries: {"type", "uuid"}, empty when it is bare."""
    if disk["use"] == "root":
        return {"type": "ext4", "uuid": "7a1c0000-0000-4000-8000-000000000001", "label": "cloudimg-rootfs"}
    if disk["use"] == "store":
        return {"type": "ext4", "uuid": "7a1c0000-0000-4000-8000-000000000002"}
    kept = _store(disk) / "format.json"
    return json.loads(kept.read_text()) if kept.exists() else {}


def _mounts() -> dict[str, str]:
    """Where which disk is mounted: mount point -> device name without /dev/."""
    table = box.place("/run/sandbox/mounts.json")
    return json.loads(table.read_text()) if table.exists() else {}


def _keep_mounts(mounts: dict[str, str]) -> None:
    box.place("/run/sandbox/mounts.json").write_text(json.dumps(mounts))


def _all_mounts() -> dict[str, str]:
    """Every mount that a person would look for, the root's and the instance store's too."""
    fixed = {"/": "root"} | ({STORE_MOUNT: "store"} if any(disk["use"] == "store" for disk in _disks()) else {})
    names = {disk["use"]: disk["name"] for disk in _disks()}
    return {point: names[use] for point, use in fixed.items()} | _mounts()


def _disk(text: str) -> dict | None:
    """The disk that a device name, or a UUID= of it, means."""
    for disk in _disks():
        if text in (disk["name"], "/dev/" + disk["name"]) or text == f"UUID={_format(disk).get('uuid')}":
            return disk
    return None


def image(word: str) -> str:
    """The file that a program is to read where a word of its command line is a data volume's device; else the word."""
    disk = _disk(word) if word.startswith("/dev/") else None
    if disk is None or disk["use"] in ("root", "store"):
        return word
    path = _store(disk) / "disk"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(disk["size"])
    return str(path)


def _write_header(disk: dict) -> None:
    """Where a program reads the device of a formatted disk, it is not empty: ext's magic number in its place."""
    with open(image("/dev/" + disk["name"]), "r+b") as file:
        file.seek(0x438)
        file.write(b"\x53\xef")


# --- lsblk ------------------------------------------------------------------------------------------------------


def lsblk(program: str, arguments: list[str]) -> int:
    """The disks in the columns asked for: as a table, as KEY="value" pairs (-P) or as JSON (-J)."""
    flags = _flags(arguments)
    columns = [name.upper() for name in (flags["columns"] or "NAME,MAJ:MIN,RM,SIZE,RO,TYPE,MOUNTPOINTS").split(",")]
    wanted = [found for name in flags["names"] if (found := _disk(name))]
    missing = [name for name in flags["names"] if not _disk(name)]
    if missing:
        return box.complain(f"lsblk: {missing[0]}: not a block device") + 31
    rows = [_row(disk, number, flags) for number, disk in enumerate(wanted or _disks())]
    unknown = [name for name in columns if rows and name not in rows[0]]
    if unknown:
        return box.complain(f"lsblk: unknown column: {unknown[0]}")
    _print_rows(rows, columns, flags)
    return 0


def _flags(arguments: list[str]) -> dict[str, Any]:
    """lsblk's options; short ones may be run together (-dpno)."""
    found: dict[str, Any] = {"columns": "", "names": [], "letters": set()}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("--output"):
            found["columns"] = word.partition("=")[2] or rest.pop(0)
        elif word.startswith("--"):
            found["letters"].add(
                {
                    "--paths": "p",
                    "--noheadings": "n",
                    "--nodeps": "d",
                    "--pairs": "P",
                    "--json": "J",
                    "--bytes": "b",
                    "--raw": "r",
                }.get(word, "")
            )
        elif word.startswith("-"):
            letters, output, columns = word[1:].partition("o")
            found["letters"] |= set(letters)
            if output:
                found["columns"] = columns or rest.pop(0)
        else:
            found["names"].append(word)
    return found


def _row(disk: dict, number: int, flags: dict) -> dict[str, str]:
    points = [
        box.place(point).as_posix() if not box.APART else point
        for point, name in _all_mounts().items()
        if name == disk["name"]
    ]
    points = [box.own(point) for point in points]
    carried = _format(disk)
    size = str(disk["size"]) if "b" in flags["letters"] else _size(disk["size"])
    return {
        "NAME": ("/dev/" if "p" in flags["letters"] else "") + disk["name"],
        "KNAME": ("/dev/" if "p" in flags["letters"] else "") + disk["name"],
        "PATH": "/dev/" + disk["name"],
        "MAJ:MIN": f"259:{number}",
        "RM": "0",
        "RO": "0",
        "SIZE": size,
        "TYPE": "disk",
        "SERIAL": disk["serial"],
        "MODEL": disk["model"],
        "FSTYPE": carried.get("type", ""),
        "UUID": carried.get("uuid", ""),
        "LABEL": carried.get("label", ""),
        "PTTYPE": "",
        "PKNAME": "",
        "MOUNTPOINT": points[0] if points else "",
        "MOUNTPOINTS": "\n".join(points),
    }


def _size(size: int) -> str:
    gib = size / (1 << 30)
    return f"{gib:.0f}G" if gib == int(gib) else f"{gib:.1f}G"


def _print_rows(rows: list[dict[str, str]], columns: list[str], flags: dict) -> None:
    letters = flags["letters"]
    if "J" in letters:
        box.say(
            json.dumps(
                {"blockdevices": [{name.lower(): row[name] or None for name in columns} for row in rows]}, indent=3
            )
        )
    elif "P" in letters:
        box.say(*(" ".join(f'{name}="{row[name]}"' for name in columns) for row in rows))
    else:
        table = ([] if "n" in letters else [{name: name for name in columns}]) + rows
        widths = {name: max(len(row[name]) for row in table) for name in columns}
        box.say(*(" ".join(row[name].ljust(widths[name]) for name in columns).rstrip() for row in table))


# --- blkid, wipefs, mkfs ----------------------------------------------------------------------------------------


def blkid(program: str, arguments: list[str]) -> int:
    """What a disk carries. Status 2 when nothing is found, as blkid(8) says."""
    output, tag, names = _blkid_options(arguments)
    found = 0
    for disk in [_disk(name) for name in names] if names else _disks():
        carried = _format(disk) if disk else {}
        values = {"LABEL": carried.get("label"), "UUID": carried.get("uuid"), "TYPE": carried.get("type")}
        shown = {name: value for name, value in values.items() if value and tag in ("", name)}
        if disk is None or not shown:
            continue
        found += 1
        if output == "value":
            box.say(*shown.values())
        elif output == "export":
            box.say(f"DEVNAME=/dev/{disk['name']}", *(f"{name}={value}" for name, value in shown.items()))
        else:
            box.say(f"/dev/{disk['name']}: " + " ".join(f'{name}="{value}"' for name, value in shown.items()))
    return 0 if found else NOTHING_FOUND


def _blkid_options(arguments: list[str]) -> tuple[str, str, list[str]]:
    output, tag, names, rest = "full", "", [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-o", "-s"):
            value = rest.pop(0)
            output, tag = (value, tag) if word == "-o" else (output, value)
        elif not word.startswith("-"):
            names.append(word)
    return output, tag, names


def wipefs(program: str, arguments: list[str]) -> int:
    """The signatures on a disk; with -a they are wiped."""
    for name in [word for word in arguments if not word.startswith("-")]:
        disk = _disk(name)
        if disk is None:
            return box.complain(f"wipefs: error: {name}: probing initialization failed: No such file or directory")
        carried = _format(disk)
        if carried and ("-a" in arguments or "--all" in arguments):
            (_store(disk) / "format.json").unlink(missing_ok=True)
            (_store(disk) / "disk").unlink(missing_ok=True)
        elif carried:
            box.say("DEVICE OFFSET TYPE UUID LABEL", f"{disk['name']} 0x438 {carried['type']} {carried['uuid']}")
    return 0


def mkfs(program: str, arguments: list[str]) -> int:
    """Formats a data volume: what it held is gone."""
    kind = program.partition(".")[2]
    disk = _disk(next((word for word in reversed(arguments) if word.startswith("/dev/")), ""))
    if disk is None:
        return box.complain(f"The file {arguments[-1]} does not exist and no size was specified.")
    if disk["name"] in _all_mounts().values():
        return box.complain(f"/dev/{disk['name']} is mounted; will not make a filesystem here!")
    if disk["use"] in ("root", "store"):
        return box.complain(f"/dev/{disk['name']} is apparently in use by the system; will not make a filesystem here!")
    shutil.rmtree(_store(disk) / "files", ignore_errors=True)
    (_store(disk) / "files").mkdir(parents=True)
    (_store(disk) / "files/lost+found").mkdir()
    (_store(disk) / "format.json").write_text(json.dumps({"type": kind, "uuid": str(uuid.uuid4())}))
    _write_header(disk)
    return 0


def e2fsck(program: str, arguments: list[str]) -> int:
    """Finds every ext filesystem of the sandbox clean."""
    return 0


# --- mount ------------------------------------------------------------------------------------------------------


def mount(program: str, arguments: list[str]) -> int:
    """Mounts a data volume; without arguments, or with others than a disk, tells or does what the real one would."""
    if not arguments:
        box.say(*(f"/dev/{name} on {point} type ext4 (rw,relatime)" for point, name in _all_mounts().items()))
        return 0
    if "-a" in arguments:
        return _mount_fstab()
    words = _mount_words(arguments)
    disk = _disk(words[0]) if words else None
    if disk is None:
        return _real(_REAL_MOUNT, arguments) if box.APART else box.complain(f"mount: {words[0]}: no such device") + 31
    point = box.own(words[1]) if len(words) > 1 else _fstab_point(words[0])
    if not point:
        return box.complain(f"mount: {words[0]}: can't find in /etc/fstab.")
    return _mount(disk, point)


def _mount_words(arguments: list[str]) -> list[str]:
    """The arguments that are neither options nor their values."""
    words, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-t", "-o", "--types", "--options"):
            rest.pop(0)
        elif not word.startswith("-"):
            words.append(word)
    return words


def _mount(disk: dict, point: str) -> int:
    if not _format(disk):
        return box.complain(f"mount: {point}: wrong fs type, bad option, bad superblock on /dev/{disk['name']}.") + 31
    if not box.place(point).is_dir():
        return box.complain(f"mount: {point}: mount point does not exist.") + 31
    if disk["use"] not in ("root", "store"):
        status = _bind(_store(disk) / "files", box.place(point))
        if status:
            return status
        _keep_mounts(_mounts() | {point: disk["name"]})
    return 0


def _bind(source: Path, target: Path) -> int:
    """Shows the folder at the mount point: a real mount in a namespace, a link in a plain box."""
    if box.APART:
        return _real(_REAL_MOUNT, ["--bind", str(source), str(target)])
    target.rmdir()
    target.symlink_to(source)
    return 0


def _unbind(target: Path) -> int:
    if box.APART:
        return _real(_REAL_UMOUNT, ["--lazy", str(target)])
    target.unlink()
    target.mkdir()
    return 0


def _real(program: str, arguments: list[str]) -> int:
    return subprocess.run([program, *arguments], check=False).returncode


def _fstab() -> list[list[str]]:
    lines = box.place("/etc/fstab").read_text().splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def _fstab_point(device: str) -> str:
    return next((row[1] for row in _fstab() if device in (row[0], row[1])), "")


def _mount_fstab() -> int:
    """What `mount -a`, and a boot, mounts: the volumes that are there. Those that are not are passed over (nofail)."""
    status = 0
    for device, point, *_ in _fstab():
        disk = _disk(device)
        if disk and disk["use"] not in ("root", "store") and point not in _mounts():
            box.place(point).mkdir(parents=True, exist_ok=True)
            status = _mount(disk, point) or status
    return status


def umount(program: str, arguments: list[str]) -> int:
    """Unmounts a data volume, by its mount point or its device."""
    for word in [argument for argument in arguments if not argument.startswith("-")]:
        disk = _disk(word)
        points = [
            point for point, name in _mounts().items() if point == box.own(word) or (disk and name == disk["name"])
        ]
        if not points:
            return box.complain(f"umount: {word}: not mounted.") + 31
        for point in points:
            _unbind(box.place(point))
            _keep_mounts({other: name for other, name in _mounts().items() if other != point})
    return 0


def eject(program: str, arguments: list[str]) -> int:
    """What the sandbox runs before a volume goes: unmounts it wherever it is mounted."""
    names = {disk["name"] for disk in _disks() if disk["use"] == arguments[0]}
    return umount(program, [point for point, name in _mounts().items() if name in names])


def mountpoint(program: str, arguments: list[str]) -> int:
    """Whether a folder is a mount point."""
    path = box.own(next(word for word in arguments if not word.startswith("-")))
    is_one = path.rstrip("/") in {point.rstrip("/") for point in _all_mounts()} or (box.APART and os.path.ismount(path))
    if "-q" not in arguments:
        box.say(f"{path} is {'' if is_one else 'not '}a mountpoint")
    return 0 if is_one else 32


def findmnt(program: str, arguments: list[str]) -> int:
    """The mounts that fit --source, --target or --mountpoint (or a bare word), in the columns asked for."""
    columns, wanted = ["TARGET", "SOURCE", "FSTYPE", "OPTIONS"], []
    rest, header = list(arguments), True
    while rest:
        word = rest.pop(0)
        name, _, value = word.partition("=")
        if name in ("-o", "--output"):
            columns = [column.upper() for column in (value or rest.pop(0)).split(",")]
        elif name in ("--source", "-S", "--target", "-T", "--mountpoint", "-M"):
            wanted.append(box.own(value or rest.pop(0)))
        elif word.startswith("-"):
            header = header and "n" not in word.lstrip("-").replace("noheadings", "n")
        else:
            wanted.append(box.own(word))
    rows = [_mount_row(point, name) for point, name in _all_mounts().items() if _fits(point, name, wanted)]
    if rows and header:
        box.say(" ".join(columns))
    box.say(*(" ".join(row.get(column, "") for column in columns) for row in rows))
    return 0 if rows else 1


def _fits(point: str, name: str, wanted: list[str]) -> bool:
    disk = _disk(name) or {}
    names = {point, "/dev/" + name, f"UUID={_format(disk).get('uuid')}" if disk else ""}
    return all(one.rstrip("/") in names or one in names for one in wanted)


def _mount_row(point: str, name: str) -> dict[str, str]:
    carried = _format(_disk(name) or {"use": "root"})
    return {
        "TARGET": point,
        "SOURCE": "/dev/" + name,
        "FSTYPE": carried.get("type", ""),
        "UUID": carried.get("uuid", ""),
        "OPTIONS": "rw,relatime",
    }

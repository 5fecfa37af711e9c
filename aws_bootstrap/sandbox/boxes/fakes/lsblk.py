"""lsblk: the disks in the requested columns, as a table, as KEY="value" pairs (-P) or as JSON (-J)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import box
import disks

GIB = 1 << 30
NOT_FOUND = 32
_COLUMNS = "NAME,MAJ:MIN,RM,SIZE,RO,TYPE,MOUNTPOINTS"
_LETTERS = {
    "--paths": "p",
    "--noheadings": "n",
    "--nodeps": "d",
    "--pairs": "P",
    "--json": "J",
    "--bytes": "b",
    "--raw": "r",
}


@dataclass
class _Options:
    """The options of the command line. `letters` are the options without a value, by their short names."""

    columns: str = ""
    names: list[str] = field(default_factory=list)
    letters: set[str] = field(default_factory=set)


def lsblk(program: str, arguments: list[str]) -> int:
    """Print the named disks, or all."""
    options = _options(arguments)
    columns = (options.columns or _COLUMNS).upper().split(",")
    chosen = []
    for name in options.names:
        disk = disks.find(name)
        if disk is None:
            return box.complain(f"lsblk: {name}: not a block device", status=NOT_FOUND)
        chosen.append(disk)
    rows = [_row(disk, number, options.letters) for number, disk in enumerate(chosen or disks.listing())]
    for name in columns:
        if rows and name not in rows[0]:
            return box.complain(f"lsblk: unknown column: {name}")
    _show(rows, columns, options.letters)
    return 0


def _options(arguments: list[str]) -> _Options:
    """Return lsblk's options; short ones may be combined (-dpno)."""
    found = _Options()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("--output"):
            found.columns = word.partition("=")[2] or rest.pop(0)
        elif word.startswith("--"):
            found.letters.add(_LETTERS.get(word, ""))
        elif word.startswith("-"):
            letters, output, columns = word[1:].partition("o")
            found.letters |= set(letters)
            if output:
                found.columns = columns or rest.pop(0)
        else:
            found.names.append(word)
    return found


def _row(disk: dict, number: int, letters: set[str]) -> dict[str, str]:
    """Return every column of a disk."""
    carried = disks.filesystem(disk)
    points = _mount_points(disk)
    name = disk["name"]
    if "p" in letters:
        name = disks.device(disk)
    size = _size(disk["size"])
    if "b" in letters:
        size = str(disk["size"])
    return {
        "NAME": name,
        "KNAME": name,
        "PATH": disks.device(disk),
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


def _mount_points(disk: dict) -> list[str]:
    return [point for point, name in disks.all_mounts().items() if name == disk["name"]]


def _size(size: int) -> str:
    gib = size / GIB
    if gib == int(gib):
        return f"{gib:.0f}G"
    return f"{gib:.1f}G"


def _show(rows: list[dict[str, str]], columns: list[str], letters: set[str]) -> None:
    if "J" in letters:
        _show_json(rows, columns)
    elif "P" in letters:
        for row in rows:
            box.say(" ".join(f'{name}="{row[name]}"' for name in columns))
    else:
        _show_table(rows, columns, header="n" not in letters)


def _show_json(rows: list[dict[str, str]], columns: list[str]) -> None:
    shown = []
    for row in rows:
        shown.append({name.lower(): row[name] or None for name in columns})
    box.say(json.dumps({"blockdevices": shown}, indent=3))


def _show_table(rows: list[dict[str, str]], columns: list[str], *, header: bool) -> None:
    table = list(rows)
    if header:
        table.insert(0, {name: name for name in columns})
    widths = {name: max(len(row[name]) for row in table) for name in columns}
    for row in table:
        cells = [row[name].ljust(widths[name]) for name in columns]
        box.say(" ".join(cells).rstrip())

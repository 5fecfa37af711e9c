"""Images of disks that carry something: what an EBS volume may look like when it comes back after years."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

from aws_bootstrap.tests.box.machines import command

MIB = 2**20


def disk(image: Path, writes: dict[int, bytes] | None = None, megabytes: int = 64) -> Path:
    """Return a new image that holds nothing but the writes."""
    with image.open("wb") as file:
        file.truncate(megabytes * MIB)
        for at, content in (writes or {}).items():
            file.seek(at)
            file.write(content)
    return image


def overwrite(image: Path, at: int, content: bytes) -> Path:
    """Change a part of an image."""
    with image.open("r+b") as file:
        file.seek(at)
        file.write(content)
    return image


def ext4(image: Path, *options: str) -> Path:
    """Return an image with an ext4 whose owner is somebody else than the login user."""
    command("mkfs.ext4", "-q", "-F", "-b", "1024", "-E", "root_owner=0:0", *options, disk(image))
    return image


def with_error_flag(image: Path) -> Path:
    """Return an ext4 that the kernel has marked as having errors."""
    command("debugfs", "-w", "-R", "set_super_value state 2", ext4(image))
    return image


def broken(image: Path) -> Path:
    """Return an ext4 whose root folder is gone: nothing that `e2fsck -p` would decide."""
    command("debugfs", "-w", "-R", "clri <2>", with_error_flag(image))
    return image


def partitioned(image: Path) -> Path:
    """Return a GPT with two partitions, an ext4 in the first."""
    partitions = "label: gpt\nsize=16MiB\nsize=16MiB\n"
    subprocess.run(["sfdisk", "-q", disk(image)], input=partitions, text=True, check=True)
    command("mkfs.ext4", "-q", "-F", "-E", f"offset={MIB}", image, "16m")
    return image


def lost_table(image: Path) -> Path:
    """Return an ext4 in a first partition whose table is gone."""
    command("mkfs.ext4", "-q", "-F", "-E", f"offset={MIB}", disk(image), "32m")
    return image


def physical_volume(image: Path) -> Path:
    """Return a disk of LVM: a label in its second sector."""
    body = struct.pack("<I8s32s", 32, b"LVM2 001", b"a" * 32).ljust(492, b"\0")
    checksum = zlib.crc32(body, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return disk(image, {512: b"LABELONE" + struct.pack("<QI", 1, checksum) + body})


def raid_member(image: Path) -> Path:
    """Return a disk of a Linux software RAID, version 1.2."""
    block = bytearray(256)
    struct.pack_into("<II", block, 0, 0xA92B4EFC, 1)
    struct.pack_into("<Q", block, 144, 8)
    return disk(image, {4096: bytes(block)})


def encrypted(image: Path) -> Path:
    """Return a disk with a LUKS header."""
    return disk(image, {0: b"LUKS\xba\xbe\0\x01".ljust(168, b"\0") + b"00000000-0000-4000-8000-000000000001\0"})


def swap(image: Path) -> Path:
    """Return swap space."""
    return disk(image, {1024: struct.pack("<III", 1, 1023, 0), 4086: b"SWAPSPACE2"})


# Each is left as it is, with and without leave to format; the words that name it.
LEFT_ALONE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "partitions": (partitioned, "is partitioned (gpt): 2 partitions, filesystems: ext4,none."),
    "raw data in the head": (lambda image: disk(image, {4096: b"rows"}), "there is data at byte 4096."),
    "raw data from 2 MiB on": (lambda image: disk(image, {2 * MIB: b"rows" * MIB}), "there is data at byte 2097152."),
    "ext4 without its partition table": (lost_table, "there is data at byte"),
    "ext4 without its first MiB": (lambda image: overwrite(ext4(image), 0, bytes(MIB)), "there is data at byte"),
    "LVM": (physical_volume, "is a physical volume of LVM (LVM2_member)"),
    "RAID": (raid_member, "is part of a RAID array (linux_raid_member)"),
    "LUKS": (encrypted, "is encrypted (crypto_LUKS)"),
    "swap": (swap, "is swap space (swap)"),
}

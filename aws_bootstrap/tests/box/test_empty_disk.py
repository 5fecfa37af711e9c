"""No disk that carries something is ever taken for empty: the places read, reads that fail, fake disks of all kinds."""

from __future__ import annotations

import ast
import ctypes
import mmap
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aws_bootstrap.resources import empty_disk
from aws_bootstrap.resources.empty_disk import GIB, KIB, MIB, TIB, NotEmpty
from aws_bootstrap.tests.box.standins import RESOURCES


def sparse(path: Path, size: int, writes: dict[int, bytes] | None = None) -> Path:
    """Return a file of that size that holds nothing but the writes."""
    with path.open("wb") as file:
        file.truncate(size)
        for at, content in (writes or {}).items():
            file.seek(at)
            file.write(content)
    return path


def is_read(size: int, at: int, length: int = 1) -> bool:
    """Return whether these bytes are among those that must be zero."""
    return any(begin <= at and at + length <= end for begin, end in empty_disk.ranges_to_read(size))


# Offsets from the formats' own documentation, as numbers: what the program computes must contain them.
EXT4_GROUPS = (1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343)
BACKUPS = {
    "ext4, blocks of 4 KiB": [group * 128 * MIB for group in EXT4_GROUPS],
    "ext4, blocks of 2 KiB": [group * 32 * MIB for group in EXT4_GROUPS],
    "ext4, blocks of 1 KiB": [group * 8 * MIB + KIB for group in EXT4_GROUPS],
    "ext4 in a lost first partition": [MIB + group * 128 * MIB for group in EXT4_GROUPS],
    "xfs, 4 groups": [25 * GIB, 50 * GIB, 75 * GIB],
    "btrfs": [64 * KIB, 64 * MIB],
    "btrfs in a lost first partition": [MIB + 64 * KIB, 65 * MIB],
    "LUKS2's second header": [0x4000 << shift for shift in range(9)],
    "backup GPT": [100 * GIB - 512 * sector for sector in range(1, 34)],
    "md 0.90": [100 * GIB - 64 * KIB],
    "md 1.0": [100 * GIB - 8 * KIB],
    "zfs labels": [0, 256 * KIB, 100 * GIB - 512 * KIB, 100 * GIB - 256 * KIB],
    "NTFS": [0, 100 * GIB - 512],
    "swap": [4096 - 10],
    "LVM": [512 * sector for sector in range(4)],
    "bcache": [4 * KIB],
}


@pytest.mark.parametrize("what", BACKUPS)
def test_the_places_of_headers_and_their_backups_are_read(what):
    assert [at for at in BACKUPS[what] if not is_read(100 * GIB, at, 64)] == []


def test_groups_of_large_disks_are_read():
    assert [at for at in (TIB, 2 * TIB, 5 * TIB, 7 * TIB) if not is_read(8 * TIB, at, 512)] == []
    assert is_read(300 * GIB, 256 * GIB, 4 * KIB), "the third mirror of btrfs"


@pytest.mark.parametrize("size", [1, 511, MIB, 100 * MIB, GIB, 100 * GIB, 16 * TIB])
def test_the_whole_disk_is_sampled_at_little_cost(size):
    ranges = empty_disk.ranges_to_read(size)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == size
    gaps = [later[0] - earlier[1] for earlier, later in zip(ranges, ranges[1:], strict=False)]
    assert all(0 < gap <= size / empty_disk.SAMPLES for gap in gaps)
    assert sum(end - begin for begin, end in ranges) <= 48 * MIB


def test_a_small_disk_is_read_whole():
    assert empty_disk.ranges_to_read(16 * MIB) == [(0, 16 * MIB)]


@st.composite
def fake_disks(draw: st.DrawFn) -> tuple[int, dict[int, bytes]]:
    """A size, and what is on the disk: headers, backups, partial data, at places of interest and anywhere."""
    size = draw(st.integers(1, 80 * MIB))
    places = [place for place in empty_disk.backup_places(size) if place < size]
    anywhere = st.integers(0, size - 1)
    at = st.one_of(st.sampled_from(places), anywhere) if places else anywhere
    content = st.one_of(st.binary(min_size=1, max_size=64), st.just(b"\0" * 4096), st.just(b"\0" * 70000 + b"x"))
    writes = draw(st.dictionaries(at, content, max_size=3))
    return size, {offset: text[: size - offset] for offset, text in writes.items()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(disk=fake_disks())
def test_a_disk_is_empty_only_if_every_byte_promised_is_zero(tmp_path, disk):
    size, writes = disk
    path = sparse(tmp_path / "disk", size, writes)
    try:
        empty_disk.check(path)
        told_empty = True
    except NotEmpty:
        told_empty = False
    with path.open("rb") as file:
        zero = True
        for begin, end in empty_disk.ranges_to_read(size):
            file.seek(begin)
            zero = zero and not file.read(end - begin).strip(b"\0")
    assert told_empty == zero


@pytest.mark.parametrize("at", [0, 2 * MIB + 5, 64 * MIB, 128 * MIB + 56, 140 * MIB - 1])
def test_a_single_byte_is_named(tmp_path, at):
    disk = sparse(tmp_path / "disk", 140 * MIB, {at: b"x"})
    with pytest.raises(NotEmpty, match=f"there is data at byte {at}$"):
        empty_disk.check(disk)


def test_what_cannot_be_read_is_not_empty(tmp_path):
    memory = os.open("/proc/self/mem", os.O_RDONLY)  # its first page is never there: a read fails with EIO
    with pytest.raises(NotEmpty, match="cannot be read at byte 0: Input/output error"):
        empty_disk.read_zeros(memory, 0, 4096)
    os.close(memory)
    disk = sparse(tmp_path / "disk", 1000)
    short = os.open(disk, os.O_RDONLY)
    with pytest.raises(NotEmpty, match="ends at byte 1000"):
        empty_disk.read_zeros(short, 0, 4096)
    os.close(short)
    with pytest.raises(NotEmpty, match="cannot be opened"):
        empty_disk.check(tmp_path / "none")
    with pytest.raises(NotEmpty, match="size is not known"):
        empty_disk.check(sparse(tmp_path / "nothing", 0))


def test_time_that_runs_out_is_not_empty(tmp_path):
    ticks = iter([0.0, 1.0, 61.0])
    with pytest.raises(NotEmpty, match="within 60 s"):
        empty_disk.check(sparse(tmp_path / "disk", 100 * MIB), clock=lambda: next(ticks))


@pytest.mark.parametrize("name", ["empty_disk.py", "fstab.py"])
def test_the_programs_run_on_the_oldest_python_of_an_image(name):
    ast.parse((RESOURCES / name).read_text(), feature_version=(3, 8))


@pytest.mark.skipif(sys.platform != "linux", reason="mincore is Linux's")
def test_the_kernel_does_not_read_ahead_between_the_samples(tmp_path):
    """It would read most of the disk: a new volume of 8 GB then took longer than the limit on a busy machine."""
    disk = sparse(tmp_path / "disk", GIB)
    read = empty_disk.check(str(disk))
    assert bytes_in_memory(disk) < 4 * read


def bytes_in_memory(path: Path) -> int:
    """Return how much of the file the kernel has read into its page cache: mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapping:
        pages = (ctypes.c_ubyte * (len(mapping) // mmap.PAGESIZE))()
        start = ctypes.c_char.from_buffer(mapping)
        failed = libc.mincore(ctypes.byref(start), ctypes.c_size_t(len(mapping)), pages)
        del start  # or the mapping could not be closed
    assert not failed, os.strerror(ctypes.get_errno())
    return mmap.PAGESIZE * sum(page & 1 for page in pages)

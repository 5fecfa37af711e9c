"""Decide whether a disk is empty. Run on the box as root, by mount_data_volume.sh:

    python3 empty_disk.py DEVICE

A new EBS volume reads as zeros. This program reads both ends of the disk, the places where filesystems, volume
managers and partition tables keep their headers and backup headers, and blocks spread evenly over the whole disk. If it
reads all of them in full and all are zero, it prints a line that begins with "empty:" and exits with status 0.
Otherwise the status is 1, and the line gives the reason.

A disk with data in only a few blocks can still pass. So this is the second guard. The first is the tag that is removed
from a volume before it is formatted. Standard library only, Python 3.8 or newer.
"""

import os
import sys
import time

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40

# Both ends are read in full. The start has the first headers (partition tables, LVM, swap, zfs, LUKS and the last place
# of its second header at 4 MiB, bcache, md 1.1 and 1.2) and the first partition, which begins at 1 MiB. The end has the
# backup GPT, md 0.90 and 1.0, the last zfs labels and NTFS's second boot sector.
END_BYTES = 8 * MIB
SAMPLES = 4096
SAMPLE_BYTES = 4 * KIB
# Read this much at each place of a backup header. It is more than a header, in case the computed place is not exact.
PLACE_BYTES = 16 * KIB
# Filesystems begin at the start of the disk, or of the first partition of a table that has been lost.
STARTS = (0, MIB)
SECONDS = 60
ZEROS = bytes(MIB)


class NotEmpty(Exception):
    """The disk is not provably empty. The message gives the reason."""


def ext_backups(length):
    """Return where ext2, ext3 and ext4 keep backup superblocks in a filesystem of LENGTH bytes.

    A group has eight blocks for each byte of a block. With sparse_super the groups 1 and the powers of 3, 5 and 7
    have a backup: https://www.kernel.org/doc/html/latest/filesystems/ext4/globals.html#super-block
    """
    places = []
    for block in (KIB, 2 * KIB, 4 * KIB, 64 * KIB):
        group_bytes = 8 * block * block
        if block == 64 * KIB:
            group_bytes = (8 * block - 8) * block  # the group's length is kept in 16 bits
        groups = {1}
        for base in (3, 5, 7):
            group = base
            while group * group_bytes < length:
                groups.add(group)
                group *= base
        for group in groups:
            places.append(group * group_bytes)
    return places


def xfs_backups(length):
    """Return where xfs keeps the headers of its allocation groups in a filesystem of LENGTH bytes.

    mkfs.xfs creates 4 groups, on arrays up to 32, and groups of 1 TiB above 4 TiB.
    """
    block = 4 * KIB
    blocks = length // block
    places = []
    for groups in (2, 4, 8, 16, 32):
        group_blocks = -(-blocks // groups)
        for group in range(1, groups):
            places.append(group * group_blocks * block)
    places += range(TIB, length, TIB)
    return places


def btrfs_mirrors():
    """Return where btrfs keeps copies of its superblock: https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html"""
    return [64 * MIB, 256 * GIB]


def backup_places(size):
    """Return where a backup header would begin on a disk of SIZE bytes."""
    places = []
    for start in STARTS:
        # A partition up to the end leaves 33 sectors for the backup GPT. Newer tools align its end to 1 MiB.
        lengths = [size] if start == 0 else [size - start - 33 * 512, size - 2 * start]
        for length in lengths:
            if length > 0:
                for place in ext_backups(length) + xfs_backups(length) + btrfs_mirrors():
                    places.append(start + place)
    return places


def ranges_to_read(size):
    """Return the (begin, end) that must be zero on a disk of SIZE bytes, in order and without overlaps."""
    ranges = [(0, END_BYTES), (size - END_BYTES, size)]
    for place in backup_places(size):
        ranges.append((place, place + PLACE_BYTES))
    for number in range(SAMPLES):
        begin = size * number // SAMPLES
        ranges.append((begin, begin + SAMPLE_BYTES))
    merged: list = []
    for begin, end in sorted(ranges):
        begin, end = max(begin, 0), min(end, size)
        if begin >= end:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def read_zeros(disk, begin, end):
    """Read a range of the open disk. Raises NotEmpty at a byte that is not zero, or if a read fails or is short."""
    at = begin
    while at < end:
        try:
            block = os.pread(disk, min(MIB, end - at), at)
        except OSError as error:
            raise NotEmpty(f"it cannot be read at byte {at}: {error.strerror}") from error
        if not block:
            raise NotEmpty(f"it ends at byte {at}, before its size")
        if block != ZEROS[: len(block)]:
            raise NotEmpty("there is data at byte {}".format(at + len(block) - len(block.lstrip(b"\0"))))
        at += len(block)


def check(path, seconds=SECONDS, clock=time.monotonic):
    """Return the number of bytes read, if all are zero. Raises NotEmpty otherwise, and when SECONDS have passed."""
    deadline = clock() + seconds
    try:
        # O_EXCL fails on a block device that the kernel uses: mounted, or part of LVM, md or a crypt device.
        disk = os.open(path, os.O_RDONLY | os.O_EXCL)
    except OSError as error:
        raise NotEmpty(f"it cannot be opened: {error.strerror}") from error
    try:
        size = os.lseek(disk, 0, os.SEEK_END)
        if size <= 0:
            raise NotEmpty("its size is not known")
        if hasattr(os, "posix_fadvise"):  # not on macOS
            # Without this the kernel reads ahead at every sample: up to the whole disk, which can take minutes.
            os.posix_fadvise(disk, 0, 0, os.POSIX_FADV_RANDOM)
        total = 0
        for begin, end in ranges_to_read(size):
            if clock() > deadline:
                raise NotEmpty(f"it could not be examined within {seconds} s")
            read_zeros(disk, begin, end)
            total += end - begin
        return total
    finally:
        os.close(disk)


def main(arguments):
    """Print whether the device is empty, or why not, and return the exit status."""
    try:
        total = check(arguments[0])
    except NotEmpty as reason:
        print(reason)
        return 1
    print(f"empty: {total} bytes read")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

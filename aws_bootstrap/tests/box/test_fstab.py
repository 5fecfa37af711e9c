"""Edits of /etc/fstab over arbitrary files: no line of anybody else's ever changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_bootstrap.resources import fstab
from aws_bootstrap.tests.box.standins import RESOURCES

ENTRY = b"UUID=1234 /data ext4 defaults,nofail,x-aws-bootstrap 0 2"
OLD = b"UUID=0000 /data xfs defaults,nofail,x-aws-bootstrap 0 0"
NEIGHBOURS = [
    b"LABEL=cloudimg-rootfs / ext4 discard,commit=30,errors=remount-ro 0 1",
    b"LABEL=UEFI\t/boot/efi\tvfat\tumask=0077 0 1\r",
    b"# our disk: x-aws-bootstrap /data",
    b"#UUID=0000 /data xfs defaults,x-aws-bootstrap 0 0",
    b"UUID=0000 /data2 xfs defaults,x-aws-bootstrap 0 0",
    b"UUID=0000 /data xfs defaults,x-aws-bootstrap-not 0 0",
    b"caf\xe9:/export /mnt/caf\xe9 nfs _netdev 0 0",
    b"/data",
    b"\0",
    b"",
]
OURS = [ENTRY, OLD, b"  UUID=9 \t /data/ ext4 x-aws-bootstrap,ro", OLD + b"\r"]
LINES = st.one_of(
    st.sampled_from(NEIGHBOURS), st.sampled_from(OURS), st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b" "))
)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


@given(lines=st.lists(LINES, max_size=8), ends=st.booleans())
def test_every_other_line_stays_and_one_is_ours(lines, ends):
    content = b"\n".join(lines) + (b"\n" if ends else b"")
    once = fstab.with_entry(content, ENTRY)
    others = [line for line in content.split(b"\n") if line not in OURS]
    left = once.split(b"\n")
    assert left.count(ENTRY) == 1
    assert [line for line in left if line in OURS] == [ENTRY]
    left.remove(ENTRY)
    assert [line for line in left if line] == [line for line in others if line]
    assert left.count(b"") - others.count(b"") in (0, 1), "an end may be added to the last line, no other byte"
    assert fstab.with_entry(once, ENTRY) == once


@pytest.mark.parametrize(
    ("line", "device"),
    [
        (b"UUID=7 /data ext4 defaults 0 2", [b"UUID=7"]),
        (b"\t/dev/sdf   /data/\text4", [b"/dev/sdf"]),
        (b"LABEL=x /data xfs defaults,x-aws-bootstrap-not 0 0", [b"LABEL=x"]),
        (b"UUID=7 /data ext4 defaults,x-aws-bootstrap 0 2", []),
        (b"# UUID=7 /data ext4 defaults 0 2", []),
        (b"UUID=7 /database ext4 defaults 0 2", []),
        (b"UUID=7", []),
    ],
)
def test_entries_of_others_for_the_mount_point_are_seen(line, device):
    assert fstab.other_devices(b"LABEL=root / ext4 defaults 0 1\n" + line, b"/data") == device


def test_the_file_keeps_its_mode_and_is_replaced_whole(etc):
    real, link = etc / "real", etc / "fstab"
    real.write_bytes(b"caf\xe9:/export /mnt nfs _netdev 0 0")
    real.chmod(0o640)
    link.symlink_to(real)
    program = [sys.executable, "-I", str(RESOURCES / "fstab.py")]
    for _ in range(2):
        subprocess.run([*program, "write", link, ENTRY.decode()], check=True)
    assert real.read_bytes() == b"caf\xe9:/export /mnt nfs _netdev 0 0\n" + ENTRY + b"\n"
    assert real.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(os.listdir(etc)) == ["fstab", "fstab.before-aws-bootstrap", "real"], "no draft is left"
    seen = subprocess.run([*program, "others", link, "/mnt"], check=True, capture_output=True)
    assert seen.stdout == b"caf\xe9:/export\n"


def test_a_copy_of_before_the_first_change_is_kept_once(etc):
    path, copy = etc / "fstab", etc / "fstab.before-aws-bootstrap"
    first = b"caf\xe9:/export /mnt nfs _netdev 0 0\r\n"
    path.write_bytes(first)
    path.chmod(0o640)
    fstab.write(str(path), OLD)
    assert copy.read_bytes() == first
    assert copy.stat().st_mode & 0o777 == 0o640
    fstab.write(str(path), ENTRY)
    assert path.read_bytes() == first + ENTRY + b"\n"
    assert copy.read_bytes() == first


def test_a_file_that_needs_no_change_gets_no_copy(etc):
    (etc / "fstab").write_bytes(ENTRY + b"\n")
    fstab.write(str(etc / "fstab"), ENTRY)
    assert os.listdir(etc) == ["fstab"]


def test_a_copy_that_cannot_be_written_changes_nothing(etc):
    (etc / "fstab").write_bytes(b"# mine\n")
    (etc / "fstab.before-aws-bootstrap.aws-bootstrap").mkdir()
    with pytest.raises(OSError):
        fstab.write(str(etc / "fstab"), ENTRY)
    assert (etc / "fstab").read_bytes() == b"# mine\n"


def test_a_file_that_cannot_be_read_is_reported(tmp_path):
    program = [sys.executable, "-I", str(RESOURCES / "fstab.py")]
    done = subprocess.run([*program, "write", tmp_path / "none", ENTRY.decode()], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("No such file or directory\n")
    assert len(done.stderr.splitlines()) == 1

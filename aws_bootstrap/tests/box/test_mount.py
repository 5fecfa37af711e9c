"""The mount script over stand-ins for the tools that it asks: what it formats, mounts, writes, and says."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aws_bootstrap.tests.box.standins import RESOURCES

SCRIPT = RESOURCES / "mount_data_volume.sh"
MIB = 2**20

# The tools, as functions over the files of a folder: `type` (the filesystem), `mounted`, `calls` (what root ran).
TOOLS = r"""
as_root() { echo "$*" >>"$T/calls"; "$@"; }
lsblk() {
  case $* in
    *SERIAL*) echo "NAME=\"$T/disk\" TYPE=\"disk\" SERIAL=\"vol0abc\" MOUNTPOINT=\"\"" ;;
    *RO*) echo " $answer_read_only" ;;
    *TYPE,FSTYPE*) printf 'disk \n%s' "$answer_partitions" ;;
    *NAME,TYPE*) printf 'sdx disk\n'; printf '%s' "$answer_partitions" | sed 's/^/sdx1 /' ;;
    *) echo sdx ;;
  esac
}
blkid() {
  case $* in
    *PTTYPE*) [[ -n $answer_table ]] && echo "$answer_table" || return 2 ;;
    *TYPE*) cat "$T/type" 2>/dev/null || return 2 ;;
    *UUID*) echo 1234 ;;
    *LABEL*) echo older ;;
    *) [[ ! -e $T/type ]] && return 2 || return 0 ;;
  esac
}
wipefs() { true; }
mkfs.ext4() { echo ext4 >"$T/type"; }
e2fsck() { [[ $1 == -V ]] || { echo "$answer_checked"; return "$answer_check_status"; }; }
mount() { touch "$T/mounted"; }
findmnt() {
  case $* in
    *SOURCE*) [[ -e $T/mounted ]] && echo "$T/disk" || return 1 ;;
    *OPTIONS*) echo "$answer_mount_options" ;;
    *TARGET*) [[ -n $answer_elsewhere ]] && echo "$answer_elsewhere" || return 1 ;;
  esac
}
chown() { true; }
systemctl() { true; }
"""


@dataclass
class Box:
    """A folder with a disk, an fstab and a mount point."""

    folder: Path
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make a blank disk."""
        self.disk.touch()
        os.truncate(self.disk, 40 * MIB)
        self.fstab.write_bytes(b"LABEL=root / ext4 defaults 0 1\n")

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def fstab(self) -> Path:
        return self.folder / "fstab"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def carries(self, kind: str) -> None:
        """Put a filesystem, or another signature, on the disk."""
        (self.folder / "type").write_text(kind + "\n")

    def run(self, call: str, *functions: str) -> subprocess.CompletedProcess[str]:
        """Call a function of the script with these answers of the tools."""
        known = {"read_only": "0", "partitions": "", "table": "", "checked": "", "check_status": "0", "elsewhere": ""}
        settings = known | {"mount_options": "rw,relatime"} | self.answers
        lines = [f"source {SCRIPT}", f"T={self.folder}", f"FSTAB={self.fstab}", f"MOUNT_POINT={self.data}", TOOLS]
        lines += [f"answer_{name}={shlex.quote(value)}" for name, value in settings.items()]
        text = "\n".join([*lines, *functions, call])
        return subprocess.run(["bash", "-c", text], capture_output=True, text=True, env=os.environ | {"T": "x"})

    def mount(self, leave: int = 1) -> subprocess.CompletedProcess[str]:
        """Mount the volume."""
        return self.run(f"mount_volume vol-0abc {leave} 5")

    def calls(self, *tools: str) -> list[str]:
        """What root ran of these tools."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.split()[0] in tools]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    folder = tmp_path / "box"
    folder.mkdir()
    return Box(folder)


def report(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# --- what is formatted -------------------------------------------------------------------------------------------


def judged(box: Box, **answers: str) -> str:
    """Return what the script's `is_empty` says of the disk, with these bodies for the tools it asks."""
    functions = [f"{name}() {{ {body}; }}" for name, body in answers.items()]
    call = f'if is_empty {box.disk}; then echo EMPTY; else echo "no: $REASON"; fi'
    return box.run(call, *functions).stdout.strip()


def test_a_new_disk_is_empty(box):
    assert judged(box) == "EMPTY"


@pytest.mark.parametrize(
    "answers",
    [
        {"blkid": "return 0"},
        {"blkid": "return 4"},
        {"blkid": "return 8"},
        {"blkid": "return 127"},
        {"wipefs": "return 1"},
        {"wipefs": "echo 0x438 ext4"},
        {"lsblk": "return 1"},
        {"lsblk": "echo sdx; echo sdx1"},
        {"timeout": "return 124"},
        {"timeout": "true"},
        {"timeout": "echo it works"},
        {"timeout": "echo 'empty: 1 bytes read'; return 1"},
    ],
    ids=str,
)
def test_any_other_answer_than_a_clean_one_is_not_empty(box, answers):
    assert judged(box, **answers).startswith("no: ")


def test_only_an_empty_disk_with_leave_is_formatted(box):
    done = box.mount(leave=0)
    assert (done.returncode, done.stdout) == (3, "") and box.calls("mkfs.ext4", "mount") == []
    assert done.stderr == f"{box.disk} is empty and carries no filesystem. Nothing was formatted\n"
    assert report(box.mount()) == {
        "device": str(box.disk),
        "mount_point": str(box.data),
        "fstype": "ext4",
        "formatted": True,
    }
    assert box.calls("mkfs.ext4", "mount") == [
        f"mkfs.ext4 -q {box.disk}",
        f"mount -t ext4 -o defaults {box.disk} {box.data}",
    ]
    assert box.fstab.read_text() == (
        "LABEL=root / ext4 defaults 0 1\n"
        f"UUID=1234 {box.data} ext4 defaults,nofail,x-systemd.device-timeout=30s,x-aws-bootstrap 0 2\n"
    )
    written = box.fstab.read_bytes()
    assert report(box.mount())["formatted"] is False and box.fstab.read_bytes() == written
    assert len(box.calls("mkfs.ext4", "mount")) == 2, "a second run formats and mounts nothing"


# Formatters: one that leaves no byte as it was, and this machine's own, where it has one.
SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
HARSH_MKFS = r"""mkfs.ext4() { tr '\0-\377' '\377' <"$2" >"$2.new" && cat "$2.new" >"$2"; }"""
OWN_MKFS = f'mkfs.ext4() {{ PATH={shlex.quote(SYSTEM_PATH)} command mkfs.ext4 "$@"; }}'
if not shutil.which("mkfs.ext4", path=SYSTEM_PATH):
    OWN_MKFS = HARSH_MKFS
SIGNATURES = [(1080, b"\x53\xef"), (0, b"XFSB"), (512, b"EFI PART"), (0, b"LUKS\xba\xbe"), (510, b"\x55\xaa")]


@st.composite
def small_disks(draw: st.DrawFn) -> tuple[int, dict[int, bytes]]:
    """The size of a disk that is read whole, and what is on it: headers, holes that were written, partial data."""
    size = draw(st.integers(1 * MIB, 16 * MIB))
    anywhere = st.integers(0, size - 1)
    data = st.one_of(st.binary(min_size=1, max_size=64), st.just(bytes(70000)), st.just(bytes(9000) + b"x"))
    at_random = st.tuples(anywhere, data)
    from_the_end = st.tuples(st.integers(1, 64 * 1024).map(lambda back: size - back), data)
    writes = draw(st.lists(st.one_of(at_random, from_the_end, st.sampled_from(SIGNATURES)), max_size=3))
    return size, {at: content[: size - at] for at, content in writes}


def non_zero_bytes_lost(before: bytes, after: bytes) -> list[int]:
    """Where bytes that were not zero are no longer what they were."""
    return [found.start() for found in re.finditer(rb"[^\0]+", before) if after[slice(*found.span())] != found[0]]


@pytest.mark.parametrize("mkfs", [OWN_MKFS, HARSH_MKFS], ids=["own", "harsh"])
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(disk=small_disks())
@example(disk=(5 * MIB, {}))
@example(disk=(16 * MIB, {9 * MIB + 130_001: b"x"}))
def test_no_byte_that_is_not_zero_is_ever_overwritten(tmp_path_factory, mkfs, disk):
    """blkid and wipefs are stand-ins that find nothing: reading the disk is all that stands before mkfs."""
    size, writes = disk
    box = Box(tmp_path_factory.mktemp("box"))
    with box.disk.open("wb") as file:
        file.truncate(size)
        for at, content in writes.items():
            file.seek(at)
            file.write(content)
    before = box.disk.read_bytes()
    done = box.run(f"format_if_empty {box.disk} 1", mkfs)
    after = box.disk.read_bytes()
    assert non_zero_bytes_lost(before, after) == []
    blank = not before.strip(b"\0")
    assert (done.returncode == 0) == blank, done.stderr
    assert (after != before) == blank, "a blank disk is formatted, any other is left as it was"


@pytest.mark.parametrize("leave", [0, 1])
def test_a_disk_with_data_is_not_formatted(box, leave):
    with box.disk.open("r+b") as file:
        file.seek(20 * MIB)
        file.write(b"rows")
    done = box.mount(leave)
    assert done.returncode == 1 and box.calls("mkfs.ext4", "mount") == []
    assert done.stderr == (
        f"{box.disk} carries no filesystem that is known, and is not provably empty: "
        "there is data at byte 20971520. Nothing was formatted\n"
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("LVM2_member", "is a physical volume of LVM (LVM2_member)"),
        ("crypto_LUKS", "is encrypted (crypto_LUKS)"),
        ("zfs_member", "is part of a zfs pool (zfs_member)"),
        ("linux_raid_member", "is part of a RAID array (linux_raid_member)"),
        ("isw_raid_member", "is part of a RAID array (isw_raid_member)"),
        ("swap", "is swap space (swap)"),
        ("bcache", "is part of something larger (bcache)"),
        ("drbd_member", "is part of something larger (drbd_member)"),
    ],
)
def test_what_is_no_filesystem_is_named(box, kind, words):
    box.carries(kind)
    done = box.mount()
    assert done.returncode == 1 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert box.calls("mkfs.ext4", "mount") == []


def test_partitions_are_told_with_what_they_carry(box):
    box.answers = {"table": "gpt", "partitions": "part ext4\npart \npart vfat\n"}
    done = box.mount()
    assert "is partitioned (gpt): 3 partitions, filesystems: ext4,none,vfat." in done.stderr
    assert done.returncode == 1 and box.calls("mkfs.ext4", "mount") == []


def test_a_read_only_disk_without_a_filesystem_is_not_formatted(box):
    box.answers = {"read_only": "1"}
    done = box.mount()
    assert done.returncode == 1 and "is read-only" in done.stderr and box.calls("mkfs.ext4") == []


# --- what is mounted ---------------------------------------------------------------------------------------------


def test_a_read_only_disk_is_mounted_read_only_and_that_is_said(box):
    box.carries("xfs")
    box.answers = {"read_only": "1", "mount_options": "ro,relatime"}
    done = box.mount()
    assert report(done)["fstype"] == "xfs" and done.stdout.startswith("note: the data volume is read-only")
    assert box.calls("mount") == [f"mount -t xfs -o defaults,ro {box.disk} {box.data}"]
    assert box.calls("chown") == [] and b",ro 0 0\n" in box.fstab.read_bytes()


@pytest.mark.parametrize(
    ("status", "mounted", "said"), [(0, True, ""), (1, True, "note: "), (4, False, ""), (8, False, "")]
)
def test_an_ext_filesystem_is_checked_before_it_is_mounted(box, status, mounted, said):
    box.carries("ext4")
    box.answers = {"check_status": str(status), "checked": "sudo: unable to resolve host box\nit was fixed"}
    done = box.mount()
    assert (done.returncode == 0) is mounted and bool(box.calls("mount")) is mounted
    assert box.calls("e2fsck")[-1] == f"e2fsck -p {box.disk}", "never forced, never answered for the user"
    if said:
        assert done.stdout.startswith(f"note: e2fsck has repaired the filesystem of {box.disk}: it was fixed\n")
    if not mounted:
        assert f"(e2fsck: status {status}). Nothing was mounted. Run: sudo e2fsck {box.disk}\n" in done.stderr


@pytest.mark.parametrize("device", ["UUID=1234", "LABEL=older", "DISK"])
def test_the_users_own_entry_for_this_volume_is_used_and_stays(box, device):
    box.carries("xfs")
    shown = str(box.disk) if device == "DISK" else device
    box.fstab.write_text(f"{shown}\t{box.data}/ xfs noatime 0 0")
    before = box.fstab.read_bytes()
    assert report(box.mount())["fstype"] == "xfs"
    assert box.calls("mount") == [f"mount {box.data}"] and box.fstab.read_bytes() == before


def test_an_entry_of_the_users_for_another_volume_is_not_touched(box):
    box.carries("xfs")
    box.fstab.write_text(f"UUID=5678 {box.data}/ xfs noatime 0 0\n")
    done = box.mount()
    assert done.returncode == 1 and "is about another device: UUID=5678" in done.stderr and box.calls("mount") == []


def test_a_folder_that_is_not_empty_is_not_hidden(box):
    box.data.mkdir()
    (box.data / "mine").touch()
    done = box.mount()
    assert done.returncode == 1 and "is not empty on the root volume" in done.stderr
    assert box.calls("ls") == [f"ls -A {box.data}"], "looked at as root: the login user may not see what is in it"
    assert box.calls("mkfs.ext4", "mount") == []


def test_a_volume_that_is_mounted_elsewhere_stays_there(box):
    box.carries("ext4")
    box.answers = {"elsewhere": "/srv"}
    done = box.mount()
    assert done.returncode == 1 and "is already mounted at /srv" in done.stderr and box.calls("mount") == []


def test_files_of_other_users_keep_their_owners_and_that_is_said(box):
    box.carries("ext4")
    others = box.run("give_to_user ''", "stat() { echo 1; }", "ls() { echo theirs; }")
    assert others.stdout.startswith("note: what is on the data volume belongs to other users; ")
    alone = box.run("give_to_user ''", "stat() { echo 1; }", "ls() { echo lost+found; }")
    assert alone.stdout == "" and len(box.calls("chown")) == 2


def test_a_second_mount_waits_for_the_first(box):
    home = os.open(os.environ["HOME"], os.O_RDONLY)
    fcntl.flock(home, fcntl.LOCK_EX)
    done = box.run("LOCK_SECONDS=0; mount_volume vol-0abc 1 5")
    os.close(home)
    assert done.returncode == 1 and done.stderr == "another mount has been running on this box for 0 s\n"
    assert box.calls("mkfs.ext4", "mount") == []
    assert report(box.mount())["formatted"] is True

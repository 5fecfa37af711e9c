"""The mount script over stand-ins for the tools that it asks: what it formats, mounts, writes, and says."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
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

# The tools, as functions over the files of a folder: `type` (the filesystem), `mounted`, `calls` (what root ran),
# `asked` (the tools that look, with every option). sudo serves only where it would never ask for a password.
TOOLS = r"""
sudo() { [[ $1 == -n ]] || return 1; shift; echo "$*" >>"$T/calls"; "$@"; }
lsblk() {
  echo "lsblk $*" >>"$T/asked"
  case $* in
    *SERIAL*) echo "NAME=\"$T/disk\" TYPE=\"disk\" SERIAL=\"vol0abc\" MOUNTPOINT=\"\"" ;;
    *RO*) echo " $answer_read_only" ;;
    *TYPE,FSTYPE*) printf 'disk \n%s' "$answer_partitions" ;;
    *NAME,TYPE*) printf 'sdx disk\n'; printf '%s' "$answer_partitions" | sed 's/^/sdx1 /' ;;
    *) echo sdx ;;
  esac
}
blkid() {
  echo "blkid $*" >>"$T/asked"
  case $* in
    *PTTYPE*) [[ -n $answer_table ]] && echo "$answer_table" || return 2 ;;
    *TYPE*) cat "$T/type" 2>/dev/null || return 2 ;;
    *UUID*) echo 1234 ;;
    *LABEL*) echo older ;;
    *) [[ ! -e $T/type ]] && return 2 || return 0 ;;
  esac
}
wipefs() { echo "wipefs $*" >>"$T/asked"; }
mkfs.ext4() { echo ext4 >"$T/type"; }
e2fsck() { [[ $1 == -V ]] || { echo "$answer_checked"; return "$answer_check_status"; }; }
mount() { touch "$T/mounted"; }
findmnt() {
  echo "findmnt $*" >>"$T/asked"
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

    def calls(self, *tools: str, of: str = "calls") -> list[str]:
        """What root ran of these tools, or of all; of="asked": what anybody asked those that look."""
        path = self.folder / of
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not tools or line.split()[0] in tools]


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
    assert (done.returncode, done.stdout) == (3, "")
    assert box.calls("mkfs.ext4", "mount") == []
    assert done.stderr == f"{box.disk} is empty and has no filesystem. Nothing was formatted\n"
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
    assert report(box.mount())["formatted"] is False
    assert box.fstab.read_bytes() == written
    assert len(box.calls("mkfs.ext4", "mount")) == 2, "a second run formats and mounts nothing"


def test_each_tool_is_asked_with_the_options_that_make_its_answer_certain(box):
    """-p: blkid and lsblk look at the device and not into a cache, or print paths. --mountpoint and --source: findmnt
    guesses which of the two is meant. -n of wipefs, -I of Python: nothing is written, nothing of the user's is run."""
    report(box.mount())
    here, disk, data = RESOURCES, box.disk, box.data
    entry = f"UUID=1234 {data} ext4 defaults,nofail,x-systemd.device-timeout=30s,x-aws-bootstrap 0 2"
    assert box.calls() == [
        f"blkid -p -o value -s TYPE {disk}",
        f"blkid -p -o value -s PTTYPE {disk}",
        f"blkid -p {disk}",
        f"wipefs -n {disk}",
        f"timeout 90 /usr/bin/python3 -I {here}/empty_disk.py {disk}",
        f"mkfs.ext4 -q {disk}",
        f"blkid -p -o value -s TYPE {disk}",
        f"timeout 90 /usr/bin/python3 -I {here}/fstab.py others {box.fstab} {data}",
        "e2fsck -V",
        f"e2fsck -p {disk}",
        f"mkdir -p {data}",
        f"mount -t ext4 -o defaults {disk} {data}",
        f"blkid -p -o value -s UUID {disk}",
        f"timeout 90 /usr/bin/python3 -I {here}/fstab.py write {box.fstab} {entry}",
        "systemctl daemon-reload",
    ]
    assert box.calls("lsblk", "findmnt", of="asked") == [
        "lsblk -p -P -o NAME,TYPE,SERIAL,MODEL,FSTYPE,PTTYPE,MOUNTPOINT,PKNAME",
        f"findmnt -n -o SOURCE --mountpoint {data}",
        f"findmnt -n -o TARGET --source {disk}",
        f"lsblk -n -r -o NAME,TYPE {disk}",
        f"lsblk -d -n -o RO {disk}",
        f"lsblk -n -r -o NAME {disk}",
        f"lsblk -d -n -o RO {disk}",
        f"findmnt -n -o SOURCE --mountpoint {data}",
        f"findmnt -n -o OPTIONS --mountpoint {data}",
    ]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"blkid": "return 8"}, "blkid finds a signature, or several (status 8)"),
        ({"blkid": "return 0"}, "blkid finds a signature, or several (status 0)"),
        ({"wipefs": "return 1"}, "wipefs finds something on it, or cannot read it"),
        ({"lsblk": "echo sdx; echo sdx1"}, "lsblk shows something below it, or fails"),
        ({"timeout": "return 124"}, "it could not be read within 90 s"),
        ({"timeout": "echo there is data at byte 7"}, "there is data at byte 7"),
    ],
    ids=str,
)
def test_why_a_disk_is_not_provably_empty_is_said(box, answers, reason):
    assert judged(box, **answers) == f"no: {reason}"


def test_a_disk_that_cannot_be_formatted_is_named(box):
    done = box.run("mount_volume vol-0abc 1 5", "mkfs.ext4() { return 1; }")
    assert (done.returncode, done.stderr) == (1, f"{box.disk} could not be formatted\n")
    assert box.calls("mount") == []


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
    assert done.returncode == 1
    assert box.calls("mkfs.ext4", "mount") == []
    assert done.stderr == (
        f"{box.disk} has no known filesystem, and is not provably empty: "
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
        ("swsuspend", "is swap space (swsuspend)"),
        ("ceph_bluestore", "is part of something larger (ceph_bluestore)"),
        ("bcache", "is part of something larger (bcache)"),
        ("drbd_member", "is part of something larger (drbd_member)"),
    ],
)
def test_what_is_no_filesystem_is_named(box, kind, words):
    box.carries(kind)
    done = box.mount()
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert box.calls("mkfs.ext4", "mount") == []


@pytest.mark.parametrize(
    ("table", "partitions", "said"),
    [
        ("gpt", "part ext4\npart \npart vfat\n", "(gpt): 3 partitions, filesystems: ext4,none,vfat."),
        ("dos", "", "(dos): 0 partitions, filesystems: none."),
        ("", "part xfs\n", "(unknown table): 1 partitions, filesystems: xfs."),
    ],
)
def test_partitions_are_reported_with_what_they_carry(box, table, partitions, said):
    box.answers = {"table": table, "partitions": partitions}
    done = box.mount()
    assert f"is partitioned {said} Nothing was mounted or formatted. Mount one by hand: " in done.stderr
    assert done.returncode == 1
    assert box.calls("mkfs.ext4", "mount") == []
    assert f"lsblk -n -r -o TYPE,FSTYPE {box.disk}" in box.calls("lsblk", of="asked")


def test_a_read_only_disk_without_a_filesystem_is_not_formatted(box):
    box.answers = {"read_only": "1"}
    done = box.mount()
    assert done.returncode == 1
    assert "is read-only" in done.stderr
    assert box.calls("mkfs.ext4") == []


# --- which device it is ------------------------------------------------------------------------------------------

SERIAL = 'NAME="/dev/nvme3n1" TYPE="disk" SERIAL="vol0abc" MOUNTPOINT=""'
UNNAMED = 'NAME="/dev/xvdf" TYPE="disk" SERIAL="" MOUNTPOINT=""'
OTHER = 'NAME="/dev/sdf" TYPE="disk" SERIAL="" MOUNTPOINT=""'


def waited(box: Box, looks: list[str], seconds: int = 60) -> tuple[subprocess.CompletedProcess[str], int]:
    """Wait for the device while lsblk shows one thing after the other, and the last again and again; how many looks."""
    for number, rows in enumerate(looks, 1):
        (box.folder / f"look{number}").write_text(rows + "\n")
    lsblk = f"""lsblk() {{
      echo "lsblk $*" >>"$T/asked"
      local number=$(wc -l <"$T/asked")
      cat "$T/look$((number < {len(looks)} ? number : {len(looks)}))"
    }}"""
    done = box.run(f"wait_for_device vol-0abc 1 {seconds}", lsblk, 'sleep() { echo "sleep $*" >>"$T/slept"; }')
    return done, len(box.calls(of="asked"))


def test_a_device_with_the_serial_is_taken_as_soon_as_it_is_there(box):
    done, looks = waited(box, ["", UNNAMED, f"{UNNAMED}\n{SERIAL}"])
    assert (done.returncode, done.stdout, looks) == (0, "/dev/nvme3n1\n", 3)
    assert box.calls(of="slept") == ["sleep 1", "sleep 1"]


def test_a_device_without_a_serial_is_believed_after_five_looks_more(box):
    """A disk that has just appeared may lack the serial that it is about to show."""
    done, looks = waited(box, [UNNAMED])
    assert (done.returncode, done.stdout, looks) == (0, "/dev/xvdf\n", 6)


@pytest.mark.parametrize("between", ["", OTHER])
def test_the_looks_count_from_anew_when_another_answer_comes_between(box, between):
    done, looks = waited(box, [*[UNNAMED] * 4, between, UNNAMED])
    assert (done.returncode, done.stdout, looks) == (0, "/dev/xvdf\n", 11)


def test_a_device_that_does_not_come_is_reported_after_the_time(box):
    done, looks = waited(box, [""], seconds=0)
    assert (done.returncode, done.stdout, looks) == (1, "", 1)
    assert done.stderr == "volume vol-0abc did not appear on this box within 0 s: is it attached?\n"


def test_nothing_is_looked_at_where_the_device_does_not_come(box):
    done = box.run("mount_volume vol-0abc 1 0", "lsblk() { true; }")
    assert done.returncode == 1
    assert box.calls() == []
    assert len(done.stderr.splitlines()) == 1


def test_where_the_volume_is_mounted_and_written_down():
    shown = subprocess.run(["bash", "-c", f"source {SCRIPT}; echo $MOUNT_POINT $FSTAB"], capture_output=True, text=True)
    assert shown.stdout == "/data /etc/fstab\n"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("vol-0abc", "vol-0abc 0 120"),
        ("vol-0abc --format-if-empty", "vol-0abc 1 120"),
        ("--wait 7 --format-if-empty vol-0abc", "vol-0abc 1 7"),
    ],
)
def test_what_the_command_line_means(box, words, given):
    assert box.run(f"main {words}", 'mount_volume() { echo "$*"; }').stdout == f"{given}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("vol-0abc --force", "unknown argument: --force"),
        ("vol-0abc --wait", "usage: mount_data_volume.sh vol-ID [--format-if-empty] [--wait SECONDS]"),
        ("vol-0abc --wait soon", "usage: mount_data_volume.sh vol-ID [--format-if-empty] [--wait SECONDS]"),
        ("--format-if-empty", "usage: mount_data_volume.sh vol-ID [--format-if-empty] [--wait SECONDS]"),
    ],
)
def test_a_command_line_that_means_nothing_is_refused(box, words, said):
    done = box.run(f"main {words}", 'mount_volume() { echo "$*"; }')
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{said}\n")


# --- what is mounted ---------------------------------------------------------------------------------------------


def test_a_read_only_disk_is_mounted_read_only_and_that_is_said(box):
    box.carries("xfs")
    box.answers = {"read_only": "1", "mount_options": "ro,relatime"}
    done = box.mount()
    assert report(done)["fstype"] == "xfs"
    assert done.stdout.startswith("note: the data volume is read-only")
    assert box.calls("mount") == [f"mount -t xfs -o defaults,ro {box.disk} {box.data}"]
    assert box.calls("chown") == []
    assert b",ro 0 0\n" in box.fstab.read_bytes()


@pytest.mark.parametrize(
    ("status", "mounted", "said"), [(0, True, ""), (1, True, "note: "), (4, False, ""), (8, False, "")]
)
def test_an_ext_filesystem_is_checked_before_it_is_mounted(box, status, mounted, said):
    box.carries("ext4")
    box.answers = {"check_status": str(status), "checked": "sudo: unable to resolve host box\nit was fixed"}
    done = box.mount()
    assert (done.returncode == 0) is mounted
    assert bool(box.calls("mount")) is mounted
    assert box.calls("e2fsck")[-1] == f"e2fsck -p {box.disk}", "never forced, never answered for the user"
    assert done.stdout.startswith("note: ") == bool(said)
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
    assert box.calls("mount") == [f"mount {box.data}"]
    assert box.fstab.read_bytes() == before
    asked = [call for call in box.calls("blkid") if "TYPE" not in call]
    assert asked == [f"blkid -p -o value -s {name} {box.disk}" for name in ("UUID", "LABEL")[: len(asked)]]


def test_a_box_without_e2fsck_mounts_without_a_check(box):
    box.carries("ext4")
    done = box.run("mount_volume vol-0abc 1 5", "e2fsck() { return 127; }")
    assert report(done)["fstype"] == "ext4"
    assert box.calls("e2fsck") == ["e2fsck -V"]


def test_an_entry_by_path_may_lead_to_the_device_by_a_link(box):
    box.carries("xfs")
    link = "/dev/disk/by-id/nvme-1"
    readlink = f'readlink() {{ [[ "$*" == "-f {link}" ]] && echo {box.disk}; }}'
    done = box.run(f"has_user_entry {box.disk}", f"run_python() {{ echo {link}; }}", readlink)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["vfat", "exfat", "ntfs", "ntfs3"])
def test_a_filesystem_without_owners_is_mounted_for_the_login_user(box, kind):
    box.carries(kind)
    report(box.mount())
    given = f",uid={os.getuid()},gid={os.getgid()}"
    assert box.calls("mount") == [f"mount -t {kind} -o defaults{given} {box.disk} {box.data}"]
    assert f"x-aws-bootstrap{given} 0 0\n" in box.fstab.read_text()
    assert box.calls("chown") == []


TROUBLE = {
    "mkdir() { return 1; }": "DATA could not be created",
    "mount() { echo sudo: no host; echo wrong fs type; echo see dmesg; echo more; return 32; }": (
        "DISK has the filesystem xfs, and could not be mounted: wrong fs type see dmesg"
    ),
    "stat() { echo 1; }; chown() { return 1; }": "DATA is mounted, but its owner could not be changed to USER",
    "blkid() { case $* in *TYPE*) echo xfs ;; *) return 2 ;; esac; }": "the filesystem xfs of DISK has no UUID",
    "run_python() { [[ $2 == others ]] || { echo no room; return 1; }; }": (
        "DATA is mounted, but will not be after a reboot: FSTAB could not be written: no room"
    ),
    "run_python() { return 1; }": "FSTAB could not be read",
    "findmnt() { [[ $* != *SOURCE* ]] || echo /dev/other; }": "DATA is already the mount point of /dev/other",
}


@pytest.mark.parametrize("tools", TROUBLE)
def test_what_stops_a_mount_is_said_in_one_sentence(box, tools):
    box.carries("xfs")
    done = box.run("mount_volume vol-0abc 1 5", tools)
    names = {"DATA": box.data, "DISK": box.disk, "FSTAB": box.fstab, "USER": pwd.getpwuid(os.getuid()).pw_name}
    said = re.sub("|".join(names), lambda match: str(names[match[0]]), TROUBLE[tools])
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{said}\n")


def test_an_entry_of_the_users_that_cannot_be_mounted_is_named(box):
    box.carries("xfs")
    box.fstab.write_text(f"UUID=1234 {box.data} xfs noatime 0 0\n")
    done = box.run("mount_volume vol-0abc 1 5", "mount() { echo bad option; return 32; }")
    assert done.stderr == f"{box.disk} could not be mounted as {box.fstab} says: bad option\n"
    assert done.returncode == 1


def test_a_systemd_that_does_not_answer_is_no_reason_to_fail(box):
    box.carries("xfs")
    assert report(box.run("mount_volume vol-0abc 1 5", "systemctl() { return 1; }"))["fstype"] == "xfs"


@pytest.mark.parametrize("device", ["UUID=5678", "/dev/sdz"])
def test_an_entry_of_the_users_for_another_volume_is_not_touched(box, device):
    box.carries("xfs")
    box.fstab.write_text(f"{device} {box.data}/ xfs noatime 0 0\n")
    done = box.mount()
    assert done.returncode == 1
    assert f"for another device: {device}" in done.stderr
    assert box.calls("mount") == []


def test_a_folder_that_is_not_empty_is_not_hidden(box):
    box.data.mkdir()
    (box.data / "mine").touch()
    done = box.mount()
    assert done.returncode == 1
    assert "is not empty on the root volume" in done.stderr
    assert box.calls("ls") == [f"ls -A {box.data}"], "looked at as root: the login user may not see what is in it"
    assert box.calls("mkfs.ext4", "mount") == []


def test_a_folder_that_cannot_be_listed_is_not_called_empty(box):
    box.data.mkdir()
    done = box.run("mount_volume vol-0abc 1 5", "ls() { return 2; }")
    assert (done.returncode, done.stderr) == (1, f"{box.data} cannot be listed\n")
    assert box.calls("mount") == []


def test_an_empty_folder_is_a_good_mount_point(box):
    box.data.mkdir()
    assert report(box.mount())["formatted"] is True


def test_a_volume_that_is_mounted_elsewhere_stays_there(box):
    box.carries("ext4")
    box.answers = {"elsewhere": "/srv\n/mnt"}
    done = box.mount()
    assert (done.returncode, done.stderr) == (1, f"{box.disk} is already mounted at /srv\n")
    assert box.calls("mount") == []


def test_a_volume_that_is_mounted_elsewhere_too_is_where_it_should_be(box):
    box.carries("ext4")
    (box.folder / "mounted").touch()
    box.answers = {"elsewhere": f"{box.data}\n/srv"}
    assert report(box.mount())["mount_point"] == str(box.data)
    assert box.calls("mount", "mkdir", "e2fsck") == []


def test_files_of_other_users_keep_their_owners_and_that_is_said(box):
    box.carries("ext4")
    others = box.run("give_to_user ''", "stat() { echo 1; }", "ls() { echo theirs; }")
    assert others.stdout.startswith("note: files on the data volume keep their owners; ")
    alone = box.run("give_to_user ''", "stat() { echo 1; }", "ls() { echo lost+found; }")
    assert alone.stdout == ""
    assert box.calls("chown") == [f"chown {os.getuid()}:{os.getgid()} {box.data}"] * 2
    assert box.calls("ls") == [f"ls -A {box.data}"] * 2, "hidden files are files"


def test_a_volume_that_cannot_be_listed_is_given_to_the_user_all_the_same(box):
    done = box.run("give_to_user ''", "stat() { echo 1; }", "ls() { return 2; }")
    assert (done.returncode, done.stdout) == (0, "")
    assert len(box.calls("chown")) == 1


def test_what_the_kernel_has_mounted_read_only_is_given_to_nobody(box):
    box.answers = {"mount_options": "ro,relatime"}
    done = box.run("give_to_user ''", "stat() { echo 1; }")
    assert done.stdout == f"note: the data volume is read-only at {box.data}\n"
    assert box.calls("chown") == []


def test_a_second_mount_waits_for_the_first(box):
    home = os.open(os.environ["HOME"], os.O_RDONLY)
    fcntl.flock(home, fcntl.LOCK_EX)
    done = box.run("LOCK_SECONDS=0; mount_volume vol-0abc 1 5")
    os.close(home)
    assert done.returncode == 1
    assert done.stderr == "another mount has been running on this box for 0 s\n"
    assert box.calls("mkfs.ext4", "mount") == []
    assert report(box.mount())["formatted"] is True

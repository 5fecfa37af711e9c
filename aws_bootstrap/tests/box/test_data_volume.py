"""Which device is the data volume: the choice alone, over what lsblk shows on the types people use."""

from __future__ import annotations

import subprocess

import pytest

from aws_bootstrap.tests.box.lsblk import EBS, G4DN, G5, OURS, P4D, P4D_LVM, SNAP, STORE, XEN, XEN_STORE, ebs, row
from aws_bootstrap.tests.box.standins import RESOURCES

SCRIPT = RESOURCES / "mount_data_volume.sh"


def choose(rows: list[str], volume: str = OURS, *, may_format: bool = True) -> str:
    """Return what the script would choose."""
    command = ["bash", str(SCRIPT), "--choose", volume, *(["--format-if-empty"] if may_format else [])]
    done = subprocess.run(command, input="\n".join(rows) + "\n", capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("rows", "device"),
    [
        ([*G4DN, ebs("nvme2n1")], "nvme2n1"),
        # The kernel numbers disks in the order they answer: ours may come first, the root not.
        ([ebs("nvme0n1"), *[line.replace("nvme0n1", "nvme1n1") for line in G5[:4]]], "nvme0n1"),
        ([*G5, ebs("nvme2n1", fstype="xfs")], "nvme2n1"),
        ([*P4D, ebs("nvme9n1")], "nvme9n1"),
        ([*P4D_LVM, ebs("nvme9n1")], "nvme9n1"),
        ([*G4DN, ebs("nvme2n1", "vol-0fff000fff000fff0"), ebs("nvme3n1")], "nvme3n1"),
        # Mounted already: a second run finds the same.
        ([*G4DN, ebs("nvme2n1", fstype="ext4", mountpoint="/data")], "nvme2n1"),
        # Some lsblk show the serial with a dash or padded.
        ([*G4DN, row("nvme2n1", serial=OURS, model=EBS)], "nvme2n1"),
        ([*G4DN, row("nvme2n1", serial=OURS.replace("-", "") + r"\x20\x20", model=EBS)], "nvme2n1"),
    ],
)
@pytest.mark.parametrize("may_format", [True, False])
def test_the_serial_decides(rows, device, may_format):
    assert choose(rows, may_format=may_format) == f"serial /dev/{device}"


@pytest.mark.parametrize(
    "rows",
    [
        G4DN,
        G5,
        P4D,
        P4D_LVM,
        [*G4DN, ebs("nvme2n1", "vol-0fff000fff000fff0")],
        [SNAP, ebs("nvme1n1", "vol-0fff000fff000fff0")],
        XEN,
        XEN_STORE,
        # An instance store that shows no serial is told by its model.
        [*G5[:4], row("nvme1n1", model=STORE)],
        [*G5[:4], row("nvme1n1", model=STORE.replace(" ", r"\x20"))],
    ],
)
@pytest.mark.parametrize("may_format", [True, False])
def test_another_disk_is_never_the_answer(rows, may_format):
    assert choose(rows, may_format=may_format) == "none"


def test_a_serial_is_compared_whole():
    assert choose([*G4DN, ebs("nvme2n1", OURS + "1"), ebs("nvme3n1", OURS[:-1])]) == "none"


@pytest.mark.parametrize(
    ("name", "may_format"), [("xvdf", True), ("xvdf", False), ("sdf", True), ("nvme1n1", True), ("nvme1n1", False)]
)
def test_xen_shows_no_serial_so_the_usual_name_counts(name, may_format):
    assert choose([*XEN_STORE, row(name)], may_format=may_format) == f"fallback /dev/{name}"


IN_USE = {
    "a filesystem": [row("xvdf", fstype="ext4")],
    "a partition table": [row("xvdf", pttype="dos")],
    "a partition": [row("xvdf"), row("xvdf1", "part", pkname="/dev/xvdf")],
}


@pytest.mark.parametrize("what", IN_USE)
def test_a_fallback_with_something_on_it_is_not_to_be_formatted(what):
    assert choose([*XEN, *IN_USE[what]]) == "none"


def test_a_fallback_with_a_filesystem_may_be_mounted():
    assert choose([*XEN, row("xvdf", fstype="ext4")], may_format=False) == "fallback /dev/xvdf"


@pytest.mark.parametrize(
    "rows",
    [
        [row("xvdf", fstype="ext4", mountpoint="/srv")],
        [row("xvdf", pttype="gpt"), row("xvdf1", "part", fstype="ext4", mountpoint="/srv", pkname="/dev/xvdf")],
        [row("xvdf", serial="other")],
    ],
)
@pytest.mark.parametrize("may_format", [True, False])
def test_a_fallback_that_is_in_use_or_known_by_another_name_is_not_ours(rows, may_format):
    assert choose([*XEN, *rows], may_format=may_format) == "none"


@pytest.mark.parametrize("arguments", [[], ["vol-"], ["vol-XYZ"], ["i-0123"], ["vol-0abc; reboot"], ["--wait"]])
def test_a_wrong_call_changes_nothing_and_says_so(arguments):
    done = subprocess.run(
        ["bash", str(SCRIPT), *arguments], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode != 0
    assert done.stderr
    assert not done.stdout

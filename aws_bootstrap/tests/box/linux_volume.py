"""The data volume on a real Linux with NVMe disks: formatted, mounted, there after a boot, moved. Run by .ci/box.

Virtual machines, since a container has no devices of its own and ignores those in fstab. The tests of this file share
two machines and stand in the order of their life.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aws_bootstrap.errors import SshError
from aws_bootstrap.ssh import VolumeUnformatted
from aws_bootstrap.tests.box import images
from aws_bootstrap.tests.box.client import Client, client_of
from aws_bootstrap.tests.box.machines import Network, Vm, command, until

VOLUME, FOREIGN, XFS = "vol-0abc123def4567890", "vol-0fff000fff000fff0", "vol-0123456789abcdef0"
NEW, UNREADABLE, FLAGGED, BROKEN = (f"vol-{letter * 17}" for letter in "abcd")
LEFT_ALONE = {what: f"vol-0aaaaaaaaaaaa{number:04}" for number, what in enumerate(images.LEFT_ALONE)}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"]), tmp_path_factory.mktemp("machines"))
    yield network
    network.close()


@pytest.fixture(scope="module")
def first(network: Network) -> Iterator[Vm]:
    vm = Vm(network, 31).start()
    yield vm
    vm.kill()


@pytest.fixture(scope="module")
def booting(network: Network) -> Iterator[Vm]:
    """The second machine, with disks that carry something. It boots while the first one waits for its volume."""
    vm = Vm(network, 32)
    for what, volume in LEFT_ALONE.items():
        vm.volumes[volume] = images.LEFT_ALONE[what][0](network.scratch / f"{volume}.img")
    vm.volumes[FLAGGED] = images.with_error_flag(network.scratch / f"{FLAGGED}.img")
    vm.volumes[BROKEN] = images.broken(network.scratch / f"{BROKEN}.img")
    vm.volumes[XFS] = images.disk(network.scratch / f"{XFS}.img", megabytes=512)
    command("mkfs.xfs", "-q", "-L", "older", vm.volumes[XFS])
    vm.boot()
    yield vm
    vm.kill()


@pytest.fixture(scope="module")
def second(booting: Vm) -> Vm:
    booting.wait(240)
    return booting


def disk(network: Network, volume: str) -> Path:
    """Return the image of a new, blank volume."""
    return images.disk(network.scratch / f"{volume}.img", megabytes=256)


@functools.cache
def client(vm: Vm) -> Client:
    """The tool's own client of a machine: its ssh door mounts, and tells what it heard."""
    return client_of(vm)


def refusal(vm: Vm, volume: str, *, leave: bool = True) -> str:
    """Mount a volume that is not to be mounted; the sentence that the user sees."""
    with pytest.raises(SshError) as caught:
        client(vm).mount(volume, leave=leave)
    assert caught.value.code == "mount-failed"
    assert not isinstance(caught.value, VolumeUnformatted)
    return str(caught.value)


def digest(image: Path) -> str:
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the first machine: a new volume -----------------------------------------------------------------------------


def test_a_volume_that_never_appears_is_a_clear_error_and_other_disks_are_untouched(first, network):
    image = disk(network, FOREIGN)
    before = digest(image)
    first.attach(FOREIGN, image)
    until(lambda: "vol0fff" in first.says("lsblk -dno SERIAL"), "foreign disk")
    done = client(first).mount_by_script(VOLUME, "--format-if-empty", "--wait", "6")
    assert done.exit_code == 1
    assert done.lines == (f"volume {VOLUME} did not appear on this box within 6 s: is it attached?",)
    assert digest(image) == before
    assert "/data" not in first.says("cat /etc/fstab")


def test_without_leave_to_format_an_empty_volume_is_left_alone(first, network):
    image = disk(network, VOLUME)
    before = digest(image)
    first.attach(VOLUME, image)
    with pytest.raises(VolumeUnformatted, match=r"is empty and has no filesystem\. Nothing was formatted$"):
        client(first).mount(VOLUME)
    assert digest(image) == before


def test_a_folder_of_root_that_is_not_empty_is_not_hidden(first):
    first.says("sudo install -d -m 700 /data && sudo touch /data/mine")
    said = refusal(first, VOLUME)
    first.says("sudo rm -r /data")
    assert said.startswith("/data is not empty on the root volume")


def test_a_new_volume_is_formatted_and_mounted_for_the_login_user(first):
    done, _ = client(first).mount(VOLUME, leave=True)
    assert done == {"device": done["device"], "mount_point": "/data", "fstype": "ext4", "formatted": True}
    assert first.says(f"lsblk -dno SERIAL {done['device']}") == VOLUME.replace("-", "")
    assert first.says("stat -c %U:%G /data") == "ubuntu:ubuntu"
    assert first.says("echo kept > /data/file && sync && cat /data/file") == "kept"
    entry = first.says("grep /data /etc/fstab")
    assert entry.startswith("UUID=")
    assert "nofail,x-systemd.device-timeout=30s" in entry


def test_a_second_run_changes_nothing(first):
    before = first.says("cat /etc/fstab; stat -c %Y /etc/fstab; findmnt -no SOURCE,OPTIONS /data")
    done, _ = client(first).mount(VOLUME, leave=True)
    assert done["formatted"] is False
    assert first.says("cat /etc/fstab; stat -c %Y /etc/fstab; findmnt -no SOURCE,OPTIONS /data") == before
    assert first.says("ls ~/.aws-bootstrap") == "", "what was unpacked is gone"


def test_after_a_reboot_it_is_mounted_with_its_data(first):
    first.reboot()
    until(lambda: first.says("findmnt -no TARGET /data || true") == "/data", "/data", 90)
    assert first.says("cat /data/file") == "kept"


@pytest.mark.usefixtures("booting")
def test_a_boot_without_the_volume_is_not_delayed(first):
    first.stop()
    first.volumes.pop(VOLUME)
    first.start()
    # ssh answered: nothing that a person needs waits for the volume. The device job ends after its 30 s, not 90.
    assert first.says("systemctl is-active multi-user.target ssh") == "active\nactive"
    first.says("systemctl is-system-running --wait || true")
    sys.stderr.write(f"\n[boot without the volume: {first.says('systemd-analyze time')}]\n")
    assert first.says("systemctl list-jobs --no-legend") == ""
    assert first.says("findmnt -no TARGET /data || echo none") == "none"
    first.kill()


# --- the second machine: volumes that carry something ------------------------------------------------------------


@pytest.mark.parametrize("what", LEFT_ALONE)
def test_what_carries_something_is_left_as_it_is_and_named(second, what):
    volume, words = LEFT_ALONE[what], images.LEFT_ALONE[what][1]
    before = digest(second.volumes[volume])
    assert words in refusal(second, volume)
    assert digest(second.volumes[volume]) == before
    assert "/data" not in second.says("cat /etc/fstab")


def test_a_disk_that_cannot_be_read_is_never_formatted(second, network):
    """Reads of its first sectors fail, as blkid, cmp and wipefs then do: an ext4 lies there."""
    image = images.ext4(network.scratch / "unreadable.img")
    before = digest(image)
    second.attach(UNREADABLE, image, unreadable=(0, 2))
    assert "Nothing was formatted" in refusal(second, UNREADABLE)
    assert digest(image) == before


def test_two_mounts_at_once_both_succeed(second, network):
    second.attach(NEW, disk(network, NEW))
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(client(second).mount, NEW, leave=True) for _ in range(2)]
        reports = [mounting.result()[0] for mounting in both]
    assert sorted(report["formatted"] for report in reports) == [False, True]
    assert second.says("grep -c /data /etc/fstab") == "1"
    second.says("sudo umount /data")


def test_a_filesystem_with_the_error_flag_is_checked_first_and_that_is_said(second):
    done, notes = client(second).mount(FLAGGED)
    assert done["fstype"] == "ext4"
    assert notes[0].startswith("e2fsck has repaired the filesystem of /dev/")
    second.says("sudo umount /data")


def test_errors_that_need_a_decision_are_the_users(second):
    said = refusal(second, BROKEN)
    assert "has an ext4 filesystem with errors that need your decision (e2fsck: status 4). Nothing was mounted." in said
    assert "/data" not in second.says("findmnt -l")


def test_the_users_own_entry_is_used_and_kept(second):
    uuid = second.says("lsblk -no UUID,FSTYPE | awk '$2 == \"xfs\" { print $1 }'")
    entry = f"UUID={uuid} /data/ xfs noatime,nofail 0 0"
    second.says(f"echo '{entry}' | sudo tee /etc/fstab")
    assert refusal(second, FLAGGED, leave=False).startswith("/etc/fstab has an entry for /data")
    done, _ = client(second).mount(XFS)
    assert done["fstype"] == "xfs"
    assert "noatime" in second.says("findmnt -no OPTIONS /data")
    assert second.says("cat /etc/fstab") == entry
    second.says(
        "sudo touch /data/roots && sudo chown root: /data && sudo umount /data && echo '#' | sudo tee /etc/fstab"
    )


def test_another_filesystem_is_mounted_as_it_is(second):
    done, notes = client(second).mount(XFS, leave=True)
    assert (done["fstype"], done["formatted"]) == ("xfs", False)
    assert "files on the data volume keep their owners" in str(notes)
    assert second.says("touch /data/mine && findmnt -no FSTYPE /data") == "xfs"
    assert second.says("grep /data /etc/fstab").endswith(" 0 0")
    second.says("sudo umount /data")


def test_a_read_only_volume_is_mounted_read_only_and_that_is_said(second):
    device = second.says("lsblk -dpno NAME,FSTYPE | awk '$2 == \"xfs\" { print $1 }'")
    second.says(f"sudo blockdev --setro {device}")
    done, notes = client(second).mount(XFS)
    assert done["fstype"] == "xfs"
    assert "the data volume is read-only at /data" in notes
    assert second.says("grep /data /etc/fstab").split()[3].endswith(",ro")
    second.says("sudo umount /data")


def test_moved_from_another_box_its_data_is_there(second, network):
    # The tool attaches and mounts at the same time: the script is there first.
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client(second).mount, VOLUME, leave=True)
        second.attach(VOLUME, network.scratch / f"{VOLUME}.img")
        done, _ = waiting.result()
    assert (done["fstype"], done["formatted"]) == ("ext4", False)
    assert second.says("cat /data/file") == "kept"
    assert second.says("grep -c /data /etc/fstab") == "1", "the entry of the volume before is replaced"

"""The data volume on a real Linux with NVMe disks: formatted, mounted, there after a boot, moved. Run by .ci/box.

Virtual machines, since a container has no devices of its own and ignores those in fstab. The tests of this file share
two machines and stand in the order of their life.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_bootstrap.ssh import mount_command
from aws_bootstrap.tests.box import images
from aws_bootstrap.tests.box.machines import Network, Vm, command, until
from aws_bootstrap.workflows.data_volume import package

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


def mount(vm: Vm, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the mount as the tool does: its command, its package."""
    return vm.ssh(mount_command(*arguments), check=check, stdin=package())


def result(done: subprocess.CompletedProcess[str]) -> dict:
    return json.loads(done.stdout.splitlines()[-1])


def digest(image: Path) -> str:
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the first machine: a new volume -----------------------------------------------------------------------------


def test_a_volume_that_never_appears_is_a_clear_error_and_other_disks_are_untouched(first, network):
    image = disk(network, FOREIGN)
    before = digest(image)
    first.attach(FOREIGN, image)
    until(lambda: "vol0fff" in first.says("lsblk -dno SERIAL"), "foreign disk")
    done = mount(first, VOLUME, "--format-if-empty", "--wait", "6", check=False)
    assert done.returncode == 1
    assert done.stdout == f"volume {VOLUME} did not appear on this box within 6 s: is it attached?\n"
    assert digest(image) == before
    assert "/data" not in first.says("cat /etc/fstab")


def test_without_leave_to_format_an_empty_volume_is_left_alone(first, network):
    image = disk(network, VOLUME)
    before = digest(image)
    first.attach(VOLUME, image)
    done = mount(first, VOLUME, check=False)
    assert done.returncode == 3 and done.stdout.endswith("is empty and carries no filesystem. Nothing was formatted\n")
    assert digest(image) == before


def test_a_folder_of_root_that_is_not_empty_is_not_hidden(first):
    first.says("sudo install -d -m 700 /data && sudo touch /data/mine")
    done = mount(first, VOLUME, "--format-if-empty", check=False)
    first.says("sudo rm -r /data")
    assert done.returncode == 1 and done.stdout.startswith("/data is not empty on the root volume")


def test_a_new_volume_is_formatted_and_mounted_for_the_login_user(first):
    done = result(mount(first, VOLUME, "--format-if-empty"))
    assert done == {"device": done["device"], "mount_point": "/data", "fstype": "ext4", "formatted": True}
    assert first.says(f"lsblk -dno SERIAL {done['device']}") == VOLUME.replace("-", "")
    assert first.says("stat -c %U:%G /data") == "ubuntu:ubuntu"
    assert first.says("echo kept > /data/file && sync && cat /data/file") == "kept"
    entry = first.says("grep /data /etc/fstab")
    assert entry.startswith("UUID=") and "nofail,x-systemd.device-timeout=30s" in entry


def test_a_second_run_changes_nothing(first):
    before = first.says("cat /etc/fstab; stat -c %Y /etc/fstab; findmnt -no SOURCE,OPTIONS /data")
    assert result(mount(first, VOLUME, "--format-if-empty"))["formatted"] is False
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
    done = mount(second, volume, "--format-if-empty", check=False)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 1 and words in done.stdout, done.stdout
    assert digest(second.volumes[volume]) == before
    assert "/data" not in second.says("cat /etc/fstab")


def test_a_disk_that_cannot_be_read_is_never_formatted(second, network):
    """Reads of its first sectors fail, as blkid, cmp and wipefs then do: an ext4 lies there."""
    image = images.ext4(network.scratch / "unreadable.img")
    before = digest(image)
    second.attach(UNREADABLE, image, unreadable=(0, 2))
    done = mount(second, UNREADABLE, "--format-if-empty", check=False)
    assert done.returncode == 1 and "Nothing was formatted" in done.stdout.splitlines()[-1], done.stdout
    assert digest(image) == before


def test_two_mounts_at_once_both_succeed(second, network):
    second.attach(NEW, disk(network, NEW))
    words = [*second.ssh_words(), mount_command(NEW, "--format-if-empty")]
    both = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for process in both:
        assert process.stdin
        process.stdin.write(package())
        process.stdin.close()
    said = [process.stdout.read().decode() for process in both if process.stdout]
    assert [process.wait(60) for process in both] == [0, 0], said
    assert sorted(json.loads(text.splitlines()[-1])["formatted"] for text in said) == [False, True]
    assert second.says("grep -c /data /etc/fstab") == "1"
    second.says("sudo umount /data")


def test_a_filesystem_with_the_error_flag_is_checked_first_and_that_is_said(second):
    done = mount(second, FLAGGED)
    assert result(done)["fstype"] == "ext4"
    assert done.stdout.startswith("note: e2fsck has repaired the filesystem of /dev/")
    second.says("sudo umount /data")


def test_errors_that_need_a_decision_are_the_users(second):
    done = mount(second, BROKEN, "--format-if-empty", check=False)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 1, done.stdout
    assert "carries ext4 with errors that need your decision (e2fsck: status 4). Nothing was mounted." in done.stdout
    assert "/data" not in second.says("findmnt -l")


def test_the_users_own_entry_is_used_and_kept(second):
    uuid = second.says("lsblk -no UUID,FSTYPE | awk '$2 == \"xfs\" { print $1 }'")
    entry = f"UUID={uuid} /data/ xfs noatime,nofail 0 0"
    second.says(f"echo '{entry}' | sudo tee /etc/fstab")
    assert mount(second, FLAGGED, check=False).stdout.startswith("/etc/fstab has an entry for /data")
    assert result(mount(second, XFS))["fstype"] == "xfs"
    assert "noatime" in second.says("findmnt -no OPTIONS /data") and second.says("cat /etc/fstab") == entry
    second.says(
        "sudo touch /data/roots && sudo chown root: /data && sudo umount /data && echo '#' | sudo tee /etc/fstab"
    )


def test_another_filesystem_is_mounted_as_it_is(second):
    done = mount(second, XFS, "--format-if-empty")
    assert (result(done)["fstype"], result(done)["formatted"]) == ("xfs", False)
    assert "note: what is on the data volume belongs to other users" in done.stdout
    assert second.says("touch /data/mine && findmnt -no FSTYPE /data") == "xfs"
    assert second.says("grep /data /etc/fstab").endswith(" 0 0")
    second.says("sudo umount /data")


def test_a_read_only_volume_is_mounted_read_only_and_that_is_said(second):
    device = second.says("lsblk -dpno NAME,FSTYPE | awk '$2 == \"xfs\" { print $1 }'")
    second.says(f"sudo blockdev --setro {device}")
    done = mount(second, XFS)
    assert result(done)["fstype"] == "xfs" and "note: the data volume is read-only at /data" in done.stdout
    assert second.says("grep /data /etc/fstab").split()[3].endswith(",ro")
    second.says("sudo umount /data")


def test_moved_from_another_box_its_data_is_there(second, network):
    # The tool attaches and mounts at the same time: the script is there first.
    words = [*second.ssh_words(), mount_command(VOLUME, "--format-if-empty")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdin and waiting.stdout
        waiting.stdin.write(package())
        waiting.stdin.close()
        second.attach(VOLUME, network.scratch / f"{VOLUME}.img")
        done = json.loads(waiting.stdout.read().splitlines()[-1])
    assert (done["fstype"], done["formatted"]) == ("ext4", False)
    assert second.says("cat /data/file") == "kept"
    assert second.says("grep -c /data /etc/fstab") == "1", "the entry of the volume before is replaced"

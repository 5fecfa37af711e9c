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

from aws_bootstrap.tests.box.machines import Network, Vm, command, until
from aws_bootstrap.tests.box.standins import RESOURCES

VOLUME, FOREIGN, XFS = "vol-0abc123def4567890", "vol-0fff000fff000fff0", "vol-0123456789abcdef0"
SCRIPT = (RESOURCES / "mount_data_volume.sh").read_bytes()


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


def disk(network: Network, volume: str, content: bytes = b"", gigabytes: int = 1) -> Path:
    """Return the image of a new disk."""
    image = network.scratch / f"{volume}.img"
    with image.open("wb") as file:
        file.write(content)
        file.truncate(gigabytes * 2**30)
    return image


def mount(vm: Vm, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the script as the tool does: piped over ssh."""
    return vm.ssh(f"bash -s -- {' '.join(arguments)}", check=check, stdin=SCRIPT)


def result(done: subprocess.CompletedProcess[str]) -> dict:
    return json.loads(done.stdout.splitlines()[-1])


def digest(image: Path) -> str:
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_a_volume_that_never_appears_is_a_clear_error_and_other_disks_are_untouched(first, network):
    image = disk(network, FOREIGN)
    before = digest(image)
    first.attach(FOREIGN, image)
    until(lambda: "vol0fff" in first.says("lsblk -dno SERIAL"), "foreign disk")
    done = mount(first, VOLUME, "--format-if-empty", "--wait", "8", check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"volume {VOLUME} did not appear on this box within 8 s: is it attached?\n"
    assert digest(image) == before
    assert "/data" not in first.says("cat /etc/fstab")


def test_without_leave_to_format_an_empty_volume_is_left_alone(first, network):
    image = disk(network, VOLUME)
    before = digest(image)
    first.attach(VOLUME, image)
    done = mount(first, VOLUME, check=False)
    assert done.returncode == 1 and "nothing was formatted" in done.stderr
    assert digest(image) == before


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


def test_after_a_reboot_it_is_mounted_with_its_data(first):
    first.reboot()
    until(lambda: first.says("findmnt -no TARGET /data || true") == "/data", "/data", 90)
    assert first.says("cat /data/file") == "kept"


def test_a_boot_without_the_volume_is_not_delayed(first):
    first.stop()
    image = first.volumes.pop(VOLUME)
    first.start()
    # ssh answered: nothing that a person needs waits for the volume. The device job ends after its 30 s, not 90.
    assert first.says("systemctl is-active multi-user.target ssh") == "active\nactive"
    first.says("systemctl is-system-running --wait || true")
    sys.stderr.write(f"\n[boot without the volume: {first.says('systemd-analyze time')}]\n")
    assert first.says("systemctl list-jobs --no-legend") == ""
    assert first.says("findmnt -no TARGET /data || echo none") == "none"
    first.stop()
    first.volumes[VOLUME] = image


def test_moved_to_a_second_box_the_data_is_there(first, network):
    if first.process and first.process.poll() is None:  # run alone, without the test before it
        first.stop()
    image = first.volumes.pop(VOLUME)
    second = Vm(network, 32).start()
    # The tool attaches and mounts at the same time: the script is there first.
    script = [*second.ssh_words(), f"bash -s -- {VOLUME} --format-if-empty"]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdin
        waiting.stdin.write(SCRIPT)
        waiting.stdin.close()
        second.attach(VOLUME, image)
        assert waiting.stdout
        done = json.loads(waiting.stdout.read().splitlines()[-1])
    assert (done["fstype"], done["formatted"]) == ("ext4", False)
    assert second.says("cat /data/file") == "kept"
    second.kill()


@pytest.fixture(scope="module")
def third(network: Network) -> Iterator[Vm]:
    """A machine with disks that carry something else than an ext4 of ours."""
    vm = Vm(network, 33)
    command("mkfs.xfs", "-q", "-L", "older", disk(network, XFS))
    partitioned = disk(network, "vol-0aaaaaaaaaaaaaaa1")
    subprocess.run(["sfdisk", "-q", partitioned], input="label: gpt\n,,\n", text=True, check=True)
    for volume in (XFS, "vol-0aaaaaaaaaaaaaaa1"):
        vm.volumes[volume] = network.scratch / f"{volume}.img"
    # Data without any signature that blkid knows, as a database writes it to a bare disk.
    vm.volumes["vol-0aaaaaaaaaaaaaaa2"] = disk(network, "vol-0aaaaaaaaaaaaaaa2", b"\0" * 4096 + b"rows and rows")
    yield vm.start()
    vm.kill()


@pytest.mark.parametrize("number", [1, 2])
def test_what_carries_something_is_never_formatted(third, number):
    volume = f"vol-0aaaaaaaaaaaaaaa{number}"
    before = digest(third.volumes[volume])
    done = mount(third, volume, "--format-if-empty", check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert digest(third.volumes[volume]) == before
    assert "/data" not in third.says("cat /etc/fstab")


def test_a_mount_point_that_is_not_empty_is_not_hidden(third):
    third.says("sudo mkdir -p /data && sudo touch /data/mine")
    done = mount(third, XFS, check=False)
    third.says("sudo rm /data/mine")
    assert done.returncode == 1 and "/data is not empty" in done.stderr


def test_another_filesystem_is_mounted_as_it_is(third):
    done = result(mount(third, XFS, "--format-if-empty"))
    assert (done["fstype"], done["formatted"]) == ("xfs", False)
    assert third.says("touch /data/mine && findmnt -no FSTYPE /data") == "xfs"
    assert third.says("grep /data /etc/fstab").endswith(" 0 0")

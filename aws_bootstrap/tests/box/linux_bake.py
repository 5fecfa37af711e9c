"""A copy of a box's disk on a real Linux: what the first boot removes, before sshd listens. Run by .ci/box.

A virtual machine with the DMI tables of an EC2 instance is prepared as `bake` does it, through the tool's own client.
Then it reboots, and a copy of its disk boots as another instance. There is no cloud-init in it: the test puts the key
of the new launch in place, as that would.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.ssh import Ssh
from aws_bootstrap.tests.box.client import client_of
from aws_bootstrap.tests.box.machines import Network, Vm, command, until
from aws_bootstrap.workflows import bake_box

NUMBERS = (91, 92)
#: What a launch of before has left, and what somebody has worked.
DAY = """
mkdir -p ~/.aws ~/.cache/huggingface ~/.config/gh ~/.aws-bootstrap/state ~/venv
echo secret | tee ~/.aws/credentials ~/.cache/huggingface/token ~/.config/gh/hosts.yml ~/.bash_history \\
  ~/.aws-bootstrap/settings.json >/dev/null
echo work | tee ~/result.txt ~/venv/kept ~/.aws-bootstrap/state/gpu ~/.env >/dev/null
sudo mkdir -p /var/lib/aws-bootstrap /etc/aws-bootstrap /var/log/journal
echo '{}' | sudo tee /var/lib/aws-bootstrap/limits.json /etc/aws-bootstrap/guardian.env \\
  /etc/aws-bootstrap/peers.json >/dev/null
sudo systemctl restart systemd-journald; logger old-secret-in-the-journal; sudo journalctl --sync --flush
"""
REMOVED = """
/home/ubuntu/.aws /home/ubuntu/.cache/huggingface/token /home/ubuntu/.config/gh /home/ubuntu/.bash_history
/home/ubuntu/.aws-bootstrap/settings.json /var/lib/aws-bootstrap /etc/aws-bootstrap/guardian.env
/etc/aws-bootstrap/peers.json
"""
KEPT = "cat ~/result.txt ~/venv/kept ~/.aws-bootstrap/state/gpu ~/.env"
#: Stands in for cloud-init: the key of the new launch, and host keys, after the first boot's own program.
CLOUD_INIT = """[Unit]
DefaultDependencies=no
After=aws-bootstrap-first-boot.service
Before=ssh.service sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'ls -d {removed} >/srv/left 2>/dev/null; ls /etc/ssh/ssh_host_* >>/srv/left 2>/dev/null; \\
  test -e /home/ubuntu/.ssh/authorized_keys && echo authorized_keys >>/srv/left; \\
  cut -d " " -f 1 /proc/uptime >/srv/removed-at; ssh-keygen -A; cp /srv/key /home/ubuntu/.ssh/authorized_keys; \\
  chown ubuntu: /home/ubuntu/.ssh/authorized_keys; chmod 600 /home/ubuntu/.ssh/authorized_keys'
[Install]
WantedBy=sysinit.target
"""


class Instance(Vm):
    """A virtual machine whose DMI tables name an instance, as those of a Nitro instance do."""

    instance_id = ""

    def qemu(self) -> list[str]:
        """Return the command that is this machine."""
        return [*super().qemu(), "-smbios", f"type=2,asset={self.instance_id}"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"]), tmp_path_factory.mktemp("baked"))
    yield network
    network.close()


def started(network: Network, number: int, instance_id: str) -> Instance:
    """Return a machine of that id, not switched on."""
    machine = Instance(network, number)
    machine.instance_id = instance_id
    return machine


def test_a_copy_of_the_disk_has_no_secret_before_sshd_listens(network):
    first = started(network, NUMBERS[0], "i-0aaaaaaaaaaaaaaa1")
    first.start()
    assert first.says("cat /sys/devices/virtual/dmi/id/board_asset_tag") == first.instance_id
    first.says(DAY)
    first.says("sudo cp ~/.ssh/authorized_keys /srv/key")
    unit = CLOUD_INIT.format(removed=" ".join(REMOVED.split()))
    words = [*first.ssh_words(), "sudo tee /etc/systemd/system/stand-in.service >/dev/null"]
    subprocess.run(words, input=unit.encode(), check=True)
    client = client_of(first)
    with network.entered():
        (host,) = sshconfig.hosts(sshconfig.read(client.paths.ssh_config))
        on_box = bake_box.read(Ssh(client.paths), host)
        bake_box.prepare(Ssh(client.paths), host)
    assert "/home/ubuntu/.env" in on_box.remaining_secrets
    identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    before = first.says(identity)
    first.reboot()
    with network.entered():
        assert bake_box.wait_until_back(Ssh(client.paths), host, had_data=False) is None
    assert first.says(identity) == before, "the box itself keeps everything"
    assert len(first.says(f"sudo ls -d {' '.join(REMOVED.split())}").splitlines()) == len(REMOVED.split())
    # The copy's stand-in for cloud-init; the source has its own keys already.
    first.says("sudo systemctl enable -q stand-in.service; sudo sync")
    first.stop()
    check_copy(network, first, before)


def check_copy(network: Network, first: Instance, before: str) -> None:
    """Boot a copy of the disk as another instance."""
    second = started(network, NUMBERS[1], "i-0bbbbbbbbbbbbbbb2")
    command("cp", first.folder / "root.qcow2", second.folder / "root.qcow2")
    began = time.monotonic()
    second.boot()
    second.wait(300)
    took = time.monotonic() - began
    assert second.says("cat /srv/left") == "", "nothing of it was there when the next unit ran"
    assert second.says(f"sudo ls -d {' '.join(REMOVED.split())} 2>/dev/null || true") == ""
    assert second.says(KEPT).split() == ["work"] * 4
    now = second.says("cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")
    machine, _, host_key, _ = before.split()
    assert machine not in now
    assert host_key not in now
    assert second.says("sudo journalctl --no-pager | grep -c old-secret || true") == "0"
    assert "copy of i-0aaaaaaaaaaaaaaa1" in (second.folder / "console").read_text(errors="replace")
    assert second.ssh("test -e /etc/aws-bootstrap/baked-in", check=False).returncode == 1
    removed_at = second.says("cat /srv/removed-at")
    listens = int(second.says("systemctl show -P ActiveEnterTimestampMonotonic ssh.service")) / 1e6
    took_unit = second.says(
        "systemctl show -P ExecMainStartTimestampMonotonic -P ExecMainExitTimestampMonotonic aws-bootstrap-first-boot"
    ).split()
    seconds = (int(took_unit[1]) - int(took_unit[0])) / 1e6
    figures = f"removed after {removed_at} s in {seconds:.1f} s, sshd after {listens:.1f} s, a login after {took:.0f} s"
    sys.stderr.write(f"\n[a copy of a box, emulated: {figures}]\n")
    assert float(removed_at) < listens
    until(lambda: second.ssh("true", check=False).returncode == 0, "a login")
    second.stop()

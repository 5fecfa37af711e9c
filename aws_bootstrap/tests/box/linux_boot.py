"""How long the setup waits for the login at a first boot: what a setup that begins with the boot could save.

Prints figures and asserts none of them. Run by `.ci/box boot`, as root; docs/performance.md has what it showed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import pytest

from aws_bootstrap.ssh import LoginTimeouts, Ssh
from aws_bootstrap.tests.box.client import client_of
from aws_bootstrap.tests.box.machines import Network, Vm
from aws_bootstrap.workflows import provision

#: What the setup's own command does first: it takes the upload. Then: when that was, and when each unit was reached,
#: in seconds and microseconds since the kernel began.
_BEGIN = """
folder=$(mktemp -d) && tar xzf - -C "$folder" && cut -d ' ' -f 1 /proc/uptime
systemctl show -P ActiveEnterTimestampMonotonic sysinit.target network.target ssh.service multi-user.target | grep .
"""
_UNITS = ("sysinit.target", "network.target", "ssh.service", "multi-user.target")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"]), tmp_path_factory.mktemp("boxes"))
    yield network
    network.close()


def test_a_setup_begins_as_soon_as_the_machine_accepts_a_login(network):
    vm = Vm(network, 31)
    vm.boot()
    client = client_of(vm)
    with network.entered():
        done = Ssh(client.paths).run(
            client.alias, _BEGIN, stdin=provision.upload(None, None), timeouts=LoginTimeouts(60, 240)
        )
    began, *reached = done.lines
    stamps = {"setup over ssh": float(began)}
    for unit, microseconds in zip(_UNITS, reached, strict=True):
        stamps[unit] = int(microseconds) / 1e6
    in_order = sorted(stamps.items(), key=itemgetter(1))
    figures = ", ".join(f"{name} {seconds:.1f}" for name, seconds in in_order)
    sys.stderr.write(f"\n[seconds since the kernel began: {figures}]\n")
    vm.stop()

"""The tool's own client code against a real box: its SSH config, its ssh door, its remote setup, unchanged."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from aws_bootstrap import sshconfig
from aws_bootstrap.gpu import GpuInfo
from aws_bootstrap.paths import Paths
from aws_bootstrap.ssh import LoginTimeouts, Remote, Ssh, mount_command
from aws_bootstrap.tests.box.machines import Box, until
from aws_bootstrap.workflows import provision
from aws_bootstrap.workflows.data_volume import package
from aws_bootstrap.workflows.provision import SetupOutcome


@dataclass(frozen=True)
class Client:
    """A user's machine that knows one box, by the block that `launch` writes."""

    box: Box
    alias: str
    paths: Paths

    def set_up(self, **options: object) -> SetupOutcome:
        """Run the remote setup, as `launch` and `setup` do."""
        with self.box.network.entered():
            return provision.set_up(Ssh(self.paths), self.alias, timeouts=LoginTimeouts(5, 5), **options)  # type: ignore[arg-type]

    def query_gpu(self) -> GpuInfo | None:
        """Ask for the box's GPU, as `status --gpu` does."""
        with self.box.network.entered():
            card, _ = Ssh(self.paths).query_box(self.alias)
            return card

    def mount(self, volume: str, *, leave: bool = False) -> tuple[dict, tuple[str, ...]]:
        """Mount a volume, as `launch` and `setup` do; `leave`: to format it. The report, and the notes for the user."""
        with self.box.network.entered():
            return Ssh(self.paths).mount_ebs_volume(self.alias, package(), volume, format_if_empty=leave)

    def mount_by_script(self, *arguments: str) -> Remote:
        """Run the mount with arguments that the tool itself does not give it."""
        with self.box.network.entered():
            return Ssh(self.paths).run(self.alias, mount_command(*arguments), stdin=package())

    def ssh_words(self) -> list[str]:
        """Return the ssh command that the tool prints, up to the remote one."""
        return [*self.box.network.inside, "ssh", *self.paths.ssh_flags, self.alias]


def client_of(box: Box) -> Client:
    """Return a client whose SSH config leads to the box."""
    settings: Mapping[str, str] = {
        "AWS_BOOTSTRAP_CONFIG": "",
        "AWS_BOOTSTRAP_HOME": str(box.folder / "client"),
        "AWS_BOOTSTRAP_SSH_CONFIG": str(box.folder / "client" / "ssh_config"),
    }
    paths = Paths(settings)
    host = sshconfig.Host(
        instance_id=f"i-{int(box.address.rpartition('.')[2]):017x}",
        alias="",
        hostname=box.address,
        user="ubuntu",
        identity_file=str(box.network.cache / "key"),
        known_hosts=str(paths.known_hosts),
        region="us-west-2",
    )
    paths.home.mkdir(exist_ok=True)
    return Client(box, sshconfig.add(paths.ssh_config, host), paths)


class Running:
    """A setup under way in a thread of its own, to be cut off."""

    def __init__(self, client: Client) -> None:
        """Start it."""
        self.client = client
        self.error: Exception | None = None
        self.outcome: SetupOutcome | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.client.set_up()
        except Exception as error:
            self.error = error

    def break_connection(self) -> None:
        """Kill the ssh that carries it, if it has not ended by itself, and wait until the client has noticed."""
        config = str(self.client.paths.ssh_config)
        words = ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())]
        children = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
        carriers = [int(line.split()[0]) for line in children if f"ssh -F {config} " in line]
        for carrier in carriers:
            os.kill(carrier, signal.SIGKILL)
        until(lambda: not self.thread.is_alive(), "the client noticed", 30)

"""One box: boot and halt, its disks, its power commands. All of it runs in the fleet's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..cloud.world import Attachment, Machine
from ..home import Home
from . import cloud_init, devices, gpus
from .console import Console
from .isolation import CHOICE_VARIABLE, NONE, Isolation
from .metadata import Metadata
from .network import Network
from .ports import LoginPorts
from .processes import Processes
from .relay import Relay
from .ssh_commands import SshCommands
from .tree import Tree

_LOG = logging.getLogger(__name__)


class Box:
    """The machine behind one instance."""

    def __init__(
        self,
        home: Home,
        machine: Machine,
        isolation: Isolation,
        powered_off: Callable[[str], None],
        ssh_commands: SshCommands,
        network: Network,
    ) -> None:
        self.machine = machine
        self.isolation = isolation
        self.volumes = home.volumes
        self._images = home.images
        self.tree = Tree(home.boxes / machine.instance_id, isolation, login_user(machine.image_name), home.volumes)
        self.lock = asyncio.Lock()
        self._processes = Processes(self.tree)
        self._relay = Relay(self._processes)
        self._console = Console(self.tree)
        self._network = network
        self.metadata = Metadata()
        self.ports = LoginPorts(machine.instance_id, self._processes, self._relay, ssh_commands)
        self._powered_off = powered_off
        self._tasks: set[asyncio.Task[None]] = set()

    # --- boot and end -------------------------------------------------------------------------------------------

    async def boot(self) -> None:
        """Start the box: tree, process 1, SSH ports, then the commands of its user data."""
        if self.isolation is NONE:
            self.tree.log(f"no box: root without namespaces. Set {CHOICE_VARIABLE}=plain to create one anyway.")
            return
        first = not self.tree.root.exists()
        self.ports.prepare(self.machine.public_ip, self.machine.first_boot if first else 0.0)
        self.tree.log(f"box of {self.machine.instance_id} boots ({self.isolation.name})")
        config = cloud_init.parse(self.machine.user_data)
        is_copy = first and await self._create_disk(config)
        self.tree.describe_hardware(self.machine)
        self._processes.end_left_behind()  # of a sandbox that was killed
        self.tree.reset_run()
        self._write_document("machine.json", self._facts())
        self.write_devices()
        self._spawn(self._serve_control_pipe())
        self._console.open()
        if self.isolation.has_namespaces:
            await self._start_processes()
        if not first or is_copy:
            await self._boot_old_disk(config, is_copy=is_copy)
        await self.ports.listen()
        if config.error:
            self.tree.log(f"cloud-init: {config.error}")
        if first and config.commands:
            self._spawn(self._run_commands(config.commands))

    async def _create_disk(self, config: cloud_init.Config) -> bool:
        """Create the disk; return whether it is a copy of another machine's."""
        if self.machine.copied_from:
            copied = self._images / self.machine.copied_from
            if copied.is_dir():
                await self.tree.create_copy(copied)
                return True
        self.tree.create(self.machine, self.host_name)
        self._write_user_files(config)
        return False

    async def _boot_old_disk(self, config: cloud_init.Config, *, is_copy: bool) -> None:
        """Run the units before the network, then cloud-init on a copy, then mount and start what is enabled."""
        await self._processes.run_as_root("sandbox-early-boot")
        if is_copy:
            self.tree.personalize(self.machine, self.host_name)
            self._write_user_files(config)
        await self._processes.run_as_root("mount -a")
        self._spawn(self._run_commands(("systemctl sandbox-boot",)))

    def _write_user_files(self, config: cloud_init.Config) -> None:
        """Write the files of the user data."""
        files = config.files
        if not self.isolation.has_namespaces:
            files = cloud_init.without_guardian(files)
        cloud_init.write(self.tree.root, files)

    async def _start_processes(self) -> None:
        """Start process 1, connect the box to its VPC, and serve the instance metadata to it."""
        self.metadata.describe(self.machine)
        listening = await self._processes.start(self.host_name, self._network)
        try:
            await self._network.connect(self._processes.pid, self.machine)
        except OSError as error:
            self.tree.log(f"no private network: {error}")
        if listening:
            await self.metadata.serve(listening)

    async def halt(self) -> None:
        """Close the ports, break the connections and end every process."""
        self.tree.log("box halts")
        await self.ports.close()
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self._relay.end()
        await self._processes.end()
        self.metadata.close()
        self._console.close()

    def erase(self, kept_console: Path) -> None:
        """Delete the box's disk; its console output is moved to that file."""
        with contextlib.suppress(OSError):
            self.tree.console.replace(kept_console)
        shutil.rmtree(self.tree.folder, ignore_errors=True)

    def _facts(self) -> dict[str, object]:
        """Return what the fake programs need to know of the machine."""
        instance_type = self.machine.instance_type
        return {
            "architecture": self.machine.architecture,
            "gpus": gpus.cards(instance_type),
            "instance_id": self.machine.instance_id,
            "instance_type": instance_type,
            "host_name": self.host_name,
            "private_ip": self.machine.private_ip,
            "region": self.machine.region,
        }

    @property
    def host_name(self) -> str:
        """Return EC2's resource name: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hostname-types.html"""
        return f"ip-{self.machine.private_ip.replace('.', '-')}"

    async def _run_commands(self, commands: tuple[str, ...]) -> None:
        """Run the commands one after another as root; log those that fail."""
        for command in commands:
            status = await self._processes.run_as_root(command)
            if status:
                self.tree.log(f"cloud-init: runcmd ended with status {status}: {command}")
        self.tree.log("cloud-init: finished")

    # --- the control pipe ---------------------------------------------------------------------------------------

    async def _serve_control_pipe(self) -> None:
        """Execute the requests in the box's control pipe: lines such as `reboot`, `poweroff`, `sshd`."""
        reader = asyncio.StreamReader()
        # Open for writing too, or the pipe would end with its first writer.
        pipe = os.fdopen(os.open(self.tree.control, os.O_RDWR | os.O_NONBLOCK), "rb", 0)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        try:
            while line := (await reader.readline()).decode().strip():
                self.tree.log(f"requested: {line}")
                await self._execute(line)
        finally:
            transport.close()

    async def _execute(self, request: str) -> None:
        """Execute one request of the control pipe."""
        if request == "sshd":
            await self.ports.listen()
        elif request == "poweroff":
            await asyncio.get_running_loop().run_in_executor(None, self._powered_off, self.machine.instance_id)
        elif request == "reboot":
            self._spawn_outside(self.reboot())

    async def reboot(self) -> None:
        """Halt and boot again; the disks stay."""
        async with self.lock:
            await self.halt()
            await self.boot()

    def _spawn(self, work) -> None:
        """Run the coroutine until it is done or the box halts."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_log_failure)

    def _spawn_outside(self, work) -> None:
        """Run the coroutine even while the box halts."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_log_failure)
        _OUTSIDE.add(task)
        task.add_done_callback(_OUTSIDE.discard)

    # --- disks --------------------------------------------------------------------------------------------------

    def write_devices(self) -> None:
        """Write the current list of disks for the box's fake programs."""
        self.volumes.mkdir(exist_ok=True)
        for volume in self.machine.volumes:
            (self.volumes / volume.volume_id).mkdir(exist_ok=True)
        self._write_document("devices.json", devices.listing(self.machine))

    def _write_document(self, name: str, document: object) -> None:
        """Write a document for the box's fake programs, whole or not at all."""
        draft = self.tree.root / "run/sandbox" / f"{name}.new"
        draft.write_text(json.dumps(document))
        draft.replace(draft.with_name(name))

    def attach(self, volume: Attachment) -> None:
        """Attach a volume to the box."""
        others = tuple(held for held in self.machine.volumes if held.volume_id != volume.volume_id)
        self.machine = devices.with_volumes(self.machine, (*others, volume))
        self.write_devices()
        self.tree.log(f"kernel: nvme: {volume.volume_id} attached as {volume.device}")

    async def detach(self, volume_id: str) -> None:
        """Detach a volume from the box, mounted or not, as a forced detachment does."""
        status = await self._processes.run_as_root(f"sandbox-eject {volume_id}")
        left = tuple(held for held in self.machine.volumes if held.volume_id != volume_id)
        self.machine = devices.with_volumes(self.machine, left)
        self.write_devices()
        self.tree.log(f"kernel: nvme: {volume_id} detached (umount status {status})")


_OUTSIDE: set[asyncio.Task[None]] = set()


def login_user(image_name: str) -> str:
    """Return the user who logs in to a box of this image.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/managing-users.html
    """
    lowered = image_name.lower()
    if "amazon linux" in lowered or lowered.startswith(("al20", "rhel")):
        return "ec2-user"
    return "ubuntu"


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log the exception of a task that failed."""
    if not task.cancelled() and task.exception():
        _LOG.error("a task of a box failed", exc_info=task.exception())

"""One box: its boot and its end, its disks, what it asks of its machine. All of it runs in the fleet's event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections.abc import Callable

from ..cloud.world import Attachment, Machine
from ..home import Home
from . import cloud_init, devices, gpus
from .isolation import CHOICE_VARIABLE, NONE, Isolation
from .ports import LoginPorts
from .processes import Processes
from .relay import Relay
from .tree import Tree
from .visits import Visits

_LOG = logging.getLogger(__name__)


class Box:
    """The machine behind one instance."""

    def __init__(
        self,
        home: Home,
        machine: Machine,
        isolation: Isolation,
        powered_off: Callable[[str], None],
        visits: Visits,
    ) -> None:
        self.machine = machine
        self.isolation = isolation
        self.volumes = home.volumes
        self.tree = Tree(home.boxes / machine.instance_id, isolation, login_user(machine.image_name), home.volumes)
        self.lock = asyncio.Lock()
        self._processes = Processes(self.tree)
        self._relay = Relay(self._processes)
        self.ports = LoginPorts(machine.instance_id, self._processes, self._relay, visits)
        self._powered_off = powered_off
        self._tasks: set[asyncio.Task[None]] = set()

    # --- boot and end -------------------------------------------------------------------------------------------

    async def boot(self) -> None:
        """Start the box: tree, process 1, login ports, then the commands of its user data."""
        if self.isolation is NONE:
            self.tree.say(f"no box: root without namespaces. Set {CHOICE_VARIABLE}=plain to have one all the same.")
            return
        self.ports.prepare(self.machine.public_ip)
        self.tree.say(f"box of {self.machine.instance_id} boots ({self.isolation.name})")
        first = not self.tree.root.exists()
        config = cloud_init.parse(self.machine.user_data)
        if first:
            self.tree.make(self.machine, self.host_name)
            cloud_init.write(self.tree.root, config.files)
        self._processes.end_left_behind()  # of a sandbox that was killed
        self.tree.renew()
        self._tell("machine.json", self._facts())
        self.write_devices()
        self._keep(self._obey())
        if self.isolation.apart:
            await self._processes.start(self.host_name)
        if not first:
            await self._processes.run_as_root("mount -a")
            self._keep(self._run_commands(("systemctl sandbox-boot",)))
        await self.ports.listen()
        if config.complaint:
            self.tree.say(f"cloud-init: {config.complaint}")
        if first and config.commands:
            self._keep(self._run_commands(config.commands))

    async def halt(self) -> None:
        """Close the ports, break the connections and end every process."""
        self.tree.say("box halts")
        await self.ports.close()
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self._relay.end()
        await self._processes.end()

    def erase(self) -> None:
        """Delete the box's disk."""
        shutil.rmtree(self.tree.folder, ignore_errors=True)

    def _facts(self) -> dict[str, object]:
        """Return what the stand-ins must know of the machine."""
        instance_type = self.machine.instance_type
        return {
            "architecture": self.machine.architecture,
            "gpus": gpus.cards(instance_type),
            "instance_id": self.machine.instance_id,
            "instance_type": instance_type,
            "region": self.machine.region,
        }

    @property
    def host_name(self) -> str:
        """Return EC2's resource name: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hostname-types.html"""
        return f"ip-{self.machine.private_ip.replace('.', '-')}"

    async def _run_commands(self, commands: tuple[str, ...]) -> None:
        for command in commands:
            status = await self._processes.run_as_root(command)
            if status:
                self.tree.say(f"cloud-init: runcmd ended with status {status}: {command}")
        self.tree.say("cloud-init: finished")

    # --- what the box asks of its machine -----------------------------------------------------------------------

    async def _obey(self) -> None:
        """Read the box's control pipe: lines such as `reboot`, `poweroff`, `sshd`."""
        reader = asyncio.StreamReader()
        # Open for writing too, or the pipe would end with its first writer.
        pipe = os.fdopen(os.open(self.tree.control, os.O_RDWR | os.O_NONBLOCK), "rb", 0)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        try:
            while line := (await reader.readline()).decode().strip():
                self.tree.say(f"asked: {line}")
                await self._do(line)
        finally:
            transport.close()

    async def _do(self, asked: str) -> None:
        if asked == "sshd":
            await self.ports.listen()
        elif asked == "poweroff":
            await asyncio.get_running_loop().run_in_executor(None, self._powered_off, self.machine.instance_id)
        elif asked == "reboot":
            self._keep_outside(self.reboot())

    async def reboot(self) -> None:
        """End everything and boot again; the disks stay."""
        async with self.lock:
            await self.halt()
            await self.boot()

    def _keep(self, work) -> None:
        """Run the coroutine until it is done or the box halts."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_report)

    def _keep_outside(self, work) -> None:
        """Run the coroutine even while the box halts."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_report)
        _OUTSIDE.add(task)
        task.add_done_callback(_OUTSIDE.discard)

    # --- disks --------------------------------------------------------------------------------------------------

    def write_devices(self) -> None:
        """Tell the box's stand-ins which disks there are now."""
        self.volumes.mkdir(exist_ok=True)
        for volume in self.machine.volumes:
            (self.volumes / volume.volume_id).mkdir(exist_ok=True)
        self._tell("devices.json", devices.listing(self.machine))

    def _tell(self, name: str, document: object) -> None:
        """Leave a document for the box's stand-ins, whole or not at all."""
        draft = self.tree.root / "run/sandbox" / f"{name}.new"
        draft.write_text(json.dumps(document))
        draft.replace(draft.with_name(name))

    def attach(self, volume: Attachment) -> None:
        """Show a new volume to the box."""
        others = tuple(held for held in self.machine.volumes if held.volume_id != volume.volume_id)
        self.machine = devices.with_volumes(self.machine, (*others, volume))
        self.write_devices()
        self.tree.say(f"kernel: nvme: {volume.volume_id} attached as {volume.device}")

    async def detach(self, volume_id: str) -> None:
        """Take a volume from the box, mounted or not, as when EC2 forces it."""
        mounted = await self._processes.run_as_root(f"sandbox-eject {volume_id}")
        left = tuple(held for held in self.machine.volumes if held.volume_id != volume_id)
        self.machine = devices.with_volumes(self.machine, left)
        self.write_devices()
        self.tree.say(f"kernel: nvme: {volume_id} gone (status {mounted})")


_OUTSIDE: set[asyncio.Task[None]] = set()


def login_user(image_name: str) -> str:
    """Return the user who logs in to a box of this image.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/managing-users.html
    """
    lowered = image_name.lower()
    if "amazon linux" in lowered or lowered.startswith(("al20", "rhel")):
        return "ec2-user"
    return "ubuntu"


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        _LOG.error("a box's work failed", exc_info=task.exception())

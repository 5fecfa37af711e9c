"""All boxes of a sandbox, and their event loop. The EC2 side calls from its own threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import subprocess
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..cloud.world import Attachment, Machine
from ..home import Home
from .addresses import Addresses
from .isolation import PLAIN, Isolation, choose
from .network import Network
from .ssh_commands import SshCommands

if TYPE_CHECKING:
    from .box import Box

_LOG = logging.getLogger(__name__)


class Fleet:
    """The boxes, by instance id. Implements `cloud.world.Machines`."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.isolation: Isolation = choose()
        self._addresses = Addresses(home)
        self._network = Network(self.isolation)
        self.ssh_commands = SshCommands()
        self._boxes: dict[str, Box] = {}
        self._loop = asyncio.new_event_loop()
        #: Held while a disk is copied: a machine that is launched from the copy waits for it.
        self._copying = asyncio.Lock()
        self._thread = threading.Thread(target=self._run, name="boxes", daemon=True)
        self._powered_off: Callable[[str], None] = lambda instance_id: None

    def start(self, powered_off: Callable[[str], None], known: set[str]) -> None:
        """Start the event loop; `powered_off` is called for boxes that shut themselves down.

        Delete boxes of instances that are not `known`: a crash left them.
        """
        self._powered_off = powered_off
        for folder in (self._home.boxes, self._home.volumes, self._home.images, self._home.consoles):
            folder.mkdir(exist_ok=True)
        for left in self._home.boxes.iterdir():
            if left.name not in known:
                shutil.rmtree(left, ignore_errors=True)
        for left in self._home.consoles.iterdir():
            if left.name not in known:
                left.unlink()
        self._thread.start()

    def _run(self) -> None:
        from . import box  # noqa: F401  (importing asyncssh is slow: it must not delay the first response)

        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def stop(self) -> None:
        """Halt every box and stop the event loop; the disks stay."""
        self._run_coroutine(self._halt_all()).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._network.end()
        self._addresses.release()

    def wipe(self) -> None:
        """Halt and delete every box and every volume."""
        self._run_coroutine(self._wipe()).result(timeout=30)

    def apply_ssh_fault(self) -> None:
        """Apply the active SSH fault to every box's ports."""
        self._run_coroutine(self._apply_ssh_fault()).result(timeout=30)

    def block_ingress(self, is_blocked: bool) -> None:
        """Set whether every box is unreachable; `apply_ssh_fault` applies it to the running ones."""
        self.ssh_commands.is_ingress_blocked = is_blocked

    async def _apply_ssh_fault(self) -> None:
        for box in list(self._boxes.values()):
            async with box.lock:
                await box.ports.apply_fault()

    async def _wipe(self) -> None:
        await asyncio.gather(*(self._destroy(instance_id) for instance_id in list(self._boxes)), return_exceptions=True)
        for folder in (self._home.boxes, self._home.volumes, self._home.images, self._home.consoles):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    async def _halt_all(self) -> None:
        await asyncio.gather(*(self._halt(instance_id) for instance_id in list(self._boxes)), return_exceptions=True)

    def _run_coroutine(self, work: Coroutine[Any, Any, None]) -> Any:
        """Run the coroutine in the event loop and return its future; its exception is logged."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(_log_failure)
        return future

    # --- Machines -----------------------------------------------------------------------------------------------

    def address(self) -> str:
        return self._addresses.next()

    def private_address(self) -> str | None:
        if self.isolation is PLAIN:
            return self._addresses.next()
        return None

    def boot(self, machine: Machine) -> None:
        self._run_coroutine(self._boot(machine))

    def halt(self, instance_id: str) -> None:
        self._run_coroutine(self._halt(instance_id))

    def destroy(self, instance_id: str) -> None:
        self._run_coroutine(self._destroy(instance_id))

    def reboot(self, instance_id: str) -> None:
        self._run_coroutine(self._reboot(instance_id))

    def copy_disk(self, instance_id: str, image_id: str, *, reboot: bool) -> None:
        self._run_coroutine(self._copy_disk(instance_id, image_id, reboot))

    def delete_copy(self, image_id: str) -> None:
        shutil.rmtree(self._home.images / image_id, ignore_errors=True)

    def attach(self, instance_id: str, volume: Attachment) -> None:
        self._run_coroutine(self._attach(instance_id, volume))

    def detach(self, instance_id: str, volume_id: str) -> None:
        self._run_coroutine(self._detach(instance_id, volume_id))

    def delete_volume(self, volume_id: str) -> None:
        shutil.rmtree(self._home.volumes / volume_id, ignore_errors=True)

    def copy_volume(self, source_id: str, target_id: str) -> None:
        """Copy the contents of a volume or snapshot, if it has any. `cp` copies pipes and sparse files too."""
        source = self._home.volumes / source_id
        if source.is_dir():
            command = ["cp", "-a", "--sparse=always", str(source), str(self._home.volumes / target_id)]
            subprocess.run(command, check=True)

    def notify(self, instance_id: str, path: str, notice: str) -> None:
        self._run_coroutine(self._notify(instance_id, path, notice))

    def console(self, instance_id: str) -> str:
        for log in (self._home.boxes / instance_id / "console.log", self._home.consoles / instance_id):
            with contextlib.suppress(OSError):
                return log.read_text(errors="replace")
        return ""

    def forget(self, instance_id: str) -> None:
        (self._home.consoles / instance_id).unlink(missing_ok=True)

    # --- in the event loop --------------------------------------------------------------------------------------

    async def _boot(self, machine: Machine) -> None:
        from .box import Box

        box = self._boxes.get(machine.instance_id)
        if box is None:
            box = Box(self._home, machine, self.isolation, self._powered_off, self.ssh_commands, self._network)
            self._boxes[machine.instance_id] = box
        box.machine = machine
        if machine.copied_from:
            async with self._copying:
                pass
        async with box.lock:
            try:
                await box.boot()
            except Exception as error:
                box.tree.log(f"the boot failed: {error!r}")
                raise

    async def _halt(self, instance_id: str) -> None:
        box = self._boxes.get(instance_id)
        if box:
            async with box.lock:
                await box.halt()

    async def _destroy(self, instance_id: str) -> None:
        await self._halt(instance_id)
        box = self._boxes.pop(instance_id, None)
        if box:
            box.erase(self._home.consoles / instance_id)

    async def _reboot(self, instance_id: str) -> None:
        if box := self._boxes.get(instance_id):
            await box.reboot()

    async def _copy_disk(self, instance_id: str, image_id: str, reboot: bool) -> None:
        box = self._boxes.get(instance_id)
        if box is None:
            return
        async with box.lock, self._copying:
            if reboot:
                await box.halt()
            await box.tree.copy_to(self._home.images / image_id)
            if reboot:
                await box.boot()

    async def _notify(self, instance_id: str, path: str, notice: str) -> None:
        if box := self._boxes.get(instance_id):
            box.metadata.show(path, notice)

    async def _attach(self, instance_id: str, volume: Attachment) -> None:
        if box := self._boxes.get(instance_id):
            async with box.lock:
                box.attach(volume)

    async def _detach(self, instance_id: str, volume_id: str) -> None:
        if box := self._boxes.get(instance_id):
            async with box.lock:
                await box.detach(volume_id)


def _log_failure(future: Any) -> None:
    """Log the exception of a coroutine that failed."""
    if not future.cancelled() and future.exception():
        _LOG.error("a call to a box failed", exc_info=future.exception())

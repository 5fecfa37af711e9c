"""One box: its boot and its end, its ports, its processes. Everything here runs in the fleet's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh

from ..cloud.world import Attachment, Machine
from ..home import Home
from . import cloud_init, devices, gpus, sshd_config
from .addresses import more
from .isolation import CHOICE_VARIABLE, NONE, Isolation
from .login import LoginServer
from .relay import Relay
from .tree import Tree
from .visits import Visits

_LOG = logging.getLogger(__name__)
BOOT_SECONDS = 15
END_SECONDS = 5


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
        self.visits = visits
        self._manner = ""
        self.isolation = isolation
        self.volumes = home.volumes
        self.tree = Tree(home.boxes / machine.instance_id, isolation, login_user(machine.image_name), home.volumes)
        self.lock = asyncio.Lock()
        self.relay = Relay(self)
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.up = False
        self._powered_off = powered_off
        self._holder: asyncio.subprocess.Process | None = None
        self._pid = 0
        self._processes: set[asyncio.subprocess.Process] = set()
        self._listeners: dict[int, asyncssh.SSHAcceptor | asyncio.Server] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- boot and end -------------------------------------------------------------------------------------------

    async def boot(self) -> None:
        """Starts the box: tree, process 1, login ports, then what user data wants run."""
        if self.isolation is NONE:
            return self.say(f"no box: root without namespaces. Set {CHOICE_VARIABLE}=plain to have one all the same.")
        self.up = True
        self._manner = self.visits.manner()
        self.say(f"box of {self.machine.instance_id} boots ({self.isolation.name})")
        first = not self.tree.root.exists()
        config = cloud_init.parse(self.machine.user_data)
        if first:
            self.tree.make(self.machine, self.host_name)
            cloud_init.write(self.tree.root, config.files)
        if not self.isolation.apart:
            end_marked(str(self.tree.root))  # what a killed sandbox may have left running
        self.tree.renew()
        self._tell("machine.json", self._facts())
        self.write_devices()
        self._keep(self._obey())
        if self.isolation.apart:
            await self._hold()
        if not first:
            await self.run_as_root("mount -a")
            self._keep(self._run_commands(("systemctl sandbox-boot",)))
        await self.listen()
        if config.complaint:
            self.say(f"cloud-init: {config.complaint}")
        if first and config.commands:
            self._keep(self._run_commands(config.commands))

    async def halt(self) -> None:
        """Closes the ports, breaks the connections and ends every process."""
        self.say("box halts")
        self.up = False
        await self._stop_accepting()
        for connection in list(self.connections):
            connection.abort()
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self.relay.end()
        await self._end_processes()

    async def _stop_accepting(self) -> None:
        """Lets what was accepted become a connection: asyncio forgets a socket whose server closes in between."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners.values():
            for held in listener.sockets:
                loop.remove_reader(held.fileno())
        for _ in range(3):
            await asyncio.sleep(0)

    def erase(self) -> None:
        """Deletes the box's disk."""
        shutil.rmtree(self.tree.folder, ignore_errors=True)

    async def _hold(self) -> None:
        """Starts process 1 of the box's namespaces. It lives as long as our end of its input is open."""
        command = self.isolation.holder(self.tree.root, self.volumes, self.host_name)
        with self.tree.console.open("ab") as console:
            self._holder = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=console,
                env=self.tree.environment(),
                start_new_session=True,
            )
        assert self._holder.stdout is not None  # noqa: S101 (a pipe, as asked above)
        line = await asyncio.wait_for(self._holder.stdout.readline(), BOOT_SECONDS)
        if not line.startswith(b"ready "):
            raise RuntimeError(f"the box did not boot: {self.tree.console}")
        self._pid = int(line.split()[1])

    async def _end_processes(self) -> None:
        """With process 1 all of a namespace's processes go; without namespaces each is ended by its group."""
        if self._holder and self._holder.stdin:
            self._holder.stdin.close()
            try:
                await asyncio.wait_for(self._holder.wait(), END_SECONDS)
            except TimeoutError:  # it never got as far as waiting for the end of its input
                self._holder.kill()
                await self._holder.wait()
            self._holder = None
        for process in list(self._processes):
            await _end(process)
        if not self.isolation.apart:
            end_marked(str(self.tree.root))

    def _facts(self) -> dict[str, object]:
        """What the stand-ins must know of the machine."""
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
        """EC2's resource name for the host: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hostname-types.html"""
        return f"ip-{self.machine.private_ip.replace('.', '-')}"

    # --- ports --------------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Opens the login ports that the tree's sshd configuration names, and closes those it does not."""
        wanted = sshd_config.ports(self.tree.root)
        for port in set(self._listeners) - set(wanted):
            self._listeners.pop(port).close()
        for port in wanted:
            if port not in self._listeners:
                await self._listen_on(port)

    async def adapt(self) -> None:
        """Has the login ports behave as the SSH fault in force wants it."""
        manner = self.visits.manner()
        if not self.up or manner == self._manner:
            return
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._manner = manner
        await self.listen()

    async def _open(self, host: str, port: int) -> asyncssh.SSHAcceptor | asyncio.Server:
        """The listener of a login port: sshd's, or under a fault one that accepts and says nothing."""
        if self._manner == "mute":
            return await asyncio.start_server(_say_nothing, host, port, reuse_address=True)
        changed = self._manner == "changed-key"
        key = asyncssh.generate_private_key("ssh-ed25519") if changed else self._host_key()
        return await asyncssh.listen(
            host,
            port,
            server_factory=lambda: LoginServer(self),
            server_host_keys=[key],
            encoding=None,
            line_editor=False,
            reuse_address=True,
            keepalive_interval=0,
            login_timeout=60,
            agent_forwarding=False,
        )

    async def _listen_on(self, port: int) -> None:
        host = self.machine.public_ip
        if host is None:
            self.say("no public address: no login from outside")
            return
        if self._manner == "refused":
            return
        try:
            self._listeners[port] = await self._open(host, port)
        except OSError as error:
            self.say(f"sshd: cannot listen on {host} port {port}: {error.strerror or error} ({_remedy(error, host)})")
        else:
            self.say(f"sshd: listening on {host} port {port}")

    def _host_key(self) -> asyncssh.SSHKey:
        """The box's host key, made at its first boot, as an image makes its own."""
        path = self.tree.folder / "host_key"
        if not path.exists():
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(path))
            path.chmod(0o600)
        return asyncssh.read_private_key(str(path))

    # --- processes ----------------------------------------------------------------------------------------------

    def command(self, *words: str) -> list[str]:
        """These words as a command that runs inside the box."""
        return [*self.isolation.enter(self._pid), *words]

    def view(self) -> str:
        """The box's root as seen from outside, with what is mounted in it (proc(5), /proc/PID/root)."""
        return f"/proc/{self._pid}/root" if self.isolation.apart else str(self.tree.root)

    @contextlib.contextmanager
    def holding(self, process: asyncio.subprocess.Process):
        """Has the process end with the box, while the block lasts."""
        self._processes.add(process)
        try:
            yield
        finally:
            self._processes.discard(process)

    async def run_as_root(self, script: str) -> int:
        """The exit status of a shell script, run by the box's own sudo; its output goes to the console."""
        with self.tree.console.open("ab") as console:
            process = await asyncio.create_subprocess_exec(
                *self.command("/bin/bash", "-c", 'cd "$HOME"; exec sudo -n sh -c "$1"', "cloud-init", script),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=self.tree.environment(),
                start_new_session=True,
            )
        with self.holding(process):
            return await process.wait()

    async def _run_commands(self, commands: tuple[str, ...]) -> None:
        for command in commands:
            status = await self.run_as_root(command)
            if status:
                self.say(f"cloud-init: runcmd ended with status {status}: {command}")
        self.say("cloud-init: finished")

    # --- what the box asks of its machine -----------------------------------------------------------------------

    async def _obey(self) -> None:
        """Reads the box's control pipe: lines such as `reboot`, `poweroff`, `sshd`."""
        reader = asyncio.StreamReader()
        # Open for writing too, or the pipe would end with its first writer.
        pipe = os.fdopen(os.open(self.tree.control, os.O_RDWR | os.O_NONBLOCK), "rb", 0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            while line := (await reader.readline()).decode().strip():
                self.say(f"asked: {line}")
                await self._do(line)
        finally:
            transport.close()

    async def _do(self, asked: str) -> None:
        if asked == "sshd":
            await self.listen()
        elif asked == "poweroff":
            await asyncio.get_running_loop().run_in_executor(None, self._powered_off, self.machine.instance_id)
        elif asked == "reboot":
            self._keep_outside(self.reboot())

    async def reboot(self) -> None:
        """Ends everything and boots again; the disks stay."""
        async with self.lock:
            await self.halt()
            await self.boot()

    def _keep(self, work) -> None:
        """Runs the coroutine until it is done or the box halts."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_report)

    def _keep_outside(self, work) -> None:
        """Runs the coroutine even while the box halts."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_report)
        _OUTSIDE.add(task)
        task.add_done_callback(_OUTSIDE.discard)

    # --- disks --------------------------------------------------------------------------------------------------

    def write_devices(self) -> None:
        """Tells the box's stand-ins which disks there are now."""
        self.volumes.mkdir(exist_ok=True)
        for volume in self.machine.volumes:
            (self.volumes / volume.volume_id).mkdir(exist_ok=True)
        self._tell("devices.json", devices.listing(self.machine))

    def _tell(self, name: str, document: object) -> None:
        """Leaves a document for the box's stand-ins, whole or not at all."""
        draft = self.tree.root / "run/sandbox" / f"{name}.new"
        draft.write_text(json.dumps(document))
        draft.replace(draft.with_name(name))

    def attach(self, volume: Attachment) -> None:
        """A volume appears."""
        others = tuple(held for held in self.machine.volumes if held.volume_id != volume.volume_id)
        self.machine = devices.with_volumes(self.machine, (*others, volume))
        self.write_devices()
        self.say(f"kernel: nvme: {volume.volume_id} attached as {volume.device}")

    async def detach(self, volume_id: str) -> None:
        """A volume goes, mounted or not, as when EC2 forces it."""
        mounted = await self.run_as_root(f"sandbox-eject {volume_id}")
        left = tuple(held for held in self.machine.volumes if held.volume_id != volume_id)
        self.machine = devices.with_volumes(self.machine, left)
        self.write_devices()
        self.say(f"kernel: nvme: {volume_id} gone (status {mounted})")

    def say(self, words: str) -> None:
        """Writes a line to the box's console."""
        self.tree.folder.mkdir(parents=True, exist_ok=True)
        with self.tree.console.open("a") as console:
            console.write(f"[{time.strftime('%H:%M:%S')}] {words}\n")


_OUTSIDE: set[asyncio.Task[None]] = set()


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Holds a connection open until the client goes away."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            continue
    writer.close()


def _remedy(error: OSError, host: str) -> str:
    """What helps against a port that cannot be listened on."""
    if isinstance(error, PermissionError):
        return "ports below 1024 need root: use another --ssh-port"
    return more(host) if error.errno == errno.EADDRINUSE and sys.platform == "darwin" else "is it in use?"


def login_user(image_name: str) -> str:
    """Who logs in to a box of this image.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/managing-users.html
    """
    lowered = image_name.lower()
    return "ec2-user" if "amazon linux" in lowered or lowered.startswith(("al20", "rhel")) else "ubuntu"


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        _LOG.error("a box's work failed", exc_info=task.exception())


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a process and its group: asked first, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        if process.stdin:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_SECONDS if number == signal.SIGTERM else None)


def end_marked(root: str) -> None:
    """Kills the processes whose environment names this tree: daemons that a box without namespaces left."""
    mark = f"SANDBOX_ROOT={root}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)

"""The processes of one box: process 1, which holds its namespaces, and every process started inside."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path

from .network import Network
from .tree import Tree

BOOT_SECONDS = 15
END_SECONDS = 5
#: Linux's ioctl_tty(2): TIOCSPTLCK unlocks a new terminal, TIOCGPTPEER opens its inner end.
_LOCK, _GET_PEER = 0x40045431, 0x5441


class Processes:
    """The processes of one box, and its file tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._has_namespaces = tree.isolation.has_namespaces
        self._holder: asyncio.subprocess.Process | None = None
        self._pid = 0
        self._others: set[asyncio.subprocess.Process] = set()

    async def start(self, host_name: str, network: Network) -> socket.socket | None:
        """Start process 1 of the box's namespaces. It runs as long as its standard input is open.

        Return the socket that listens for requests to the instance metadata; None if the box cannot have it.
        """
        command = await network.holder(self.tree.root, self.tree.volumes, host_name)
        line, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with self.tree.console.open("ab") as console, remote:
            self._holder = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=console,
                env=self.tree.environment() | {"SANDBOX_METADATA": str(remote.fileno())},
                pass_fds=(remote.fileno(),),
                start_new_session=True,
            )
        assert self._holder.stdout is not None  # noqa: S101 (a pipe, as requested above)
        with line:
            ready = await asyncio.wait_for(self._holder.stdout.readline(), BOOT_SECONDS)
            if not ready.startswith(b"ready "):
                raise RuntimeError(f"the box did not boot: {self.tree.console}")
            self._pid = int(ready.split()[1])
            return self._received(line)

    @property
    def pid(self) -> int:
        """Return the machine's pid of process 1 of the box's namespaces."""
        return self._pid

    def _received(self, line: socket.socket) -> socket.socket | None:
        """Return the socket that the box has sent before it was ready."""
        message, descriptors, _, _ = socket.recv_fds(line, 4096, 1)
        if descriptors:
            return socket.socket(fileno=descriptors[0])
        self.tree.log(f"no instance metadata: {message.decode()}")
        return None

    async def end(self) -> None:
        """End every process: in namespaces all end with process 1, without namespaces each process group is ended."""
        if self._holder and self._holder.stdin:
            self._holder.stdin.close()
            try:
                await asyncio.wait_for(self._holder.wait(), END_SECONDS)
            except TimeoutError:  # it never reached the read of its standard input
                self._holder.kill()
                await self._holder.wait()
            self._holder = None
        for process in list(self._others):
            await _end(process)
        self.end_left_behind()

    def end_left_behind(self) -> None:
        """Kill the daemons that a box without namespaces left: their environment names its tree."""
        if self._has_namespaces:
            return
        mark = f"SANDBOX_ROOT={self.tree.root}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                    os.kill(int(entry.name), signal.SIGKILL)

    def command(self, *words: str) -> list[str]:
        """Return a command that runs these words inside the box."""
        return [*self.tree.isolation.enter(self._pid), *words]

    def view(self) -> str:
        """Return the machine's path of the box's root, with its mounts (proc(5), /proc/PID/root)."""
        if self._has_namespaces:
            return f"/proc/{self._pid}/root"
        return str(self.tree.root)

    def open_terminal(self) -> tuple[int, int]:
        """Return both ends of a new terminal. A box with namespaces has terminals of its own (pts(4), devpts)."""
        if not self._has_namespaces:
            return os.openpty()
        terminal = os.open(f"{self.view()}/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.ioctl(terminal, _LOCK, struct.pack("i", 0))  # unlocked, as by unlockpt(3)
            return terminal, fcntl.ioctl(terminal, _GET_PEER, os.O_RDWR | os.O_NOCTTY)
        except OSError:
            os.close(terminal)
            raise

    @contextlib.contextmanager
    def holding(self, process: asyncio.subprocess.Process):
        """End the process with the box, while the block lasts."""
        self._others.add(process)
        try:
            yield
        finally:
            self._others.discard(process)

    async def run_as_root(self, script: str) -> int:
        """Run a shell script by the box's own sudo, its output to the console; return its exit status."""
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


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process and its group by SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        if process.stdin:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_SECONDS if number == signal.SIGTERM else None)

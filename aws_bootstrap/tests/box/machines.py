"""Real Linux boxes for the tests: containers with systemd, and virtual machines with NVMe disks.

They share a bridge in a network namespace of their own that has no way out. Everything here needs root and Linux; it
is run by .ci/box, in a mount and a process namespace that take all that is left with them when the tests end.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
GATEWAY = "10.99.0.1"


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Poll until the condition holds."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def command(*parts: str | Path) -> str:
    """Run a command that must succeed; its output."""
    done = subprocess.run(parts, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, parts))}: {done.stderr}")
    return done.stdout


class Network:
    """A bridge in a namespace of its own, with the mirrors on it unless nothing is to be fetched."""

    def __init__(self, cache: Path, scratch: Path, *, has_mirrors: bool = True) -> None:
        """Make the namespace and serve the mirrors in it."""
        self.cache, self.scratch = cache, scratch
        self.name = f"box-{secrets.token_hex(4)}"
        self.log = scratch / "mirror.log"
        command("ip", "netns", "add", self.name)
        for setting in (
            "link set lo up",
            "link add br0 type bridge",
            f"addr add {GATEWAY}/16 dev br0",
            "link set br0 up",
        ):
            command(*self.inside, "ip", *setting.split())
        self.mirrors: subprocess.Popen | None = None
        if has_mirrors:
            self.serve_mirrors()

    def serve_mirrors(self) -> None:
        """Serve the mirrors in the namespace."""
        program = (sys.executable, str(HERE / "mirrors.py"))
        serve = (*self.inside, *program, "serve", str(self.cache / "mirrors"), GATEWAY, str(self.log))
        self.mirrors = subprocess.Popen(serve)
        until(self.log.exists, "mirrors")

    @property
    def inside(self) -> tuple[str, ...]:
        """The words before a command that runs it in the namespace."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread, and what it starts, in the namespace while the block lasts."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{self.name}") as inside:
            os.setns(inside.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(outside.fileno(), os.CLONE_NEWNET)

    def fetched(self, box: str) -> list[str]:
        """Return the files that a box has fetched so far."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [words[2] for words in lines if words[0] == box and words[1] == '"GET' and words[4].startswith("20")]

    def close(self) -> None:
        """End the mirrors and the namespace."""
        if self.mirrors:
            self.mirrors.terminate()
            self.mirrors.wait()
        command("ip", "netns", "del", self.name)


class Box:
    """What containers and virtual machines have in common: an address and ssh."""

    def __init__(self, network: Network, number: int) -> None:
        """Name a box; it is not started yet."""
        self.network, self.number, self.address = network, number, f"10.99.0.{number}"
        self.folder = network.scratch / f"box-{number}"
        self.folder.mkdir()
        self.process: subprocess.Popen | None = None

    def ssh_words(self, *options: str) -> list[str]:
        """Return the ssh command up to the remote one."""
        # An emulated machine on a busy one may take many seconds to greet. One that is down refuses at once.
        settings = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "ConnectTimeout=30")
        flags = [part for setting in settings for part in ("-o", setting)]
        key = str(self.network.cache / "key")
        return [*self.network.inside, "ssh", "-q", "-F", "none", "-i", key, *flags, *options, f"ubuntu@{self.address}"]

    def ssh(self, remote: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the box over ssh."""
        done = subprocess.run([*self.ssh_words(), remote], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        text = subprocess.CompletedProcess(remote, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert not check or text.returncode == 0, f"{remote}: {text.returncode}\n{text.stdout}\n{text.stderr}"
        return text

    def says(self, remote: str) -> str:
        """Return what a command that must succeed prints."""
        return self.ssh(remote).stdout.strip()

    def wait(self, seconds: float = 90) -> None:
        """Wait until ssh answers."""
        until(lambda: self.ssh("true", check=False).returncode == 0, f"ssh to {self.address}", seconds)


class Container(Box):
    """A container with its own systemd over a copy-on-write root."""

    #: The folders of the cache that its root has, the uppermost first.
    layers: tuple[str, ...] = ("rootfs",)

    @property
    def machine(self) -> str:
        """Return its name as a container, which that of its network interface outside has in it."""
        return f"box-{self.number}"

    def prepare(self, root: Path) -> None:
        """Write the files that this box alone has, before its first boot."""
        network = root / "etc" / "systemd" / "network"
        network.mkdir(parents=True)
        addresses = "\n".join(f"Address={address}" for address in self.interface)
        link = f"[Match]\nName=host0\n[Network]\n{addresses}\nLinkLocalAddressing=no\n"
        (network / "10-host0.network").write_text(link)

    @property
    def interface(self) -> tuple[str, ...]:
        """Return the addresses of its network interface, with the lengths of their prefixes."""
        return (f"{self.address}/16",)

    def start(self) -> Container:
        """Boot it and wait for ssh."""
        upper, work, root = (self.folder / name for name in ("upper", "work", "root"))
        if not root.exists():
            self.prepare(upper)
            work.mkdir()
            root.mkdir()
            lower = ":".join(f"{self.network.cache}/{layer}" for layer in self.layers)
            layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
            command("mount", "-t", "overlay", "overlay", "-o", layers, root)
        flags = (
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--network-bridge=br0",
            "--resolv-conf=off",
            "--timezone=off",
        )
        words = (
            *self.own_control_group(),
            *self.network.inside,
            "systemd-nspawn",
            *flags,
            f"--machine={self.machine}",
        )
        with (self.folder / "console").open("ab") as console:
            boot = (*words, "-D", str(root), "--console=read-only", "--boot")
            self.process = subprocess.Popen(boot, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        self.wait()
        return self

    def own_control_group(self) -> tuple[str, ...]:
        """Return the words before a command that runs it in a control group of this container's own.

        Containers that systemd has not registered would share one, and with it their units.
        """
        group = Path("/sys/fs/cgroup", f"{self.network.name}-{self.number}")
        group.mkdir(exist_ok=True)
        return ("sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh")

    def path(self, name: str) -> Path:
        """Return a file of the box as it is seen from outside, also where no login works."""
        return self.folder / "root" / name.lstrip("/")

    def cut_power(self) -> None:
        """End it as a power cut does: nothing inside gets to tidy up."""
        assert self.process
        children = command("ps", "-o", "pid=", "--ppid", str(self.process.pid)).split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        self.process.wait(30)


class Vm(Box):
    """A virtual machine: its root and its data volumes are NVMe disks, a volume's id is its disk's serial."""

    def __init__(self, network: Network, number: int) -> None:
        """Name a machine and give it a copy-on-write root disk."""
        super().__init__(network, number)
        self.volumes: dict[str, Path] = {}
        kit = network.cache / "kit"
        command(
            "qemu-img", "create", "-q", "-f", "qcow2", "-b", kit / "root.img", "-F", "raw", self.folder / "root.qcow2"
        )
        command(*network.inside, "ip", "tuntap", "add", f"tap{number}", "mode", "tap")
        command(*network.inside, "ip", "link", "set", f"tap{number}", "master", "br0", "up")

    def qemu(self) -> list[str]:
        """Return the command that is this machine."""
        kernel = "root=/dev/nvme0n1 rw console=ttyS0 quiet mitigations=off audit=0 net.ifnames=0 systemd.hostname=box"
        kernel += f" ip={self.address}::{GATEWAY}:255.255.0.0::eth0:off"
        words = "-M pc -accel tcg,thread=multi -cpu max -smp 2 -m 768 -display none -no-user-config -nodefaults"
        words += f" -no-reboot -monitor none -device nvme,serial=vol0root{self.number},drive=root"
        words += f" -netdev tap,id=net,ifname=tap{self.number},script=no,downscript=no -device virtio-rng-pci"
        words += f" -device virtio-net-pci,netdev=net,romfile=,mac=52:54:00:00:00:{self.number:02x}"
        words += f" -serial file:{self.folder}/console -qmp unix:{self.folder}/qmp,server=on,wait=off"
        disks = ["-drive", f"file={self.folder}/root.qcow2,if=none,id=root,cache=unsafe"]
        for volume, image in self.volumes.items():
            disks += ["-blockdev", f"driver=raw,node-name=n{volume},file.driver=file,file.filename={image}"]
            disks += ["-device", f"nvme,id={volume},serial={volume.replace('-', '')},drive=n{volume}"]
        boot = ["-kernel", str(self.network.cache / "kit" / "vmlinuz"), "-append", kernel]
        return ["qemu-system-x86_64", *words.split(), *disks, *boot]

    def boot(self) -> None:
        """Switch it on with the volumes that are attached."""
        with (self.folder / "qemu.log").open("ab") as log:
            self.process = subprocess.Popen([*self.network.inside, *self.qemu()], stdout=log, stderr=log)

    def start(self) -> Vm:
        """Switch it on and wait for ssh."""
        self.boot()
        self.wait(240)
        return self

    def stop(self) -> None:
        """Shut it down in order."""
        assert self.process
        self.ssh("sudo systemctl poweroff", check=False)
        self.process.wait(120)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process
        self.process.kill()
        self.process.wait(30)

    def reboot(self) -> None:
        """Shut it down and boot it again (qemu's own reset takes far longer than a fresh start)."""
        self.stop()
        self.start()

    def control(self, execute: str, **arguments: object) -> dict:
        """Give qemu an order; its answer."""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.connect(str(self.folder / "qmp"))
            stream = wire.makefile("rw")
            stream.readline()
            for order in ({"execute": "qmp_capabilities"}, {"execute": execute, "arguments": arguments}):
                stream.write(json.dumps(order) + "\n")
                stream.flush()
                answer = {}
                while "return" not in answer and "error" not in answer:
                    answer = json.loads(stream.readline())
            return answer

    def attach(self, volume: str, image: Path, unreadable: tuple[int, ...] = ()) -> None:
        """Attach a disk to the running machine; reads of its `unreadable` sectors fail."""
        self.volumes[volume] = image
        file: dict[str, object] = {"driver": "file", "filename": str(image)}
        if unreadable:
            errors = [{"event": "read_aio", "sector": sector, "errno": 5} for sector in unreadable]
            file = {"driver": "blkdebug", "image": file, "inject-error": errors}
        for answer in (
            self.control("blockdev-add", driver="raw", **{"node-name": f"n{volume}"}, file=file),
            self.control("device_add", driver="nvme", id=volume, serial=volume.replace("-", ""), drive=f"n{volume}"),
        ):
            assert "return" in answer, answer

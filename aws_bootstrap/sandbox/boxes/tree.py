"""A box's file tree: the parts of a fresh Deep Learning AMI that scripts read.

The layout beside the tree: `host_key`, `console.log`, `box.json`. Inside it: the box's own `etc`, `home`, `var`,
`opt`, `tmp`, `run`, and `.local`, which becomes /usr/local. The machine's programs are mounted over it at boot.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from ..cloud.world import Machine
from .isolation import Isolation, python_path

FAKES = Path(__file__).with_name("fakes")
#: The toolkits of a Deep Learning AMI of 2026; /usr/local/cuda is the last.
#: https://docs.aws.amazon.com/dlami/latest/devguide/ (nvidia_cuda_stack, default_cuda)
CUDA_RELEASES = ("12.8", "12.9", "13.0", "13.2")
_FOLDERS = """
    boot etc/ssh/sshd_config.d etc/systemd/system etc/modprobe.d etc/profile.d home media mnt opt/nvidia opt/dlami/nvme
    root run/sandbox srv sys/fs/cgroup tmp var/lib var/log var/tmp .local/bin .local/sbin .local/lib
"""
_OPEN_FOLDERS = ("tmp", "var/tmp")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BASHRC = """\
# ~/.bashrc: executed by bash(1) for non-login shells.

# If not running interactively, don't do anything
case $- in
    *i*) ;;
      *) return;;
esac
PS1='\\u@\\h:\\w\\$ '
"""
_PROFILE = """\
# ~/.profile: executed by the command interpreter for login shells.
[ -z "$SANDBOX_PATH" ] || PATH="$SANDBOX_PATH"
if [ -n "$BASH_VERSION" ] && [ -f "$HOME/.bashrc" ]; then
    . "$HOME/.bashrc"
fi
if [ -d "$HOME/.local/bin" ]; then
    PATH="$HOME/.local/bin:$PATH"
fi
"""
_OS_RELEASE = """\
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""
_AMAZON_RELEASE = """\
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023.9.20261027"
"""
_SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
PasswordAuthentication no
Subsystem sftp internal-sftp
"""
_PASSWD = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n"  # noqa: S105 (accounts)
_MOTD = "This is a box of the aws-bootstrap sandbox: a simulated EC2 instance. It has no GPU and no network.\n"


@dataclass(frozen=True)
class Tree:
    """The file tree of one box, for one login user."""

    folder: Path
    isolation: Isolation
    user: str
    volumes: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def home(self) -> Path:
        """Return the machine's path of the login user's home."""
        return self.root / "home" / self.user

    @property
    def control(self) -> Path:
        """Return the pipe by which the box's fake programs send requests to the sandbox."""
        return self.root / "run/sandbox/control"

    @property
    def console_pipe(self) -> Path:
        """Return the pipe that is /dev/console of the box."""
        return self.root / "run/sandbox/console"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    def log(self, message: str) -> None:
        """Write a line to the box's console."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.console.open("a") as console:
            console.write(f"[{time.strftime('%H:%M:%S')}] {message}\n")

    def inside(self, path: str) -> str:
        """Return this path of the box as a process in the box uses it."""
        return path if self.isolation.has_namespaces else str(self.root) + path

    def environment(self) -> dict[str, str]:
        """Return the environment of the box's processes."""
        home = self.inside(f"/home/{self.user}")
        path, root, volumes = _SYSTEM_PATH, "", "/run/sandbox/volumes"
        if not self.isolation.has_namespaces:
            path = f"{self.root}/.local/bin:{self.root}/.local/cuda/bin:{_SYSTEM_PATH}"
            root, volumes = str(self.root), str(self.volumes)
        return {
            "HOME": home,
            "LANG": "C.UTF-8",
            "LOGNAME": self.user,
            "PATH": path,
            "SANDBOX_PATH": path,
            "SANDBOX_PYTHON": python_path(),
            "SANDBOX_ROOT": root,
            "SANDBOX_VOLUMES": volumes,
            "SHELL": "/bin/bash",
            "USER": self.user,
        }

    def create(self, machine: Machine, host_name: str) -> None:
        """Create a fresh tree."""
        for name in _FOLDERS.split():
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for name in _OPEN_FOLDERS:
            (self.root / name).chmod(0o1777)
        self._write_etc(machine, host_name)
        self._write_home(machine.public_key)
        self._install_fakes()

    async def copy_to(self, target: Path) -> None:
        """Copy the disk, as an image has it. `cp` copies modes and links, which shutil does not."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        copying = await asyncio.create_subprocess_exec("cp", "-a", f"{self.root}/.", str(target))
        await copying.wait()
        # /run is in memory, and a mounted volume of a plain box is a link.
        shutil.rmtree(target / "run", ignore_errors=True)
        for path in target.iterdir():
            if path.is_symlink() and path.resolve().is_relative_to(self.volumes):
                path.unlink()
                path.mkdir()

    async def create_copy(self, source: Path) -> None:
        """Create the tree as a copy of an image's disk."""
        self.root.mkdir(parents=True)
        copying = await asyncio.create_subprocess_exec("cp", "-a", f"{source}/.", str(self.root))
        await copying.wait()

    def describe_hardware(self, machine: Machine) -> None:
        """Write the DMI tables, which name the instance.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html
        """
        folder = self.root / "sys/devices/virtual/dmi/id"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "board_asset_tag").write_text(f"{machine.instance_id}\n")
        (folder / "product_uuid").write_text(f"ec2{uuid.uuid5(uuid.NAMESPACE_OID, machine.instance_id)!s:.33}\n")

    def personalize(self, machine: Machine, host_name: str) -> None:
        """Write what cloud-init writes at the first boot of a copy: names, keys, and a machine id if it has none."""
        (self.root / "etc/hostname").write_text(f"{host_name}\n")
        (self.root / "etc/hosts").write_text(_hosts(machine, host_name))
        keys = self.home / ".ssh/authorized_keys"
        keys.parent.mkdir(mode=0o700, exist_ok=True)
        old = keys.read_text() if keys.exists() else ""
        keys.write_text(f"{old}{machine.public_key.strip()}\n")
        keys.chmod(0o600)

    def reset_run(self) -> None:
        """Empty /run, and create the pipes."""
        shutil.rmtree(self.root / "run", ignore_errors=True)
        (self.root / "run/sandbox").mkdir(parents=True)
        os.mkfifo(self.control)
        os.mkfifo(self.console_pipe)

    def _write_etc(self, machine: Machine, host_name: str) -> None:
        """Write the files of /etc."""
        home = f"/home/{self.user}"
        # The login user is the machine's user that runs the sandbox (in a namespace: uid 0), under its EC2 name.
        uid, gid = (0, 0) if self.isolation.has_namespaces else (os.getuid(), os.getgid())
        files = {
            "fstab": "LABEL=cloudimg-rootfs / ext4 discard,commit=30,errors=remount-ro 0 1\n",
            "group": f"{self.user}:x:{gid}:\nroot:x:0:\nnogroup:x:65534:\n",
            "hostname": f"{host_name}\n",
            "hosts": _hosts(machine, host_name),
            "issue": "Ubuntu 24.04.3 LTS \\n \\l\n",
            "machine-id": f"{machine.instance_id.removeprefix('i-'):0>32}\n",
            "motd": _MOTD,
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
            "os-release": _OS_RELEASE if self.user == "ubuntu" else _AMAZON_RELEASE,
            "passwd": f"{self.user}:x:{uid}:0::{home}:/bin/bash\n" + _PASSWD,
            "profile": f'PATH="{_SYSTEM_PATH}"\nexport PATH\n',
            "resolv.conf": "",
            "ssh/sshd_config": _SSHD_CONFIG,
            "sudoers": "root ALL=(ALL:ALL) ALL\n",
        }
        for name, text in files.items():
            (self.root / "etc" / name).write_text(text)
        # A box has no control group of its own: its processes seem to use no processor time.
        (self.root / "sys/fs/cgroup/cpu.stat").write_text("usage_usec 0\n")
        for name in ("ld.so.cache", "ld.so.conf", "localtime", "mime.types"):
            if Path("/etc", name).is_file():
                shutil.copyfile(f"/etc/{name}", self.root / "etc" / name)

    def _write_home(self, public_key: str) -> None:
        """Write the login user's home, with the key pair's public key."""
        ssh = self.home / ".ssh"
        ssh.mkdir(parents=True)
        ssh.chmod(0o700)
        keys = ssh / "authorized_keys"
        keys.write_text(public_key.strip() + "\n")
        keys.chmod(0o600)
        (self.home / ".bashrc").write_text(_BASHRC)
        (self.home / ".profile").write_text(_PROFILE)

    def _install_fakes(self) -> None:
        """Install the fake programs of a driver, a toolkit, a package manager, an init system."""
        library = self.root / ".local/lib/sandbox"
        shutil.copytree(FAKES, library, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        for release in CUDA_RELEASES:
            cuda = self.root / f".local/cuda-{release}/bin"
            cuda.mkdir(parents=True)
            for name in CUDA_TOOLS:
                _write_program(cuda / name, name, f"SANDBOX_CUDA={release} ")
        (self.root / ".local/cuda").symlink_to(f"cuda-{CUDA_RELEASES[-1]}")
        for name in programs(library, self.user):
            if name not in CUDA_TOOLS:
                _write_program(self.root / ".local/bin" / name, name)
        if not Path("/usr/bin/python3").exists():
            (self.root / ".local/bin/python3").symlink_to(python_path())


def _hosts(machine: Machine, host_name: str) -> str:
    """Return the names that a box knows: its own leads to its private address, as by the VPC's DNS.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
    """
    return f"127.0.0.1 localhost\n{machine.private_ip} {host_name}\n"


CUDA_TOOLS = frozenset({"nvcc", "cuda-gdb"})


def programs(library: Path, user: str) -> list[str]:
    """Return the fake programs that boxes with this login user have."""
    found = []
    for line in (library / "programs.txt").read_text().splitlines():
        row = line.split()
        if row and row[0] != "#" and row[2:] in ([], [user]):
            found.append(row[0])
    return found


def _write_program(path: Path, name: str, variables: str = "") -> None:
    """Write a program that executes its fake. It needs no PATH and no other variable."""
    path.write_text(
        "#!/bin/sh\n"
        "library=${0%/*}/../lib/sandbox\n"
        '[ -d "$library" ] || library=${0%/*}/../../lib/sandbox\n'
        f'{variables}exec {python_path()} -IS "$library/main.py" {name} "$@"\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

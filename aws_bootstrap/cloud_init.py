"""User data for cloud-init: what must hold on a box even if nobody ever logs in, merged from parts.

https://cloudinit.readthedocs.io/en/latest/reference/examples.html
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass

from .config import SSH_PORT


@dataclass(frozen=True)
class File:
    """A file of root's that cloud-init writes at the first boot. `mode` is octal."""

    path: str
    content: str
    mode: str = "0644"


@dataclass(frozen=True)
class Part:
    """Files that cloud-init writes at the first boot, and commands that it runs after all files are written."""

    files: tuple[File, ...] = ()
    #: The words of each.
    commands: tuple[tuple[str, ...], ...] = ()


def user_data(parts: Sequence[Part]) -> bytes | None:
    """Return the parts as one cloud-config, in their order, in gzip's format; None where there is nothing to do.

    EC2 takes 16 KB, and cloud-init reads gzip. JSON is YAML as well, and quotes any content correctly.
    """
    config: dict[str, list[dict[str, str]] | list[list[str]]] = {}
    files: list[dict[str, str]] = []
    commands: list[list[str]] = []
    for part in parts:
        for file in part.files:
            files.append({"path": file.path, "content": file.content, "permissions": file.mode})
        for words in part.commands:
            commands.append(list(words))
    if files:
        config["write_files"] = files
    if commands:
        config["runcmd"] = commands
    if not config:
        return None
    text = f"#cloud-config\n{json.dumps(config, indent=1)}\n"
    return gzip.compress(text.encode(), mtime=0)  # the same bytes for the same parts: the client token covers them


def ssh_port(port: int) -> Part:
    """Return the part that makes sshd listen on that port alone; an empty part for the usual one.

    Ubuntu 24.04 listens through ssh.socket, older ones and Amazon Linux through a service; SELinux guards ports.
    """
    if port == SSH_PORT:
        return Part()
    allow_port = f"! command -v semanage || semanage port -a -t ssh_port_t -p tcp {port} || true"
    restart = "systemctl restart ssh.socket || true; systemctl restart ssh || systemctl restart sshd"
    return Part(
        files=(File("/etc/ssh/sshd_config.d/10-aws-bootstrap.conf", f"Port {port}\n"),),
        commands=(("sh", "-c", allow_port), ("systemctl", "daemon-reload"), ("sh", "-c", restart)),
    )

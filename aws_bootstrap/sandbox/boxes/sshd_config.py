"""The SSH ports of a box, read from its own tree as sshd would read them. Pure but for the reading."""

from __future__ import annotations

import re
from pathlib import Path

DEFAULT_PORT = 22
_PORT = re.compile(r"^\s*Port[\s=]+(\d+)\s*(?:#.*)?$", re.IGNORECASE | re.MULTILINE)


def ports(tree: Path) -> list[int]:
    """Return every port that the tree's sshd configuration names: sshd listens on each of them (sshd_config(5))."""
    folder = tree / "etc/ssh"
    files = [*sorted((folder / "sshd_config.d").glob("*.conf")), folder / "sshd_config"]
    named = [int(port) for file in files if file.is_file() for port in _PORT.findall(file.read_text(errors="replace"))]
    return list(dict.fromkeys(port for port in named if 0 < port < 65536)) or [DEFAULT_PORT]

"""The file of the boxes' host keys: ssh pins a key there at the first contact, by the id of the instance."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .files import ensure_private_folder
from .sshconfig import cannot, edit


def ensure(known_hosts: Path) -> None:
    """Create the file and its folder where they are missing, for their owner alone.

    ssh itself would create the file as the umask says. BootstrapError where it cannot be created.
    """
    try:
        ensure_private_folder(known_hosts.parent)
        known_hosts.touch(mode=0o600)
    except OSError as exc:
        raise cannot("write", known_hosts, exc) from exc


def forget(known_hosts: Path, instance_ids: Iterable[str]) -> None:
    """Delete the pinned host keys of these instances."""
    names = tuple(f"{instance_id} " for instance_id in instance_ids)

    def change(text: str) -> str:
        others = [line for line in text.splitlines(True) if not line.startswith(names)]
        return "".join(others)

    if known_hosts.exists():
        edit(known_hosts, change)

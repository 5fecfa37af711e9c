"""The code of a job: the current folder, which is sent to all nodes as `sync` sends it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ... import ssh_copy
from ...errors import BootstrapError, UsageError
from ..box_paths import place
from ..sync import Sync, SyncOptions
from .nodes import Node, on_all

if TYPE_CHECKING:
    from ...app import App
    from ...ssh_tunnel import Connection

_SCRIPTS = (".py", ".sh")
#: Of the home folder of a box.
_TAKEN = ("venv", "workspace")


@dataclass(frozen=True)
class Code:
    """A folder of this machine, and its scripts relative to it."""

    folder: Path
    script: str
    data_script: str | None = None

    @property
    def name(self) -> str:
        """Return the name of the folder, in the home folder of each node too."""
        return self.folder.name

    @property
    def launcher(self) -> str:
        """Return what starts the script on each node."""
        if self.script.endswith(".sh"):
            return "shell"
        return "torchrun"

    def checkpoints(self, given: str | None) -> str:
        """Return the folder of the checkpoints on each node: `checkpoints` in the folder, or the one that is given."""
        path = given or "checkpoints"
        if path.startswith(("/", "~/")):
            return path
        return f"~/{self.name}/{path}"


def code_in(folder: Path, script: str, data_script: str | None) -> Code:
    """Return the code of a folder. UsageError if the folder cannot be sent, or if a script cannot be run."""
    if folder == Path.home() or folder.name.startswith(".") or folder.name in ("", *_TAKEN):
        raise UsageError(
            f"The folder {folder} cannot be sent to the nodes: it would be ~/{folder.name} there.",
            hint="Run this command in the folder of your code.",
        )
    within = [_within(folder, script)]
    if data_script is not None:
        within.append(_within(folder, data_script))
    return Code(folder, within[0], within[1] if data_script is not None else None)


def _within(folder: Path, script: str) -> str:
    """Return the path of a script relative to the folder."""
    path = os.path.normpath(folder / script)
    if not path.endswith(_SCRIPTS):
        raise UsageError(f"{script} is no script.", hint="Name a .py, which torchrun runs, or a .sh.")
    if not Path(path).is_relative_to(folder):
        raise UsageError(f"{script} is not in {folder}.", hint="Run this command in the folder of your code.")
    return os.path.relpath(path, folder)


def send(app: App, code: Code, left_out: Path | None, nodes: Sequence[Node], to: Mapping[int, Connection]) -> None:
    """Send the folder to all nodes at once, over connections that are open. BootstrapError if one lacks a file then.

    `left_out`: a folder whose files are not sent, such as that of the logs; none if the code itself is in it.
    """
    if left_out is not None and code.folder.is_relative_to(left_out):
        left_out = None
    if not ssh_copy.has_rsync():
        raise ssh_copy.no_rsync("this machine", ssh_copy.local_installer())
    names = _files(_sync(app, code, nodes[0], to).files(), code, left_out)
    for result in on_all(partial(_send_to, app, code, names, to), nodes):
        if isinstance(result, BootstrapError):
            raise result


def _files(found: Sequence[str], code: Code, left_out: Path | None) -> tuple[str, ...]:
    """Return the files to send. BootstrapError if a script is not among them."""
    names: list[str] = []
    for name in found:
        if left_out is None or not (code.folder / name).is_relative_to(left_out):
            names.append(name)
    for script in (code.script, code.data_script):
        if script is None or script in names:
            continue
        if (code.folder / script).exists():
            raise UsageError(f"{script} is not sent: a rule of .gitignore excludes it.")
        raise UsageError(f"{script} does not exist in {code.folder}.")
    return tuple(names)


def _sync(app: App, code: Code, node: Node, to: Mapping[int, Connection]) -> Sync:
    places = (place(str(code.folder)), place(f"{node.alias}:{code.name}"))
    return Sync(app, node.host, places, SyncOptions(), to[node.rank])


def _send_to(app: App, code: Code, names: tuple[str, ...], to: Mapping[int, Connection], node: Node) -> None:
    sync = _sync(app, code, node, to)
    sync.begin()
    report = sync.run(names=names)
    if report.errors:
        raise BootstrapError(f"Not everything was sent to {node.alias}: {report.errors[0]}", code="copy-failed")

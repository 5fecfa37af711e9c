"""Copy files and folders between this machine and a box."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import output, ssh_copy
from ..errors import BootstrapError, UsageError
from ..models import CopyReport
from ..ssh_copy import Transfer, box_files
from ..ssh_tunnel import Connection, connected
from ..sshconfig import Host
from . import pick
from .box_paths import Place, check_sides, place
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App


#: A transfer that takes less time shows no progress.
_QUIET_SECONDS = 1.0


@dataclass(frozen=True)
class Found:
    """A path that exists, or not: `type` is `folder`, `file` or `missing`."""

    path: str
    type: str


@dataclass(frozen=True)
class Side:
    """What one side says of the paths of a copy."""

    paths: tuple[tuple[Found, ...], ...]
    rsync: bool
    #: The command that installs rsync there.
    install: str


def copy(app: App, sources: Sequence[str], target: str) -> CopyReport:
    """Copy as `cp -r` does: into the target if that is a folder, else to that name. What exists is overwritten.

    UsageError for paths that cannot be meant, BootstrapError `not-found` for one that is missing: nothing is copied
    then. A copy that is not complete is in the report.
    """
    from_places = [place(source) for source in sources]
    to_place = place(target)
    named = check_sides(from_places, to_place)
    host = pick.host(app, named.name)
    with hint_on_timeout(app, host), connected(host.alias, app.paths.ssh_flags) as connection:
        copied = _Copy(connection, host, from_places, to_place)
        began = time.monotonic()
        engine, transfer = copied.run()
    return CopyReport(
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        region=host.region,
        sources=tuple(sources),
        target=target,
        engine=engine,
        files=transfer.files,
        bytes=transfer.bytes,
        seconds=round(time.monotonic() - began, 3),
        errors=transfer.errors,
        lost=transfer.lost,
    )


def probe(connection: Connection | None, *paths: str) -> Side:
    """Return what a side says of the paths: the box, or this machine without a connection."""
    code, answer, words = box_files(connection, "probe", *paths)
    if code:
        raise BootstrapError(f"The paths could not be looked up: {words}", code="copy-failed")
    facts: dict[str, Any] = json.loads(answer)
    found: list[tuple[Found, ...]] = []
    for matches in facts["paths"]:
        found.append(tuple(Found(one["path"], one["type"]) for one in matches))
    return Side(tuple(found), facts["rsync"], facts["install"])


class _Copy:
    """One copy over an open connection."""

    def __init__(self, connection: Connection, host: Host, sources: Sequence[Place], target: Place) -> None:
        self._connection = connection
        self._host = host
        self._sources = sources
        self._target = target
        self._to_box = target.is_on_box

    def run(self) -> tuple[str, Transfer]:
        """Copy. Return the program that did it, and what it did."""
        remote_paths = [self._target.path]
        if not self._to_box:
            remote_paths = [source.path for source in self._sources]
        remote = probe(self._connection, *remote_paths)
        found = self._found_sources(remote)
        target = self._target_path(found, remote)
        if self._can_rsync(remote, found):
            return "rsync", self._rsync(found, target)
        return "scp", self._scp(found, target)

    def _found_sources(self, remote: Side) -> list[Found]:
        """Return the sources, wildcards of the box expanded. BootstrapError if one is missing."""
        matches = remote.paths
        if self._to_box:
            matches = tuple((Found(source.path, _local_type(source.path)),) for source in self._sources)
        found: list[Found] = []
        for source, of_source in zip(self._sources, matches, strict=True):
            if of_source[0].type == "missing":
                raise BootstrapError(f"{source.text} does not exist.", code="not-found")
            found += of_source
        return found

    def _target_path(self, sources: Sequence[Found], remote: Side) -> str:
        """Return the target: inside it if it is a folder (it ends with a slash), else the name to copy to."""
        path = self._target.path
        target_type = _local_type(path)
        if self._to_box:
            target_type = remote.paths[0][0].type
        if target_type == "folder":
            return os.path.join(path, "")
        if path.endswith("/") or len(sources) > 1:
            raise BootstrapError(f"{self._target.text} is no folder.", hint="Create it first.", code="not-found")
        if target_type == "file" and sources[0].type == "folder":
            raise UsageError(f"{self._target.text} is a file, and {self._sources[0].text} a folder.")
        return path

    def _can_rsync(self, remote: Side, sources: Sequence[Found]) -> bool:
        """Return whether both sides have rsync, and it can read the names."""
        names = [source.path for source in sources]
        is_hard = not self._to_box and any(map(ssh_copy.is_hard_for_rsync, names))
        return remote.rsync and not is_hard and ssh_copy.has_rsync()

    def _words(self, sources: Sequence[Found], target: str) -> tuple[list[str], str]:
        """Return the sources and the target as rsync and scp take them."""
        alias = self._host.alias
        paths = [_without_slash(source.path) for source in sources]
        if self._to_box:
            return [_absolute(path) for path in paths], ssh_copy.target(alias, target)
        return [ssh_copy.source(alias, path) for path in paths], _absolute(target)

    def _rsync(self, sources: Sequence[Found], target: str) -> Transfer:
        words, destination = self._words(sources, target)
        is_renamed = sources[0].type == "folder" and not target.endswith("/")
        if is_renamed:  # rsync would create the folder inside the new one
            words = [f"{words[0]}/"]
        try:
            return ssh_copy.rsync(self._connection, words, destination, on_progress=Meter().show)
        finally:
            output.live("")

    def _scp(self, sources: Sequence[Found], target: str) -> Transfer:
        words, destination = self._words(sources, target)
        transfer = ssh_copy.scp(self._connection, words, destination, with_meter=output.is_text())
        side = None if self._to_box else self._connection
        counted = [] if transfer.lost else _sizes(side, [source.path for source in sources])
        if not transfer.errors:
            transfer.files, transfer.bytes = len(counted), sum(counted)
        return transfer


def _sizes(side: Connection | None, paths: Sequence[str]) -> list[int]:
    """Return the sizes of the files that a copy of these paths has."""
    _, answer, _ = box_files(side, "sizes", *paths)
    return [int(size) for size in answer.split()]


class Meter:
    """Shows how far a transfer is, once it has taken a second."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def show(self, text: str) -> None:
        """Show it in place of what was shown before."""
        if time.monotonic() - self._began >= _QUIET_SECONDS:
            output.live(f"      {text}")


def _local_type(path: str) -> str:
    if os.path.isdir(path):
        return "folder"
    if os.path.lexists(path):
        return "file"
    return "missing"


def _without_slash(path: str) -> str:
    """Return a path without slashes at its end: to rsync they would mean what is in the folder."""
    return path.rstrip("/") or "/"


def _absolute(path: str) -> str:
    """Return a path of this machine that rsync does not take for one of a box; `.` stays what is in the folder."""
    if os.path.basename(path) in (".", ".."):
        return os.path.join(os.path.abspath(path), ".")
    is_folder = path.endswith("/")
    return os.path.abspath(path) + ("/" if is_folder and path != "/" else "")

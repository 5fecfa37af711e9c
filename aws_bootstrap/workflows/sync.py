"""Synchronize a folder of this machine with one of a box: what changed is sent, and deleted only on request."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import output, ssh_copy
from ..errors import BootstrapError, SshError, UsageError
from ..invocation import PROGRAM
from ..models import FileChange, SyncReport
from ..ssh import quoted
from ..ssh_copy import Transfer, box_files
from ..ssh_tunnel import Connection, opened
from ..sshconfig import Host
from . import pick
from .box_paths import Place, check_sides, place
from .copy import Meter, probe
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App

#: The exit codes of resources/box_files.py.
_NO_FOLDER, _NO_GIT = 3, 4
#: Between two looks for changes.
_WATCH_SECONDS = 1.0
#: Between two logins after a lost connection.
_RECONNECT_SECONDS = 3.0


def _ignore(text: str) -> None:
    pass


def _never(paths: tuple[str, ...]) -> bool:
    return False


@dataclass(frozen=True)
class SyncOptions:
    """How to synchronize."""

    dry_run: bool = False
    delete: bool = False
    #: Whether .git is sent as well.
    with_git: bool = False


@contextmanager
def session(app: App, source: str, target: str, options: SyncOptions) -> Iterator[Sync]:
    """Yield a Sync over an open connection. UsageError unless one of the two folders is on a box."""
    from_place, to_place = place(source), place(target)
    named = check_sides([from_place], to_place)
    host = pick.host(app, named.name)
    if not ssh_copy.has_rsync():
        raise ssh_copy.no_rsync("this machine", ssh_copy.local_installer())
    sync = Sync(app, host, (from_place, to_place), options)
    try:
        with hint_on_timeout(app, host):
            sync.begin()
        yield sync
    finally:
        sync.close()


class Sync:
    """One folder that follows another. `begin` first, `close` at the end."""

    def __init__(
        self,
        app: App,
        host: Host,
        places: tuple[Place, Place],
        options: SyncOptions,
        connection: Connection | None = None,
    ) -> None:
        self._app = app
        self._host = host
        self._source, self._target = places
        self._options = options
        #: One that is open already is the caller's, who closes it.
        self._connection = connection
        #: Whether other transfers go on beside this one: there is one line for them all then.
        self._is_beside = connection is not None

    def begin(self) -> None:
        """Connect, check both sides, and create the target folder. BootstrapError if a side lacks something."""
        if self._connection is None:
            self._connection = opened(self._host.alias, self._app.paths.ssh_flags)
        on_box = self._target if self._target.is_on_box else self._source
        remote = probe(self._connection, on_box.path)
        if not remote.rsync:
            raise ssh_copy.no_rsync(self._host.alias, remote.install)
        source = self._probed(self._source)
        if source == "file":
            words = quoted(self._source.text, self._target.text)
            hint = f"sync takes folders. Copy a file: {PROGRAM} cp {words}"
            raise UsageError(f"{self._source.text} is a file.", hint=hint)
        if source == "missing":
            raise self._no_source()
        if self._probed(self._target) == "file":
            raise UsageError(f"{self._target.text} is a file.", hint="Name a folder; it is created if missing.")

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()

    def files(self) -> tuple[str, ...]:
        """Return the files of the source."""
        return self._names(self._source)

    def run(
        self, agrees: Callable[[tuple[str, ...]], bool] = _never, names: tuple[str, ...] | None = None
    ) -> SyncReport:
        """Send what changed. With `delete`, delete what the source lacks, if `agrees` returns True for the paths.

        `names`: the files of the source, where they are known.
        """
        began = time.monotonic()
        if names is None:
            names = self.files()
        surplus = self._surplus(names)
        transfer = self._send(names)
        changes = list(_changes(transfer))
        errors = list(transfer.errors)
        deleted: tuple[str, ...] = ()
        if self._options.delete and surplus and not transfer.errors and agrees(surplus):
            deleted, failed = self._delete(surplus)
            errors += failed
        for path in deleted:
            changes.append(FileChange(path, "deleted"))
        report = self._report(transfer, time.monotonic() - began)
        left = len(surplus) - len(deleted) if self._is_known() else None
        return replace(report, changes=tuple(changes), extra_files=left, errors=tuple(errors))

    def watch(self, on_report: Callable[[SyncReport], None]) -> SyncReport:
        """Send each change until Ctrl-C. Return the sums. A lost connection is opened again."""
        total = self._report(Transfer(), 0)
        began = time.monotonic()
        seen = b""
        try:
            while True:
                seen, report = self._follow(seen)
                if report is not None:
                    total = replace(total, files=total.files + report.files, bytes=total.bytes + report.bytes)
                    on_report(report)
                time.sleep(_WATCH_SECONDS)
        except KeyboardInterrupt as exc:
            if type(exc) is not KeyboardInterrupt:  # not the user's Ctrl-C, which is how he ends this
                raise
        return replace(total, seconds=round(time.monotonic() - began, 3))

    def _follow(self, seen: bytes) -> tuple[bytes, SyncReport | None]:
        """Send what changed since that state. Return the new state and a report, if something was sent or failed."""
        try:
            now = self._state()
            if now == seen:
                return seen, None
            report = self.run(lambda paths: True)
            if report.lost:
                raise SshError(report.errors[0], code="ssh-lost")
        except SshError as exc:
            if exc.code != "ssh-lost":
                raise
            self._reconnect(exc)
            return b"", None
        if report.changes or report.errors:
            return now, report
        return now, None

    def _reconnect(self, cause: SshError) -> None:
        """Open the connection again, however long that takes. BootstrapError once the alias no longer exists."""
        output.info(f"{cause} Connecting again …")
        while True:
            self.close()
            time.sleep(_RECONNECT_SECONDS)
            self._host = pick.host(self._app, self._host.alias)
            try:
                self._connection = opened(self._host.alias, self._app.paths.ssh_flags)
            except SshError as exc:
                if exc.code == "ssh-refused":
                    raise
                continue
            output.info("Connected again.")
            return

    # --- both sides --------------------------------------------------------------------------------------

    def _side(self, of: Place) -> Connection | None:
        """Return the connection for a place of the box, None for one of this machine."""
        return self._connection if of.is_on_box else None

    def _probed(self, of: Place) -> str:
        side = probe(self._side(of), of.path)
        return side.paths[0][0].type

    def _names(self, of: Place) -> tuple[str, ...]:
        """Return the files that git would take of a folder."""
        return _split(self._answer(of, "list"))

    def _state(self) -> bytes:
        return self._answer(self._source, "state")

    def _answer(self, of: Place, verb: str) -> bytes:
        """Return what box_files.py prints of a folder. BootstrapError if it does not exist or needs git."""
        git = ["--git"] if self._options.with_git else []
        code, answer, words = box_files(self._side(of), verb, of.path, *git)
        if code == _NO_FOLDER:
            raise self._no_source()
        if code == _NO_GIT:
            where = self._host.alias if of.is_on_box else "this machine"
            raise BootstrapError(
                f"{of.text} has a .gitignore, and git, which reads it, is not installed on {where}.",
                hint="Install it: sudo apt-get install -y git",
                code="no-git",
            )
        if code:
            raise BootstrapError(f"{of.text} could not be listed: {words}", code="copy-failed")
        return answer

    def _no_source(self) -> BootstrapError:
        return BootstrapError(f"{self._source.text} does not exist.", code="not-found")

    def _is_known(self) -> bool:
        """Return whether the files of the target were compared: that costs a look at all of them."""
        return self._options.delete or self._options.dry_run

    def _surplus(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the files of the target that the source lacks, without those that a rule of either side excludes."""
        if not self._is_known() or self._probed(self._target) == "missing":
            return ()
        known = set(names)
        candidates = [name for name in self._names(self._target) if name not in known]
        if not candidates:
            return ()
        stdin = b"\0".join(os.fsencode(name) for name in candidates)
        code, answer, words = box_files(self._side(self._source), "ignored", self._source.path, stdin=stdin)
        if code:
            raise BootstrapError(f"The rules of {self._source.text} could not be read: {words}", code="copy-failed")
        excluded = set(_split(answer))
        return tuple(name for name in candidates if name not in excluded)

    def _send(self, names: Iterable[str]) -> Transfer:
        """Send these files of the source, as far as they differ."""
        alias = self._host.alias
        names, refused = self._readable(names)
        options = ["--files-from=-", "--from0", "--ignore-missing-args", "--no-implied-dirs"]
        if self._options.dry_run:
            options.append("--dry-run")
        elif self._probed(self._target) == "missing":
            box_files(self._side(self._target), "create", self._target.path)
        source = os.path.join(self._source.path, "")
        target = os.path.join(self._target.path, "")
        words = (f"{alias}:{source}", os.path.abspath(target) + "/")
        if self._target.is_on_box:
            words = (os.path.abspath(source) + "/", ssh_copy.target(alias, target))
        stdin = b"\0".join(os.fsencode(name) for name in names)
        assert self._connection
        show = _ignore if self._is_beside else Meter().show
        try:
            sent = ssh_copy.rsync(self._connection, words[:1], words[1], *options, stdin=stdin, on_progress=show)
        finally:
            output.live("")
        sent.errors += refused
        return sent

    def _readable(self, names: Iterable[str]) -> tuple[list[str], tuple[str, ...]]:
        """Return the files that rsync can send, and why others are left out."""
        readable: list[str] = []
        refused: list[str] = []
        for name in names:
            if self._source.is_on_box and ssh_copy.is_hard_for_rsync(name):
                refused.append(f"{name}: rsync takes no name with a backslash and a wildcard from a box")
            else:
                readable.append(name)
        return readable, tuple(refused)

    def _delete(self, surplus: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
        """Delete these files of the target. Return those that were deleted, and why others are not."""
        requested = tuple(surplus)
        if self._options.dry_run:
            return requested, []
        stdin = b"\0".join(os.fsencode(name) for name in requested)
        code, answer, words = box_files(self._side(self._target), "delete", self._target.path, stdin=stdin)
        deleted = _split(answer)
        if code or len(deleted) < len(requested):
            left = len(requested) - len(deleted)
            return deleted, [f"{left} files could not be deleted: {words or 'no reason given'}"]
        return deleted, []

    def _report(self, transfer: Transfer, seconds: float) -> SyncReport:
        host = self._host
        return SyncReport(
            instance_id=host.instance_id,
            ssh_alias=host.alias,
            region=host.region,
            source=self._source.text,
            target=self._target.text,
            dry_run=self._options.dry_run,
            files=transfer.files,
            bytes=transfer.bytes,
            seconds=round(seconds, 3),
            errors=transfer.errors,
            lost=transfer.lost,
        )


def _split(answer: bytes) -> tuple[str, ...]:
    """Return the paths in the output of box_files.py."""
    return tuple(os.fsdecode(path) for path in answer.split(b"\0") if path)


def _changes(transfer: Transfer) -> Iterator[FileChange]:
    """Yield the files and links that rsync sent; folders are not of interest, nor what got other times alone."""
    for item, path in transfer.items:
        if item[1:2] not in ("f", "L") or item[0] == ".":
            continue
        change = "changed"
        if item[2:3] == "+":
            change = "new"
        yield FileChange(path.split(" -> ")[0] if item[1] == "L" else path, change)

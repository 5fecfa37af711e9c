"""The log of a run, of the setup or of the guardian, as it comes; a connection that breaks is renewed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import output
from ..errors import BootstrapError, Interrupted, SshError
from ..invocation import PROGRAM
from ..models import AttachReport, LogReport, Run
from ..ssh_bytes import AfterMark, Frames
from ..ssh_frame import CONNECTED, Tail, in_bash
from ..ssh_session import Sessions, failure
from ..sshconfig import Host
from .inventory import managed_hosts
from .names import named_hosts
from .remote import KEPT_BYTES
from .runs import PYTHON, box_error, program, run_of
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App

#: For how long a broken connection is renewed, and the pause between two attempts, in seconds.
_RETRY_SECONDS = 300.0
_PAUSE_SECONDS = 2.0
#: How long a box may need to begin with the program that reads the log. After that a log may be silent for hours.
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Log:
    """Which log, and how much of it."""

    #: `run`, `setup` or `guardian`.
    source: str = "run"
    #: Its id; None is the newest.
    run: str | None = None
    #: The last so many; None is all.
    lines: int | None = None
    follow: bool = False


def box_and_run(app: App, words: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the name of the box and the id of the run that the words mean. One word is a box's, if a box has it."""
    if len(words) == 2:
        return words[0], words[1]
    if not words:
        return None, None
    if words[0].startswith("i-") or named_hosts(managed_hosts(app), words[0]):
        return words[0], None
    return None, words[0]


def show(app: App, host: Host, log: Log) -> LogReport:
    """Pass on a log; a document has its end. With `follow` until its run has ended."""
    tail = Tail(KEPT_BYTES)
    run = _followed(app, host, log, tail)
    report = LogReport(host.instance_id, host.alias, run, log.source)
    if app.passes_streams:
        return report
    return replace(report, output=tail.text(), truncated=tail.is_truncated)


def attach(app: App, host: Host, log: Log) -> AttachReport:
    """Follow a run to its end. Return it with its exit code; BootstrapError if it was lost."""
    tail = Tail(KEPT_BYTES)
    run = _followed(app, host, replace(log, follow=True), tail)
    assert run  # the log is a run's
    report = AttachReport(host.instance_id, host.alias, run, exit_code=run.exit_code)
    if not app.passes_streams:
        report = replace(report, output=tail.text(), truncated=tail.is_truncated)
    if run.exit_code is None:
        raise BootstrapError(
            f"The run {run.run} of {host.alias} ended without an exit code: the box was rebooted, or it was killed.",
            hint=f"Show its log: {PROGRAM} logs {host.alias} {run.run}",
            code="run-lost",
        ).attach_result(report)
    if run.exit_code and app.passes_streams:
        output.echo(f"{host.alias}: run {run.run}: exit code {run.exit_code}")
    return report


def _followed(app: App, host: Host, log: Log, tail: Tail) -> Run | None:
    """Pass on the log as it comes; return its run as it is at the end, None for a log that is not a run's."""
    write = app.console.pass_on if app.passes_streams else tail.take
    frames = Frames(write)
    try:
        with Sessions(app.ssh, ANSWER_SECONDS) as sessions:
            read(app, sessions, host, log, frames)
    except KeyboardInterrupt as exc:
        raise Interrupted.of(exc, hint=_going_on(host, log, frames.known.get("id"))) from exc
    if "error" in frames.known:
        error = box_error(host, frames.known["error"], log.run)
        if log.source == "setup":
            error.add_details(hint=f"Run the setup: {PROGRAM} setup {host.alias}")
        raise error
    about = frames.known["end"]
    if about is None:
        return None
    return run_of(host, about, time.time())


def _going_on(host: Host, log: Log, run: str | None) -> str | None:
    """Return what to say to somebody who stops to follow a run."""
    if log.source != "run" or not log.follow:
        return None
    name = run or log.run or ""
    return f"The run goes on. Follow it again: {PROGRAM} attach {host.alias} {name}".rstrip()


def read(app: App, sessions: Sessions, host: Host, log: Log, frames: Frames) -> None:
    """Read the log to its end. A connection that breaks is renewed; the log goes on from the same byte.

    SshError if the box does not answer any more, at the latest when the sessions are over.
    """
    lost_at: float | None = None
    while True:
        before = frames.offset
        try:
            _read_once(sessions, host, log, frames)
            return
        except SshError as exc:
            if sessions.is_over:
                raise
            if not frames.known or not log.follow or log.source == "guardian":
                with hint_on_timeout(app, host):
                    raise
            if frames.offset != before:
                lost_at = None
            lost_at = _again(host, exc, lost_at, app.ssh.clock)
        app.ssh.sleep(_PAUSE_SECONDS)


def _again(host: Host, exc: SshError, lost_at: float | None, clock: Callable[[], float]) -> float:
    """Say that the connection is renewed; return when it was lost. The error if that was too long ago."""
    if lost_at is None:
        output.echo(f"{exc} Connecting again, until {host.alias} has not answered for {_RETRY_SECONDS:.0f} s.")
        return clock()
    if clock() - lost_at > _RETRY_SECONDS:
        raise SshError(
            f"{host.alias} has not answered for {_RETRY_SECONDS:.0f} s: {exc}",
            hint=f"See whether the box still runs: {PROGRAM} status",
            code="ssh-lost",
        ) from exc
    return lost_at


def _read_once(sessions: Sessions, host: Host, log: Log, frames: Frames) -> None:
    """Read the log in one connection, from where the last one broke. SshError if it breaks before the end."""
    spec: dict[str, Any] = {
        "source": log.source,
        "run": frames.known.get("id") or log.run,
        "lines": log.lines,
        "offset": frames.offset if frames.known else None,
        "follow": log.follow,
    }
    frames.forget()
    said = Tail(KEPT_BYTES)
    command = in_bash(f"echo {CONNECTED}; {PYTHON}")
    frames_alone = AfterMark(frames.take)
    ended = sessions.stream(host.alias, command, frames_alone.take, said.take, stdin=program("logs", spec))
    if "end" in frames.known or "error" in frames.known:
        return
    raise failure(sessions.ssh, host.alias, ended.said or said.text(), began=frames_alone.began)

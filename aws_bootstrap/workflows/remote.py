"""Commands on boxes over ssh: a terminal or one command on one box, and one command on several boxes at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import output
from ..errors import SSH_FAILED, BootstrapError, Interrupted, UsageError
from ..models import ExecReport, ExecResult, SshReport
from ..parallel import map_parallel
from ..ssh import quoted
from ..ssh_bytes import AfterMark, Errors, Lines, Prefixed, for_terminal, marked
from ..ssh_frame import Tail
from ..ssh_session import Sessions, failure, hand_over
from ..sshconfig import Host
from . import pick
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App

#: Of a command's output in a document.
KEPT_BYTES = 256 * 1024


@contextlib.contextmanager
def failing_as_ssh() -> Iterator[None]:
    """Have the errors inside the block exit with 255, as OpenSSH has it: any other code may be the remote command's."""
    try:
        yield
    except (UsageError, Interrupted):
        raise
    except BootstrapError as exc:
        exc.exit_code = SSH_FAILED
        raise


def script_of(words: Sequence[str]) -> str:
    """Return the words as a line for bash: one word is such a line already, of several each stays one word."""
    if len(words) == 1:
        return words[0]
    return quoted(*words)


# --- ssh -------------------------------------------------------------------------------------------------


def ssh(app: App, name: str | None, script: str | None, *, tty: bool) -> SshReport:
    """Run a command on a box, or a login shell without one. Return how it ended.

    Its streams are those of this process, unless a document has its output. BootstrapError if ssh failed.
    """
    host = pick.host(app, name)
    known = SshReport(host.instance_id, host.alias)
    try:
        with hint_on_timeout(app, host):
            if not app.passes_streams:
                return _captured(app, host, script or "")
            ended = hand_over(app.ssh, host.alias, *_for_terminal(app, script, tty=tty))
    except BootstrapError as exc:
        raise exc.attach_result(known) from exc
    if ended.said:
        output.echo(ended.said.rstrip())
    return SshReport(host.instance_id, host.alias, exit_code=ended.status)


def _for_terminal(app: App, script: str | None, *, tty: bool) -> tuple[str | None, Sequence[str]]:
    """Return the command for ssh, and its options: a terminal on the box where this side is one, or it is requested."""
    if script is None:
        return None, ("-tt",) if tty else ()
    terminal = "-T"
    if tty:
        terminal = "-tt"
    elif app.console.is_terminal():
        terminal = "-t"
    return for_terminal(script), (terminal, "-o", "RemoteCommand=none")


def _captured(app: App, host: Host, script: str) -> SshReport:
    """Run the command, and return the end of its output, errors among it."""
    tail = Tail(KEPT_BYTES)
    with Sessions(app.ssh) as sessions:
        exit_code = _run(sessions, host, script, tail.take, None, stdin=None)
    return SshReport(host.instance_id, host.alias, exit_code=exit_code, output=tail.text(), truncated=tail.is_truncated)


def _run(
    sessions: Sessions,
    host: Host,
    script: str,
    on_output: Callable[[bytes], object],
    on_error: Callable[[bytes], object] | None,
    *,
    stdin: bytes | None = b"",
) -> int:
    """Run a command on a box; return its exit code. SshError if it did not run to its end.

    Its errors join its output where nothing takes them. `stdin` None: it reads what this process reads.
    """
    noise = Tail(KEPT_BYTES)
    errors = Errors(on_error or noise.take)
    out = AfterMark(on_output)
    err = Lines(errors.take)
    command = marked(script, merged=on_error is None)
    ended = sessions.stream(host.alias, command, out.take, err.take, stdin=stdin)
    if errors.exit_code is None:
        raise failure(sessions.ssh, host.alias, ended.said or noise.text(), began=out.began)
    return errors.exit_code


# --- exec ------------------------------------------------------------------------------------------------


def execute(app: App, names: Sequence[str], script: str) -> ExecReport:
    """Run a command on several boxes at once. Return how it ended on each of them."""
    hosts = pick.hosts(app, names) or [pick.host(app, None)]
    width = max(len(host.alias) for host in hosts)
    hints: dict[str, str | None] = {}
    with Sessions(app.ssh) as sessions:
        results = map_parallel(partial(_on_box, app, sessions, script, width, hints), hosts)
    worst: int | None = 0
    for result in results:
        if result.exit_code is None:
            worst = None
        elif worst is not None:
            worst = max(worst, result.exit_code)
    hint = None
    for result in results:
        hint = hint or hints.get(result.instance_id)
    return ExecReport(tuple(results), exit_code=worst, hint=hint)


def _on_box(
    app: App, sessions: Sessions, script: str, width: int, hints: dict[str, str | None], host: Host
) -> ExecResult:
    """Run the command on one box, its lines shown with its alias; what a document shows is returned instead."""
    tail = Tail(KEPT_BYTES)
    out = Lines(Prefixed(host.alias, app.console.pass_on, width).take)
    err = Prefixed(host.alias, partial(app.console.pass_on, err=True), width)
    try:
        with hint_on_timeout(app, host):
            if app.passes_streams:
                exit_code = _run(sessions, host, script, out.take, err.take)
            else:
                exit_code = _run(sessions, host, script, tail.take, None)
    except BootstrapError as exc:
        hints[host.instance_id] = exc.hint
        if not sessions.is_over:
            output.secho(f"{f'{host.alias}: ':<{width + 2}}{exc}", fg="red")
        return ExecResult(host.instance_id, host.alias, error=str(exc), error_code=exc.code)
    if app.passes_streams:
        if exit_code:
            output.echo(f"{f'{host.alias}: ':<{width + 2}}exit code {exit_code}")
        return ExecResult(host.instance_id, host.alias, exit_code=exit_code)
    return ExecResult(
        host.instance_id, host.alias, exit_code=exit_code, output=tail.text(), truncated=tail.is_truncated
    )

"""The errors of a command on a box, in ssh's own words."""

from __future__ import annotations

from .errors import SshError
from .invocation import SSH
from .ssh_frame import Output

#: For how long a command may print nothing: longer than any step of the setup may take (a test holds that).
SILENCE_SECONDS = 5400.0


#: ssh's words where no SSH server answers: the port is shut or filtered, or what accepts on it does not speak SSH.
_UNANSWERED = ("connect to host", "timed out", "kex_exchange_identification")


def refused(alias: str, cause: Exception, hint: str | None = None, *, seconds: float = 0) -> SshError:
    """Return the error for a login that failed, with ssh's own message, after so many seconds of retries."""
    words = str(cause)
    last = last_line(words)
    if any(phrase in words for phrase in _UNANSWERED):
        verdict = f"did not answer within {seconds:.0f} s" if seconds else "does not answer"
        return SshError(f"{alias} {verdict}: {last}", code="ssh-timeout")
    return SshError(f"{alias} refuses the login: {last}", hint=hint, code="ssh-refused")


def no_command(alias: str, message: str, status: int) -> SshError:
    """Return the error for a login that ended by itself: an `exit` in an rc file, or an account that is locked."""
    cause = message or f"exit status {status}"
    return SshError(
        f"{alias} ended the login before the command ran: {cause}",
        hint=f"Check what the account runs at login (~/.bashrc): {SSH} {alias}",
    )


def too_late(alias: str, seconds: float, output: Output) -> SshError:
    """Return the error for a bound of so many seconds that was passed."""
    if not output.began:
        return SshError(f"{alias} did not complete the login within {seconds:.0f} s.", code="ssh-timeout")
    if seconds == SILENCE_SECONDS:
        return SshError(f"The connection to {alias} broke: no output for {seconds:.0f} s.", code="ssh-lost")
    return SshError(f"{alias} did not finish within {seconds:.0f} s.", code="ssh-timeout")


def last_line(words: str) -> str:
    """Return the last line of the words; empty if there is none."""
    lines = words.strip().splitlines()
    if not lines:
        return ""
    return lines[-1].strip()

"""Forward ports of this machine to a box for as long as the command runs; a lost connection is opened again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import output
from ..errors import BootstrapError, SshError, UsageError
from ..invocation import SSH
from ..models import ForwardedPort, ForwardReport
from ..ssh_tunnel import Connection, free_port, opened
from ..sshconfig import Host
from . import pick
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App

_PORTS = re.compile(r"(?:(?P<local>[0-9]{1,5}):)?(?P<remote>[0-9]{1,5})")
#: Seconds before each login after a lost connection; the last one from then on.
_PAUSES = (0.2, 1.0, 2.0, 5.0)
#: A box that boots refuses logins for a while, one whose keys changed for ever.
_MAX_REFUSALS = 20


def split_words(words: Sequence[str]) -> tuple[str | None, list[ForwardedPort]]:
    """Return the box and the ports that the words name. UsageError for a word that is neither."""
    rest = list(words)
    name = None
    if rest and not _PORTS.fullmatch(rest[0]):
        name = rest.pop(0)
    if not rest:
        raise UsageError("No port was named.", hint="Name one of the box, such as 8888, or 9000:8888 for another here.")
    return name, [_port(word) for word in rest]


def _port(word: str) -> ForwardedPort:
    """Return the port that a word such as `8888` or `9000:8888` names."""
    named = _PORTS.fullmatch(word)
    if named is None:
        raise UsageError(f"'{word}' is not a port.", hint="Write it like 8888, or 9000:8888 for port 9000 here.")
    remote = int(named["remote"])
    local = int(named["local"] or remote)
    if not 0 < remote < 65536 or not 0 < local < 65536:
        raise UsageError(f"'{word}' is not a port.", hint="A port is a number from 1 to 65535.")
    return ForwardedPort(local, remote)


def bare_command(host: Host, ports: Sequence[ForwardedPort]) -> tuple[str, ...]:
    """Return the words of the ssh that forwards the ports, without what makes it come back."""
    words = [SSH, "-N"]
    for port in ports:
        words += ["-L", f"127.0.0.1:{port.local_port}:localhost:{port.remote_port}"]
    return (*words, host.alias)


def report(host: Host, ports: Sequence[ForwardedPort], *, printed: bool = False) -> ForwardReport:
    """Return the result of `forward` for these ports."""
    return ForwardReport(
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        region=host.region,
        ports=tuple(ports),
        command=bare_command(host, ports),
        printed=printed,
    )


@contextmanager
def tunnel(app: App, host: Host, requested: Sequence[ForwardedPort]) -> Iterator[Tunnel]:
    """Yield a tunnel with these ports, or free ones in place of those that are taken; close it at the end."""
    opening = Tunnel(app, host)
    try:
        with hint_on_timeout(app, host):
            opening.open(requested)
        yield opening
    finally:
        opening.close()


class Tunnel:
    """Forwarded ports over a connection of our own."""

    def __init__(self, app: App, host: Host) -> None:
        self._app = app
        self.host = host
        self.ports: tuple[ForwardedPort, ...] = ()
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """Return the open connection."""
        assert self._connection
        return self._connection

    def open(self, requested: Sequence[ForwardedPort]) -> None:
        """Connect and forward the ports. SshError if either fails."""
        self._connection = opened(self.host.alias, self._app.paths.ssh_flags)
        ports: list[ForwardedPort] = []
        for port in requested:
            ports.append(self._forward(port))
        self.ports = tuple(ports)

    def hold(self) -> None:
        """Keep the tunnel open until Ctrl-C, which ends it as the user means it: without an error."""
        try:
            while True:
                self._reconnect(self.connection.wait_end())
        except KeyboardInterrupt as exc:
            if type(exc) is not KeyboardInterrupt:
                raise

    def close(self) -> None:
        """End the connection and with it all that it forwards."""
        if self._connection is not None:
            self._connection.close()

    def _forward(self, requested: ForwardedPort) -> ForwardedPort:
        """Forward a port; another one, which is said, if it is taken."""
        port = ForwardedPort(free_port(requested.local_port), requested.remote_port)
        try:
            self.connection.forward(port.local_port, port.remote_port)
        except SshError:
            if not self.connection.is_open():
                raise
            port = ForwardedPort(free_port(0), requested.remote_port)  # taken just before ssh came
            self.connection.forward(port.local_port, port.remote_port)
        if port != requested:
            message = f"Port {requested.local_port} of this machine is taken. Port {port.local_port} is used."
            output.warn(message, code="port-taken")
        return port

    def _reconnect(self, cause: str) -> None:
        """Open the connection again, with the same ports, however long that takes.

        BootstrapError once the alias no longer exists, a port was taken meanwhile, or the box still refuses the login.
        """
        output.info(f"The connection to {self.host.alias} broke: {cause}")
        refusals = 0
        attempt = 0
        while True:
            self.close()
            time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1
            output.live(f"      Connecting again, attempt {attempt} …")
            self.host = pick.host(self._app, self.host.alias)
            try:
                self._connection = opened(self.host.alias, self._app.paths.ssh_flags)
            except SshError as exc:
                refusals += exc.code == "ssh-refused"
                if refusals > _MAX_REFUSALS:
                    raise
                continue
            self._forward_again()
            output.live("")
            output.info("Connected again.")
            return

    def _forward_again(self) -> None:
        for port in self.ports:
            if free_port(port.local_port) != port.local_port:
                raise BootstrapError(
                    f"Port {port.local_port} of this machine was taken while the connection was lost.",
                    code="forward-failed",
                )
            self.connection.forward(port.local_port, port.remote_port)

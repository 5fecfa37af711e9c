"""The socket that the hub listens on, and the connections that have not said yet who they are."""

import socket
import sys
import time
from typing import Any

from lines import Connection

#: How long a connection may take to say who it is.
HELLO_SECONDS = 5.0


class Listener:
    """Listens from the first look on that finds the address free."""

    def __init__(self, spec):
        """Begin. Nothing listens yet. The agent of a job before this one may still have the address."""
        self.address = (spec["nodes"][0]["address"], spec["port"])
        self.until = time.monotonic() + spec["listen_seconds"]
        self.socket: Any = None
        self.is_waiting = False
        self.strangers: list = []

    def sockets(self):
        """Return what to wait for."""
        found = [connection.socket for connection in self.strangers]
        if self.socket:
            found.append(self.socket)
        return found

    def look(self):
        """Return the connections that have said something, with what they said. OSError if the address stays in use."""
        if self.socket is None:
            self.listen()
        else:
            self.accept()
        found = []
        for connection in list(self.strangers):
            messages = connection.receive()
            if messages:
                self.strangers.remove(connection)
                found.append((connection, messages))
            elif connection.closed or connection.silent_for() > HELLO_SECONDS:
                self.strangers.remove(connection)
                connection.close()
        return found

    def listen(self):
        """Listen, or try again with the next look. OSError if the address is not free in time."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(self.address)
            listening.listen(128)
        except OSError as error:
            listening.close()
            if time.monotonic() >= self.until:
                self.until = float("inf")  # once is enough: the agent listens on while it ends
                raise
            if not self.is_waiting:
                self.is_waiting = True
                print(f"aws-bootstrap: waits for {self.address}: {error.strerror}", file=sys.stderr, flush=True)
            return
        listening.setblocking(False)
        self.socket = listening

    def accept(self):
        """Accept new connections."""
        while True:
            try:
                connected, _ = self.socket.accept()
            except OSError:
                return
            self.strangers.append(Connection(connected))

    def close(self):
        """Close all of it. A later hello finds nobody."""
        for connection in self.strangers:
            connection.close()
        if self.socket:
            self.socket.close()

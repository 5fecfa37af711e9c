"""The link of an agent to the hub, for every position but 0. The messages are in hub.py."""

import select
import socket
import time
from typing import Any

from lines import Connection

BEAT_SECONDS = 1.0
#: How long after a failed attempt the next one follows, and how long one may take.
RETRY_SECONDS = 0.5
CONNECT_SECONDS = 2.0
#: The hub's own limit for the phase `join` ends first, so that all agents have the same result.
MARGIN = 1.1


class Uplink:
    """The link to the hub. `lost`: why there is none any more, "" while there is, or while it is being looked for."""

    def __init__(self, spec, failure):
        """Begin to look for the hub: it may start later than this agent. `failure`: why this one cannot take part."""
        self.spec = spec
        self.failure = failure
        self.hub = (spec["nodes"][0]["address"], spec["port"])
        self.connection: Any = None
        self.is_member = False
        self.has_begun = False
        self.lost = ""
        self.silence = "it does not answer"
        self.refusal = ""
        self.retry_at = 0.0
        self.beat_at = 0.0
        self.join_until = time.monotonic() + spec["join_seconds"] * MARGIN + CONNECT_SECONDS

    def report(self, message):
        """Send a report to the hub."""
        if self.connection:
            self.connection.send(message)

    def messages(self):
        """Return what the hub has sent, and what concerns an agent of it."""
        if self.connection is None:
            return []
        found = []
        for message in self.connection.receive():
            if message["type"] == "welcome":
                self.is_member = True
            elif message["type"] == "refused":
                self.refusal = f"it refused: {message['reason']}"
            elif message["type"] != "beat":
                self.has_begun = True
                found.append(message)
        return found

    def wait(self, seconds, woken):
        """Wait until something comes, at most so long."""
        waiting = [woken]
        if self.connection and not self.connection.closed:
            waiting.append(self.connection.socket)
        select.select(waiting, [], [], seconds)

    def rest(self, seconds, woken):
        """Wait a moment. Nothing more is to hear of the hub."""
        select.select([woken], [], [], seconds)

    def look(self):
        """Connect, send a heartbeat, find out that the hub is lost."""
        now = time.monotonic()
        if self.connection is None:
            if now >= self.join_until:
                self.lost = self.refusal or self.silence
            elif now >= self.retry_at:
                self.retry_at = now + RETRY_SECONDS
                self.connect()
            return
        if not self.connection.closed and self.connection.silent_for() > self.spec["silence_seconds"]:
            self.connection.closed = f"silent for {self.spec['silence_seconds']:g} s"
        if self.connection.closed:
            self.disconnect()
        elif self.is_member and now >= self.beat_at:
            self.beat_at = now + BEAT_SECONDS
            self.connection.send({"type": "beat"})
        if self.connection:
            self.connection.flush()

    def disconnect(self):
        """End a closed connection. Before the first phase the hub may be another job's, which ends: look again."""
        if self.has_begun:
            self.lost = f"its connection is {self.connection.closed}"
            self.is_member = False
            return
        self.connection.close()
        self.connection = None
        self.is_member = False

    def connect(self):
        """Connect to the hub, and say who this is."""
        own = self.spec["nodes"][self.spec["position"]]["address"]
        try:
            connected = socket.create_connection(self.hub, CONNECT_SECONDS, source_address=(own, 0))
        except OSError as error:
            self.silence = f"it does not answer ({error.strerror or error})"
            return
        self.connection = Connection(connected)
        hello = {"type": "hello", "job": self.spec["job"], "token": self.spec["token"]}
        self.connection.send({**hello, "position": self.spec["position"], "failure": self.failure})

    def has_members(self):
        """Return whether other agents need this one, which is the hub alone."""
        return False

    def close(self):
        """End the connection: the hub then knows that this agent has ended."""
        if self.connection:
            self.connection.close()

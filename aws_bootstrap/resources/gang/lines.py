"""JSON lines over TCP: one message a line, without waiting for the other side."""

import json
import socket
import time

#: The longest line. A peer that sends a longer one does not speak this protocol.
LONGEST = 1 << 16
CHUNK = 1 << 16


class Connection:
    """A connection to another agent. `heard`: when something came from it last. `closed`: why it ended, "" if open."""

    def __init__(self, connected):
        """Take over a connected socket."""
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self.incoming = b""
        self.outgoing = b""
        self.heard = time.monotonic()
        self.closed = ""

    def send(self, message):
        """Send a message now, or with the next flush if the other side is slow."""
        self.outgoing += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self):
        """Send what is left to send and what the other side takes."""
        while self.outgoing and not self.closed:
            try:
                sent = self.socket.send(self.outgoing)
            except BlockingIOError:
                return
            except OSError:
                self.outgoing = b""  # what it sent last may still be here: receive finds the end of the connection
                return
            self.outgoing = self.outgoing[sent:]

    def receive(self):
        """Return the messages that have come. Note the end of the connection."""
        while not self.closed:
            try:
                data = self.socket.recv(CHUNK)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""  # an end as well: the other side left something unread
            except OSError as error:
                self.closed = error.strerror or "broken"
                break
            if not data:
                self.closed = "closed"
                break
            self.heard = time.monotonic()
            self.incoming += data
            if len(self.incoming) > 16 * LONGEST:
                break
        return self.messages()

    def messages(self):
        """Return the messages of the whole lines."""
        *lines, self.incoming = self.incoming.split(b"\n")
        found = []
        for line in lines:
            message = read(line)
            if message is None:
                self.closed = "no JSON"
                break
            found.append(message)
        if len(self.incoming) > LONGEST:
            self.closed = "too long a line"
        return found

    def silent_for(self):
        """Return the seconds since something came."""
        return time.monotonic() - self.heard

    def close(self):
        """End the connection."""
        self.closed = self.closed or "closed here"
        self.socket.close()


def read(line):
    """Return the message of a line, None if it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return None
    return message

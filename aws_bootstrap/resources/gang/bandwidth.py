"""Measure the network between the nodes: each sends to the next one, the last one to the first, all at once.

    bandwidth.py [PORT [SECONDS]]

A job without torchrun, by the variables of cluster run. Each node prints one line of JSON: {"bandwidth": {"node",
"from", "to", "gbit_s", "round_trip_ms"}}. `gbit_s` is what comes from the node before. A cluster of one has nulls.
"""

import json
import os
import socket
import statistics
import sys
import threading
import time

PORT = 29401
SECONDS = 2.0
#: One TCP connection of EC2 is limited to 10 Gbit/s within a placement group, and to 5 elsewhere.
STREAMS = 4
PINGS = 20
CHUNK = 1 << 20
#: How long a neighbour may take to begin, and to say anything later.
LIMIT_SECONDS = 60.0


def main():
    """Measure, and print the line."""
    words = [*sys.argv[1:], *("", "")]
    port, seconds = int(words[0] or PORT), float(words[1] or SECONDS)
    addresses = os.environ["AWSB_NODE_IPS"].split(",")
    node = int(os.environ["AWSB_NODE_RANK"])
    before, after = (node - 1) % len(addresses), (node + 1) % len(addresses)
    found = {"node": node, "from": None, "to": None, "gbit_s": None, "round_trip_ms": None}
    if len(addresses) > 1:
        receiver = Receiver(addresses[node], port)
        receiver.start()
        found["round_trip_ms"] = send(addresses[node], (addresses[after], port), seconds)
        receiver.join()
        if receiver.error:
            raise receiver.error
        found.update({"from": before, "to": after, "gbit_s": round(receiver.gbit_s(), 3)})
    print(json.dumps({"bandwidth": found}), flush=True)


class Receiver(threading.Thread):
    """Answers the pings of the node before, then takes what it sends. `error`: what has failed, None if nothing."""

    def __init__(self, address, port):
        """Listen."""
        super().__init__()
        self.listener = socket.create_server((address, port), backlog=STREAMS)
        self.listener.settimeout(LIMIT_SECONDS)
        self.spans = []
        self.error = None

    def run(self):
        """Take one connection for pings and so many for data."""
        try:
            self.answer(self.accept())
            takers = []
            for _ in range(STREAMS):
                takers.append(threading.Thread(target=self.take, args=[self.accept()]))
                takers[-1].start()
            for taker in takers:
                taker.join()
        except OSError as error:
            self.error = error
        finally:
            self.listener.close()

    def accept(self):
        """Return the next connection."""
        connected, _ = self.listener.accept()
        connected.settimeout(LIMIT_SECONDS)
        return connected

    def answer(self, connected):
        """Send every byte back."""
        with connected:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(PINGS):
                connected.sendall(connected.recv(1))

    def take(self, connected):
        """Count what comes."""
        buffer = bytearray(CHUNK)
        count = 0
        begin = time.perf_counter()
        try:
            with connected:
                while True:
                    size = connected.recv_into(buffer)
                    if not size:
                        break
                    count += size
        except OSError as error:
            self.error = error
        self.spans.append((begin, time.perf_counter(), count))

    def gbit_s(self):
        """Return what has come a second, over all connections."""
        begin = min(span[0] for span in self.spans)
        end = max(span[1] for span in self.spans)
        return sum(span[2] for span in self.spans) * 8 / (end - begin) / 1e9


def send(own, target, seconds):
    """Send to the next node for so long. Return the median round trip in milliseconds, measured before."""
    round_trip = ping(connect(own, target))
    senders = []
    for connected in [connect(own, target) for _ in range(STREAMS)]:
        senders.append(threading.Thread(target=pour, args=[connected, seconds]))
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return round_trip


def connect(own, target):
    """Return a connection. The other side may begin later. OSError if it does not in time."""
    until = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            return socket.create_connection(target, timeout=LIMIT_SECONDS, source_address=(own, 0))
        except ConnectionRefusedError:
            if time.monotonic() >= until:
                raise
        time.sleep(0.1)


def ping(connected):
    """Return the median time of a byte to the other side and back, in milliseconds."""
    times = []
    with connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(PINGS):
            begin = time.perf_counter()
            connected.sendall(b"x")
            connected.recv(1)
            times.append(1000 * (time.perf_counter() - begin))
    return round(statistics.median(times), 3)


def pour(connected, seconds):
    """Send as fast as it can."""
    data = bytes(CHUNK)
    until = time.monotonic() + seconds
    with connected:
        while time.monotonic() < until:
            connected.sendall(data)


if __name__ == "__main__":
    main()

"""What the nodes of a cluster say to each other: that they have work, and nothing else.

A node says it because one of its own probes does, never because another node said it: two nodes would keep each other
up for ever. Nothing that fails here ends a box or keeps it up: one that hears nothing is as one without peers. A box
that has no FILE opens no socket.
"""

import contextlib
import errno
import json
import socket
import time
from pathlib import Path

import ending

#: Which nodes the cluster has, written by `cluster launch`.
FILE = Path("/etc/aws-bootstrap/peers.json")
#: What `aws-bootstrap peers` shows.
SHOWN = Path("/run/aws-bootstrap/peers")
#: A node listens at the first of these UDP ports that no other program has. The others send to each of them.
PORTS = (29398, 29397, 29396)
#: Datagrams that are read in one go, and the bytes of one: who sends more must not hold up the rest.
MOST, SIZE = 1000, 1024

#: The socket that listens, and its address and port.
_own: dict = {"socket": None, "at": None}
#: When each node has said that it has work, by its alias.
_said: dict = {}
#: When the last look was, by how much earlier what was said counts as well, and what the last problem was.
_state: dict = {"since": 0.0, "margin": 0.0, "problem": ""}


def watch(has_work, seconds):
    """Listen to the other nodes, and say to them that this one has work when it has: again and again."""
    _state["margin"] = 2 * seconds  # a datagram may be late, or lost
    while True:
        try:
            problem = exchange(has_work)
        except Exception as error:  # whatever it is: the box goes on without its peers
            problem = f"{type(error).__name__}: {error}"
        if problem and problem != _state["problem"]:
            ending.say(f"This box does not know what the other nodes of its cluster do: {problem}")
        _state["problem"] = problem
        time.sleep(seconds)


def exchange(has_work):
    """Read what was said, and say what is to be said. Return why nothing is heard, "" if all is well."""
    known = read()
    if known is None:
        stop_listening()
        return ""
    problem = ""
    try:
        listen(known["address"])
        hear(known["secret"])
    except OSError as error:
        problem = f"{known['address']}: {error}"
        if error.errno == errno.EADDRNOTAVAIL:  # the file is of another instance, or the network is not up
            return problem
    if has_work():
        say(known)
    show(known, problem)
    return problem


def read():
    """Return what FILE says; None if there is none. An error if it says something else."""
    try:
        known = json.loads(FILE.read_text())
    except FileNotFoundError:
        return None
    peers = {peer["address"]: peer["alias"] for peer in known["peers"]}
    return {"alias": known["alias"], "address": known["address"], "secret": str(known["secret"]), "peers": peers}


def listen(address):
    """Open the socket, unless it listens at this address already. OSError if it cannot be done."""
    if _own["at"] and _own["at"][0] == address:
        return
    stop_listening()
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setblocking(False)
    for port in PORTS:
        try:
            listening.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == PORTS[-1]:
                listening.close()
                raise
        else:
            _own.update(socket=listening, at=(address, port))
            return


def stop_listening():
    """Close the socket, and forget what was said."""
    if _own["socket"]:
        _own["socket"].close()
        _own.update(socket=None, at=None)
        _said.clear()
        with contextlib.suppress(OSError):
            SHOWN.unlink()


def hear(secret):
    """Note who has said that it has work. What does not have the secret does not count."""
    from hmac import compare_digest  # 4 MB, which the timer's runs do without

    for _ in range(MOST):
        try:
            datagram = _own["socket"].recv(SIZE)
        except BlockingIOError:
            return
        words = datagram.split()
        if len(words) == 2 and compare_digest(words[0], secret.encode()):
            _said[words[1].decode(errors="replace")] = time.monotonic()


def say(known):
    """Send to each other node that this one has work. One that cannot be reached is left out."""
    datagram = f"{known['secret']} {known['alias']}".encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        for address in known["peers"]:
            for port in PORTS:
                with contextlib.suppress(OSError):
                    sending.sendto(datagram, (address, port))


def heard():
    """Name the nodes that have said since the last look, or shortly before it, that they have work."""
    since, _state["since"] = _state["since"] - _state["margin"], time.monotonic()
    return ", ".join(sorted(alias for alias, at in list(_said.items()) if at >= since))


def show(known, problem):
    """Write for the users of the box what its guardian knows of the others."""
    lines = [f"{known['alias']} {known['address']} this box {problem}".rstrip()]
    for address, alias in known["peers"].items():
        line = f"{alias} {address} has said nothing"
        if alias in _said:
            line = f"{alias} {address} had work {time.monotonic() - _said[alias]:.0f} s ago"
        lines.append(line)
    draft = SHOWN.with_suffix(".new")
    with contextlib.suppress(OSError):
        draft.write_text("\n".join([*lines, ""]))
        draft.replace(SHOWN)

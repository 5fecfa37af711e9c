"""Starts commands by a fork of a process that has imported the libraries, which saves a third of their CPU time.

Everything of this package is imported by the command itself, as `python -m aws_bootstrap` does. It has streams,
signals, a folder and an environment of its own, and ends as a process of its own. Only what is a user's to see when
Python itself starts differs: tests of that, as test_startup.py, start the program.

    python -m aws_bootstrap.tests.starter FD

takes requests from the socket FD: `{"argv", "env", "cwd", "umask"}` with the files for stdout, stderr and the replies,
which are the command's pid and, when it has ended, its exit code.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO

import boto3
import click  # noqa: F401 (the commands use it)
import tabulate  # noqa: F401
import yaml  # noqa: F401

from aws_bootstrap import crt

LONGEST_REQUEST = 1 << 20
AT_START = ("LANG", "LC_", "PYTHON")
"""What Python reads of the environment only when it starts, by the beginnings of the names."""


# --- in the test process -----------------------------------------------------------------------------------------


def run(argv: Sequence[str], env: Mapping[str, str], umask: int, timeout: float) -> tuple[int, str, str]:
    """Return the command's exit code, stdout and stderr. A command that takes too long is killed."""
    if sys.platform != "linux" or _at_start(env) != _at_start(os.environ):
        done = subprocess.run(
            [sys.executable, "-m", "aws_bootstrap", *argv],
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=timeout,
            umask=umask,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout, done.stderr
    replies, out, err = _start(argv, env, umask)
    with replies, out, err:
        pid = int(replies.readline())
        read = _read_to_end((out, err, replies), time.monotonic() + timeout)
        if read is None:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(argv), timeout)
    return int(read[2]), read[0].decode(), read[1].decode()


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(AT_START)}


def _start(argv: Sequence[str], env: Mapping[str, str], umask: int) -> tuple[BinaryIO, BinaryIO, BinaryIO]:
    """Start the command; return the pipes of the replies, of its stdout and of its stderr."""
    request = {"argv": list(argv), "env": dict(env), "cwd": os.getcwd(), "umask": umask}
    pipes = [os.pipe() for _ in range(3)]
    (out, to_out), (err, to_err), (replies, to_replies) = pipes
    socket.send_fds(_starter(), [json.dumps(request).encode()], [to_out, to_err, to_replies])
    for _, given in pipes:
        os.close(given)
    return open(replies, "rb", 0), open(out, "rb", 0), open(err, "rb", 0)


@functools.cache
def _starter() -> socket.socket:
    """The socket of this test process's starter, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_REQUEST)
    # Python treats streams that begin as pipes differently from files, and the commands' streams are pipes.
    unread, stream = os.pipe()
    argv = [sys.executable, "-m", "aws_bootstrap.tests.starter", str(theirs.fileno())]
    subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, pass_fds=[theirs.fileno()])
    for number in (unread, stream):
        os.close(number)
    theirs.close()
    return ours


def _read_to_end(pipes: Sequence[BinaryIO], deadline: float) -> list[bytes] | None:
    """Return what the pipes hold once all have ended; None if that takes too long."""
    read = {pipe: b"" for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready and time.monotonic() > deadline:
                return None
            for key, _ in ready:
                source: Any = key.fileobj
                chunk = os.read(source.fileno(), 65536)
                read[source] += chunk
                if not chunk:
                    selector.unregister(source)
    return list(read.values())


# --- in the starter ----------------------------------------------------------------------------------------------


def _load() -> None:
    """Import and read what the libraries import and read only for their first client."""
    with crt.left_out():
        from botocore.loaders import JSONFileLoader

        read = functools.cache(partial(JSONFileLoader.load_file, JSONFileLoader()))
        setattr(JSONFileLoader, "load_file", lambda _, path: read(path))  # noqa: B010 (mypy refuses the assignment)
        session = boto3.Session("testing", "testing", region_name="us-west-2")
        for service in ("ec2", "pricing", "service-quotas", "sts"):
            session.client(service)
    del session
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Take requests until nobody can send any; return the request in the process that becomes its command."""
    while True:
        text, given, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 3)
        if not text:
            os._exit(0)
        if os.fork() == 0:
            requests.close()
            return _watched(json.loads(text), *given)
        for number in given:
            os.close(number)
        _forget_ended()


def _forget_ended() -> None:
    """Take note of the processes that have ended, or they would stay as zombies."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def _watched(request: dict[str, Any], out: int, err: int, replies: int) -> dict[str, Any]:
    """Return the request in the command's process; in this one reply how the command ends."""
    pid = os.fork()
    if pid == 0:
        os.close(replies)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        return request
    os.close(out)
    os.close(err)
    os.write(replies, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(replies, b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(request: dict[str, Any]) -> None:
    """Have everything as the process of a new command has it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    random.seed()
    if request["umask"] >= 0:
        os.umask(request["umask"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "aws_bootstrap"]:
        del sys.modules[name]
    sys.argv[1:] = request["argv"]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests' Ctrl-C; they end, and with them the socket
    _load()
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
    runpy.run_module("aws_bootstrap", run_name="__main__", alter_sys=True)

"""Runs commands of the program, each in a process of its own that is forked from this one.

Python, boto3 and EC2's service model take 0.7 s to load; a fork of a process that has loaded them takes 10 ms. The
forked process is what a user's would be: it has its own signals, streams and exit code.

    python -m aws_bootstrap.tests.matrix.starter READ_TIMEOUT

reads one request a line, `{"argv", "env", "out", "err", "record", "drop", "folder"}`, and answers `{"pid"}` when the
command has started and `{"code"}` when it has ended; a negative code is the number of the signal that ended it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from typing import Any

from aws_bootstrap.app import App
from aws_bootstrap.aws import Aws
from aws_bootstrap.cli import main as program
from aws_bootstrap.paths import Paths
from aws_bootstrap.tests.matrix import replies

REGIONS = ("us-west-2", "eu-west-1")
CONNECT_TIMEOUT = 5.0
LOOKUP_SECONDS = 4.0
"""For how long a call whose answer never came is looked up: here every effect shows at once."""


class WarmAws(Aws):
    """The door to AWS with every client made, and with read timeouts of a second instead of twenty."""

    def __init__(self, read_timeout: float) -> None:
        super().__init__(timeouts={"connect_timeout": CONNECT_TIMEOUT, "read_timeout": read_timeout})
        for region in REGIONS:
            self.ec2(region)
            self.ec2_once(region)
            self.service_quotas(region)
        self.pricing()

    def clients(self) -> list[Any]:
        """All of them."""
        return list(self._clients.values())


def serve(aws: WarmAws) -> None:
    """Runs what is asked for, until nobody asks any more."""
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_command(request, aws)
        _answer({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _answer({"code": os.waitstatus_to_exitcode(status)})


def _answer(message: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _become_command(request: dict[str, Any], aws: WarmAws) -> None:
    """Never returns: the process ends with the command."""
    os.setpgid(0, 0)
    os.chdir(request["folder"])
    _take_streams(request["out"], request["err"])
    os.environ.clear()
    os.environ.update(request["env"])
    app = App(paths=Paths(os.environ))
    app.aws = aws
    app.lookup_seconds = LOOKUP_SECONDS
    log = replies.watch(aws.clients(), request.get("record"), request.get("drop"))
    code = 70
    try:
        program(request["argv"], obj=app)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    finally:
        log.write()
        _flush()
        os._exit(code)


def _take_streams(out: str, err: str) -> None:
    """Has the three standard streams be as a script has them: nothing to read, two files to write."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDONLY if number == 0 else flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


if __name__ == "__main__":
    # nohup, and a shell's background, would have the commands ignore what the cases send them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    warm = WarmAws(float(sys.argv[1]))
    gc.freeze()
    serve(warm)

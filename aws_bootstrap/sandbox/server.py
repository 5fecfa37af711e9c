"""The background process: runs the sandbox and its HTTP server until a signal.

python -m aws_bootstrap.sandbox.server HOME [--port N] [--no-boxes] [--timing NAME=SECONDS]…
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from .. import crt
from .cloud import boto3_stub, moto_settings
from .home import Home, Record
from .process import start_time

HOME_CHECK_SECONDS = 2.0


class SandboxServer:
    """The sandbox of one home, and its HTTP server."""

    def __init__(self, home: Home, options: argparse.Namespace) -> None:
        # Imported here, after gc is off: importing moto creates a million objects that are never collected.
        from .cloud.world import Timing
        from .control_api import ControlApi
        from .http_server import HttpServer
        from .running import RunningSandbox

        timing = Timing(**dict(options.timing))
        self._home = home
        self._sandbox = RunningSandbox(home, timing, boxes=not options.no_boxes)
        self._http = HttpServer(
            options.port, self._sandbox.access_key, self._sandbox.router.handle, self._sandbox.faults, self._sandbox.log
        )
        self._control_api = ControlApi(self._sandbox, self._http.port)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Serve until `stop` is called or the home is deleted."""
        self._sandbox.state.load()
        self._http.start(self._control_api.handle)
        self._sandbox.state.start()
        self._sandbox.resume()
        self._home.write_record(Record(os.getpid(), self._http.port, start_time(os.getpid())))
        while not self._stopped.wait(HOME_CHECK_SECONDS) and self._home.record_file.exists():
            continue  # a sandbox whose home was deleted ends: nobody can find it any more
        self._http.shutdown()
        self._sandbox.stop()

    def stop(self, *_: Any) -> None:
        """End `run`."""
        self._stopped.set()


def _timing(text: str) -> tuple[str, float]:
    """Return the name and the seconds of NAME=SECONDS."""
    name, _, seconds = text.partition("=")
    return name, float(seconds)


def _options(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="aws_bootstrap.sandbox.server")
    parser.add_argument("home", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--no-boxes", action="store_true")
    parser.add_argument("--timing", type=_timing, action="append", default=[])
    return parser.parse_args(arguments)


def main() -> None:
    """Run a sandbox in the folder that the command line names."""
    gc.disable()
    boto3_stub.stub_boto3()
    moto_settings.configure()
    options = _options(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(name)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    os.umask(0o022)  # the boxes' files; others cannot read the home itself
    with crt.left_out():  # moto imports botocore
        server = SandboxServer(Home.of(options.home), options)
    gc.enable()
    gc.freeze()
    signal.signal(signal.SIGTERM, server.stop)
    signal.signal(signal.SIGINT, server.stop)
    server.run()


if __name__ == "__main__":
    main()

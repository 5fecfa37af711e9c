"""The background process: starts the sandbox, opens its door, ends when told.

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

from .cloud import lean
from .home import Home, Record
from .process import birth

HOME_CHECK_SECONDS = 2.0


class Server:
    """The sandbox of one home, and the door that leads to it."""

    def __init__(self, home: Home, options: argparse.Namespace) -> None:
        # Imported here, after gc is off: loading moto makes a million objects that never die.
        from .cloud.world import Timing
        from .controls import Controls
        from .door import Door
        from .running import Sandbox

        timing = Timing(**dict(options.timing))
        self._home = home
        self._sandbox = Sandbox(home, timing, boxes=not options.no_boxes)
        self._door = Door(
            options.port, self._sandbox.access_key, self._sandbox.router.answer, self._sandbox.faults, self._sandbox.log
        )
        self._controls = Controls(self._sandbox, self._door.port)
        self._ended = threading.Event()

    def run(self) -> None:
        """Serve until told to end."""
        self._sandbox.state.load()
        self._door.open(self._controls.control)
        self._sandbox.state.start()
        self._sandbox.resume()
        self._home.write_record(Record(os.getpid(), self._door.port, birth(os.getpid())))
        while not self._ended.wait(HOME_CHECK_SECONDS) and self._home.record_file.exists():
            continue  # a sandbox whose home was deleted has nothing to live for
        self._door.shutdown()
        self._sandbox.end()

    def stop(self, *_: Any) -> None:
        """Have `run` come to its end."""
        self._ended.set()


def _timing(text: str) -> tuple[str, float]:
    name, _, seconds = text.partition("=")
    return name, float(seconds)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="aws_bootstrap.sandbox.server")
    parser.add_argument("home", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--no-boxes", action="store_true")
    parser.add_argument("--timing", type=_timing, action="append", default=[])
    return parser.parse_args(arguments)


def main() -> None:
    """Run a sandbox in the folder that the command line names."""
    gc.disable()
    lean.spare_boto3()
    options = _options(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(name)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    os.umask(0o022)  # the boxes' files; the home itself is closed to others
    server = Server(Home.of(options.home), options)
    gc.enable()
    gc.freeze()
    signal.signal(signal.SIGTERM, server.stop)
    signal.signal(signal.SIGINT, server.stop)
    server.run()


if __name__ == "__main__":
    main()

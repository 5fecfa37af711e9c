"""The background process: puts the pieces together, keeps the state on disk, ends when told.

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

_LOG = logging.getLogger(__name__)
HOME_CHECK_SECONDS = 2.0


class Sandbox:
    """A running sandbox: the EC2 side, the box side, the door."""

    def __init__(self, home: Home, options: argparse.Namespace) -> None:
        # Imported here, after gc is off: loading moto makes a million objects that never die.
        from .boxes.fleet import Fleet
        from .cloud import backend
        from .cloud.router import Router
        from .cloud.world import NoMachines, Timing, World
        from .controls import Controls
        from .door import Door
        from .scheduler import Scheduler
        from .snapshots import Snapshots
        from .state import State

        self.home = home
        self.lock = threading.RLock()
        self.scheduler = Scheduler(self.lock, self.changed)
        self.fleet = None if options.no_boxes else Fleet(home)
        timing = Timing(**dict(options.timing))
        self.world = World(self.scheduler, self.fleet or NoMachines(), timing)
        self.backends = backend.install(self.world)
        access_key = home.access_key()[0]
        self.router = Router(self.backends, self.lock, access_key, self.changed)
        self.state = State(home, self)
        self.snapshots = Snapshots(home, self)
        self.door = Door(options.port, self.router.answer, Controls(self), access_key)
        self._ended = threading.Event()

    def run(self) -> None:
        """Serves until told to end."""
        with self.lock:
            self.state.load()
        threading.Thread(target=self.door.serve_forever, args=(0.05,), name="door", daemon=True).start()
        self.state.start()
        self._resume()
        self.home.write_record(Record(os.getpid(), self.door.port, birth(os.getpid())))
        while not self._ended.wait(HOME_CHECK_SECONDS) and self.home.record_file.exists():
            continue  # a sandbox whose home was deleted has nothing to live for
        self.end()

    def _resume(self) -> None:
        """Takes up what the state holds: instances change on, and boot their boxes again."""
        with self.lock:
            backends = list(self.backends.made().values())
            if self.fleet:
                known = {one.id for backend in backends for one in backend.live_instances()}
                self.fleet.start(self.powered_off, known)
            for backend in backends:
                backend.resume()

    def boot_again(self) -> None:
        """Boots the boxes of a state that was brought back."""
        with self.lock:
            for backend in self.backends.made().values():
                backend.resume()

    def stop(self, *_: Any) -> None:
        """Has `run` come to its end."""
        self._ended.set()

    def end(self) -> None:
        """Ends everything that this process started; the state stays on disk."""
        self.door.shutdown()
        self.scheduler.end()
        self.state.stop()
        if self.fleet:
            self.fleet.end()

    def changed(self) -> None:
        """Something happened that a restart must not forget."""
        self.state.changed()

    def wipe(self) -> None:
        """Forgets everything: instances with their boxes, volumes, quotas, faults, calls."""
        with self.lock:
            self.scheduler.clear()
            self.backends.clear()
            self.router.quotas.requests.clear()
        self.door.faults.clear()
        self.door.log.clear()
        if self.fleet:
            self.fleet.visits.clear()
            self.fleet.wipe()
        self.changed()

    def powered_off(self, instance_id: str) -> None:
        """A box has shut itself down: its instance's shutdown behaviour decides what follows."""
        with self.lock:
            instance = self.backends.find_instance(instance_id)
            if instance:
                instance.powered_off()
        self.changed()


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
    """Runs a sandbox in the folder that the command line names."""
    gc.disable()
    lean.spare_boto3()
    options = _options(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(name)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    os.umask(0o022)  # the boxes' files; the home itself is closed to others
    sandbox = Sandbox(Home.of(options.home), options)
    gc.enable()
    gc.freeze()
    signal.signal(signal.SIGTERM, sandbox.stop)
    signal.signal(signal.SIGINT, sandbox.stop)
    sandbox.run()


if __name__ == "__main__":
    main()

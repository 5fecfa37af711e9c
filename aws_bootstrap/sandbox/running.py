"""A running sandbox: the EC2 side, the box side and the state on disk, put together. It loads moto."""

from __future__ import annotations

import threading

from .boxes.fleet import Fleet
from .calls import CallLog
from .cloud import backend
from .cloud.router import Router
from .cloud.world import NoMachines, Timing, World
from .faults import Faults
from .home import Home
from .scheduler import Scheduler
from .snapshots import Snapshots
from .state import State


class Sandbox:
    """All that a sandbox holds, behind whatever door leads to it. `fleet` is None where there are no boxes."""

    def __init__(self, home: Home, timing: Timing, *, boxes: bool) -> None:
        self.home = home
        self.lock = threading.RLock()
        self.scheduler = Scheduler(self.lock, self.changed)
        self.fleet: Fleet | None = None
        if boxes:
            self.fleet = Fleet(home)
        self.world = World(self.scheduler, self.fleet or NoMachines(), timing)
        self.backends = backend.install(self.world)
        self.access_key = home.access_key()[0]
        self.router = Router(self.backends, self.lock, self.access_key, self.changed)
        self.router.guard.keep_in(home.root / "policies.json")
        self.state = State(home, self.backends, self.router.quotas, self.lock)
        self.snapshots = Snapshots(home, self.state, self.wipe, self.boot_again)
        self.faults = Faults()
        self.log = CallLog()

    def resume(self) -> None:
        """Take up what the state holds: instances change on, and boot their boxes again."""
        with self.lock:
            if self.fleet:
                self.fleet.start(self.powered_off, self._instance_ids())
            self.boot_again()

    def _instance_ids(self) -> set[str]:
        """Return the ids of the instances that live."""
        found = set()
        for region in self.backends.made().values():
            for instance in region.live_instances():
                found.add(instance.id)
        return found

    def boot_again(self) -> None:
        """Boot the boxes of a state that was brought back."""
        with self.lock:
            for region in self.backends.made().values():
                region.resume()

    def end(self) -> None:
        """End everything that was started here; the state stays on disk."""
        self.scheduler.end()
        self.state.stop()
        if self.fleet:
            self.fleet.end()

    def changed(self) -> None:
        """Note that something happened which a restart must not forget."""
        self.state.changed()

    def wipe(self) -> None:
        """Forget everything: instances with their boxes, volumes, quotas, faults, calls."""
        with self.lock:
            self.scheduler.clear()
            self.backends.clear()
            self.router.quotas.requests.clear()
            self.router.guard.clear()
        self.faults.clear()
        self.log.clear()
        if self.fleet:
            self.fleet.visits.clear()
            self.fleet.wipe()
        self.changed()

    def powered_off(self, instance_id: str) -> None:
        """Have the shutdown behaviour of an instance decide what follows when its box has shut itself down."""
        with self.lock:
            instance = self.backends.find_instance(instance_id)
            if instance:
                instance.powered_off()
        self.changed()

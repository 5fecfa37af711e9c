"""A running sandbox: the EC2 side, the box side and the state on disk. Importing it imports moto."""

from __future__ import annotations

import threading

from .boxes.fleet import Fleet
from .call_log import CallLog
from .cloud import backend
from .cloud.current_account import CurrentAccount
from .cloud.router import Router
from .cloud.world import NoMachines, Timing, World
from .faults import Faults
from .home import Home
from .scheduler import Scheduler
from .snapshots import Snapshots
from .state import State


class RunningSandbox:
    """The parts of a running sandbox, without its HTTP server. `fleet` is None without boxes."""

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
        self.account = CurrentAccount(self.backends, self.router.guard, self.router.principals, self._block_ingress)
        self.state = State(home, self.backends, self.router.quotas, self.account, self.lock)
        self.snapshots = Snapshots(home, self.state, self.wipe, self.resume_instances)
        self.faults = Faults()
        self.log = CallLog()

    def resume(self) -> None:
        """Resume the loaded state: pending state changes go on, and running instances boot their boxes."""
        with self.lock:
            if self.fleet:
                self.fleet.start(self.powered_off, self._instance_ids())
            self.resume_instances()

    def _instance_ids(self) -> set[str]:
        """Return the ids of the instances that EC2 still shows."""
        found = set()
        for region in self.backends.existing().values():
            for instance in region.live_instances():
                found.add(instance.id)
        return found

    def resume_instances(self) -> None:
        """Boot the boxes of a restored state."""
        with self.lock:
            for region in self.backends.existing().values():
                region.resume()

    def stop(self) -> None:
        """Stop the threads and the boxes; the state stays on disk."""
        self.scheduler.stop()
        self.state.stop()
        if self.fleet:
            self.fleet.stop()

    def changed(self) -> None:
        """Have the state saved soon."""
        self.state.changed()

    def wipe(self) -> None:
        """Delete everything: instances with their boxes, volumes, quotas, faults, calls."""
        with self.lock:
            self.scheduler.clear()
            self.backends.clear()
            self.router.quotas.requests.clear()
            self.router.guard.clear()
            self.account.clear()
        self.faults.clear()
        self.log.clear()
        if self.fleet:
            self.fleet.ssh_commands.clear()
            self.fleet.wipe()
        self.changed()

    def _block_ingress(self, is_blocked: bool) -> None:
        """Have no box answer, or every one again."""
        if self.fleet:
            self.fleet.block_ingress(is_blocked)

    def powered_off(self, instance_id: str) -> None:
        """Stop or terminate an instance whose box has shut itself down."""
        with self.lock:
            instance = self.backends.find_instance(instance_id)
            if instance:
                instance.powered_off()
        self.changed()

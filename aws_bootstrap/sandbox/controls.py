"""What a user can do to the sandbox itself, by name: the far side of `control.ask`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from .cloud import catalog, life
from .cloud.inventory import inventory
from .cloud.replies import Refusal
from .faults import BadRule

if TYPE_CHECKING:
    from .server import Sandbox


class Controls:
    """The control paths, one method each."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._paths: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "ping"): lambda _: "pong",
            ("GET", "status"): self._status,
            ("GET", "log"): lambda _: sandbox.door.log.facts(),
            ("DELETE", "log"): lambda _: sandbox.door.log.clear(),
            ("GET", "faults"): lambda _: sandbox.door.faults.facts(),
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): lambda _: sandbox.door.faults.clear(),
            ("POST", "timing"): self._set_timing,
            ("POST", "quota"): self._set_quota,
            ("POST", "quota-request"): self._decide,
            ("POST", "interrupt"): self._interrupt,
            ("POST", "wipe"): self._wipe,
            ("POST", "held"): lambda body: sandbox.door.faults.wait_held(float(body["seconds"])),
            ("POST", "release"): lambda _: sandbox.door.faults.release(),
            ("POST", "regions"): self._set_regions,
            ("POST", "snapshot"): lambda body: sandbox.snapshots.take(body["name"]),
            ("POST", "restore"): lambda body: sandbox.snapshots.restore(body["name"], boot=bool(body.get("boot"))),
            ("GET", "inventory"): self._inventory,
            ("GET", "visits"): lambda _: sandbox.fleet.visits.facts() if sandbox.fleet else [],
            ("DELETE", "visits"): lambda _: self._end_ssh_fault(),
            ("POST", "ssh-fault"): self._set_ssh_fault,
        }

    def control(self, method: str, path: str, body: Any) -> Any:
        """The document that answers; raises ValueError for a bad request and KeyError for an unknown path."""
        action = self._paths[method, path]
        try:
            return action(body)
        except (BadRule, TypeError) as error:
            raise ValueError(str(error)) from error
        except Refusal as refused:
            raise ValueError(refused.message) from refused
        except KeyError as error:
            raise ValueError(f"missing or unknown: {error}") from error

    def _status(self, _: Any) -> dict[str, Any]:
        """What runs here."""
        with self._sandbox.lock:
            instances = [
                {"instance_id": one.id, "region": region, "state": one.state, "public_ip": one.public_ip}
                for region, backend in self._sandbox.backends.made().items()
                for one in backend.live_instances()
            ]
        fleet = self._sandbox.fleet
        return {
            "pid": os.getpid(),
            "port": self._sandbox.door.port,
            "home": str(self._sandbox.home.root),
            "boxes": fleet.isolation.name if fleet else "none",
            "timing": asdict(self._sandbox.world.timing),
            "instances": instances,
            "faults": len(self._sandbox.door.faults.facts()),
            "calls": len(self._sandbox.door.log.facts()),
        }

    def _add_faults(self, body: Any) -> None:
        self._sandbox.door.faults.add(body if isinstance(body, list) else [body])

    def _set_timing(self, body: dict[str, Any]) -> dict[str, float]:
        """Changes how long EC2 takes, from now on."""
        timing = self._sandbox.world.timing
        known = {one.name for one in fields(timing)}
        for name, seconds in body.items():
            if name not in known:
                raise KeyError(name)
            setattr(timing, name, float(seconds))
        return asdict(timing)

    def _set_regions(self, body: dict[str, Any]) -> None:
        """Changes which regions are enabled for the account."""
        unknown = set(body["enabled"]) - set(catalog.REGIONS)
        if unknown:
            raise KeyError(min(unknown))
        self._sandbox.world.regions = tuple(body["enabled"])

    def _inventory(self, _: Any) -> list[dict[str, Any]]:
        with self._sandbox.lock:
            return inventory(self._sandbox.backends)

    def _set_ssh_fault(self, body: dict[str, Any]) -> None:
        if self._sandbox.fleet:
            self._sandbox.fleet.visits.plan(body)
            self._sandbox.fleet.adapt()

    def _end_ssh_fault(self) -> None:
        if self._sandbox.fleet:
            self._sandbox.fleet.visits.clear()
            self._sandbox.fleet.adapt()

    def _set_quota(self, body: dict[str, Any]) -> None:
        with self._sandbox.lock:
            self._sandbox.router.quotas.set_value(body["region"], body["code"], float(body["value"]))
        self._sandbox.state.changed()

    def _decide(self, body: dict[str, Any]) -> None:
        with self._sandbox.lock:
            self._sandbox.router.quotas.decide(body["request_id"], body["status"])
        self._sandbox.state.changed()

    def _interrupt(self, body: dict[str, Any]) -> None:
        """EC2 takes a spot instance back.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-interruptions.html
        """
        with self._sandbox.lock:
            instance = self._sandbox.backends.find_instance(body["instance_id"])
            if instance is None or instance.lifecycle != "spot":
                raise ValueError("no spot instance of that id")
            instance.terminate(life.SPOT_TERMINATED)
        self._sandbox.state.changed()

    def _wipe(self, _: Any) -> None:
        """Makes the sandbox as new."""
        self._sandbox.wipe()

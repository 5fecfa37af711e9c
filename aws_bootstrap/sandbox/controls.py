"""What a user can do to the sandbox itself, by name: the far side of `control.ask`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from .cloud import catalog
from .cloud.inventory import inventory
from .cloud.replies import Refusal
from .faults import BadRule
from .running import Sandbox


class Controls:
    """The control paths, one method each. A method takes the call's body; what it returns is the answer."""

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self._sandbox = sandbox
        self._port = port
        self._paths: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "ping"): self._ping,
            ("GET", "status"): self._status,
            ("GET", "log"): self._log,
            ("DELETE", "log"): self._clear_log,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "account"): self._account,
            ("POST", "account"): self._load_policies,
            ("POST", "timing"): self._set_timing,
            ("POST", "quota"): self._set_quota,
            ("POST", "quota-request"): self._decide,
            ("POST", "interrupt"): self._interrupt,
            ("POST", "wipe"): self._wipe,
            ("POST", "held"): self._wait_held,
            ("POST", "release"): self._release,
            ("POST", "regions"): self._set_regions,
            ("POST", "snapshot"): self._take_snapshot,
            ("POST", "restore"): self._restore_snapshot,
            ("GET", "inventory"): self._inventory,
            ("GET", "visits"): self._visits,
            ("DELETE", "visits"): self._clear_visits,
            ("POST", "ssh-fault"): self._set_ssh_fault,
        }

    def control(self, method: str, path: str, body: Any) -> Any:
        """Return the document that answers. Raises ValueError for a bad request, KeyError for an unknown path."""
        action = self._paths[method, path]
        try:
            return action(body)
        except (BadRule, TypeError) as error:
            raise ValueError(str(error)) from error
        except Refusal as refused:
            raise ValueError(refused.message) from refused
        except KeyError as error:
            raise ValueError(f"missing or unknown: {error}") from error

    def _ping(self, _: Any) -> str:
        return "pong"

    def _status(self, _: Any) -> dict[str, Any]:
        """Return what runs here."""
        boxes = "none"
        if self._sandbox.fleet:
            boxes = self._sandbox.fleet.isolation.name
        return {
            "pid": os.getpid(),
            "port": self._port,
            "home": str(self._sandbox.home.root),
            "boxes": boxes,
            "timing": asdict(self._sandbox.world.timing),
            "instances": self._instances(),
            "faults": len(self._sandbox.faults.facts()),
            "calls": len(self._sandbox.log.facts()),
        }

    def _instances(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        with self._sandbox.lock:
            for region, backend in self._sandbox.backends.made().items():
                for one in backend.live_instances():
                    found.append(
                        {"instance_id": one.id, "region": region, "state": one.state, "public_ip": one.public_ip}
                    )
        return found

    # --- AWS calls and their faults -------------------------------------------------------------------------------

    def _log(self, _: Any) -> list[dict[str, Any]]:
        return self._sandbox.log.facts()

    def _clear_log(self, _: Any) -> None:
        self._sandbox.log.clear()

    def _faults(self, _: Any) -> list[dict[str, Any]]:
        return self._sandbox.faults.facts()

    def _add_faults(self, body: Any) -> None:
        """Put one rule in force, or a list of rules."""
        if isinstance(body, list):
            self._sandbox.faults.add(body)
        else:
            self._sandbox.faults.add([body])

    def _clear_faults(self, _: Any) -> None:
        self._sandbox.faults.clear()

    def _wait_held(self, body: dict[str, Any]) -> bool:
        return self._sandbox.faults.wait_held(float(body["seconds"]))

    def _release(self, _: Any) -> None:
        self._sandbox.faults.release()

    # --- logins and their faults ----------------------------------------------------------------------------------

    def _visits(self, _: Any) -> list[dict[str, str]]:
        if self._sandbox.fleet is None:
            return []
        return self._sandbox.fleet.visits.facts()

    def _clear_visits(self, _: Any) -> None:
        if self._sandbox.fleet:
            self._sandbox.fleet.visits.clear()
            self._sandbox.fleet.adapt()

    def _set_ssh_fault(self, body: dict[str, Any]) -> None:
        if self._sandbox.fleet:
            self._sandbox.fleet.visits.plan(body)
            self._sandbox.fleet.adapt()

    # --- the account ----------------------------------------------------------------------------------------------

    def _set_timing(self, body: dict[str, Any]) -> dict[str, float]:
        """Change how long EC2 takes, from now on."""
        timing = self._sandbox.world.timing
        known = {one.name for one in fields(timing)}
        for name, seconds in body.items():
            if name not in known:
                raise KeyError(name)
            setattr(timing, name, float(seconds))
        return asdict(timing)

    def _account(self, _: Any) -> dict[str, Any]:
        """Return the policies in force and what they decided."""
        with self._sandbox.lock:
            return self._sandbox.router.guard.facts()

    def _load_policies(self, body: dict[str, Any]) -> None:
        """Put policies in force in place of those before. Raise ValueError for one that is not understood."""
        with self._sandbox.lock:
            self._sandbox.router.guard.load(body)

    def _set_regions(self, body: dict[str, Any]) -> None:
        """Change which regions are enabled for the account."""
        unknown = set(body["enabled"]) - set(catalog.REGIONS)
        if unknown:
            raise KeyError(min(unknown))
        self._sandbox.world.regions = tuple(body["enabled"])

    def _set_quota(self, body: dict[str, Any]) -> None:
        with self._sandbox.lock:
            self._sandbox.router.quotas.set_value(body["region"], body["code"], float(body["value"]))
        self._sandbox.changed()

    def _decide(self, body: dict[str, Any]) -> None:
        """Grant or refuse a request for more quota."""
        with self._sandbox.lock:
            self._sandbox.router.quotas.decide(body["request_id"], body["status"])
        self._sandbox.changed()

    def _interrupt(self, body: dict[str, Any]) -> None:
        """Have EC2 take a spot instance back."""
        with self._sandbox.lock:
            instance = self._sandbox.backends.find_instance(body["instance_id"])
            if instance is None or instance.lifecycle != "spot":
                raise ValueError("no spot instance of that id")
            instance.interrupt()
        self._sandbox.changed()

    def _inventory(self, _: Any) -> list[dict[str, Any]]:
        with self._sandbox.lock:
            return inventory(self._sandbox.backends)

    def _wipe(self, _: Any) -> None:
        """Make the sandbox as new."""
        self._sandbox.wipe()

    def _take_snapshot(self, body: dict[str, Any]) -> None:
        self._sandbox.snapshots.take(body["name"])

    def _restore_snapshot(self, body: dict[str, Any]) -> None:
        self._sandbox.snapshots.restore(body["name"], boot=bool(body.get("boot")))

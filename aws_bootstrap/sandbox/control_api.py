"""The control API: requests to the sandbox itself, by path. `control_client` sends them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from .cloud import catalog
from .cloud.http_responses import ServiceError
from .cloud.inventory import inventory
from .faults import BadRule
from .running import RunningSandbox


class ControlApi:
    """The control paths, one method each. A method takes the request's body and returns the response's."""

    def __init__(self, sandbox: RunningSandbox, port: int) -> None:
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
            ("POST", "account-profile"): self._choose_account,
            ("POST", "principal"): self._get_principal,
            ("POST", "timing"): self._set_timing,
            ("POST", "quota"): self._set_quota,
            ("POST", "quota-request"): self._decide_quota_request,
            ("POST", "interrupt"): self._interrupt,
            ("POST", "wipe"): self._wipe,
            ("POST", "held"): self._wait_held,
            ("POST", "release"): self._release,
            ("POST", "regions"): self._set_regions,
            ("POST", "snapshot"): self._take_snapshot,
            ("POST", "restore"): self._restore_snapshot,
            ("GET", "inventory"): self._inventory,
            ("GET", "ssh-commands"): self._ssh_commands,
            ("DELETE", "ssh-commands"): self._clear_ssh_commands,
            ("POST", "ssh-fault"): self._set_ssh_fault,
        }

    def handle(self, method: str, path: str, body: Any) -> Any:
        """Return the body of the response. Raise ValueError for a bad request, KeyError for an unknown path."""
        action = self._paths[method, path]
        try:
            return action(body)
        except (BadRule, TypeError) as error:
            raise ValueError(str(error)) from error
        except ServiceError as error:
            raise ValueError(error.message) from error
        except KeyError as error:
            raise ValueError(f"missing or unknown: {error}") from error

    def _ping(self, _: Any) -> str:
        return "pong"

    def _status(self, _: Any) -> dict[str, Any]:
        """Return the process, the address, and what the sandbox holds."""
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
            for region, backend in self._sandbox.backends.existing().items():
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
        """Add one rule, or a list of rules."""
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

    # --- SSH commands and faults ----------------------------------------------------------------------------------

    def _ssh_commands(self, _: Any) -> list[dict[str, str]]:
        if self._sandbox.fleet is None:
            return []
        return self._sandbox.fleet.ssh_commands.facts()

    def _clear_ssh_commands(self, _: Any) -> None:
        if self._sandbox.fleet:
            self._sandbox.fleet.ssh_commands.clear()
            self._sandbox.fleet.apply_ssh_fault()

    def _set_ssh_fault(self, body: dict[str, Any]) -> None:
        if self._sandbox.fleet:
            self._sandbox.fleet.ssh_commands.set_fault(body)
            self._sandbox.fleet.apply_ssh_fault()

    # --- the account ----------------------------------------------------------------------------------------------

    def _set_timing(self, body: dict[str, Any]) -> dict[str, float]:
        """Change how long state changes in EC2 take, from now on."""
        timing = self._sandbox.world.timing
        known = {one.name for one in fields(timing)}
        for name, seconds in body.items():
            if name not in known:
                raise KeyError(name)
            setattr(timing, name, float(seconds))
        return asdict(timing)

    def _account(self, _: Any) -> dict[str, Any]:
        """Return the account, the policies in force and what they decided."""
        with self._sandbox.lock:
            return self._sandbox.account.facts() | self._sandbox.router.guard.facts()

    def _load_policies(self, body: dict[str, Any]) -> None:
        """Put policies in force in place of those before. Raise ValueError for one that is not understood."""
        with self._sandbox.lock:
            self._sandbox.router.guard.load(body)

    def _choose_account(self, body: dict[str, Any]) -> None:
        """Play another account. Raise ValueError for an unknown profile or setting."""
        with self._sandbox.lock:
            self._sandbox.account.choose(body["name"], body["settings"])
        if self._sandbox.fleet:
            self._sandbox.fleet.apply_ssh_fault()
        self._sandbox.changed()

    def _get_principal(self, body: dict[str, Any]) -> dict[str, str]:
        """Return a principal with its keys, created if there is none of this name."""
        with self._sandbox.lock:
            found = self._sandbox.router.principals.get(body["name"], body.get("role", ""))
        self._sandbox.changed()
        return found.facts()

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

    def _decide_quota_request(self, body: dict[str, Any]) -> None:
        """Approve or deny a quota increase request."""
        with self._sandbox.lock:
            self._sandbox.router.quotas.decide(body["request_id"], body["status"])
        self._sandbox.changed()

    def _interrupt(self, body: dict[str, Any]) -> None:
        """Interrupt a spot instance, or show it the recommendation of a rebalance."""
        with self._sandbox.lock:
            instance = self._sandbox.backends.find_instance(body["instance_id"])
            if instance is None or instance.lifecycle != "spot":
                raise ValueError("no spot instance has this id")
            if body.get("rebalance"):
                instance.recommend_rebalance()
            else:
                instance.interrupt(float(body.get("notice") or 0))
        self._sandbox.changed()

    def _inventory(self, _: Any) -> list[dict[str, Any]]:
        with self._sandbox.lock:
            return inventory(self._sandbox.backends)

    def _wipe(self, _: Any) -> None:
        """Empty the sandbox."""
        self._sandbox.wipe()

    def _take_snapshot(self, body: dict[str, Any]) -> None:
        self._sandbox.snapshots.take(body["name"])

    def _restore_snapshot(self, body: dict[str, Any]) -> None:
        self._sandbox.snapshots.restore(body["name"], boot=bool(body.get("boot")))

"""A private sandbox for tests: in a folder of the test's own, ended with it.

    with Sandbox(tmp_path / "sandbox") as sandbox:
        sandbox.fault(action="RunInstances", do={"error": "InsufficientInstanceCapacity"}, times=1)
        subprocess.run(["aws-bootstrap", "launch", "--yes"], env=sandbox.env, check=True)
        assert [call["action"] for call in sandbox.log("RunInstances")] == ["RunInstances"] * 2

`env` is the whole environment for a subprocess. No module of this package is patched, and nothing outside the
folder is touched.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import process
from .home import Home

FAST = {
    "pending": 0.2,
    "stopping": 0.2,
    "shutting_down": 0.2,
    "status_checks": 0.4,
    "volume_creating": 0.05,
    "attaching": 0.05,
    "detaching": 0.1,
}
"""EC2's times for tests: every state is still passed through."""


class Sandbox:
    """A sandbox that runs while the object is in use."""

    def __init__(
        self, folder: Path, *, boxes: bool = True, timing: Mapping[str, float] | None = None, region: str = "us-west-2"
    ) -> None:
        self.home = Home.of(folder)
        self.region = region
        words = [f"--timing={name}={seconds}" for name, seconds in (FAST | dict(timing or {})).items()]
        self._options = [*words, *([] if boxes else ["--no-boxes"])]
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it, or starts it again with the state it had."""
        self.port = process.ensure_running(self.home, *self._options)

    def stop(self) -> None:
        """Ends it; its state stays in the folder."""
        process.stop(self.home)

    def wipe(self) -> None:
        """Makes it as new: no instances, volumes, keys, faults, calls."""
        self._ask("wipe", {})

    @property
    def variables(self) -> dict[str, str | None]:
        """What the sandbox adds to an environment; None means unset."""
        return self.home.environment(self.port) | {"AWS_DEFAULT_REGION": self.region, "AWS_REGION": None}

    @property
    def env(self) -> dict[str, str]:
        """A whole environment for a subprocess."""
        return {name: value for name, value in (dict(os.environ) | self.variables).items() if value is not None}

    def client(self, service: str = "ec2", region: str | None = None, read_timeout: float = 60.0) -> Any:
        """A plain boto3 client of this sandbox, without retries: a test wants to see each answer."""
        import boto3
        from botocore.config import Config

        identifier, secret = self.home.access_key()
        return boto3.client(
            service,
            region_name=region or self.region,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=identifier,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout),
        )

    def fault(
        self,
        *,
        do: Mapping[str, Any],
        skip: int = 0,
        times: int | None = None,
        match: Mapping[str, str] | None = None,
        **fields: str,
    ) -> None:
        """Puts a rule in force. `fields` are `action`, `service`, `region`; request parameters go into `match`."""
        self._ask("faults", {"match": dict(match or {}) | fields, "do": dict(do), "skip": skip, "times": times})

    def clear_faults(self) -> None:
        """Ends every fault."""
        self._ask("faults", method="DELETE")

    def log(self, *actions: str) -> list[dict[str, Any]]:
        """The calls so far, oldest first; those of these actions alone, if any are named."""
        return [call for call in self._ask("log") if not actions or call["action"] in actions]

    def clear_log(self) -> None:
        """Forgets the calls so far."""
        self._ask("log", method="DELETE")

    def timing(self, **seconds: float) -> None:
        """Changes how long EC2 takes, from now on."""
        self._ask("timing", seconds)

    def quota(self, code: str, value: float, region: str | None = None) -> None:
        """Sets a vCPU quota."""
        self._ask("quota", {"region": region or self.region, "code": code, "value": value})

    def decide(self, request_id: str, status: str = "APPROVED") -> None:
        """Ends a request for a quota increase."""
        self._ask("quota-request", {"request_id": request_id, "status": status})

    def interrupt(self, instance_id: str) -> None:
        """Has EC2 take a spot instance back."""
        self._ask("interrupt", {"instance_id": instance_id})

    def policy(self, *texts: str, scps: Sequence[str] = ()) -> None:
        """Has the caller do what these IAM policies allow, and no more; without any, everything."""
        self._ask("account", {"policies": _named("policy", texts), "scps": _named("scp", scps)})

    def decisions(self) -> list[dict[str, Any]]:
        """Each request that the policies in force decided about: action, resource, context, allowed, reason."""
        return self._ask("account")["decisions"]

    def wait_held(self, seconds: float = 10.0) -> bool:
        """Whether a call is held by a fault of `hold` or `silent`, now or within so many seconds."""
        return self._ask("held", {"seconds": seconds}, timeout=seconds + 30)

    def release(self) -> None:
        """Lets every held call go on."""
        self._ask("release", {})

    def regions(self, *enabled: str) -> None:
        """Sets which regions are enabled for the account."""
        self._ask("regions", {"enabled": enabled})

    def snapshot(self, name: str) -> None:
        """Keeps what the account holds, until the sandbox stops."""
        self._ask("snapshot", {"name": name})

    def restore(self, name: str, *, boot: bool = False) -> None:
        """Brings a snapshot back, with no fault and no call; its running boxes boot if `boot` is true."""
        self._ask("restore", {"name": name, "boot": boot}, timeout=60)

    def inventory(self) -> list[dict[str, Any]]:
        """Every instance, volume, security group, ingress rule and key pair, with its tags."""
        return self._ask("inventory")

    def ssh_fault(self, kind: str, *, skip: int = 0, times: int | None = None) -> None:
        """Has the boxes fail once `skip` commands came: `sandbox.boxes.visits` has the kinds."""
        self._ask("ssh-fault", {"kind": kind, "skip": skip, "times": times})

    def clear_ssh_fault(self) -> None:
        """Ends the SSH fault and forgets the commands that came."""
        self._ask("visits", method="DELETE")

    def visits(self) -> list[dict[str, str]]:
        """The commands that came to the boxes by SSH, oldest first."""
        return self._ask("visits")

    def status(self) -> dict[str, Any]:
        """What runs in it."""
        return self._ask("status")

    def _ask(self, path: str, body: Any = None, **options: Any) -> Any:
        return process.ask(self.home, path, body, **options)


def _named(prefix: str, texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"name": f"{prefix} {number}", "text": text} for number, text in enumerate(texts, 1)]

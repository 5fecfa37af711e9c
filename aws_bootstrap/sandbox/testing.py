"""A private sandbox for tests: in a folder of the test's own, stopped at its end.

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
from .home import Home, principal_variables

#: EC2's timings for tests: every state still occurs.
FAST = {
    "pending": 0.2,
    "stopping": 0.2,
    "shutting_down": 0.2,
    "status_checks": 0.4,
    "volume_creating": 0.05,
    "attaching": 0.05,
    "detaching": 0.1,
    "image": 0.3,
}


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
        self, error_class: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the sandbox, or start it again with its saved state."""
        self.port = process.ensure_running(self.home, *self._options)

    def stop(self) -> None:
        """Stop the sandbox; its state stays in the folder."""
        process.stop(self.home)

    def wipe(self) -> None:
        """Empty the sandbox: no instances, volumes, keys, faults, calls."""
        self._request("wipe", {})

    @property
    def variables(self) -> dict[str, str | None]:
        """Return the variables that the sandbox adds to an environment; None means unset."""
        return self.home.environment(self.port) | {
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": None,
            # A test's own: that of the user who runs the tests may name anything.
            "AWS_BOOTSTRAP_CONFIG": str(self.home.root / "config.toml"),
        }

    @property
    def env(self) -> dict[str, str]:
        """Return a complete environment for a subprocess."""
        return _complete(self.variables)

    def client(
        self,
        service: str = "ec2",
        region: str | None = None,
        read_timeout: float = 60.0,
        credentials: Mapping[str, str | None] | None = None,
    ) -> Any:
        """Return a boto3 client of this sandbox, without retries: a test checks each response.

        `credentials` are variables such as `Principal.variables`.
        """
        import boto3
        from botocore.config import Config

        variables = self.variables | dict(credentials or {})
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=region or self.region,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=variables["AWS_SESSION_TOKEN"],
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
        """Add a fault rule. `fields` are `action`, `service`, `region`; request parameters go into `match`."""
        self._request("faults", {"match": dict(match or {}) | fields, "do": dict(do), "skip": skip, "times": times})

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._request("faults", method="DELETE")

    def log(self, *actions: str) -> list[dict[str, Any]]:
        """Return the calls so far, oldest first; only those of these actions, if any are named."""
        return [call for call in self._request("log") if not actions or call["action"] in actions]

    def clear_log(self) -> None:
        """Clear the call log."""
        self._request("log", method="DELETE")

    def timing(self, **seconds: float) -> None:
        """Change how long state changes in EC2 take, from now on."""
        self._request("timing", seconds)

    def quota(self, code: str, value: float, region: str | None = None) -> None:
        """Set a vCPU quota."""
        self._request("quota", {"region": region or self.region, "code": code, "value": value})

    def decide(self, request_id: str, status: str = "APPROVED") -> None:
        """Set the final status of a quota increase request."""
        self._request("quota-request", {"request_id": request_id, "status": status})

    def interrupt(self, instance_id: str, *, notice: float = 0.0, rebalance: bool = False) -> None:
        """Interrupt a spot instance, so many seconds after its notice; or only recommend a rebalance."""
        self._request("interrupt", {"instance_id": instance_id, "notice": notice, "rebalance": rebalance})

    def policy(self, *texts: str, scps: Sequence[str] = ()) -> None:
        """Put the caller under these IAM policies; without any, it may do everything."""
        self._request("account", {"policies": _named("policy", texts), "scps": _named("scp", scps)})

    def account(self, name: str | None = None, **settings: Any) -> None:
        """Play another account: a profile (`plain`, `new-paid`, `company`, …), with settings changed.

        Without a name the current account's settings change. `wipe` returns to the plain account.
        """
        self._request("account-profile", {"name": name, "settings": settings})

    def principal(self, name: str, role: str = "") -> Principal:
        """Return the user of this name, or the role's session of this name; it is created if there is none."""
        return Principal(self, self._request("principal", {"name": name, "role": role}))

    def decisions(self) -> list[dict[str, Any]]:
        """Return each request that the policies decided about: action, resource, context, allowed, reason."""
        return self._request("account")["decisions"]

    def wait_held(self, seconds: float = 10.0) -> bool:
        """Return whether a fault of `hold` or `silent` holds a call, now or within so many seconds."""
        return self._request("held", {"seconds": seconds}, timeout=seconds + 30)

    def release(self) -> None:
        """Release every held call."""
        self._request("release", {})

    def regions(self, *enabled: str) -> None:
        """Set which regions are enabled for the account."""
        self._request("regions", {"enabled": enabled})

    def snapshot(self, name: str) -> None:
        """Save the state of the account under a name, until the sandbox stops."""
        self._request("snapshot", {"name": name})

    def restore(self, name: str, *, boot: bool = False) -> None:
        """Restore a snapshot, with no faults and an empty log; its running boxes boot if `boot` is true."""
        self._request("restore", {"name": name, "boot": boot}, timeout=60)

    def inventory(self) -> list[dict[str, Any]]:
        """Return every instance, volume, security group, ingress rule and key pair, with its tags."""
        return self._request("inventory")

    def ssh_fault(self, fault: str, *, skip: int = 0, times: int | None = None) -> None:
        """Set the SSH fault of the boxes, active after `skip` commands: one of `boxes.ssh_commands.FAULTS`."""
        self._request("ssh-fault", {"fault": fault, "skip": skip, "times": times})

    def clear_ssh_fault(self) -> None:
        """Remove the SSH fault and clear the log of SSH commands."""
        self._request("ssh-commands", method="DELETE")

    def ssh_commands(self) -> list[dict[str, str]]:
        """Return the commands that the boxes received by SSH, oldest first."""
        return self._request("ssh-commands")

    def status(self) -> dict[str, Any]:
        """Return the process, the address, and what the sandbox holds."""
        return self._request("status")

    def _request(self, path: str, body: Any = None, **options: Any) -> Any:
        return process.request(self.home, path, body, **options)


class Principal:
    """A caller beside the sandbox's own: a user, or a session of a role, with files of his own."""

    def __init__(self, sandbox: Sandbox, facts: Mapping[str, str]) -> None:
        self._sandbox = sandbox
        self._facts = facts
        #: As GetCallerIdentity answers.
        self.user_id = facts["user_id"]
        self.arn = facts["arn"]

    @property
    def variables(self) -> dict[str, str | None]:
        """Return the variables of this principal; None means unset."""
        return self._sandbox.variables | principal_variables(self._sandbox.home, self._facts)

    @property
    def env(self) -> dict[str, str]:
        """Return a complete environment for a subprocess."""
        return _complete(self.variables)

    def client(self, service: str = "ec2", region: str | None = None) -> Any:
        """Return a boto3 client of this principal, without retries."""
        return self._sandbox.client(service, region, credentials=self.variables)


def _complete(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Return this process's environment with the variables."""
    return {name: value for name, value in (dict(os.environ) | dict(variables)).items() if value is not None}


def _named(prefix: str, texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"name": f"{prefix} {number}", "text": text} for number, text in enumerate(texts, 1)]

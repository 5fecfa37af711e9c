"""Where a life is lived: a sandbox of its own, or the account of the environment. Both have a home of their own."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests.real import account, policies
from aws_bootstrap.tests.real.sweep import Timing

#: Of the program's variables only these are taken over from the caller: his own settings are no part of the run.
TAKEN_OVER = {"AWS_BOOTSTRAP_CHECKIP_URL", "AWS_BOOTSTRAP_REGION_TIMEOUT"}


@dataclass(frozen=True)
class Options:
    """The options of a run."""

    run: str
    region: str
    instance_type: str
    max_price: float
    setup: bool = True


@dataclass(frozen=True)
class World:
    """A place to run in. Its environment is that of this process."""

    name: str
    client: Any
    folder: Path
    #: Seconds after which a command is ended.
    limit: float
    #: Seconds between two looks at a state.
    poll_seconds: float
    timing: Timing

    @property
    def ssh_config(self) -> Path:
        """Return the SSH config with the aliases of this run."""
        return self.folder / "ssh_config"

    @property
    def public_key(self) -> Path:
        """Return the file of this run's public key."""
        return self.folder / "id_ed25519.pub"


@contextmanager
def sandbox(options: Options) -> Iterator[World]:
    """A new sandbox, whose caller is under the policies of a run in an account."""
    with tempfile.TemporaryDirectory(prefix="real-") as name, Sandbox(Path(name) / "sandbox") as local:
        role = json.dumps(policies.role_policy())
        session = json.dumps(policies.session_policy(options.run))
        local.policy(role, scps=[session])
        with _entered(Path(name), options, local.variables):
            account.check(options.region, {})
            yield _local("sandbox", options, Path(name))


@contextmanager
def environment(options: Options) -> Iterator[World]:
    """The account, or the sandbox, to which the environment points."""
    with tempfile.TemporaryDirectory(prefix="real-") as name, _entered(Path(name), options, {}):
        account.check(options.region, os.environ)
        if account.is_loopback(account.endpoints(options.region)["ec2"]):
            yield _local("environment", options, Path(name))
        else:
            client = boto3.client("ec2", region_name=options.region)
            yield World("account", client, Path(name), 3000, 5, Timing(limit=1200, pause=5, settle=30))


def _local(name: str, options: Options, folder: Path) -> World:
    """Return a world on this machine, where everything is quick."""
    client = boto3.client("ec2", region_name=options.region)
    return World(name, client, folder, 300, 0.2, Timing(limit=30, pause=0.2, settle=1))


@contextmanager
def _entered(folder: Path, options: Options, variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set the environment of this process for the block: this folder as home, and these variables."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_BOOTSTRAP_") and name not in TAKEN_OVER | {account.VARIABLE}:
            del os.environ[name]
    own: dict[str, str | None] = {
        "AWS_BOOTSTRAP_CONFIG": "",
        "AWS_BOOTSTRAP_HOME": str(folder),
        "AWS_BOOTSTRAP_SSH_CONFIG": str(folder / "ssh_config"),
        "AWS_REGION": options.region,
    }
    for name, value in (dict(variables) | own).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

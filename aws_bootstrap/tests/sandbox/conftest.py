"""Sandboxes for the sandbox's own tests: one without boxes for the EC2 side, one a kind of isolation for the boxes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aws_bootstrap.sandbox.boxes.isolation import CHOICE_VARIABLE
from aws_bootstrap.sandbox.testing import Sandbox

PATIENCE = 30.0


def eventually(look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first true thing that `look` gives back; the last thing it gave, if that takes too long."""
    deadline = time.monotonic() + patience
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return seen


@pytest.fixture(scope="session", autouse=True)
def _shared_bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One place for the servers' bytecode, should Python be told to keep none: they start by the dozen here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.getbasetemp().parent / "bytecode"))
        yield


@pytest.fixture(scope="session")
def _cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("cloud"), boxes=False) as sandbox:
        yield sandbox


@pytest.fixture
def cloud(_cloud: Sandbox) -> Sandbox:
    """An empty EC2 without boxes."""
    _cloud.wipe()
    return _cloud


@pytest.fixture
def ec2(cloud: Sandbox) -> Any:
    """A plain boto3 client of it."""
    return cloud.client()


@pytest.fixture(scope="session", params=["namespaces", "plain"])
def _boxes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with boxes, kept apart by what this machine has, and by nothing."""
    if request.param == "plain":
        os.environ[CHOICE_VARIABLE] = "plain"
    try:
        sandbox = Sandbox(tmp_path_factory.mktemp("boxes"))
    finally:
        os.environ.pop(CHOICE_VARIABLE, None)
    with sandbox:
        if request.param == "namespaces" and sandbox.status()["boxes"] not in ("root", "user"):
            pytest.skip("no namespaces on this machine")
        yield sandbox


@pytest.fixture
def boxes(_boxes: Sandbox) -> Sandbox:
    """An empty sandbox with boxes."""
    _boxes.wipe()
    return _boxes


def image(client: Any) -> str:
    """The newest Deep Learning image for x86_64."""
    wanted = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*"
    found = client.describe_images(Filters=[{"Name": "name", "Values": [wanted]}])["Images"]
    return max(found, key=lambda one: one["CreationDate"])["ImageId"]


def launch(client: Any, **changes: Any) -> dict[str, Any]:
    """A new instance, as RunInstances tells of it."""
    wanted = {"ImageId": image(client), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1} | changes
    return client.run_instances(**wanted)["Instances"][0]


def describe(client: Any, instance_id: str) -> dict[str, Any]:
    """The instance as DescribeInstances tells of it."""
    return client.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


def state(client: Any, instance_id: str) -> str:
    """The instance's state."""
    return describe(client, instance_id)["State"]["Name"]


def wait_state(client: Any, instance_id: str, wanted: str) -> dict[str, Any]:
    """The instance, once it is in that state."""
    assert eventually(lambda: state(client, instance_id) == wanted), f"never {wanted}"
    return describe(client, instance_id)


def refused(call: Callable[..., Any], **parameters: Any) -> str:
    """The error code with which AWS refuses the call."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"]

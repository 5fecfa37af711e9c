"""Every command in every format and every state of the world: exit code, streams, one document as its schema says.

The program runs in this process against a sandbox without boxes. What needs a box that answers (`launch`, `setup`) is
in test_journey.py.

A promise of all commands, so that it is no test of one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.console import OutputFormat
from aws_bootstrap.paths import Paths
from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests.cloud import OURS, make_volume
from aws_bootstrap.tests.schema_check import validate

EAST, WEST = "us-east-1", "us-west-2"
DENIED = {"error": "UnauthorizedOperation", "message": "You are not authorized to perform this operation."}
ALL_BUT_REGIONS = "(?!DescribeRegions).*"


@dataclass
class World:
    """A sandbox, and the program in this process that talks to it; its clients are made once."""

    sandbox: Sandbox
    app: App
    box: str = ""

    def __call__(self, *args: str) -> Result:
        return CliRunner().invoke(main, list(args), obj=self.app)

    def fill(self) -> None:
        """A box, an alias that leads nowhere, a volume left behind, a request for more."""
        client = self.sandbox.client()
        image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        tags = [{"ResourceType": "instance", "Tags": [OURS]}]
        started = client.run_instances(
            ImageId=image, MinCount=1, MaxCount=1, InstanceType="g4dn.xlarge", TagSpecifications=tags
        )
        self.box = started["Instances"][0]["InstanceId"]
        make_volume(client, "i-0123456789abcdef0")
        ours = "# >>> aws-bootstrap [i-0gone] >>>\nHost aws-gpu1\n    HostName 192.0.2.1\n    User ubuntu\n"
        self.app.paths.ssh_config.write_text(f"{ours}# <<< aws-bootstrap [i-0gone] <<<\n")
        quotas = self.sandbox.client("service-quotas")
        quotas.request_service_quota_increase(ServiceCode="ec2", QuotaCode="L-85EED4F7", DesiredValue=999.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One sandbox for this file."""
    with Sandbox(tmp_path_factory.mktemp("contract") / "sandbox", boxes=False) as sandbox:
        yield World(sandbox, App(paths=Paths(sandbox.env)))


@pytest.fixture
def world(served: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty one, without faults."""
    for name, value in served.sandbox.variables.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    served.sandbox.wipe()
    served.sandbox.clear_faults()
    served.app.paths.ssh_config.unlink(missing_ok=True)
    return served


@dataclass(frozen=True)
class Case:
    """A command, the schema of its document, and what makes it find nothing. `{box}` stands for the box's id."""

    args: str
    schema: str
    regions: bool = True
    """Whether it takes several regions by --region; else it asks all that are enabled, or one."""
    partial: bool = True
    """Whether it goes on without a region that fails."""
    empty: tuple[str, ...] = ()

    def line(self, world: World, *more: str) -> list[str]:
        """The words to run it with."""
        return [*self.args.format(box=world.box or "").split(), *more]


CASES = [
    Case("status", "status"),
    Case("costs", "costs"),
    Case("volume ls", "volume-ls"),
    Case("access", "access"),
    Case("image ls", "image-ls"),
    Case("ps", "ps", regions=False),
    Case("cleanup --dry-run --include-ebs", "cleanup-dry-run", regions=False),
    Case("cleanup --include-ebs --yes", "cleanup", regions=False),
    Case("list instance-types", "list-instance-types", empty=("--prefix", "zz")),
    Case("list amis", "list-amis", empty=("--filter", "nothing*")),
    Case("prices", "prices", empty=("--gpu-memory", "9000")),
    Case("quota show", "quota-show"),
    Case("quota history", "quota-history"),
    Case("quota request --type spot --desired-value 999 --yes", "quota-request", partial=False),
    Case("terminate {box} --yes", "terminate", regions=False, partial=False),
    Case("launch --dry-run", "launch-dry-run", partial=False),
    Case("cluster status", "cluster-status-all"),
    Case("cluster launch --cluster-id train --nodes 2 --dry-run", "cluster-launch-dry-run", regions=False),
]


@pytest.fixture(params=CASES, ids=lambda case: case.schema)
def case(request) -> Case:
    return request.param


def check(done: Result, schema: str, exit_code: int, fmt: OutputFormat) -> None:
    """Hold one outcome against the contract."""
    assert done.exit_code == exit_code, done.output
    assert bool(exit_code) is ("Error: " in done.stderr)
    assert "Traceback" not in done.stderr
    if fmt is OutputFormat.JSON:
        check_document(json.loads(done.stdout), schema, exit_code)
    elif fmt is OutputFormat.YAML:
        check_document(yaml.safe_load(done.stdout), schema, exit_code)
    else:
        assert click.unstyle(done.stdout) == done.stdout, "a pipe gets no colour"
        assert done.stdout.strip() or exit_code


def check_document(shown: Any, schema: str, exit_code: int) -> None:
    """Hold one document against its schema."""
    if isinstance(shown, list):
        return validate(schema, shown)
    assert ("error" in shown) is bool(exit_code)
    return validate("error" if set(shown) == {"warnings", "next", "error"} else schema, shown)


@pytest.mark.parametrize("fmt", OutputFormat)
def test_found(world, case, fmt):
    world.fill()
    check(world(*case.line(world, "-o", fmt.value)), case.schema, 0, fmt)


@pytest.mark.parametrize("fmt", OutputFormat)
def test_nothing_found(world, case, fmt):
    world.box = ""
    check(world(*case.line(world, *case.empty, "-o", fmt.value)), case.schema, 0, fmt)


@pytest.mark.parametrize("fmt", OutputFormat)
def test_one_region_failed(world, case, fmt):
    world.fill()
    if case.schema == "terminate":
        world.box = "i-0123456789abcdef0"  # looked for everywhere
    world.sandbox.fault(region=EAST, action=ALL_BUT_REGIONS, do=DENIED)
    both = ("-r", WEST, "-r", EAST) if case.regions else ()
    done = world(*case.line(world, *both, "-o", fmt.value))
    goes_on = case.schema == "launch-dry-run"  # a region that cannot be planned is one less to try
    check(done, case.schema, 0 if goes_on else 3 if case.partial else 1, fmt)
    assert goes_on or EAST in done.stderr
    changes = world.sandbox.log("TerminateInstances", "DeleteVolume", "RequestServiceQuotaIncrease")
    # The orphan volume's own region was read, whole: that is enough for a cleanup.
    expected = ["RequestServiceQuotaIncrease", "DeleteVolume"][: 2 if case.schema == "cleanup" else 1]
    assert [call["action"] for call in changes] == expected, "the first is that of fill()"


@pytest.mark.parametrize("fmt", OutputFormat)
def test_every_region_failed(world, case, fmt):
    world.fill()
    world.sandbox.fault(action=ALL_BUT_REGIONS, do=DENIED)
    check(world(*case.line(world, "-o", fmt.value)), case.schema, 1, fmt)


@pytest.mark.parametrize("fmt", OutputFormat)
def test_no_permission_at_all(world, case, fmt):
    world.fill()
    world.sandbox.fault(action=".*", do=DENIED)
    done = world(*case.line(world, "-o", fmt.value))
    check(done, case.schema, 1, fmt)
    if fmt is OutputFormat.JSON:
        assert json.loads(done.stdout)["error"]["code"] == "access-denied"


def test_every_command_is_walked(world):
    def paths(group: click.Group, before: str = "") -> Iterator[str]:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            yield from paths(command, f"{name} ") if isinstance(command, click.Group) else [before + name]

    # These need a box, completion asks nothing, config has test_config_command.py, these of volume and cluster name
    # one thing.
    told = {"setup", "extend", "bake", "image rm", "relaunch", "rename", "start", "stop", "completion"}
    told |= {"ssh", "exec", "run", "logs", "attach"}
    told |= {"config init", "config set", "config show", "config trust"}
    told |= {f"volume {name}" for name in ("create", "grow", "restore", "rm", "snapshot")}
    told |= {"cp", "sync", "open", "forward", "cluster export", "cluster terminate"}
    told |= {f"cluster {name}" for name in ("run", "logs", "attach", "cancel", "prepare", "test")}
    left = {p for p in paths(main) if not any(case.args.startswith(p) for case in CASES)}
    assert {p for p in left if not p.startswith("sandbox ")} == told

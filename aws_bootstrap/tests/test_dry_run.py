"""A dry run changes nothing: no call that writes, and no file. Each command that has one is tried."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import click
import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.cli import main
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume, start_box

EAST, WEST = "us-east-1", "us-west-2"
READS = ("Describe", "Get", "List")

GONE = "i-0123456789abcdef0"
LAUNCH = ("launch", "--no-setup", "--ssh-cidr", "203.0.113.7", "--ami-filter", "ubuntu-noble-24.04-*")
DRY_RUNS = [
    LAUNCH,
    (*LAUNCH, "--key-path", "~/.ssh/not-there-yet.pub"),
    (*LAUNCH, "--ebs-storage", "5", "--name", "mine", "--tag", "team=vision"),
    (*LAUNCH, "-r", EAST, "-r", WEST, "--on-demand"),
    (*LAUNCH, "--ebs-volume-id", "BROUGHT"),
    ("cluster", *LAUNCH, "--cluster-id", "train", "--nodes", "2"),
    ("relaunch", GONE),
    ("cleanup",),
    ("cleanup", "--include-ebs", "--include-kept"),
    ("cleanup", "--sync"),
    ("cleanup", "--sync", "--include-ebs", "-r", WEST),
]


@pytest.fixture
def brought(app, cloud, boxes, box) -> str:
    """An account and an SSH config in which each command finds something to change; the id of a volume to bring."""
    client = cloud.ec2(WEST)
    box()
    start_box(client)  # without an alias
    settings = shlex.join([*LAUNCH[1:], "--region", WEST])
    sshconfig.add(app.paths.ssh_config, factories.host(alias="", instance_id=GONE, settings=settings))
    make_volume(client, GONE)
    make_volume(client, GONE, kept=True)
    key = Path("~/.ssh/id_ed25519").expanduser()
    key.parent.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    volume = client.create_volume(AvailabilityZone=f"{WEST}a", Size=3)["VolumeId"]
    cloud.calls.clear()
    return volume


def writes(cloud) -> list[str]:
    """The calls that may have changed something."""
    return [operation for _, operation in cloud.calls if not operation.startswith(READS)]


def files(app) -> dict[str, bytes | None]:
    """Everything in the folders that the program may write, by path; None for a folder."""
    found: dict[str, bytes | None] = {}
    for folder in {Path.home(), app.paths.home, app.paths.ssh_config.parent}:
        for path in sorted(folder.rglob("*")):
            found[str(path)] = None if path.is_dir() else path.read_bytes()
    return found


@pytest.mark.parametrize("output_format", ["text", "json"])
@pytest.mark.parametrize("words", DRY_RUNS, ids=" ".join)
def test_a_dry_run_writes_nothing(run, app, cloud, brought, words, output_format):
    line = [brought if word == "BROUGHT" else word for word in words]
    before = files(app)
    done = run(*line, "--dry-run", "-o", output_format)
    assert done.exit_code == 0, done.output
    assert cloud.calls, "it has read the account"
    assert writes(cloud) == []
    assert files(app) == before


@pytest.mark.parametrize("words", DRY_RUNS, ids=" ".join)
def test_without_that_option_the_same_line_does_write(run, app, cloud, brought, words):
    """Otherwise the test above would say nothing."""
    line = [brought if word == "BROUGHT" else word for word in words]
    before = files(app)
    run(*line, "--yes", "-o", "json")
    assert writes(cloud) or files(app) != before


def with_dry_run(command: click.Command, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The words of each command of the tree that has the option."""
    if isinstance(command, click.Group):
        found: set[tuple[str, ...]] = set()
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner
            found |= with_dry_run(inner, (*path, name))
        return found
    options = {option for parameter in command.params for option in parameter.opts}
    return {path} if "--dry-run" in options else set()


def test_every_command_with_a_dry_run_is_tried():
    tried = {words[:2] if words[0] == "cluster" else words[:1] for words in DRY_RUNS}
    on_a_box = {("sync",)}  # it changes a folder there: test_sync
    assert with_dry_run(main) == tried | on_a_box

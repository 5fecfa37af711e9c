"""Which box a command of the day is about: the named one, else the only one that runs; a person may choose."""

from __future__ import annotations

import os
import pty
import sys

import click
import pytest

from aws_bootstrap.commands.command import RemoteCommand, remote_words, split_line
from aws_bootstrap.console import OutputFormat
from aws_bootstrap.errors import BootstrapError, UsageError
from aws_bootstrap.tests.cloud import start_box
from aws_bootstrap.workflows import pick

EAST, WEST = "us-east-1", "us-west-2"
OTHER = "AROAEXAMPLE:bob@example.com"


@pytest.fixture
def keyboard(monkeypatch):
    """A terminal for standard input: what is typed there is read from it."""
    ours, theirs = pty.openpty()
    with open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield lambda text: os.write(ours, text.encode())
    os.close(ours)


def test_a_named_box_costs_no_call_to_aws(app, cloud, box):
    instance_id = box(WEST)
    box(EAST)
    cloud.calls.clear()
    assert pick.host(app, "aws-gpu1").instance_id == instance_id
    assert pick.host(app, instance_id).alias == "aws-gpu1"
    assert cloud.calls == []


@pytest.mark.parametrize(("name", "code"), [("nobody", "not-found"), ("i-0123", "no-alias")])
def test_a_name_that_this_machine_does_not_know_is_an_error(app, cloud, box, name, code):
    box(WEST)
    with pytest.raises(BootstrapError) as caught:
        pick.host(app, name)
    assert caught.value.code == code
    assert name in str(caught.value)


def test_a_mistyped_alias_is_answered_with_the_nearest(app, cloud, box):
    box(WEST)
    for name, question in (("aws-gpu2", " Did you mean aws-gpu1?"), ("nobody", "")):
        with pytest.raises(BootstrapError) as caught:
            pick.host(app, name)
        assert str(caught.value) == f"No box named {name}.{question}"


def test_words_after_the_boxes_are_a_command(app, cloud, box):
    box(WEST), box(EAST)
    assert pick.without_command(app, ["aws-gpu1", "aws-gpu2", "ls", "-l"]) == 2
    assert pick.without_command(app, ["aws-gpu1", "aws-gpu2"]) is None
    assert pick.without_command(app, ["ls"]) is None


def test_the_only_box_that_runs_needs_no_name(app, cloud, box):
    gone, wanted = box(WEST), box(EAST)
    start_box(cloud.ec2(WEST), owner=OTHER)
    cloud.ec2(WEST).terminate_instances(InstanceIds=[gone])
    stopped = box(WEST)
    cloud.ec2(WEST).stop_instances(InstanceIds=[stopped])
    assert pick.host(app, None).instance_id == wanted


def test_without_a_box_a_launch_is_offered(app, cloud):
    start_box(cloud.ec2(WEST), owner=OTHER)
    with pytest.raises(BootstrapError, match="No box of yours is running") as caught:
        pick.host(app, None)
    assert caught.value.code == "not-found"
    assert "launch" in (caught.value.hint or "")


def test_a_box_without_an_alias_says_how_to_get_one(app, cloud):
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    with pytest.raises(BootstrapError, match=instance_id) as caught:
        pick.host(app, None)
    assert caught.value.code == "no-alias"


def test_several_boxes_are_listed_for_a_script(app, cloud, box):
    box(WEST), box(EAST)
    with pytest.raises(UsageError, match=r"2 boxes of yours are running: aws-gpu1, aws-gpu2\."):
        pick.host(app, None)


def test_at_a_terminal_a_person_chooses(app, cloud, box, keyboard, capsys):
    box(WEST)
    second = box(EAST, InstanceType="g5.xlarge")
    keyboard("x\n3\n2\n")
    assert pick.host(app, None).instance_id == second
    shown = capsys.readouterr().err
    assert "  1  aws-gpu1  g4dn.xlarge  us-west-2\n  2  aws-gpu2  g5.xlarge    us-east-1\n" in shown
    assert shown.count("Answer with a number from 1 to 2.") == 2


def test_ctrl_d_at_the_choice_ends_the_command(app, cloud, box, keyboard):
    box(WEST), box(EAST)
    keyboard("\x04")
    with pytest.raises(KeyboardInterrupt):
        pick.host(app, None)


def test_a_region_that_is_not_read_is_told_beside_the_box(app, cloud, box):
    app.begin(OutputFormat.TEXT)
    wanted = box(WEST)
    cloud.deny(EAST)
    assert pick.host(app, None).instance_id == wanted
    assert [notice.code for notice in app.console.warnings] == ["region-failed"]


def test_a_region_that_is_not_read_may_have_the_only_box(app, cloud):
    cloud.deny(EAST)
    with pytest.raises(BootstrapError) as caught:
        pick.host(app, None)
    assert caught.value.code == "region-failed"


# --- the words after -- ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "own", "remote"),
    [
        ("aws-gpu1", ["aws-gpu1"], None),
        ("aws-gpu1 --", ["aws-gpu1"], []),
        ("-- ls -o json", [], ["ls", "-o", "json"]),
        ("aws-gpu1 -- a -- b", ["aws-gpu1"], ["a", "--", "b"]),
    ],
)
def test_a_line_is_divided_at_the_first_two_dashes(line, own, remote):
    assert split_line(line.split()) == (own, remote)


def test_a_command_gets_the_words_for_the_box_apart():
    seen = []

    @click.command(cls=RemoteCommand, name="ssh")
    @click.argument("name", required=False)
    @click.pass_context
    def ssh(ctx: click.Context, name: str | None) -> None:
        seen.append((name, remote_words(ctx)))

    for line in (["--", "nvidia-smi", "-L"], ["aws-gpu1", "--", "--help"], ["aws-gpu1"]):
        ssh.main(line, standalone_mode=False)
    assert seen == [(None, ["nvidia-smi", "-L"]), ("aws-gpu1", ["--help"]), ("aws-gpu1", None)]
    assert "[OPTIONS] [NAME] [-- COMMAND...]" in ssh.get_usage(click.Context(ssh, info_name="ssh"))

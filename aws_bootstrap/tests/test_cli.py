"""The root group: its help, the formats and other global options, and the error door (cli.py)."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aws_bootstrap import commands
from aws_bootstrap.app import App
from aws_bootstrap.cli import Group, main
from aws_bootstrap.commands import COMMANDS
from aws_bootstrap.models import SetupReport
from aws_bootstrap.tests.programs import writes


def pages(group: click.Group = main, path: tuple[str, ...] = ()):
    """Every command's path, groups among them, but for the sandbox: its pages may have one example."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group) and name != "sandbox":
            yield from pages(command, (*path, name))
        elif name != "sandbox":
            yield (*path, name)


PAGES = list(pages())


def test_nothing_found_is_success(program):
    code, status = program.json("status")
    assert code == 0
    assert status["instances"] == []
    assert status["orphan_volumes"] == []
    code, ended = program.json("terminate", "--yes")
    assert code == 0
    assert ended["terminated"] == []
    assert writes(program) == []


NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


@pytest.mark.parametrize("command", [["launch"], ["status"], ["terminate", "--yes"]], ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("env", "code"),
    [
        (NO_KEYS, "no-credentials"),
        ({**NO_KEYS, "AWS_ACCESS_KEY_ID": "AKIA"}, "partial-credentials"),
        ({"AWS_PROFILE": "nobody"}, "no-profile"),
    ],
    ids=["none", "half", "profile"],
)
def test_credentials_that_do_not_do(program, command, env, code):
    exit_code, failed = program.json(*command, env=env)
    assert exit_code == 1
    assert failed["error"]["code"] == code
    assert "aws configure" in failed["error"]["hint"]


@pytest.mark.parametrize("command", [["launch"], ["status"], ["terminate", "--yes"]], ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("aws", "code"),
    [
        ("ExpiredToken", "expired-credentials"),
        ("UnauthorizedOperation", "access-denied"),
        ("AuthFailure", "invalid-credentials"),
    ],
)
def test_credentials_that_aws_refuses(program, command, aws, code):
    program.sandbox.fault(action="Describe.*", do={"error": aws})
    exit_code, failed = program.json(*command)
    assert exit_code == 1
    assert failed["error"]["code"] == code
    assert failed["error"]["hint"]


@pytest.mark.parametrize("words", [["-o", "json", "status"], ["status", "-o", "json"], ["status", "--output=json"]])
def test_the_format_may_stand_before_or_after_the_command(program, words):
    assert program(*words).document["instances"] == []


def test_a_format_that_does_not_exist_is_refused(program):
    outcome = program("status", env={"AWS_BOOTSTRAP_OUTPUT": "xml"})
    assert outcome.exit_code == 2
    assert "xml" in outcome.err
    assert outcome.out == ""


def test_without_a_command_help_is_shown(program):
    outcome = program()
    assert outcome.exit_code == 2
    assert outcome.err.startswith("Usage:")
    assert "launch" in outcome.err


def test_the_format_may_come_from_the_environment(program):
    assert program("status", env={"AWS_BOOTSTRAP_OUTPUT": "json"}).document["instances"] == []


def test_a_signal_that_comes_after_a_failed_result_does_not_hide_it(app):
    """The box is up: whoever is interrupted then must still be told of it."""

    @click.command("probe")
    @click.pass_obj
    def probe(app: App) -> None:
        app.show(SetupReport("i-1", "aws-gpu1", "failed", setup_failed_step="gpu"))
        raise KeyboardInterrupt

    done = CliRunner().invoke(Group(commands=[probe]), ["probe"], obj=app, env={"AWS_BOOTSTRAP_OUTPUT": "json"})
    shown = json.loads(done.stdout)
    assert (done.exit_code, shown["error"]["code"], shown["instance_id"]) == (130, "interrupted", "i-1")
    assert "aws-bootstrap setup aws-gpu1" in shown["error"]["hint"]


def test_the_help_lists_every_command_once_in_its_group(run):
    shown = run("--help").stdout
    groups = [line.removesuffix(":") for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    sections = ["Boxes", "Work on a box", "Clusters", "Disks and images", "What AWS offers", "This program"]
    assert groups == ["Options", *sections]
    names = [
        line.split()[0]
        for line in shown.partition("Boxes:")[2].splitlines()
        if line.startswith("  ") and line[2] != " "
    ]
    listed = [name for name in names if name != "Examples:"]
    assert listed == main.list_commands(click.Context(main))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_lists_the_first_sentence_of_each_commands_own_help(name):
    """A command is loaded only when it is called, so its sentence is in the table of commands, too."""
    command = main.get_command(click.Context(main), name)
    assert command
    assert command.name == name
    assert command.get_short_help_str(limit=1000) == COMMANDS[name].short_help


def test_every_module_of_commands_is_listed():
    shared = {"__init__", "command", "meant", "options", "params"}
    shared |= {"config_values", "configured", "edits", "keys", "tree"}  # what `config` and the config files need
    folder = Path(commands.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - shared
    modules |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert modules == {listed.module.rpartition(".")[2] for listed in COMMANDS.values()} - {"cli"}


@pytest.mark.parametrize(
    ("args", "nearest"),
    [
        (("stauts",), "status"),
        (("lst",), "list"),
        (("list", "instancetypes"), "instance-types"),
        (("quota", "histroy"), "history"),
        (("launch", "--regoin", "x"), "--region"),
        (("cleanup", "--include-ebs-volumes"), "--include-ebs"),
        (("sandbx",), "sandbox"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_nearest(run, args, nearest):
    done = run(*args)
    assert done.exit_code == 2
    assert "Did you mean" in done.stderr
    assert f"'{nearest}'" in done.stderr


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("delete aws-gpu1 --yes", "aws-bootstrap terminate aws-gpu1 --yes"),
        ("-o text delete aws-gpu1", "aws-bootstrap terminate -o text aws-gpu1"),
        ("--sandbox destroy", "aws-bootstrap --sandbox terminate"),
        ("shutdown aws-gpu1", "aws-bootstrap stop aws-gpu1"),
        ("resume aws-gpu1", "aws-bootstrap start aws-gpu1"),
        ("create --on-demand", "aws-bootstrap launch --on-demand"),
        ("ls", "aws-bootstrap status"),
        ("billing -r us-west-2", "aws-bootstrap costs -r us-west-2"),
        ("ssh aws-gpu1 nvidia-smi", "aws-bootstrap ssh aws-gpu1 -- nvidia-smi"),
        ("ssh aws-gpu1 nvidia-smi -L", "aws-bootstrap ssh aws-gpu1 -- nvidia-smi -L"),
        ("cp -r src aws-gpu1:", "aws-bootstrap cp src aws-gpu1:"),
        ("connect aws-gpu1", "aws-bootstrap ssh aws-gpu1"),
        ("help launch", "aws-bootstrap launch --help"),
        ("login --profile me", "aws login --profile me"),
        ("list boxes", "aws-bootstrap status"),
        ("quota list --family gvt", "aws-bootstrap quota show --family gvt"),
        ("launch --sandbox", "aws-bootstrap --sandbox launch"),
        ("terminate 'a b' --sandbox", "aws-bootstrap --sandbox terminate 'a b'"),
        ("--region us-west-2 status --gpu", "aws-bootstrap status --region us-west-2 --gpu"),
        ("--sandbox -r us-west-2 status", "aws-bootstrap --sandbox status -r us-west-2"),
        ("--yes terminate aws-gpu1", "aws-bootstrap terminate --yes aws-gpu1"),
        ("quota --family gvt history", "aws-bootstrap quota history --family gvt"),
        ("launch g5.xlarge", "aws-bootstrap launch --instance-type g5.xlarge"),
        ("launch p5.48xlarge us-east-1", "aws-bootstrap launch --instance-type p5.48xlarge --region us-east-1"),
        ("launch u7i-12tb.metal-24xl", "aws-bootstrap launch --instance-type u7i-12tb.metal-24xl"),
        ("launch vol-0123456789abcdef0", "aws-bootstrap launch --ebs-volume-id vol-0123456789abcdef0"),
        ("costs us-gov-west-1", "aws-bootstrap costs --region us-gov-west-1"),
        ("list instance-types g5", "aws-bootstrap list instance-types --prefix g5"),
    ],
)
def test_a_line_that_means_another_is_answered_with_that_one(run, app, typed, instead):
    done = run(*shlex.split(typed))
    assert done.exit_code == 2
    assert f"Run instead: {instead.format(config=app.paths.ssh_config)}\nSee: aws-bootstrap" in done.stderr
    assert "Did you mean" not in done.stderr


def test_a_box_to_be_taken_down_is_not_silently_called_one_to_be_deleted(run):
    said = run("down", "aws-gpu1").stderr
    assert "This deletes its disk. To keep an on-demand box: aws-bootstrap stop aws-gpu1\n" in said
    assert "Run instead: aws-bootstrap terminate aws-gpu1" in said


def test_who_kills_a_run_learns_that_a_box_would_end(run):
    said = run("kill", "aws-gpu1").stderr
    assert "To end a run only: aws-bootstrap ssh ALIAS -- sudo systemctl stop aws-bootstrap-run-RUN.service\n" in said


def test_a_time_without_a_box_is_answered_with_the_order_of_the_words(run):
    said = run("extend", "2h").stderr
    assert "2h is a time, and no box was named." in said
    assert "extend aws-gpu1 2h" in said


@pytest.mark.parametrize("typed", ["launch g5.xlarge mistake", "costs aws-gpu1", "--nonsense status", "frobnicate"])
def test_a_line_without_a_clear_meaning_is_not_guessed(run, typed):
    done = run(*typed.split())
    assert done.exit_code == 2
    assert "Run instead" not in done.stderr


@pytest.mark.parametrize("words", [(), ("--family", "gvt"), ("-o", "json")], ids=" ".join)
def test_quota_alone_shows_the_quotas(program, words):
    shown = program("quota", *words)
    assert shown.exit_code == 0, shown.err
    assert "gvt" in shown.out
    assert program("quota", "show", *words).out == shown.out


def test_the_groups_own_help_and_mistyped_commands_stay(run):
    assert "Show and raise" in run("quota", "--help").stdout
    assert "'show'" in run("quota", "shwo").stderr


@pytest.mark.parametrize("path", PAGES, ids=" ".join)
def test_every_help_ends_with_examples_that_fit(run, path):
    text = run(*path, "--help").stdout
    examples = [line.strip() for line in text.rpartition("Examples:\n")[2].splitlines()]
    assert 2 <= len(examples) <= 4, "a few, as the last thing"
    assert max(map(len, text.splitlines())) <= 80
    assert all("aws-bootstrap" in example for example in examples)


def test_global_options_stand_anywhere(run, cloud):
    before, between, after = (
        run("-o", "json", "list", "instance-types"),
        run("list", "-o", "json", "instance-types"),
        run("list", "instance-types", "-o", "json"),
    )
    assert json.loads(before.stdout) == json.loads(between.stdout) == json.loads(after.stdout) != []


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("quota", ["show", "request", "history"]),
        ("list", ["instance-types", "amis"]),
        (
            "sandbox",
            ["start", "stop", "status", "env", "fault", "log", "account", "interrupt", "reset"],
        ),
    ],
)
def test_a_groups_commands_are_listed_in_the_order_of_use(run, group, names):
    listing = run(group, "--help").stdout.partition("Commands:")[2].partition("Examples:")[0]
    assert [line.split()[0] for line in listing.splitlines() if line.strip()] == names


@pytest.mark.parametrize("words", [(), ("quota",), ("list",), ("sandbox",)])
def test_no_summary_is_cut_off_at_80_columns(run, words):
    shown = run(*words, "--help", env={"COLUMNS": "80"}).stdout
    assert "..." not in shown.replace("]...", "]")

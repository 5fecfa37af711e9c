"""`next`: the commands that a text prints, as words that a program executes as they are."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from dataclasses import replace

import click
import pytest

from aws_bootstrap import output
from aws_bootstrap.app import App
from aws_bootstrap.aws_errors import KNOWN_EXCEPTIONS
from aws_bootstrap.cli import main
from aws_bootstrap.command_lines import commands_in, shell_line
from aws_bootstrap.console import Console, OutputFormat
from aws_bootstrap.errors import KNOWN_CODES, KNOWN_SENTENCES
from aws_bootstrap.invocation import PROFILE, PROGRAM, SSH, Invocation
from aws_bootstrap.models import (
    ImageList,
    ImageRow,
    KeptVolume,
    OrphanVolume,
    Result,
    StatusReport,
    TerminateReport,
    Termination,
)
from aws_bootstrap.next_commands import next_commands, of_box, of_orphans, terminate
from aws_bootstrap.quota import STATUSES
from aws_bootstrap.tests.cloud import make_volume, start_box
from aws_bootstrap.tests.programs import started
from aws_bootstrap.tests.test_output import BOX, NAMES, RESULTS

WEST = "us-west-2"
HERE = Invocation(program="uv run aws-bootstrap --sandbox", ssh="ssh -F '/my dir/config'", profile="my team")


@pytest.fixture
def console():
    """A console of this user and shell; the usual one is put back."""
    console = Console(OutputFormat.JSON, invocation=lambda: HERE)
    output.use(console)
    yield console
    output.use(Console())


def parse(argv: list[str]) -> click.Context:
    """Parse the words of a command of this program as the program does, and run nothing. UsageError if it cannot."""
    ctx = main.make_context(argv[0], argv[1:], obj=App())
    group: click.Group = main
    while True:
        name, command, rest = group.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert command is not None
        ctx = command.make_context(name, rest, parent=ctx)
        if not isinstance(command, click.Group):
            return ctx
        group = command


def words_of(shown: dict) -> list[list[str]]:
    """The words of all commands of a document, those of its error among them."""
    commands = shown.get("next", []) + shown.get("error", {}).get("next", [])
    return [command["argv"] for command in commands]


# --- one source for text and documents -------------------------------------------------------------------


@pytest.mark.parametrize("result", RESULTS, ids=NAMES)
def test_each_command_of_a_result_is_printed_in_its_text(result):
    text = click.unstyle(output.as_text(result))
    for command in next_commands(result):
        assert shell_line(command.argv) in text


@pytest.mark.parametrize(
    "result", [r for r in RESULTS if isinstance(r.to_dict(), dict)], ids=lambda r: type(r).__name__
)
def test_each_command_of_a_text_is_in_the_document(result):
    text = click.unstyle(output.as_text(result))  # loads the modules that add their commands
    lines = [shell_line(command.argv) for command in next_commands(result)]
    printed = [line for line in text.splitlines() if PROGRAM in line or SSH in line]
    for line in printed:
        assert any(line.endswith(command) for command in lines), line


def test_a_box_without_an_alias_and_a_pending_one_have_commands_by_id():
    nameless = StatusReport((replace(BOX, ssh_alias=None), replace(BOX, state="pending")), (WEST,), (), ())
    words = [command.argv for command in next_commands(nameless)]
    assert words == [
        (PROGRAM, "setup", BOX.instance_id),
        (PROGRAM, "terminate", BOX.instance_id),
        (PROGRAM, "terminate", "aws-gpu1"),
    ]
    assert "none on this machine" in output.as_text(nameless)


# --- the words -------------------------------------------------------------------------------------------


def shown(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_nothing_that_somebody_else_owns_is_offered_to_be_ended():
    """An agent runs these commands as they are."""
    box = next(box for result in RESULTS if isinstance(result, StatusReport) for box in result.instances)
    others = replace(box, owner="AIDAALICE", yours=False)
    unowned = replace(box, owner=None, yours=False)
    assert of_box(others, instructions=True) == []
    assert terminate(box.ssh_alias or box.instance_id) in of_box(unowned, instructions=True)


def test_orphans_are_offered_by_whose_they_are():
    """`cleanup --everyone` would take those of others, too: a volume without an owner is deleted by its id."""

    def orphan(volume_id: str, owner: str | None, yours: bool | None, *, by_us: bool = True) -> OrphanVolume:
        return OrphanVolume(volume_id, "us-west-2", 8, 0.64, None, None, owner, yours, by_us)

    def words(*volumes: OrphanVolume) -> list[str]:
        return [shell_line(one.argv).removeprefix(f"{PROGRAM} ") for one in of_orphans(volumes)]

    by_id = "aws ec2 delete-volume{--profile} --region us-west-2 --volume-id vol-2"
    use = "launch --region us-west-2 --ebs-volume-id"
    assert words(orphan("vol-1", "AIDAME", True)) == [f"{use} vol-1", "cleanup --include-ebs"]
    assert words(orphan("vol-2", None, False)) == [f"{use} vol-2", by_id]
    assert words(orphan("vol-2", None, None, by_us=False)) == [f"{use} vol-2", by_id]
    assert words(orphan("vol-3", "AIDAALICE", False)) == []


KNOWN = [*KNOWN_CODES.values(), *KNOWN_EXCEPTIONS.values(), *(row for _, _, row in KNOWN_SENTENCES)]


def test_no_command_of_a_known_error_is_one_to_fill_in():
    found = [word for known in KNOWN for command in commands_in(known.hint) for word in command.argv]
    assert "aws" in found
    assert {word for word in found if re.fullmatch(r"[A-Z]{2,}(\.\w+)?", word)} <= set(STATUSES)


@pytest.mark.parametrize("word", ["ID", "PATH.pub", "SUBNET", "ZONE"])
def test_a_command_with_a_word_to_fill_in_is_left_to_the_text(word):
    assert commands_in(f"Do it: {PROGRAM} launch --subnet-id {word}\nShow them: {PROGRAM} status") == commands_in(
        f"Show them: {PROGRAM} status"
    )


def test_each_mark_is_replaced_by_its_words(console, capsys):
    kept = KeptVolume("vol-1", 8, WEST, 0.64)
    ended = Termination("i-1", "running", "shutting-down", region=WEST, kept_volumes=(kept,))
    output.emit(TerminateReport((ended,)))
    words = ["uv", "run", "aws-bootstrap", "--sandbox", "launch", "--region", WEST, "--ebs-volume-id", "vol-1"]
    assert shown(capsys)["next"] == [{"do": "launch", "argv": words}]
    output.emit(RESULTS[1])
    assert shown(capsys)["next"][0] == {"do": "ssh", "argv": ["ssh", "-F", "/my dir/config", "aws-gpu1"]}


def test_the_profile_of_this_run_is_named_in_every_command():
    filled = App(profile="my team").invocation().fill(f"{PROGRAM} status")
    assert filled.endswith("--profile 'my team' status")
    words = App(profile="my team").invocation().words(PROGRAM)
    assert words[-2:] == ["--profile", "my team"]
    assert parse([*words, "status"]).params["regions"] == ()


def test_a_program_that_no_shell_can_read_is_no_failure():
    assert Invocation(program="my 'odd aws-bootstrap").words(PROGRAM) == ["my", "'odd", "aws-bootstrap"]


def test_words_that_a_shell_would_split_are_quoted_in_text_alone():
    images = ImageList((ImageRow(WEST, "ami-1", "Deep Learning (Ubuntu) '24' *", "2026-01-10", "x86_64"),))
    (command,) = next_commands(images)
    assert command.argv[-1] == "Deep Learning (Ubuntu) '24' *"
    assert shell_line(command.argv) in output.as_text(images)


def test_the_commands_of_a_hint_are_those_that_run_as_they_are():
    hint = (
        f"Go on:     {PROGRAM} setup aws-gpu1 --setup-script 'my script'\n"
        f"Undo:      {PROGRAM} terminate aws-gpu1\n"
        f"Look:      {SSH} aws-gpu1 tail -n 50 .aws-bootstrap/setup.log\n"
        f"Renew them: aws sso login{PROFILE}  (or as you obtained them), then run the command again.\n"
        "Lift it: aws ec2 modify-instance-attribute --instance-id ID\n"
        f"Undo:      {PROGRAM} terminate aws-gpu1\n"
        "Where aws is not installed, nothing is to be done."
    )
    assert [(command.do, command.argv) for command in commands_in(hint)] == [
        ("setup", (PROGRAM, "setup", "aws-gpu1", "--setup-script", "my script")),
        ("terminate", (PROGRAM, "terminate", "aws-gpu1")),
        ("ssh", (SSH, "aws-gpu1", "tail", "-n", "50", ".aws-bootstrap/setup.log")),
        ("aws", ("aws", "sso", "login", PROFILE)),
    ]
    assert commands_in(None) == ()


@pytest.mark.parametrize("known", [*KNOWN_CODES.values(), *KNOWN_EXCEPTIONS.values()], ids=lambda known: known.code)
def test_each_hint_of_a_known_error_has_commands_that_parse(known):
    for command in commands_in(known.hint):
        if command.argv[0] == PROGRAM and "--help" not in command.argv:
            parse(Invocation(program="aws-bootstrap").words(PROGRAM) + list(command.argv[1:]))


def test_a_hint_with_a_quote_that_does_not_end_has_no_commands():
    assert commands_in(f"Try: {PROGRAM} status, it's free") == ()


# --- in the sandbox --------------------------------------------------------------------------------------


def test_every_command_that_the_sandbox_prints_parses(program):
    """Each command in turn, in an account with boxes, a kept and an orphan volume, and a few that fail."""
    client = program.sandbox.client()
    make_volume(client, "i-0gone")
    make_volume(client, "i-0gone", kept=True)
    lines = (
        ["launch", "--no-setup", "--ebs-storage", "8"],
        ["status"],
        ["status", "--no-instructions", "-r", WEST],
        ["access"],
        ["cleanup", "--dry-run", "--include-ebs"],
        ["quota", "show"],
        ["quota", "history"],
        ["quota", "request", "--type", "spot", "--desired-value", "999", "--yes", "-r", WEST],
        ["quota", "request", "--type", "spot", "--desired-value", "999", "--yes", "-r", WEST],
        ["launch", "--dry-run"],
        ["launch", "--instance-type", "g4dn.nothing"],
        ["terminate", "aws-gpu1", "--keep-ebs", "--yes"],
        ["terminate", "aws-gpu1", "--yes"],
        ["terminate", "--yes"],
        ["status", "-r", "nowhere-1"],
        ["launch", "--nothing"],
    )
    found: dict[str, list[str]] = {}
    for line in lines:
        _, document = program.json(*line)
        for argv in words_of(document):
            found[" ".join(argv)] = argv
    assert {argv[2] for argv in found.values() if argv[0] == "aws-bootstrap"} >= {
        *("launch", "status", "setup", "terminate", "cleanup", "quota", "list")
    }
    for argv in found.values():
        if argv[0] == "aws-bootstrap":
            assert argv[1] == "--sandbox"
            if "--help" not in argv:
                parse(argv)
        elif argv[0] == "ssh":
            check = subprocess.run([*argv[:3], "-G", *argv[3:]], capture_output=True, text=True, check=False)
            assert check.returncode == 0, check.stderr
        else:
            assert argv[0] in ("code", "aws")


def test_the_commands_after_a_launch_work(program):
    _, launched = program.json("launch", "--no-setup")
    assert [command["do"] for command in launched["next"]] == [
        "ssh",
        "setup",
        "extend",
        "config-set",
        "status",
        "terminate",
    ]
    login = next(command["argv"] for command in launched["next"] if command["do"] == "ssh")
    done = subprocess.run([*login, "whoami"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    ending = next(command["argv"] for command in launched["next"] if command["do"] == "terminate")
    assert ending[:2] == ["aws-bootstrap", "--sandbox"]
    assert program(*ending[2:], "--yes").exit_code == 0


def test_a_box_that_a_closed_terminal_left_is_completed_by_the_command_of_status(program, wait_for):
    program.sandbox.fault(action="DescribeInstances", skip=1, do={"delay": 3}, times=1)
    launch = started(program, "launch")
    wait_for(lambda: program.sandbox.log("RunInstances"))
    launch.send_signal(signal.SIGHUP)
    out, err = launch.communicate(timeout=60)
    assert launch.returncode == 129, err
    assert [command["do"] for command in json.loads(out)["error"]["next"]] == ["terminate"]
    _, shown = program.json("status")
    assert [box["ssh_alias"] for box in shown["instances"]] == [None]
    wait_for(lambda: program.json("status")[1]["instances"][0]["state"] == "running")
    setup = next(command["argv"] for command in program.json("status")[1]["next"] if command["do"] == "setup")
    assert setup[:2] == ["aws-bootstrap", "--sandbox"]
    done = program(*setup[2:])
    assert done.exit_code == 0, done.err
    assert program.ssh("aws-gpu1", "command -v python").returncode == 0


def test_a_launch_that_no_region_can_serve_names_commands(program):
    program.sandbox.quota("L-3819A6DF", 0)
    code, failed = program.json("launch", "--no-setup")
    assert code == 1
    assert [command["do"] for command in failed["error"]["next"]] == ["quota-show", "quota-request"]
    for argv in words_of({"next": failed["error"]["next"]}):
        parse(argv)


# --- regions on one line ---------------------------------------------------------------------------------


def test_the_regions_of_a_document_are_one_line(console, capsys):
    report = StatusReport((), ("us-east-1", WEST), (), ())
    output.emit(report)
    text = capsys.readouterr().out
    assert '\n  "regions_queried": ["us-east-1", "us-west-2"],\n' in text
    assert json.loads(text)["regions_queried"] == ["us-east-1", WEST]


def test_no_regions_and_texts_that_look_like_regions_stay_as_they_are(console, capsys):
    ended = Termination('\n  "regions_queried": [\n    "a"\n  ]', "running", "shutting-down")
    output.emit(TerminateReport((ended,)))
    assert shown(capsys)["terminated"][0]["instance_id"] == ended.instance_id
    output.emit(StatusReport((), (), (), ()))
    assert shown(capsys)["regions_queried"] == []


def test_a_box_that_a_closed_terminal_left_is_explained(run, app, cloud):
    box = start_box(cloud.ec2(WEST))["InstanceId"]
    done = run("status", "-r", WEST)
    assert f"{box} has no alias here; add it, and finish the setup  aws-bootstrap setup {box}" in done.stdout
    assert f"aws-bootstrap terminate {box}" in run("status", box).stdout
    document = json.loads(run("status", "-r", WEST, "-o", "json").stdout)
    assert [command["do"] for command in document["next"]] == ["setup", "terminate", "status"]


def test_every_result_has_a_list_of_commands():
    for result in RESULTS:
        if isinstance(result.to_dict(), dict):
            assert result.to_dict()["next"] == []
    assert isinstance(next_commands(Result()), tuple)

"""The command classes: where an option's value comes from, and what the help pages say."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from aws_bootstrap.app import App
from aws_bootstrap.cli import Group, main
from aws_bootstrap.commands.command import Command
from aws_bootstrap.models import SetupReport

CONFIGURED = {"probe": {"size": 42, "spot": True}}


@pytest.fixture
def seen():
    """The parameters with which a command of our class is called, below a parent that may have defaults for it."""
    calls: list[dict[str, Any]] = []

    @click.command("probe", cls=Command)
    @click.option("--size", default=100)
    @click.option("--spot/--on-demand", default=True)
    def probe(**given: Any) -> None:
        calls.append(given)

    parent = click.Group(commands=[probe])

    def invoke(*words: str, **more: Any) -> dict[str, Any]:
        done = CliRunner().invoke(parent, ["probe", *words], **more)
        assert done.exit_code == 0, done.output
        return calls[-1]

    return invoke


def test_a_command_has_the_defaults_of_its_parent(seen):
    """As a configuration file gives them."""
    assert seen(default_map=CONFIGURED)["size"] == 42
    assert seen("--size", "50", default_map=CONFIGURED)["size"] == 50
    assert seen()["size"] == 100


def test_a_variable_stands_above_the_defaults_of_the_parent(seen, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_PROBE_SIZE", "60")
    monkeypatch.setenv("AWS_BOOTSTRAP_PROBE_ON_DEMAND", "1")
    assert seen(default_map=CONFIGURED) == {"size": 60, "spot": False}
    assert seen("--spot", default_map=CONFIGURED)["spot"] is True, "what is typed stands above both"


# --- the door --------------------------------------------------------------------------------------------


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
    assert "aws-bootstrap terminate aws-gpu1" in shown["error"]["hint"]


# --- help pages ------------------------------------------------------------------------------------------


def options(group: click.Group, words: tuple[str, ...] = ()) -> list[tuple[str, click.Option, click.Context]]:
    """Every option of every command, with the words that call the command."""
    found: list[tuple[str, click.Option, click.Context]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        inner = click.Context(command, info_name=name)
        own = [param for param in command.params if isinstance(param, click.Option)]
        found += [(" ".join((*words, name)), param, inner) for param in own]
        if isinstance(command, click.Group):
            found += options(command, (*words, name))
    return found


def test_a_help_text_stands_alone_and_a_metavar_is_one_word():
    for words, option, context in options(main):
        where = f"{words} {option.opts[0]}"
        text = (option.help or "").partition("  [")[0]
        assert text[:1].isupper() and text.endswith(".") and len(text.split()) >= 2, f"{where}: {text}"
        assert " " not in option.make_metavar(context), f"{where}: {option.make_metavar(context)}"


def test_the_help_lists_every_command_once_in_its_group(run):
    shown = run("--help").stdout
    groups = [line.removesuffix(":") for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Options", "Boxes", "What AWS offers", "This program"]
    names = [
        line.split()[0]
        for line in shown.partition("Boxes:")[2].splitlines()
        if line.startswith("  ") and line[2] != " "
    ]
    listed = [name for name in names if name != "Examples:"]
    assert sorted(listed) == sorted(main.list_commands(click.Context(main))) == sorted({*main.commands, "sandbox"})

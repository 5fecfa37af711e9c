"""The command classes: where an option's value comes from, and what the help pages say."""

from __future__ import annotations

import click
import pytest

from aws_bootstrap.cli import main

CONFIGURED = {"launch": {"volume_size": 42, "spot": True}}


@pytest.fixture
def seen(monkeypatch, run):
    """The parameters with which `launch` is called."""
    command = main.commands["launch"]
    calls: list[dict] = []
    monkeypatch.setattr(command, "callback", lambda **given: calls.append(given))

    def invoke(*words: str, **more) -> dict:
        done = run("launch", *words, **more)
        assert done.exit_code == 0, done.output
        return calls[-1]

    return invoke


def test_a_command_has_the_defaults_of_its_parent(seen):
    """As a configuration file gives them."""
    assert seen(default_map=CONFIGURED)["volume_size"] == 42
    assert seen("--volume-size", "50", default_map=CONFIGURED)["volume_size"] == 50
    assert seen()["volume_size"] == 100


def test_a_variable_stands_above_the_defaults_of_the_parent(seen, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_VOLUME_SIZE", "60")
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_ON_DEMAND", "1")
    given = seen(default_map=CONFIGURED)
    assert (given["volume_size"], given["spot"]) == (60, False)
    assert seen("--spot", default_map=CONFIGURED)["spot"] is True, "what is typed stands above both"


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

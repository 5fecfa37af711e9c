"""The command classes: where an option's value comes from, and what the help pages say."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from aws_bootstrap.cli import main
from aws_bootstrap.commands.command import Command
from aws_bootstrap.commands.launch import launch
from aws_bootstrap.commands.options import LAUNCH_SECTIONS
from aws_bootstrap.config import LaunchConfig
from reference import commands

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
        assert text[:1].isupper(), f"{where}: {text}"
        assert text.endswith("."), f"{where}: {text}"
        assert len(text.split()) >= 2, f"{where}: {text}"
        assert " " not in option.make_metavar(context), f"{where}: {option.make_metavar(context)}"


def test_no_option_has_the_name_of_another_of_its_command():
    """Click gives each the other's values then: a command's own `timings` broke on the global one."""
    twice: list[str] = []
    for path, command in commands(main):
        names = [param.name for param in command.params]
        twice += [f"{' '.join(path)}: {name}" for name in names if names.count(name) > 1]
    assert twice == []


def test_each_option_of_launch_is_in_one_section_of_its_help():
    own = {name for param in launch.params for name in param.opts}
    listed = [name for names in LAUNCH_SECTIONS.values() for name in names]
    assert len(listed) == len(set(listed))
    assert set(listed) <= own
    fields = {max(option.opts, key=len) for option in launch.params if option.name in LaunchConfig.__dataclass_fields__}
    assert fields == set(listed), "add it to LAUNCH_SECTIONS in options.py"

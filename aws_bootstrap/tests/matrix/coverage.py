"""What no case reaches: commands of the Click tree without a scenario, client calls of the code that no run made."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from aws_bootstrap.cli import main
from aws_bootstrap.tests.matrix.scenarios import SCENARIOS

PACKAGE = Path(__file__).parents[2]
_SERVICES = ("ec2", "service-quotas", "pricing", "sts")
_ROOMS = ("aws.py", "quota.py", "ec2")
_UNUSED = {"DetachVolume": "detach_ebs_volume"}
"""Operations of verbs that no workflow uses; they count as soon as one does."""
_ON_TIMEOUT = {"DescribeNetworkAcls", "DescribeRouteTables", "DescribeVpcBlockPublicAccessOptions"}
"""Operations that are called only where a box does not answer, which no clean run has. They read, for a hint."""
_WITHOUT_CALLS = {"sandbox", "config"}
"""Groups whose commands make no AWS call and use no SSH."""
_COVERED = {("attach",), *[("cluster", verb) for verb in ("attach", "logs", "prepare", "test")]}
"""Commands that are part of another's scenario: `run --follow` attaches to the run that it started. A job's nodes are
found as by `cluster cancel`, and followed as by `cluster run`; the checks of a cluster run jobs as that does."""


def commands() -> set[tuple[str, ...]]:
    """The words of every command of the Click tree."""
    context = click.Context(main)
    return set(_leaves(main, context, ()))


def _leaves(command: click.Command, context: click.Context, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        yield words
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and name not in _WITHOUT_CALLS:
            yield from _leaves(inner, context, (*words, name))


def commands_without_scenario() -> list[str]:
    """Sentences about commands that the matrix does not know."""
    known = [scenario.argv for scenario in SCENARIOS]
    return [
        f"`{' '.join(words)}` has no scenario: add one to aws_bootstrap/tests/matrix/scenarios.py"
        for words in sorted(commands())
        if words not in _COVERED and not any(argv[: len(words)] == words for argv in known)
    ]


def operations() -> dict[str, str]:
    """Every operation of the services, by the name that boto3's methods have."""
    import botocore.session
    from botocore import xform_name

    session = botocore.session.get_session()
    names: dict[str, str] = {}
    for service in _SERVICES:
        for name in session.get_service_model(service).operation_names:
            names[xform_name(name)] = name
    return names


def calls_in_code() -> dict[str, str]:
    """Each operation that the code names, as a method or for `pages`, and the first file that does."""
    known = operations()
    found: dict[str, str] = {}
    for room in _ROOMS:
        path = PACKAGE / room
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if file.name == "__init__.py":
                continue  # it names our own verbs, which are called as EC2 would call other actions
            for name in _names(file):
                if name in known:
                    found.setdefault(known[name], str(file.relative_to(PACKAGE)))
    return found


def _names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def calls_never_made(actions: Iterable[str]) -> list[str]:
    """Sentences about calls that the code contains and no run of the matrix made."""
    made = set(actions)
    return [
        f"{action} ({file}) is called by no scenario: add an option or a world that leads to it to "
        "aws_bootstrap/tests/matrix/scenarios.py"
        for action, file in sorted(calls_in_code().items())
        if action not in made | _ON_TIMEOUT and not _is_unused(action)
    ]


def _is_unused(action: str) -> bool:
    verb = _UNUSED.get(action)
    files = (PACKAGE / "workflows").rglob("*.py")
    return verb is not None and not any(verb in file.read_text() for file in files)

"""A home and a project folder with config files, and command lines parsed there as the program does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from aws_bootstrap import trust
from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.commands import load
from aws_bootstrap.paths import Paths


class World:
    """A home and a project folder, each with a config file or none."""

    def __init__(self, folder: Path) -> None:
        self.user = folder / "home" / ".config" / "aws-bootstrap" / "config.toml"
        self.project = folder / "project" / "aws-bootstrap.toml"
        self.user.parent.mkdir(parents=True)
        self.project.parent.mkdir()
        self.app = App()

    def has(self, *, user: str = "", project: str = "", trusted: bool = True) -> None:
        """Write the files; an empty one is written, too."""
        self.user.write_text(user)
        self.project.write_text(project)
        if trusted:
            trust.trust(Paths().home, str(self.project), project.encode())

    def context(self, *words: str) -> click.Context:
        """The context of a command line, parsed as the program does it."""
        self.app = App()
        root = click.Context(main, info_name="aws-bootstrap", obj=self.app)
        command, *rest = words
        found = load(command)
        assert found is not None
        if isinstance(found, click.Group):
            group = click.Context(found, info_name=command, parent=root)
            inner = found.get_command(group, rest[0])
            assert inner is not None
            return inner.make_context(rest[0], rest[1:], parent=group)
        return found.make_context(command, rest, parent=root)

    def params(self, *words: str) -> dict[str, Any]:
        """The parameters that a command is called with."""
        with self.context(*words) as ctx:
            return dict(ctx.params)


def in_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world of a test, in its project folder."""
    world = World(tmp_path)
    monkeypatch.chdir(world.project.parent)
    return world

"""Completion: Click's scripts, aliases from the SSH config, nothing heavy loaded; and words that were mistyped."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click
import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.cli import main
from aws_bootstrap.tests import factories


def pages(group: click.Group = main, path: tuple[str, ...] = ()):
    """Every command's path, groups among them."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from pages(command, (*path, name))
        else:
            yield (*path, name)


PAGES = list(pages())


def complete(*words: str) -> list[str]:
    """What a shell would offer for the last of these words, and what the program loaded to find out."""
    code = "import sys, atexit; atexit.register(lambda: print('boto3' in sys.modules, file=sys.stderr));"
    code += "from aws_bootstrap.cli import main; main()"
    line = " ".join(["aws-bootstrap", *words])
    asked = {"_AWS_BOOTSTRAP_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
    assert done.stderr.strip() == "False", done.stderr
    return [offer.partition(",")[2] for offer in done.stdout.split()]


@pytest.mark.parametrize("command", ["terminate", "setup", "access"])
def test_aliases_are_completed_from_the_ssh_config(app, command):
    for number in (1, 2):
        host = factories.host(instance_id=f"i-{number}", alias=f"aws-gpu{number}")
        sshconfig.add(app.paths.ssh_config, host)
    assert complete(command, "aws") == ["aws-gpu1", "aws-gpu2"]
    assert complete(command, "zz") == []


def test_an_unreadable_config_completes_to_nothing(app):
    app.paths.ssh_config.mkdir()
    assert complete("terminate", "aws") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_clicks_own(run, shell):
    done = run("completion", shell)
    assert done.exit_code == 0 and "_AWS_BOOTSTRAP_COMPLETE" in done.stdout and "aws-bootstrap" in done.stdout
    assert json.loads(run("completion", shell, "-o", "json").stdout) == {
        "shell": shell,
        "script": done.stdout.rstrip("\n"),
        "regions_failed": [],
        "warnings": [],
    }


def test_bash_reads_the_script(run):
    script = run("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("args", "nearest"),
    [
        (("stauts",), "status"),
        (("lst",), "list"),
        (("list", "instancetypes"), "instance-types"),
        (("quota", "histroy"), "history"),
        (("launch", "--regoin", "x"), "--region"),
        (("cleanup", "--include-ebs-volumes"), "--include-ebs"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_nearest(run, args, nearest):
    done = run(*args)
    assert done.exit_code == 2 and "Did you mean" in done.stderr and f"'{nearest}'" in done.stderr


@pytest.mark.parametrize("path", PAGES, ids=" ".join)
def test_every_help_ends_with_examples_that_fit(run, path):
    text = run(*path, "--help").stdout
    examples = [line.strip() for line in text.rpartition("Examples:\n")[2].splitlines()]
    assert 2 <= len(examples) <= 4, "a few, as the last thing"
    assert max(map(len, text.splitlines())) <= 80
    assert all("aws-bootstrap" in example for example in examples)

"""Completion: Click's scripts, aliases from the SSH config, nothing heavy loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.tests import factories


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
    assert done.exit_code == 0
    assert "_AWS_BOOTSTRAP_COMPLETE" in done.stdout
    assert "aws-bootstrap" in done.stdout
    assert json.loads(run("completion", shell, "-o", "json").stdout) == {
        "shell": shell,
        "script": done.stdout.rstrip("\n"),
        "regions_failed": [],
        "warnings": [],
        "next": [],
    }


def test_bash_reads_the_script(run):
    script = run("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)

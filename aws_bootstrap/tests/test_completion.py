"""Completion: Click's scripts, aliases from the SSH config, nothing heavy loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from aws_bootstrap import known_words, sshconfig
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import new_client


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


def test_aliases_of_the_sandbox_are_completed_after_its_option(app, monkeypatch, tmp_path):
    sshconfig.add(app.paths.ssh_config, factories.host(alias="aws-gpu1"))
    monkeypatch.setenv("AWS_BOOTSTRAP_SANDBOX_HOME", str(tmp_path))
    sshconfig.add(tmp_path / "ssh_config", factories.host(alias="aws-gpu7"))
    assert complete("--sandbox", "terminate", "aws") == ["aws-gpu7"]
    assert complete("terminate", "aws") == ["aws-gpu1"]


def test_regions_and_instance_types_are_completed_without_a_call():
    assert complete("launch", "--region", "us-w") == ["us-west-1", "us-west-2"]
    assert complete("status", "-r", "eu-c") == ["eu-central-1", "eu-central-2"]
    assert complete("launch", "--instance-type", "g4dn.x") == ["g4dn.xlarge"]


def test_what_is_completed_exists():
    """Where one is missing after an update of botocore, add it to `known_words.py`."""
    client = new_client("ec2", "us-east-1")
    types = set(client.meta.service_model.shape_for("InstanceType").enum)
    regions = set(boto3.Session().get_available_regions("ec2"))
    assert set(known_words.REGIONS) == regions
    assert set(known_words.INSTANCE_TYPES) <= types
    families = {word.partition(".")[0] for word in known_words.INSTANCE_TYPES}
    listed = {word for word in types if word.partition(".")[0] in families}
    assert set(known_words.INSTANCE_TYPES) == listed


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


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed; .ci/run installs it")
def test_zsh_completes_without_a_configuration_of_its_own(app):
    """A zsh without `compinit` has no `compdef`: each start of the shell would print an error."""
    script = 'eval "$(aws-bootstrap completion zsh)"; print -r -- $_comps[aws-bootstrap]'
    folder = str(Path(sys.executable).parent)
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "ZDOTDIR": str(app.paths.home)}
    done = subprocess.run(["zsh", "-f", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("_aws_bootstrap_completion", "")


def test_bash_reads_the_script(run):
    script = run("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)

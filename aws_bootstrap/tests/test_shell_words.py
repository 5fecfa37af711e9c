"""What a user gives reaches a shell as one word, never as shell: on the box, and in the commands that are printed.

Each command is handed to a real bash or dash, and the words that arrive are compared.

A promise of everything that writes a command, so that it is no test of one module.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aws_bootstrap import ssh
from aws_bootstrap.commands.params import PYTHON_VERSION, REGION
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.invocation import Invocation
from aws_bootstrap.keys import LocalKeys
from aws_bootstrap.models import ImageList, ImageRow
from aws_bootstrap.paths import program
from aws_bootstrap.retry import parse_duration
from aws_bootstrap.ssh import Remote, in_bash, quoted
from aws_bootstrap.tests.properties import cases
from aws_bootstrap.views.text import text as view
from aws_bootstrap.workflows import provision
from aws_bootstrap.workflows.launch.report import setup_options
from aws_bootstrap.workflows.launch.state import Node

SHELLS = st.sampled_from(["bash", "dash"])
SPECIAL = st.sampled_from(
    list("\"'`$\\!#&|;<>(){}[]*?~^%= \t\n\r-") + ["$(date)", "`date`", "${HOME}", "\\n", "%s", "é"]
)
WORDS = st.one_of(
    st.lists(SPECIAL, max_size=6).map("".join),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)
NASTY = ["a b", "it's", 'a"b', "$(date)", "`date`", "a\nb", "-n", "*", "a;b", "~", "#a", "\\", "!!"]


def arrived(shell: str, command: str, **env: str) -> list[str]:
    """The words that the command, begun with a program's name, hands to that program."""
    script = f"printf '%s\\0' {command}"
    return ran(shell, script, **env).split("\0")[:-1]


def ran(shell: str, script: str, **env: str) -> str:
    """What the script prints, line ends and all."""
    argv = [shell, "-c", script]
    done = subprocess.run(argv, stdout=subprocess.PIPE, env={**os.environ, **env}, check=True, timeout=30)
    return done.stdout.decode("utf-8", "surrogateescape")


# --- on the box ------------------------------------------------------------------------------------------


@cases(40)
@given(SHELLS, st.lists(WORDS, min_size=1, max_size=4))
@example("dash", NASTY)
@example("bash", NASTY)
def test_quoted_words_reach_a_program_on_the_box_as_they_are(shell, words):
    """By both ways: as a command for the account's shell, and wrapped for a bash of its own."""
    assert arrived(shell, quoted(*words)) == words
    wrapped = in_bash(quoted("printf", "%s\\0", *words))
    assert ran(shell, wrapped).split("\0")[:-1] == words


@dataclass
class Box:
    """Runs the setup's command in a shell here, on a box without tools, with a setup that shows its settings."""

    home: Path
    shell: str
    lines: list[str] = field(default_factory=list)

    def run(self, alias: str, command: str, *, stdin: bytes, **_: Any) -> Remote:
        """The command, run as sshd runs it: by the account's shell."""
        show = 'cat "${0%/*}/settings.json" > "$HOME/seen"; printf %s "$*" > "$HOME/words"\n'
        with tarfile.open(fileobj=io.BytesIO(stdin)) as tar:
            settings = tar.extractfile("settings.json")
            assert settings
            package = provision.tarball({"settings.json": settings.read(), "remote_setup.sh": show.encode()})
        argv = [self.shell, "-c", in_bash(command)]
        subprocess.run(argv, input=package, env=os.environ | {"HOME": str(self.home)}, check=True)
        return Remote(0, ())


@cases(25)
@given(SHELLS, WORDS.filter(bool))
@example("dash", "3.12; touch owned")
@example("bash", "$(touch owned)")
@example("bash", "{report}")
def test_a_python_version_reaches_the_setup_as_data(tmp_path, shell, version):
    """Whatever the option lets through: the command itself must hold."""
    box: Any = Box(tmp_path, shell)
    provision.set_up(box, "aws-gpu1", python_version=version, script=b"")
    assert json.loads((tmp_path / "seen").read_text()) == {"python_version": version}
    assert (tmp_path / "words").read_text() == ""
    assert not (tmp_path / "owned").exists()


# --- options that let a few forms through ----------------------------------------------------------------


@cases(100)
@given(st.one_of(WORDS, st.from_regex(r"3(\.\d{1,3}){0,3}\s?", fullmatch=True)))
@example("3.1٣")
@example("3.13\n")
def test_a_python_version_is_three_short_numbers_or_refused(text):
    try:
        assert PYTHON_VERSION.convert(text, None, None) == text
    except click.UsageError:
        return
    assert re.fullmatch(r"3(\.[0-9]{1,2}(\.[0-9]{1,2})?)?", text)


@cases(100)
@given(st.one_of(WORDS, st.from_regex(r"[a-z]{2}-[a-z]{4}-\d\s?", fullmatch=True)))
@example("us-west-٢")
@example("us-west-2\n")
def test_a_region_is_a_plain_word_or_refused(text):
    try:
        assert REGION.convert(text, None, None) == text
    except click.UsageError:
        return
    assert re.fullmatch(r"[a-z-]+[0-9]{1,2}", text)


@cases(100)
@given(st.one_of(WORDS, st.from_regex(r"(\d{1,7}h)?(\d{1,7}m)?(\d{1,7}s?)?\s?", fullmatch=True)))
@example("٣m")
@example("1h30m")
@example("0s")
def test_a_duration_is_a_positive_number_of_seconds_or_refused(text):
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert re.fullmatch(r"[0-9hms]+", text.strip())
    numbers = {unit: int(number) for number, unit in re.findall(r"([0-9]+)([hms]?)", text)}
    expected = numbers.get("h", 0) * 3600 + numbers.get("m", 0) * 60 + numbers.get("s", 0) + numbers.get("", 0)
    assert seconds == expected > 0


# --- printed commands ------------------------------------------------------------------------------------

FILES = WORDS.map(lambda name: name.replace("/", "_")).filter(lambda name: name not in ("", ".", ".."))


@cases(30)
@given(SHELLS, FILES)
@example("dash", "my script's.sh")
@example("bash", "-$(date)\n.sh")
def test_the_printed_setup_command_names_the_same_script_and_version(shell, name):
    config = LaunchConfig(python_version="3.13", setup_script=Path(name))
    launch: Any = SimpleNamespace(config=config)
    words = arrived(shell, f"setup aws-gpu1{setup_options(launch, Node())}")
    assert words == ["setup", "aws-gpu1", "--python-version", "3.13", "--setup-script", name]


@cases(30)
@given(SHELLS, FILES)
@example("dash", "ssh config's")
def test_the_printed_ssh_command_names_the_same_config(app, shell, name):
    app.paths = type(app.paths)({"AWS_BOOTSTRAP_SSH_CONFIG": f"/x/{name}"})
    assert arrived(shell, f"{app.invocation().ssh} aws-gpu1") == ["ssh", "-F", f"/x/{name}", "aws-gpu1"]


@pytest.mark.parametrize("name", NASTY)
def test_the_printed_commands_for_a_key_name_the_same_file(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    private, public = folder / "id", folder / "id.pub"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(private)]
    subprocess.run(make, check=True)
    assert arrived("dash", hint_for(public)) == ["ssh-add", str(private)]

    assert arrived("dash", hint_for(private).partition(": ")[2]) == ["--key-path", str(public)]

    private.chmod(0o644)
    assert arrived("dash", hint_for(public)) == ["chmod", "600", str(private)]

    public.unlink()
    private.chmod(0o600)
    derive = hint_for(public).partition(": ")[2]
    ran("bash", f"ssh-keygen() {{ printf '%s\\0' \"$@\"; }}\n{derive}")
    assert public.read_text().split("\0")[:-1] == ["-y", "-f", str(private)]


def hint_for(public: Path) -> str:
    """What helps, where this key cannot be used."""
    with pytest.raises(BootstrapError) as caught:
        LocalKeys().inspect(LaunchConfig(key_path=public))
    assert caught.value.hint
    return caught.value.hint


@cases(20)
@given(SHELLS, WORDS)
@example("bash", "it's an image")
def test_the_printed_launch_command_names_the_same_image(shell, name):
    row = ImageRow("us-west-2", "ami-1", name, "2026-01-01", "x86_64")
    shown = Invocation().fill(click.unstyle(view(ImageList((row,), regions=("us-west-2",)))))
    command = shown.partition("Use the newest:\n  ")[2]
    assert arrived(shell, command) == ["aws-bootstrap", "launch", "--dry-run", "--ami-filter", name]


@pytest.mark.parametrize("profile", ["my profile", "it's", "$(date)", ";date"])
def test_the_printed_aws_command_names_the_same_profile(run, app, monkeypatch, tmp_path, profile):
    config = tmp_path / "aws-config"
    config.write_text(f"[profile {quoted(profile)}]\nregion = us-west-2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    done = run("status", "--profile", profile)
    command = re.search(r"aws configure.*", done.stderr)
    assert done.exit_code == 1, done.output
    assert command, done.output
    assert arrived("dash", command[0]) == ["aws", "configure", "--profile", profile]


@pytest.mark.parametrize("folder", ["a b", "it's", "$(date)"])
def test_the_program_is_printed_so_that_a_shell_finds_it(monkeypatch, tmp_path, folder):
    monkeypatch.setattr("sys.argv", [str(tmp_path / folder / "aws-bootstrap"), "status"])
    assert arrived("dash", program({"PATH": ""})) == [str(tmp_path / folder / "aws-bootstrap")]
    monkeypatch.chdir(tmp_path)
    assert arrived("dash", program({"PATH": ""})) == [f"{folder}/aws-bootstrap"]


def test_words_are_quoted_at_one_door():
    assert ssh.quoted("a b", "c") == "'a b' c"

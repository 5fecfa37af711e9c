"""Which modules a help page, a version and a completion may import. Each module costs every start some time.

Of the standard library a start has what a bare Click program imports for the same answer, and what is listed here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import aws_bootstrap

#: The modules of every start, up to the call of a command.
START = {
    "",
    "app",
    "cli",
    "commands",
    "commands.command",
    "console",
    "errors",
    "invocation",
    "output",
    "silence",
    "startup",
    "timings",
}
#: What most commands need besides their own file.
OPTIONS = {"commands.options", "commands.params", "defaults"}
#: What reads the aliases from the SSH config.
ALIASES = {"files", "paths", "sshconfig", "sshconfig_block", "workflows", "workflows.aliases"}


class Start(NamedTuple):
    """A command line, and what it may import."""

    words: str
    ours: set[str]
    #: Modules of the standard library that a bare Click program does without, as an import statement has them.
    standard: str = "gc, signal"
    #: Whether a shell runs the line, to complete its last word.
    is_completion: bool = False


STARTS = [
    Start("--help", START),
    Start("--version", START),
    Start("launch --help", START | OPTIONS | {"commands.launch"}),
    Start("la", START, is_completion=True),
    Start("launch --in", START | OPTIONS | {"commands.launch"}, is_completion=True),
    Start(
        "terminate aws",
        START | OPTIONS | ALIASES | {"commands.terminate"},
        standard="gc, signal, dataclasses, fcntl",
        is_completion=True,
    ),
]

#: A program with the options of ours that are Click's own work.
BARE = """
import click
import {standard}

@click.group()
@click.version_option(package_name="aws-bootstrap-g4dn")
@click.option("-o", type=click.Choice(["text", "json"], case_sensitive=False), help="A format.")
def main(o): pass

@main.command()
@click.option("--instance-type", default="g4dn.xlarge", show_default=True, help="A type.")
def launch(instance_type): pass

@main.command()
@click.argument("names", nargs=-1, shell_complete=lambda ctx, param, begun: [])
def terminate(names): pass

main(prog_name="aws-bootstrap")
"""

OURS = "from aws_bootstrap.cli import main; main()"

#: Without `site`, whose .pth files import modules for an editable installation.
AS_PROGRAM = """
import sys
sys.path[:0] = {folders}
sys.argv = ["aws-bootstrap", *{words}]
try:
    exec({code!r})
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


def imported(start: Start, code: str) -> set[str]:
    """The names of the modules that a process has at its end."""
    words = start.words.split()
    env = {"HOME": os.environ["HOME"]}
    if start.is_completion:
        env |= {
            "_AWS_BOOTSTRAP_COMPLETE": "bash_complete",
            "COMP_WORDS": f"aws-bootstrap {start.words}",
            "COMP_CWORD": str(len(words)),
        }
        words = []
    folders = [str(Path(file).parents[1]) for file in (aws_bootstrap.__file__, click.__file__) if file]
    program = AS_PROGRAM.format(folders=json.dumps(folders), words=json.dumps(words), code=code)
    done = subprocess.run([sys.executable, "-S", "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return set(done.stderr.split())


def write_config(text: str) -> None:
    """Give the user a config file."""
    path = Path(os.environ["HOME"]) / ".config" / "aws-bootstrap" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.words)
def test_a_start_imports_what_its_answer_needs(start):
    write_config("[launch]\nvolume-size = 200\n")  # no answer of these needs a value of it
    found = imported(start, OURS)
    bare = imported(start, BARE.format(standard=start.standard))
    ours = {name.removeprefix("aws_bootstrap").removeprefix(".") for name in found if name.startswith("aws_bootstrap")}
    others = {name for name in found - bare if not name.startswith(("aws_bootstrap", "_"))}
    assert ours == start.ours
    assert others == set(), "import it where it is used"


@pytest.mark.parametrize(("text", "loads"), [(None, False), ("[launch]\nvolume-size = 200\n", True)])
def test_a_command_reads_toml_only_where_there_is_a_config_file(text, loads):
    if text is not None:
        write_config(text)
    # Nobody confirms, so it ends before any call.
    start = Start("quota request --type spot --desired-value 8", set())
    code = f"try:\n    {OURS}\nexcept SystemExit as exc:\n    assert exc.code == 2"
    assert ("tomllib" in imported(start, code)) is loads
    assert "tomlkit" not in imported(start, code)

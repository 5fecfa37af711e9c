"""The rows of start-up: CPU as a multiple of `import click` in the same interpreter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from aws_bootstrap import sshconfig
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.bench.measure import Figure, Row, cost_of

FLOOR = Path(__file__).with_name("floors") / "lazy_click.py"

#: What is started, and the multiple of `import click` that it may cost.
ANSWERS = {"--help": 1.35, "launch --help": 1.35, "--version": 1.9}
#: The lines that a shell completes: a command, an option, an alias.
COMPLETED = {"la": 1.35, "launch --in": 1.35, "terminate aws": 1.35}


@contextmanager
def rows(python: Path) -> Iterator[list[Row]]:
    """The rows for the program that this interpreter has."""
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config"
        for number in range(1, 4):
            sshconfig.add(config, factories.host(instance_id=f"i-{number}", alias=f"aws-gpu{number}"))
        environ = dict(os.environ)
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        yield _rows(python, environ | {"AWS_BOOTSTRAP_SSH_CONFIG": str(config)})


def _rows(python: Path, environ: dict[str, str]) -> list[Row]:
    ours = [str(python.parent / "aws-bootstrap")]
    floor = [str(python), str(FLOOR)]
    base = _cpu([str(python), "-c", "import click"], environ)
    found: list[Row] = []

    def add(name: str, target: float, words: list[str], environ: dict[str, str]) -> None:
        our_cpu = _cpu([*ours, *words], environ)
        floor_cpu = _cpu([*floor, *words], environ)
        found.append(Row(name, "CPU ÷ import click", our_cpu, floor_cpu, target, base))

    for words, target in ANSWERS.items():
        add(f"`{words}`", target, words.split(), environ)
    for words, target in COMPLETED.items():
        add(f"`{words}` TAB", target, [], environ | _as_bash(words))
    return found


def _as_bash(words: str) -> dict[str, str]:
    """The variables by which bash has a line completed."""
    return {
        "_AWS_BOOTSTRAP_COMPLETE": "bash_complete",
        "COMP_WORDS": f"aws-bootstrap {words}",
        "COMP_CWORD": str(len(words.split())),
    }


def _cpu(words: list[str], environ: dict[str, str]) -> Figure:
    return Figure(partial(cost_of, words, environ), "cpu")

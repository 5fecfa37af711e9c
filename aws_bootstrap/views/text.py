"""The one question every view answers, and the pieces that views share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import singledispatch

from click import style, unstyle

from ..models import Access, Result

JUPYTER_LINK = ".aws-bootstrap/jupyter-link"
"""The program on the box that prints Jupyter's address with its token; by its path, since not every shell finds it."""


@singledispatch
def text(result: Result) -> str:
    """What a person sees of this result."""
    raise NotImplementedError(f"{type(result).__name__} has no text view")


def heading(title: str, colour: str = "green") -> str:
    """A line that stands above what follows."""
    return style(title, fg=colour, bold=True)


def pairs(facts: Iterable[tuple[str, str | None]], indent: str = "  ") -> list[str]:
    """Aligned lines of name and value; what is unknown is left out."""
    known = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in known), default=0)
    return [f"{indent}{style(name.ljust(width), dim=True)}  {value}" for name, value in known]


def aligned(rows: Iterable[Sequence[str]], indent: str = "  ", right: Iterable[int] = ()) -> list[str]:
    """Lines of aligned cells, styled or not; the columns numbered in `right` end flush."""
    cells = [list(row) for row in rows]
    widths = [max(len(unstyle(cell)) for cell in column) for column in zip(*cells, strict=True)]
    return [
        indent
        + "  ".join(_pad(c, w, n in set(right)) for n, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in cells
    ]


def _pad(cell: str, width: int, right: bool) -> str:
    space = " " * (width - len(unstyle(cell)))
    return space + cell if right else cell + space


def command(words: str) -> str:
    """A command to copy."""
    return style(words, fg="cyan")


def next_commands(commands: Mapping[str, str]) -> str:
    """What to type next: each command on a line of its own below what it does, so that it fits and copies well."""
    return "\n".join(f"{title}:\n  {command(words)}" for title, words in commands.items())


def quota_request(access: Access, family: str, market: str, vcpus: int, regions: Iterable[str]) -> str:
    """The command that asks for so many vCPUs in these regions; the default family is left out."""
    named = "" if family == "gvt" else f" --family {family}"
    where = "".join(f" -r {region}" for region in regions)
    return f"{access.program} quota request{named} --type {market} --desired-value {vcpus}{where}"


def connections(access: Access, alias: str, user: str = "ubuntu") -> list[tuple[str, str]]:
    """How to reach and end a box, each as a name and a command to copy."""
    ssh = f"{access.ssh} {alias}"
    return [
        ("SSH", command(ssh)),
        ("Jupyter", command(f"{access.ssh} -NL 8888:localhost:8888 {alias}")),
        ("", f"then open the link that this prints: {command(f'{ssh} {JUPYTER_LINK}')}"),
        ("VSCode", command(f"code --remote ssh-remote+{alias} /home/{user}/workspace")),
        ("Benchmark", command(f"{ssh} python gpu_benchmark.py")),
        ("Terminate", command(f"{access.program} terminate {alias}")),
    ]


def bare_connections(access: Access, alias: str) -> list[tuple[str, str]]:
    """As `connections`, for a box without a setup: it has no Jupyter, no workspace and no benchmark."""
    return [
        ("SSH", command(f"{access.ssh} {alias}")),
        ("Set up", command(f"{access.program} setup {alias}")),
        ("Terminate", command(f"{access.program} terminate {alias}")),
    ]


def span(seconds: float) -> str:
    """A duration as a person says it: `42 s`, `3 min`, `5 h 12 min`, `2 d 3 h`."""
    total = int(seconds)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if minutes < 1:
        return f"{total} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"


def usd(amount: float) -> str:
    """An amount of money: cents, and four decimals where cents would hide it."""
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}".rstrip("0").rstrip(".") if amount else "$0"


def plural(count: int, noun: str, several: str | None = None) -> str:
    """`1 instance`, `2 instances`; nouns like alias name their plural."""
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"

"""The one question every view answers, and the pieces that views share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch

from click import style

from ..models import Access, Result


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


def command(words: str) -> str:
    """A command to copy."""
    return style(words, fg="cyan")


def connections(access: Access, alias: str, user: str = "ubuntu") -> list[tuple[str, str]]:
    """How to reach and end a box, each as a name and a command to copy."""
    ssh = f"{access.ssh} {alias}"
    return [
        ("SSH", command(ssh)),
        ("Jupyter", command(f"{access.ssh} -NL 8888:localhost:8888 {alias}") + "  then http://localhost:8888"),
        ("VSCode", command(f"code --remote ssh-remote+{alias} /home/{user}/workspace")),
        ("Benchmark", command(f"{ssh} python gpu_benchmark.py")),
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


def plural(count: int, noun: str) -> str:
    """`1 instance`, `2 instances`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"

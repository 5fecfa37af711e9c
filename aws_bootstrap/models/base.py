"""What every fact and result is, and how it becomes a document.

A fact is something learnt (an instance, an image); a result is what a command answers with. Every field of a
result is a key of its document, always there, except those declared with `optional()` (left out when None) and
`private()` (for the text view alone).
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any

from .facts import Resource


def optional() -> Any:
    """Return a field whose key is left out of the document when it is None."""
    return field(default=None, metadata={"optional": True})


def private(default: Any = None) -> Any:
    """Return a field that no document shows; views may use it."""
    return field(default=default, metadata={"private": True})


def ordered_fields(fact_type: Any) -> list[Field[Any]]:
    """Return a type's fields in the order of its document: what all results share comes last."""
    own: list[Field[Any]] = []
    shared: list[Field[Any]] = []
    for known in fields(fact_type):
        if known.name in ("warnings", "timings", "next"):
            shared.append(known)
        else:
            own.append(known)
    return own + shared


def document(value: Any) -> Any:
    """Return a result or fact as plain dictionaries, lists and scalars, as JSON and YAML show it."""
    if is_dataclass(value) and not isinstance(value, type):
        return _keys_of(value)
    if isinstance(value, dict):
        return {key: document(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [document(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value


def _keys_of(value: Any) -> dict[str, Any]:
    """Return the keys of a result or fact that its document has."""
    keys: dict[str, Any] = {}
    for known in ordered_fields(type(value)):
        item = getattr(value, known.name)
        is_left_out = known.metadata.get("optional") and item is None
        if not known.metadata.get("private") and not is_left_out:
            keys[known.name] = document(item)
    return keys


@dataclass(frozen=True)
class Notice:
    """Something that a person is warned of. `code` is a word of docs/errors.md."""

    code: str
    message: str
    instance_id: str | None = optional()
    region: str | None = optional()


@dataclass(frozen=True)
class Command:
    """A command to type next. `argv` are its words as a program executes them, `do` names its purpose."""

    do: str
    #: The first word, or one of them, may be a mark of invocation.py, which the console replaces.
    argv: tuple[str, ...]
    #: What a person reads beside it.
    title: str = private("")


@dataclass(frozen=True)
class Timing:
    """Something that took time."""

    #: `step` of the command, `aws` (a call, retries included), `ssh` (a connection, retries of the login included), or
    #: `box` (a step of the setup on the box).
    what: str
    name: str
    #: Seconds since the command began.
    start: float
    seconds: float
    region: str | None = optional()


@dataclass(frozen=True)
class Result:
    """What a command found or did. Every output format shows this alone."""

    warnings: tuple[Notice, ...] = field(default=(), kw_only=True)
    #: With --timings alone: `output` fills it in when it shows a document.
    timings: tuple[Timing, ...] | None = field(default=None, kw_only=True, metadata={"optional": True})
    #: The commands to type next: `output` fills it in when it shows a document.
    next: tuple[Command, ...] = field(default=(), kw_only=True)

    def to_dict(self) -> Any:
        """Return the document that JSON and YAML show."""
        return document(self)

    def resources(self) -> tuple[Resource, ...]:
        """Return what exists because of the command."""
        return ()


@dataclass(frozen=True)
class Listing(Result):
    """A result whose document is the bare list of its first field: contract §6 has two of them."""

    def to_dict(self) -> list[Any]:
        """Return the records alone."""
        records = ordered_fields(type(self))[0]
        shown: list[Any] = document(getattr(self, records.name))
        return shown

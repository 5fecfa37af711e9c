"""What every fact and result is, and how it becomes a document.

A fact is something learnt (an instance, an image); a result is what a command answers with. Every field of a
result is a key of its document, always there, except those declared with `optional()` (left out when None) and
`private()` (for the text view alone).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field, dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, ClassVar

from .facts import Resource


def optional() -> Any:
    """A field whose key is left out of the document when it is None."""
    return field(default=None, metadata={"optional": True})


def private(default: Any = None) -> Any:
    """A field that no document shows; views may use it."""
    return field(default=default, metadata={"private": True})


def ordered_fields(kind: Any) -> list[Field[Any]]:
    """The fields of a result or fact in the order of its document: the warnings, which all results share, come last."""
    return sorted(fields(kind), key=lambda f: f.name == "warnings")


def document(value: Any) -> Any:
    """Plain dictionaries, lists and scalars for a result or fact, as JSON and YAML show it."""
    if is_dataclass(value) and not isinstance(value, type):
        known = ordered_fields(type(value))
        return {f.name: document(getattr(value, f.name)) for f in known if _shown(f, getattr(value, f.name))}
    if isinstance(value, dict):
        return {k: document(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [document(v) for v in value]
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _shown(f: Any, value: Any) -> bool:
    return not f.metadata.get("private") and not (f.metadata.get("optional") and value is None)


@dataclass(frozen=True)
class Notice:
    """Something that a person is warned of. `code` is a word of docs/errors.md."""

    code: str
    message: str
    instance_id: str | None = optional()
    region: str | None = optional()


@dataclass(frozen=True)
class Table:
    """Records of one kind under headings: field name (dots reach into facts) → heading."""

    columns: dict[str, str]
    rows: Iterable[Any]


@dataclass(frozen=True)
class Result:
    """What a command found or did. Every output format is made from this alone."""

    warnings: tuple[Notice, ...] = field(default=(), kw_only=True)

    columns: ClassVar[dict[str, str]] = {}
    """Table columns of the first tuple field. Empty means a table of keys and values."""

    def to_dict(self) -> Any:
        """The document that JSON and YAML show."""
        return document(self)

    def tables(self) -> list[Table]:
        """The tables that the table format shows, one below the other."""
        values = (getattr(self, f.name) for f in ordered_fields(type(self)))
        records = next((value for value in values if isinstance(value, tuple)), ())
        return [Table(self.columns, records)] if self.columns else []

    def resources(self) -> tuple[Resource, ...]:
        """What exists because of the command."""
        return ()


@dataclass(frozen=True)
class Listing(Result):
    """A result whose document is the bare list of its first field: contract §6 has two of them."""

    def to_dict(self) -> list[Any]:
        """The records alone."""
        return document(getattr(self, ordered_fields(type(self))[0].name))


@dataclass(frozen=True)
class Access:
    """How a person reaches the box from this machine: what goes before the alias in printed commands."""

    ssh: str = "ssh"
    program: str = "aws-bootstrap"

"""Hold a document of the program against its JSON Schema in docs/schemas/v1, and against the first one of that name.

Keys may be added to a version of a schema, never renamed or removed. `first_schemas/` keeps the schemas of version 1 as
they first were, and every document has to satisfy those too. One value alone is read more widely: a price may be null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[2] / "docs" / "schemas" / "v1"

#: The schemas of version 1 as they first were. Never generated again: scripts rely on what they hold.
FIRST = Path(__file__).parent / "first_schemas"


def validate(name: str, shown: Any) -> None:
    """Raise unless the document matches the schema of that name in the docs."""
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(shown)
    first = FIRST / f"{name}.json"
    if first.exists():
        older = with_unknown_prices(open_to_keys(json.loads(first.read_text())))
        Draft202012Validator(older, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(shown)


def open_to_keys(schema: Any) -> Any:
    """Return the schema without its ban on further keys: an addition breaks no script."""
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if (key, value) != ("additionalProperties", False)}
        return {key: open_to_keys(value) for key, value in kept.items()}
    if isinstance(schema, list):
        return [open_to_keys(item) for item in schema]
    return schema


def with_unknown_prices(schema: Any) -> Any:
    """Return the schema with null for a monthly price: at first each volume had gp3's, whatever its type was.

    The contract has null where a price is not known, with a warning, in place of a number that is wrong.
    """
    if isinstance(schema, list):
        return [with_unknown_prices(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    opened = {key: with_unknown_prices(value) for key, value in schema.items()}
    if opened.get("monthly_cost_usd") == {"type": "number"}:
        opened["monthly_cost_usd"] = {"type": ["number", "null"]}
    return opened


def without_next(shown: dict[str, Any]) -> dict[str, Any]:
    """Return the document without the commands to type next, which must be there: test_next.py looks at them."""
    rest = {key: value for key, value in shown.items() if key != "next"}
    assert isinstance(shown["next"], list)
    if "error" in rest:
        rest["error"] = {key: value for key, value in shown["error"].items() if key != "next"}
        assert isinstance(shown["error"]["next"], list)
    return rest


def check(args: Sequence[str], shown: Any) -> None:
    """Raise unless the document matches the schema of this command line. A command without a schema passes."""
    words = [word for word in args if not word.startswith("-")]
    suffix = ["dry", "run"] if "--dry-run" in args or (isinstance(shown, dict) and "dry_run" in shown) else []
    if words[:2] == ["cluster", "status"] and "clusters" in shown:
        suffix = ["all"]
    names = ("-".join([*words[:length], *suffix]) for length in (2, 1))
    name = next((name for name in names if (FOLDER / f"{name}.json").exists()), None)
    if name:
        validate("error" if isinstance(shown, dict) and set(shown) == {"warnings", "next", "error"} else name, shown)

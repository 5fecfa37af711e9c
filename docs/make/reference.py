"""Generate the skill's command reference from the commands and the JSON Schemas, so that a key is listed in one place.

    python docs/make/reference.py

writes it. `tests/test_skill.py` fails if it is stale.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import schemas
from aws_bootstrap.cli import main
from aws_bootstrap.commands.command import GLOBAL_OPTIONS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "aws-bootstrap-skill" / "skills" / "aws-bootstrap" / "references" / "commands.md"

HEAD = """\
# Commands of aws-bootstrap

Generated from the program itself by `python docs/make/reference.py`; do not edit.

Every command takes `--output/-o text|json|yaml|table` (before or after its name), `--profile NAME`, `--debug`,
`--timings` (where the time went: `timings` in a document) and `--help`. Each option but `--yes` can come from the
environment variable `AWS_BOOTSTRAP_<COMMAND>_<OPTION>`, for example `AWS_BOOTSTRAP_LAUNCH_INSTANCE_TYPE`; lists are
separated by commas there. `--sandbox`, before the command, rehearses it against a local EC2.

In the documents below `?` marks a key that may be missing, `| null` one that may be null. A command that fails prints
the keys that are known, and `error`; one that knew nothing prints `error` alone:

```
{document}
```

`regions_failed` is `[{{"region": string, "error": string}}]`: regions whose content is **unknown**, not empty.
"""

#: Keys that the head explains once, for every document.
_IN_HEAD = {"error", "regions_failed", "timings"}


def text() -> str:
    """Return the whole file."""
    documents = schemas.schemas()
    parts = [HEAD.format(document=_shape(documents["error"], documents["error"], omitted=frozenset()))]
    parts += [_section(path, command, documents) for path, command in commands(main)]
    return "\n".join(parts)


def commands(group: click.Group, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that does something, with the words that call it."""
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if isinstance(command, click.Group):
                yield from commands(command, *above, name)
            elif command:
                yield (*above, name), command


def _section(path: tuple[str, ...], command: click.Command, documents: dict[str, Any]) -> str:
    lines = [f"## {' '.join(path)}", "", f"`{_usage(path, command)}`", "", _flat(command.help), ""]
    rows = [_row(option) for option in own_options(command)]
    if rows:
        lines += ["| option | default | meaning |", "|---|---|---|", *rows, ""]
    for suffix, title in (("", "Document:"), ("-dry-run", "With `--dry-run`:"), ("-all", "Without a name:")):
        name = "-".join(path) + suffix
        if name in documents:
            lines += [
                title,
                "",
                "```",
                _shape(documents[name], documents[name], omitted=frozenset(_IN_HEAD)),
                "```",
                "",
            ]
    return "\n".join(lines)


def _usage(path: tuple[str, ...], command: click.Command) -> str:
    """Return the command line as a user types it: `terminate [INSTANCE_ID_OR_ALIAS]... [OPTIONS]`."""
    with click.Context(command, info_name=command.name) as ctx:
        arguments = [p.make_metavar(ctx) for p in command.params if isinstance(p, click.Argument)]
    return " ".join(["aws-bootstrap", *path, *arguments, "[OPTIONS]"])


def own_options(command: click.Command) -> list[click.Option]:
    """Return the command's options without the global ones."""
    shared = {make().name for make in GLOBAL_OPTIONS}
    return [p for p in command.params if isinstance(p, click.Option) and p.name not in shared]


def _row(option: click.Option) -> str:
    default = re.search(r"\s*\[default: ([^\]]*)\]", option.help or "")
    meaning = (option.help or "").replace(default[0], "") if default else option.help
    return f"| {_names(option)} | {default[1] if default else _default(option)} | {_cell(meaning or '')} |"


def _names(option: click.Option) -> str:
    spelt = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len, reverse=True))
    second = "".join(f" / `{name}`" for name in option.secondary_opts if name.strip())
    value = "" if option.is_flag else f" {_cell(_value(option))}"
    return spelt + second + value


def _value(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "|".join(option.type.choices)
    if isinstance(option.type, click.IntRange | click.FloatRange):
        return "N"
    return option.metavar or option.type.name.split()[-1].upper()


def _default(option: click.Option) -> str:
    if option.required:
        return "required"
    with click.Context(click.Command("x")) as ctx:
        default = option.get_default(ctx)
    if option.is_flag:
        return "off" if default is not True else option.opts[0].lstrip("-")
    if not isinstance(default, str | int | float | tuple | list | Path) or default == ():
        return ""
    one = default[0] if isinstance(default, tuple | list) else default
    return f"`{one}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _flat(text: str | None) -> str:
    """Return a help text as one line. The skill has the examples."""
    return " ".join(inspect.cleandoc(text or "").split())


# --- schemas, short ---------------------------------------------------------------------------------------


def _shape(schema: dict[str, Any], whole: dict[str, Any], *, omitted: frozenset[str], depth: int = 0) -> str:
    """Return a schema in the notation that the head explains, on one line if it fits."""
    if "$ref" in schema:
        return _shape(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole, omitted=omitted, depth=depth)
    if "anyOf" in schema:
        return " | ".join(_shape(one, whole, omitted=omitted, depth=depth) for one in schema["anyOf"])
    if schema["type"] == "array":
        return f"[{_shape(schema['items'], whole, omitted=omitted, depth=depth)}]"
    if schema["type"] != "object":
        return str(schema["type"])
    if "properties" not in schema:
        return f"{{string: {_shape(schema['additionalProperties'], whole, omitted=omitted, depth=depth)}}}"
    return _braced(_keys(schema, whole, omitted, depth), depth)


def _keys(schema: dict[str, Any], whole: dict[str, Any], omitted: frozenset[str], depth: int) -> list[str]:
    found = []
    for name, kind in schema["properties"].items():
        if name in omitted and depth == 0:
            continue
        mark = "" if name in schema["required"] else "?"
        found.append(f"{json.dumps(name)}{mark}: {_shape(kind, whole, omitted=omitted, depth=depth + 1)}")
    return found + (['"regions_failed": […]'] if depth == 0 and "regions_failed" in schema["properties"] else [])


def _braced(keys: list[str], depth: int, width: int = 112) -> str:
    """Return the keys in braces, as many on a line as fit."""
    indent, lines = " " * (depth + 1), [""]
    for number, key in enumerate(keys):
        word = key + ("," if number + 1 < len(keys) else "")
        if lines[-1] and len(lines[-1]) + len(word.partition("\n")[0]) + depth >= width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "{" + f"\n{indent}".join(lines) + "}"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())

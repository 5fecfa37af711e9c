"""The parameter types of options: text of a known form, networks, durations, prices, tags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: EC2 refuses a lower SpotOptions.MaxPrice:
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SpotMarketOptions.html
LOWEST_PRICE = 0.001


class CommaSeparated(click.ParamType[Any]):
    """A type whose repeated values are separated by commas in the environment."""

    envvar_list_splitter = ","


class Pattern(CommaSeparated):
    """Text of a known form. `known` is the list of `known_words` that a shell completes."""

    def __init__(self, name: str, pattern: str, example: str, known: str = "") -> None:
        self.name = name
        self._known = known
        self._pattern = pattern
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text itself; a usage error unless it has the form."""
        if not re.fullmatch(self._pattern, value):
            self.fail(f"'{value}' is not a valid {self.name}; write it like {self._example}.", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the known words that begin so."""
        from click.shell_completion import CompletionItem

        if not self._known:
            return []
        from .. import known_words

        words: list[str] = getattr(known_words, self._known)
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class Cidr(CommaSeparated):
    """A network, an address, or `me`."""

    name = "cidr"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `me`, or the network in EC2's canonical form."""
        if value == "me":
            return "me"
        from ipaddress import ip_network

        try:
            return str(ip_network(value, strict=False))
        except ValueError:
            self.fail(f"'{value}' is not a network; write it like 203.0.113.0/24, 203.0.113.7 or me.", param, ctx)


class LocalPath(click.Path):
    """A file of this machine, as a Path."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; for a shell's completion the text itself, since pathlib takes long to import."""
        text = super().convert(value, param, ctx)
        if ctx is not None and ctx.resilient_parsing:
            return text
        from pathlib import Path

        return Path(str(text))


class Picture(LocalPath):
    """A picture to write: an SVG or PNG file in a folder that exists."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; a usage error unless its name ends with .svg or .png and its folder exists."""
        path = super().convert(value, param, ctx)
        if isinstance(path, str):
            return path
        if path.suffix.lower() not in (".svg", ".png"):
            self.fail(f"'{value}' is not a picture; end its name with .svg or .png.", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"the folder of '{value}' does not exist.", param, ctx)
        return path


class Duration(click.ParamType[float]):
    """A length of time, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of `90s`, `30m`, `1h30m` or a plain number."""
        if isinstance(value, int | float):
            return float(value)
        from ..retry import parse_duration

        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


class Price(click.ParamType[float]):
    """An hourly price in USD."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; a usage error unless it is finite and a price that EC2 accepts."""
        try:
            price = float(value)
        except ValueError:
            price = 0.0
        if not 0 < price < float("inf"):
            self.fail(f"'{value}' is not a price; write it like 0.30.", param, ctx)
        if price < LOWEST_PRICE:
            self.fail(f"'{value}' is below {LOWEST_PRICE}, the lowest price that EC2 accepts.", param, ctx)
        return price


class Limit(Duration):
    """A length of time of at least a minute, in seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; a usage error below a minute, since a box takes that long to boot."""
        seconds = super().convert(value, param, ctx)
        if seconds < 60:
            self.fail(f"'{value}' is less than a minute.", param, ctx)
        return seconds


class Tag(CommaSeparated):
    """One KEY=VALUE, as a pair."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return key and value within EC2's limits; a usage error for the tool's own keys."""
        if isinstance(value, tuple):
            return value
        key, sign, content = value.partition("=")
        if not sign or not key or len(key) > 128 or len(content) > 256:
            self.fail(f"'{value}' is not a tag; write it like team=vision.", param, ctx)
        if key.startswith(("aws:", "aws-bootstrap")) or key == "created-by":
            self.fail(f"the tag {key} is reserved.", param, ctx)
        return key, content


REGION = Pattern("region", r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}", "us-west-2", "REGIONS")
PYTHON_VERSION = Pattern("Python version", r"3(\.[0-9]{1,2}(\.[0-9]{1,2})?)?", "3, 3.13 or 3.14.2")
INSTANCE_TYPE = Pattern("instance type", r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "g4dn.xlarge", "INSTANCE_TYPES")
VOLUME = Pattern("volume", r"vol-[0-9a-f]{8,17}", "vol-0123456789abcdef0")
SNAPSHOT = Pattern("snapshot", r"snap-[0-9a-f]{8,17}", "snap-0123456789abcdef0")
VOLUME_OR_SNAPSHOT = Pattern(
    "volume or snapshot", r"(vol|snap)-[0-9a-f]{8,17}", "vol-0123456789abcdef0 or snap-0123456789abcdef0"
)
ZONE = Pattern("zone", r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}[a-z]", "us-west-2a")
SUBNET = Pattern("subnet", r"subnet-[0-9a-f]{8,17}", "subnet-0123456789abcdef0")
USER = Pattern("login name", r"[a-z_][a-z0-9_-]{0,31}", "ubuntu")
BOX_NAME = Pattern("box name", r"(?!i-)[A-Za-z][A-Za-z0-9_.-]{0,62}", "trainer-1")
#: Its nodes are aws-ID-RANK, and its groups aws-bootstrap-cluster-ID.
CLUSTER_ID = Pattern("cluster id", r"(?!i-)[a-z][a-z0-9-]{0,39}", "train")
RUN_NAME = Pattern("run name", r"(?!i-)[A-Za-z][A-Za-z0-9_.-]{0,62}", "train")
KEY_NAME = Pattern("key pair's name", r"[\x20-\x7e]{1,255}", "aws-bootstrap-key")
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html
IMAGE_NAME = Pattern("image name", r"(?!ami-|baked$)[A-Za-z0-9()\[\] ./'@_-]{3,128}", "trainer-2026")

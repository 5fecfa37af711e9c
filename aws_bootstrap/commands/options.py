"""Options that several commands share, their parameter types, and the command class that gives every option its
environment variable."""

from __future__ import annotations

import inspect
import ipaddress
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .. import output
from ..app import App
from ..config import LaunchConfig
from ..output import OutputFormat
from ..retry import parse_duration

_DEFAULT = LaunchConfig()


# --- parameter types -------------------------------------------------------------------------------------


class Listed(click.ParamType):
    """A type whose repeated values are separated by commas in the environment."""

    envvar_list_splitter = ","


class Pattern(Listed):
    """Text of a known form."""

    def __init__(self, name: str, pattern: str, example: str) -> None:
        self.name = name
        self._pattern = re.compile(pattern)
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text itself; a usage error unless it has the form."""
        if not self._pattern.fullmatch(value):
            self.fail(f"'{value}' is not a {self.name}; write it like {self._example}.", param, ctx)
        return value


class Cidr(Listed):
    """A network, an address, or `me`."""

    name = "cidr"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `me`, or the network in EC2's canonical form."""
        if value == "me":
            return value
        try:
            return str(ipaddress.ip_network(value, strict=False))
        except ValueError:
            self.fail(f"'{value}' is not a network; write it like 203.0.113.0/24, 203.0.113.7 or me.", param, ctx)


def any_case(words: Sequence[str]) -> click.Choice[str]:
    """Return a choice of these words, in capitals or not: people write `JSON`, and AWS writes `PENDING`."""
    return click.Choice(words, case_sensitive=False)


class Duration(click.ParamType):
    """A length of time, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of `90s`, `30m`, `1h30m` or a plain number."""
        if isinstance(value, int | float):
            return float(value)
        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


class Price(click.ParamType):
    """An hourly price in USD."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; a usage error unless it is finite and above zero."""
        try:
            price = float(value)
        except ValueError:
            price = math.nan
        if not math.isfinite(price) or price <= 0:
            self.fail(f"'{value}' is not a price; write it like 0.30.", param, ctx)
        return price


class Tag(Listed):
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


REGION = Pattern("region", r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}", "us-west-2")
PYTHON_VERSION = Pattern("Python version", r"3(\.[0-9]{1,2}(\.[0-9]{1,2})?)?", "3, 3.13 or 3.14.2")
INSTANCE_TYPE = Pattern("instance type", r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "g4dn.xlarge")
VOLUME = Pattern("volume", r"vol-[0-9a-f]{8,17}", "vol-0123456789abcdef0")
SUBNET = Pattern("subnet", r"subnet-[0-9a-f]{8,17}", "subnet-0123456789abcdef0")
USER = Pattern("login name", r"[a-z_][a-z0-9_-]{0,31}", "ubuntu")
KEY_NAME = Pattern("key pair's name", r"[\x20-\x7e]{1,255}", "aws-bootstrap-key")


# --- the command class -----------------------------------------------------------------------------------

_WITHOUT_VARIABLE = {"yes", "help"}


def examples_last(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a command's settings, the examples of its help below the options: one copies from the last lines."""
    text, sign, examples = inspect.cleandoc(settings.get("help") or "").partition("\b\nExample")
    if not sign:
        return settings
    return settings | {"help": text.strip(), "epilog": sign + examples}


class Command(click.Command):
    """A command that takes the global options too, and reads each option from AWS_BOOTSTRAP_<COMMAND>_<OPTION>."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **examples_last(kwargs))
        for param in self.params:
            if isinstance(param, click.Option) and param.envvar is None and param.name not in _WITHOUT_VARIABLE:
                param.envvar = _variable(self.name or "", param)
        self.params += [make() for make in GLOBAL_OPTIONS]

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Return Click's own, with the negative names of switches read from the environment as well: …_ON_DEMAND=1."""
        kwargs.setdefault("default_map", {p.name: False for p in self.params if _is_negated(p)})
        return super().make_context(*args, **kwargs)


def _is_negated(param: click.Parameter) -> bool:
    """Return whether the environment sets the second name of a switch like `--spot/--on-demand`."""
    if not isinstance(param, click.Option) or not isinstance(param.envvar, str) or not param.secondary_opts:
        return False
    prefix = param.envvar.removesuffix(_constant(_longest(param.opts)))
    value = os.environ.get(prefix + _constant(_longest(param.secondary_opts)), "")
    return value.lower() in ("1", "true", "yes", "on", "t", "y")


def _longest(names: Sequence[str]) -> str:
    """Return the long one of an option's names."""
    return max(names, key=len)


def _constant(option: str) -> str:
    """Return an option's name as an environment variable's: ON_DEMAND for --on-demand."""
    return option.lstrip("-").upper().replace("-", "_").replace(" ", "_")


class Group(click.Group):
    """A command of commands. It takes the global options too; AWS_BOOTSTRAP_<GROUP>_<COMMAND>_<OPTION> are read."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **examples_last(kwargs))
        self.params += [make() for make in GLOBAL_OPTIONS]

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add the command; its options' variables are named after the group as well."""
        super().add_command(cmd, name)
        for param in cmd.params:
            if isinstance(param, click.Option) and param.envvar == _variable(cmd.name or "", param):
                param.envvar = _variable(f"{self.name} {cmd.name}", param)


def _variable(command: str, option: click.Option) -> str:
    """Return the variable named after the option as typed: Click's own names would follow the Python parameter."""
    return f"AWS_BOOTSTRAP_{_constant(command)}_{_constant(_longest(option.opts))}"


def _set_output(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value:
        output.use_format(OutputFormat(value))


def _set_profile(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.ensure_object(App).profile = value


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(App).debug = True


def _output_option() -> click.Option:
    formats = any_case([output_format.value for output_format in OutputFormat])
    help_text = "How to show the result.  [default: text; env: AWS_BOOTSTRAP_OUTPUT]"
    return click.Option(["--output", "-o"], type=formats, callback=_set_output, expose_value=False, help=help_text)


def _profile_option() -> click.Option:
    help_text = "AWS profile.  [env: AWS_PROFILE]"
    return click.Option(["--profile"], callback=_set_profile, expose_value=False, help=help_text)


def _debug_option() -> click.Option:
    help_text = "On failure, show the traceback as well."
    return click.Option(["--debug"], is_flag=True, callback=_set_debug, expose_value=False, help=help_text)


def complete_alias(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Return the aliases that begin so, from the SSH config alone."""
    from ..workflows.aliases import aliases

    app = ctx.find_object(App) or App()
    return [alias for alias in aliases(app) if alias.startswith(begun)]


GLOBAL_OPTIONS = (_output_option, _profile_option, _debug_option)


# --- shared options --------------------------------------------------------------------------------------

region = click.option(
    "--region", "-r", type=REGION, help="AWS region.  [default: of environment or profile, us-west-2]"
)
regions = click.option(
    "--region",
    "-r",
    "regions",
    multiple=True,
    type=REGION,
    help="Only this region; repeatable.  [default: all enabled]",
)
regions_here = click.option(
    "--region",
    "-r",
    "regions",
    multiple=True,
    type=REGION,
    help="AWS region; repeatable.  [default: of environment or profile, us-west-2]",
)
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")

alias_key = click.option(
    "--key-path",
    default=_DEFAULT.key_path,
    show_default=True,
    type=click.Path(path_type=Path),
    help="SSH public key of added aliases.",
)
alias_user = click.option("--ssh-user", type=USER, help="Login name of added aliases.  [default: by image]")
python_version = click.option("--python-version", type=PYTHON_VERSION, help="Python of the remote venv.")
setup_script = click.option(
    "--setup-script", type=click.Path(path_type=Path), help="Your own script, run on the box after the setup."
)

_LAUNCH = (
    click.option(
        "--instance-type",
        default=_DEFAULT.instance_type,
        show_default=True,
        multiple=True,
        type=INSTANCE_TYPE,
        help="EC2 instance type; repeatable, in order of preference.",
    ),
    click.option(
        "--ami-filter", default=_DEFAULT.ami_filter, show_default=True, help="AMI name pattern; the newest match wins."
    ),
    click.option("--spot/--on-demand", default=_DEFAULT.spot, show_default=True, help="Market."),
    click.option(
        "--region",
        "-r",
        multiple=True,
        type=REGION,
        help="AWS region; repeatable, tried in this order.  [default: of environment or profile, us-west-2]",
    ),
    click.option("--wait", is_flag=True, help="Keep sweeping for capacity."),
    click.option(
        "--wait-timeout", default=_DEFAULT.wait_timeout, type=Duration(), help="For how long.  [default: 30m]"
    ),
    click.option(
        "--max-price",
        type=Price(),
        help="Highest hourly price to accept, USD; on-demand too.",
    ),
    click.option(
        "--key-path",
        default=_DEFAULT.key_path,
        show_default=True,
        type=click.Path(path_type=type(_DEFAULT.key_path)),
        help="SSH public key; made if missing.",
    ),
    click.option("--key-name", default=_DEFAULT.key_name, show_default=True, type=KEY_NAME, help="EC2 key pair."),
    click.option("--security-group", default=_DEFAULT.security_group, show_default=True, help="Found or made."),
    click.option(
        "--ssh-cidr",
        default=_DEFAULT.ssh_cidr,
        show_default=True,
        multiple=True,
        type=Cidr(),
        help="Who may reach the SSH port; `me` is your address. Repeatable.",
    ),
    click.option("--subnet-id", type=SUBNET, help="For accounts without a default VPC."),
    click.option(
        "--volume-size",
        default=_DEFAULT.volume_size,
        show_default=True,
        type=click.IntRange(1, 65536),
        help="Root volume, GB.",
    ),
    click.option("--ebs-storage", type=click.IntRange(1, 65536), help="New data volume at /data, GB."),
    click.option("--ebs-volume-id", type=VOLUME, help="Existing data volume at /data; pins the launch to its zone."),
    python_version,
    click.option(
        "--ssh-port",
        default=_DEFAULT.ssh_port,
        show_default=True,
        type=click.IntRange(1, 65535),
        help="Port that sshd listens on.",
    ),
    click.option("--ssh-user", type=USER, help="Login name.  [default: by image]"),
    click.option(
        "--ssh-timeout", default=_DEFAULT.ssh_timeout, type=Duration(), help="How long to wait for SSH.  [default: 5m]"
    ),
    click.option(
        "--metadata-hop-limit",
        default=_DEFAULT.metadata_hop_limit,
        show_default=True,
        type=click.IntRange(1, 64),
        help="2 lets containers reach the instance metadata.",
    ),
    click.option("--no-setup", is_flag=True, help="Skip the remote setup."),
    setup_script,
    click.option("--tag", multiple=True, type=Tag(), help="KEY=VALUE on instance and volumes; repeatable."),
)


def launch_options(command: Any) -> Any:
    """Add every option that becomes a field of LaunchConfig."""
    for option in reversed(_LAUNCH):
        command = option(command)
    return command

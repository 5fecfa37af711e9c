"""Options that several commands share, and those that become the fields of LaunchConfig."""

from __future__ import annotations

from typing import Any, NamedTuple

import click

from .. import defaults
from ..app import App
from ..errors import UsageError
from ..invocation import PROGRAM
from .params import (
    BOX_NAME,
    INSTANCE_TYPE,
    KEY_NAME,
    PYTHON_VERSION,
    REGION,
    SUBNET,
    USER,
    VOLUME,
    Cidr,
    Duration,
    Limit,
    LocalPath,
    Price,
    Tag,
)


def complete_alias(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Return the aliases with this beginning, from the SSH config alone: after `--sandbox` from the sandbox's."""
    from ..workflows.aliases import aliases

    app = ctx.find_object(App) or App()
    if ctx.find_root().params.get("sandbox"):
        app.paths = app.paths.of_sandbox()
    return [alias for alias in aliases(app) if alias.startswith(begun)]


def complete_box_path(ctx: click.Context, param: click.Parameter, begun: str) -> list[Any]:
    """Return the aliases with a colon, as paths of boxes begin; the shell adds the files of this machine."""
    from click.shell_completion import CompletionItem

    found: list[Any] = []
    for alias in complete_alias(ctx, param, begun):
        found.append(CompletionItem(f"{alias}:"))
    return [*found, CompletionItem(begun, type="file")]


def complete_preset(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Return the presets with this beginning, of the config files in force."""
    from .configured import preset_names

    app = ctx.find_object(App) or App()
    return [name for name in preset_names(app.settings) if name.startswith(begun)]


region = click.option(
    "--region", "-r", type=REGION, help="AWS region.  [default: $AWS_REGION, then the profile's, then us-west-2]"
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
    help="AWS region; repeatable.  [default: $AWS_REGION, then the profile's, then us-west-2]",
)
everyone = click.option(
    "--everyone", is_flag=True, help="Without names: act also on what others own, and on what has no owner."
)
yes = click.option("--yes", "-y", is_flag=True, help="Skip the confirmation.")

alias_key = click.option(
    "--key-path",
    default=defaults.KEY_PATH,
    show_default=True,
    type=LocalPath(),
    help="SSH public key of added aliases.",
)
alias_user = click.option(
    "--ssh-user", type=USER, metavar="USER", help="Login name of added aliases.  [default: by image]"
)
python_version = click.option(
    "--python-version", type=PYTHON_VERSION, metavar="VERSION", help="Python version of ~/venv on the box."
)
setup_script = click.option(
    "--setup-script",
    type=LocalPath(),
    metavar="FILE",
    help="Script of yours to run on the box after the setup.",
)

_LAUNCH = (
    click.option(
        "--name",
        type=BOX_NAME,
        metavar="NAME",
        help="Name and alias of the box; one that has the name already is returned as it is.",
    ),
    click.option(
        "--instance-type",
        default=defaults.INSTANCE_TYPES,
        show_default=True,
        multiple=True,
        type=INSTANCE_TYPE,
        metavar="TYPE",
        help="EC2 instance type; repeatable, in order of preference.",
    ),
    click.option(
        "--ami-filter",
        default=defaults.AMI_FILTER,
        show_default=True,
        metavar="PATTERN",
        help="AMI name pattern; the newest matching image is used.",
    ),
    click.option(
        "--image",
        metavar="IMAGE",
        help="Image in place of the pattern: `baked` (the newest that you baked), an AMI's id or a name.",
    ),
    click.option(
        "--spot/--on-demand", default=True, show_default=True, help="Market: spot, or on-demand at its price."
    ),
    click.option(
        "--region",
        "-r",
        multiple=True,
        type=REGION,
        help="AWS region; repeatable, tried in this order.  [default: $AWS_REGION, then the profile's, then us-west-2]",
    ),
    click.option(
        "--cheapest", is_flag=True, help="Try regions and types in the order of their prices, cheapest first."
    ),
    click.option("--wait", is_flag=True, help="Keep trying until there is capacity, up to --wait-timeout."),
    click.option(
        "--wait-timeout",
        default=defaults.WAIT_SECONDS,
        type=Duration(),
        help="How long --wait keeps trying.  [default: 30m]",
    ),
    click.option(
        "--max-price",
        type=Price(),
        help="Highest price an hour to accept, in USD; for on-demand too.",
    ),
    click.option(
        "--key-path",
        default=defaults.KEY_PATH,
        show_default=True,
        type=LocalPath(),
        help="SSH public key; created if missing.",
    ),
    click.option(
        "--key-name",
        default=defaults.KEY_NAME,
        show_default=True,
        type=KEY_NAME,
        metavar="NAME",
        help="EC2 key pair name; imported if missing.",
    ),
    click.option(
        "--security-group",
        default=defaults.SECURITY_GROUP,
        show_default=True,
        metavar="NAME",
        help="Security group name; created if missing.",
    ),
    click.option(
        "--ssh-cidr",
        default=defaults.SSH_CIDRS,
        show_default=True,
        multiple=True,
        type=Cidr(),
        help="Network that may reach the SSH port; `me` is your address. Repeatable.",
    ),
    click.option(
        "--subnet-id",
        multiple=True,
        type=SUBNET,
        help="Subnet to launch in; repeatable, tried in this order; required without a default VPC.",
    ),
    click.option(
        "--volume-size",
        default=defaults.ROOT_VOLUME_GB,
        show_default=True,
        type=click.IntRange(1, 65536),
        metavar="GB",
        help="Size of the root volume.",
    ),
    click.option(
        "--ebs-storage",
        type=click.IntRange(1, 65536),
        metavar="GB",
        help="Size of a new data volume, mounted at /data.",
    ),
    click.option(
        "--ebs-volume-id", type=VOLUME, help="Existing data volume, mounted at /data; the box is launched in its zone."
    ),
    python_version,
    click.option(
        "--ssh-port",
        default=defaults.SSH_PORT,
        show_default=True,
        type=click.IntRange(1, 65535),
        metavar="PORT",
        help="Port that sshd listens on.",
    ),
    click.option("--ssh-user", type=USER, metavar="USER", help="Login name on the box.  [default: by image]"),
    click.option(
        "--ssh-timeout", default=defaults.SSH_SECONDS, type=Duration(), help="How long to wait for SSH.  [default: 5m]"
    ),
    click.option(
        "--metadata-hop-limit",
        default=defaults.METADATA_HOP_LIMIT,
        show_default=True,
        type=click.IntRange(1, 64),
        metavar="HOPS",
        help="Hop limit of the instance metadata service; 2 for containers.",
    ),
    click.option("--ttl", type=Limit(), help="End the box by itself after this time, such as 8h."),
    click.option(
        "--idle-timeout", type=Limit(), help="End the box by itself after it had no work for this time, such as 60m."
    ),
    click.option(
        "--max-cost", type=Price(), help="End the box by itself when it has cost this much, in USD; at today's price."
    ),
    click.option("--no-setup", is_flag=True, help="Skip the remote setup."),
    setup_script,
    click.option("--tag", multiple=True, type=Tag(), help="Tag of everything that is created; repeatable."),
)


class WithoutEffect(NamedTuple):
    """An option that has no effect without another parameter, or beside it."""

    option: str
    #: The other parameter, by its name in Python.
    other: str
    #: Whether the option has no effect where the other one is given; else it has none where that is missing.
    beside: bool
    #: The end of the sentence, and what to do about it.
    reason: str
    hint: str


def without(option: str, other: str, hint: str | None = None) -> WithoutEffect:
    """Return an option that has no effect without the other one."""
    return WithoutEffect(option, _python_name(other), False, f"without {other}", f"Add: {hint or other}")


def beside(option: str, other: str) -> WithoutEffect:
    """Return an option that has no effect with the other one."""
    return WithoutEffect(option, _python_name(other), True, f"with {other}", f"Leave out: {other}")


def beside_names(option: str) -> WithoutEffect:
    """Return an option that has no effect where boxes are named."""
    return WithoutEffect(option, "names", True, "with names", f"Leave out: {option}")


def _python_name(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def check_effects(*rules: WithoutEffect) -> None:
    """Raise UsageError if an option was passed that has no effect. One in the environment is for many commands."""
    ctx = click.get_current_context()
    for rule in rules:
        source = ctx.get_parameter_source(_python_name(rule.option))
        other_is_given = bool(ctx.params[rule.other])
        if source is click.core.ParameterSource.COMMANDLINE and other_is_given is rule.beside:
            hint = rule.hint
            if ctx.get_parameter_source(rule.other) is click.core.ParameterSource.DEFAULT_MAP:
                hint = f"A config file sets it: {PROGRAM} config show {ctx.info_name}"
            raise UsageError(f"{rule.option} has no effect {rule.reason}.", hint=hint)


#: The sections of the help page of `launch`.
LAUNCH_SECTIONS = {
    "Where": ("--region", "--subnet-id", "--wait", "--wait-timeout"),
    "Price": ("--spot", "--max-price", "--cheapest", "--ttl", "--idle-timeout", "--max-cost"),
    "Box": ("--name", "--instance-type", "--image", "--ami-filter", "--metadata-hop-limit", "--tag"),
    "Disks": ("--volume-size", "--ebs-storage", "--ebs-volume-id"),
    "SSH": (
        "--key-path",
        "--key-name",
        "--security-group",
        "--ssh-cidr",
        "--ssh-port",
        "--ssh-user",
        "--ssh-timeout",
    ),
    "Setup": ("--no-setup", "--python-version", "--setup-script"),
}


def launch_options(command: Any) -> Any:
    """Add every option that becomes a field of LaunchConfig."""
    for option in reversed(_LAUNCH):
        command = option(command)
    return command

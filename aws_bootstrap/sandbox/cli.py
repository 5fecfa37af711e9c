"""`aws-bootstrap sandbox …`: controls the sandbox itself. Commands run with --sandbox never use this module."""

from __future__ import annotations

import shutil
from typing import Any

import click

from ..app import App
from ..commands.command import Group
from ..errors import UsageError
from ..invocation import PROGRAM
from . import process, results
from .account import account
from .home import Home, principal_variables

_MATCH_HELP = "A request parameter and a regular expression that must match in full; repeatable."


@click.group(cls=Group)
def sandbox() -> None:
    """Rehearse with a local EC2 and local boxes.

    It needs no account and costs nothing.

    \b
    Examples:
      aws-bootstrap --sandbox launch                   any command, rehearsed
      eval "$(aws-bootstrap sandbox env)"              any AWS tool, in this shell
      aws-bootstrap sandbox fault --action RunInstances --error InsufficientInstanceCapacity --times 2
      aws-bootstrap sandbox stop
    """


@sandbox.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="PORT", help="Port to listen on.  [default: a free one]"
)
@click.option("--boxes/--no-boxes", default=True, help="Boxes behind the instances, reached by SSH.  [default: boxes]")
@click.option(
    "--timing",
    "state_changes",
    multiple=True,
    metavar="NAME=SECONDS",
    help="How long a state change takes; repeatable.",
)
@click.pass_obj
def start(app: App, port: int, boxes: bool, state_changes: tuple[str, ...]) -> None:
    """Start the sandbox. Every command with --sandbox starts it if needed.

    \b
    Examples:
      aws-bootstrap sandbox start
      aws-bootstrap sandbox start --no-boxes --timing pending=5 --timing shutting_down=5
    """
    home = Home.of()
    words = [
        f"--port={port}",
        *([] if boxes else ["--no-boxes"]),
        *(f"--timing={one}" for one in _checked(state_changes)),
    ]
    if process.running(home) and (port or not boxes or state_changes):
        raise UsageError(
            "The sandbox is already running; options apply at its start.",
            hint=f"Stop it first: {PROGRAM} sandbox stop",
        )
    process.ensure_running(home, *words)
    app.show(_status(home))


@sandbox.command()
@click.pass_obj
def stop(app: App) -> None:
    """Stop the sandbox. Its instances, volumes and boxes stay for the next start.

    \b
    Example:
      aws-bootstrap sandbox stop
    """
    home = Home.of()
    app.show(results.SandboxStopped(stopped=process.stop(home), erased=False, home=str(home.root)))


@sandbox.command()
@click.pass_obj
def status(app: App) -> None:
    """Show whether the sandbox runs, and what is in it.

    \b
    Example:
      aws-bootstrap sandbox status -o json
    """
    app.show(_status(Home.of()))


@sandbox.command()
@click.option("--principal", metavar="NAME", help="Act as this user of the account; `sandbox account` shows them.")
@click.pass_obj
def env(app: App, principal: str | None) -> None:
    """Print environment variables for other AWS tools.

    It starts the sandbox if needed.

    \b
    Examples:
      eval "$(aws-bootstrap sandbox env)"
      eval "$(aws-bootstrap sandbox env --principal bob)"
    """
    home = Home.of()
    variables = home.environment(process.ensure_running(home))
    if principal:
        variables |= principal_variables(home, process.request(home, "principal", {"name": principal}))
    app.show(results.SandboxEnvironment(variables))


@sandbox.command()
@click.option("--service", metavar="REGEX", help="For example ec2, servicequotas, sts.")
@click.option("--action", metavar="REGEX", help="For example RunInstances, 'Describe.*'.")
@click.option("--region", metavar="REGEX", help="For example us-west-2, 'eu-.*'.")
@click.option("--match", "matches", multiple=True, metavar="PARAMETER=REGEX", help=_MATCH_HELP)
@click.option(
    "--skip",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Skip this many matching calls first.",
)
@click.option("--times", type=click.IntRange(1), metavar="N", help="Affect this many calls.  [default: all]")
@click.option("--error", metavar="CODE", help="Respond with this AWS error, in the service's own format.")
@click.option("--message", help="The error's message.")
@click.option("--http", type=click.IntRange(100, 599), metavar="STATUS", help="Respond with this bare HTTP status.")
@click.option("--delay", type=click.FloatRange(0), metavar="SECONDS", help="Wait this many seconds first.")
@click.option("--reset", is_flag=True, help="Break the connection before the call takes effect.")
@click.option("--reset-after", is_flag=True, help="Break it afterwards: the response is lost.")
@click.option("--clear", is_flag=True, help="Remove all faults.")
@click.pass_obj
def fault(app: App, /, **options: Any) -> None:
    """Make AWS calls fail or take long. Without options: show the active faults.

    \b
    Examples:
      aws-bootstrap sandbox fault --action RunInstances --error InsufficientInstanceCapacity \\
          --match InstanceMarketOptions.MarketType=spot --times 2
      aws-bootstrap sandbox fault --action RunInstances --reset-after --times 1
      aws-bootstrap sandbox fault --clear
    """
    home = Home.of()
    process.ensure_running(home)
    if options.pop("clear"):
        process.request(home, "faults", method="DELETE")
    rule = _rule(options)
    if rule:
        process.request(home, "faults", rule)
    app.show(results.SandboxFaults(tuple(results.FaultRule(**one) for one in process.request(home, "faults"))))


@sandbox.command()
@click.option("--action", "actions", multiple=True, metavar="NAME", help="Only calls of this action; repeatable.")
@click.option("--clear", is_flag=True, help="Clear the log after showing it.")
@click.pass_obj
def log(app: App, actions: tuple[str, ...], clear: bool) -> None:
    """Show every AWS call and its outcome.

    With -o json it also shows their parameters and times.

    \b
    Examples:
      aws-bootstrap sandbox log --action RunInstances
      aws-bootstrap sandbox log -o json
    """
    home = Home.of()
    calls = [results.LoggedCall(**one) for one in process.request(home, "log")]
    if clear:
        process.request(home, "log", method="DELETE")
    app.show(results.SandboxLog(tuple(call for call in calls if not actions or call.action in actions)))


sandbox.add_command(account)


@sandbox.command()
@click.argument("instance_id")
@click.option(
    "--notice",
    type=click.FloatRange(0),
    default=0,
    metavar="SECONDS",
    help="Show the notice in the instance metadata, and interrupt so much later.  [default: at once]",
)
@click.option("--rebalance", is_flag=True, help="Only recommend a rebalance: the risk of an interruption is raised.")
@click.pass_obj
def interrupt(app: App, instance_id: str, notice: float, rebalance: bool) -> None:
    """Interrupt a spot instance.

    EC2 does so when it needs the capacity, two minutes after a notice.

    \b
    Examples:
      aws-bootstrap sandbox interrupt i-0123456789abcdef0
      aws-bootstrap sandbox interrupt i-0123456789abcdef0 --notice 120
      aws-bootstrap sandbox interrupt i-0123456789abcdef0 --rebalance
    """
    if notice and rebalance:
        raise UsageError("--notice and --rebalance exclude each other.", hint="A rebalance needs no notice.")
    body = {"instance_id": instance_id, "notice": notice, "rebalance": rebalance}
    process.request(Home.of(), "interrupt", body)
    app.show(results.SandboxInterrupted(instance_id, notice, rebalance))


@sandbox.command()
@click.option("--yes", "-y", is_flag=True, help="Skip the confirmation prompt.")
@click.pass_obj
def reset(app: App, yes: bool) -> None:
    """Stop the sandbox and erase its contents.

    These are its instances, boxes, volumes and keys.

    \b
    Example:
      aws-bootstrap sandbox reset --yes
    """
    home = Home.of()
    if not app.confirm(f"Erase {home.root}?", yes=yes):
        raise click.Abort
    if home.root.exists() and not home.is_sandbox():
        raise UsageError(f"{home.root} is not a sandbox folder; nothing was erased.")
    stopped = process.stop(home)
    shutil.rmtree(home.root, ignore_errors=True)
    app.show(results.SandboxStopped(stopped=stopped, erased=True, home=str(home.root)))


def _status(home: Home) -> results.SandboxStatus:
    """Return what runs in the home."""
    record = process.running(home)
    if record is None:
        return results.SandboxStatus(running=False, home=str(home.root))
    facts = process.request(home, "status")
    return results.SandboxStatus(
        running=True,
        home=str(home.root),
        instances=tuple(results.SandboxInstance(**one) for one in facts["instances"]),
        endpoint=f"http://127.0.0.1:{record.port}",
        pid=record.pid,
        boxes=facts["boxes"],
        faults=facts["faults"],
        calls=facts["calls"],
    )


def _checked(timings: tuple[str, ...]) -> list[str]:
    """Return the timings; raise UsageError unless each is a known name and a number."""
    for one in timings:
        name, _, seconds = one.partition("=")
        if name not in process.TIMINGS or not seconds.replace(".", "", 1).isdigit():
            raise UsageError(
                f"'{one}' is not a timing.", hint=f"Write NAME=SECONDS; names: {', '.join(process.TIMINGS)}"
            )
    return list(timings)


def _rule(options: dict[str, Any]) -> dict[str, Any] | None:
    """Return the rule that the options describe; None if they describe none."""
    match = {name: options[name] for name in ("service", "action", "region") if options[name]}
    match |= dict(_pair(one) for one in options["matches"])
    names = ("error", "message", "http", "delay", "reset", "reset_after")
    effect = {name: options[name] for name in names if options[name] not in (None, False)}
    if not effect:
        if match:
            raise UsageError("The fault has no effect.", hint="Add --error, --http, --delay, --reset or --reset-after.")
        return None
    return {"match": match, "do": effect, "skip": options["skip"], "times": options["times"]}


def _pair(text: str) -> tuple[str, str]:
    """Return the parameter and the pattern; raise UsageError without a `=`."""
    name, sign, pattern = text.partition("=")
    if not sign:
        raise UsageError(f"'{text}' is not PARAMETER=REGEX.")
    return name, pattern

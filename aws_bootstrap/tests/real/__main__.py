"""A box's life with the real program: `.ci/real`, in the sandbox; `.ci/real --environment`, in a real account."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from aws_bootstrap.tests.real import policies, worlds
from aws_bootstrap.tests.real.account import Refused
from aws_bootstrap.tests.real.life import Life
from aws_bootstrap.tests.real.steps import Journal, Stopped, documents, require, say, table
from aws_bootstrap.tests.real.sweep import Sweep, Timing, sweep
from aws_bootstrap.tests.real.worlds import Options, World

PRICE_VARIABLE = "AWS_BOOTSTRAP_REAL_MAX_PRICE"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: No tag of somebody's own looks like this.
RUN_ID = re.compile(r"real-[a-z0-9][a-z0-9-]{5,40}")


def main(arguments: Sequence[str]) -> int:
    """Run what was requested; return the exit code: 0, 1 for a failure or a leftover, 2 where it is refused."""
    given = _arguments(arguments)
    if given.policy:
        say(json.dumps(policies.role_policy(), indent=2))
        return 0
    _raise_signals()
    try:
        options = _options(given)
        with _world(given, options) as world:
            return run(options, world, given)
    except Refused as exc:
        print(f".ci/real: refused: {exc}", file=sys.stderr)
        return 2
    except Stopped as exc:
        return exc.exit_code


def run(options: Options, world: World, given: argparse.Namespace) -> int:
    """Live and sweep, or sweep alone; print table and report; return the exit code."""
    say(f"run {options.run} in {options.region}, {world.name}. To sweep it alone: --sweep --run {options.run}")
    journal = Journal(world.limit)
    code = 0
    try:
        if not given.sweep:
            code = _live(options, world, journal)
        _ignore_signals()  # inside, so that a signal at the last moment does not prevent the sweep
    except Stopped as exc:
        code = exc.exit_code
    timing = world.timing
    if given.sweep_limit:
        timing = replace(timing, limit=given.sweep_limit)
    swept = _sweep(options, world, journal, timing)
    if not swept.is_clean:
        code = code or 1
    _report(options, world, journal, swept, code, given.report)
    return code


def _live(options: Options, world: World, journal: Journal) -> int:
    """Live; return 0, or 1 after a step that failed, which the journal has printed."""
    try:
        Life(options, world, journal).live()
    except Exception:
        return 1
    return 0


def _sweep(options: Options, world: World, journal: Journal, timing: Timing) -> Sweep:
    """End what is left of the run; return what the last look showed."""
    swept = Sweep(error="not swept")
    try:
        with journal.step("sweep"):
            swept = sweep(world.client, options.run, timing)
            require(swept.is_clean, f"left: {swept.left} {swept.error}")
            say(f"   nothing carries {options.run} any more")
    except Exception as exc:
        swept.error = swept.error or str(exc)
    return swept


def _report(options: Options, world: World, journal: Journal, swept: Sweep, code: int, path: Path | None) -> None:
    """Print the table and the report, and write the report to the file."""
    report: dict[str, Any] = {
        "run": options.run,
        "world": world.name,
        "region": options.region,
        "instance_type": options.instance_type,
        "exit_code": code,
        "steps": documents(journal.steps),
        "sweep": swept.report(),
    }
    text = json.dumps(report)
    say(f"\n{table(journal.steps)}\n{text}")
    if path:
        path.write_text(text + "\n")


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".ci/real", description=__doc__)
    add = parser.add_argument
    add("--environment", action="store_true", help="use the credentials and endpoints of the environment")
    add("--region", default="us-west-2", help="the only region  [default: us-west-2]")
    add("--instance-type", default="g4dn.xlarge", help="the only instance type  [default: g4dn.xlarge]")
    add("--max-price", type=float, metavar="USD", help=f"highest price an hour  [default: ${PRICE_VARIABLE}]")
    add("--no-setup", action="store_true", help="skip the setup of the first launch")
    add("--run", metavar="ID", help="id of the run, such as real-20260101-0a1b  [default: a new one]")
    add("--sweep", action="store_true", help="only end what an earlier run left; needs --run")
    add("--sweep-limit", type=float, metavar="SECONDS", help="how long the sweep lasts at most")
    add("--report", type=Path, metavar="FILE", help="also write the report to this file, as JSON")
    add("--policy", action="store_true", help="only print the IAM policy that a run needs")
    given = parser.parse_args(arguments)
    if given.sweep and not (given.run and given.environment):
        parser.error("--sweep needs --run and --environment")
    return given


def _options(given: argparse.Namespace) -> Options:
    """Return the options of the run. Raise Refused for a run id that others may use, and without a price cap."""
    name = given.run or f"real-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    if not RUN_ID.fullmatch(name):
        raise Refused(f"'{name}' is no id of a run; one begins with real-, as real-20260101-0a1b does.")
    price = given.max_price
    if price is None and os.environ.get(PRICE_VARIABLE):
        price = _price(os.environ[PRICE_VARIABLE])
    if price is None and given.environment and not given.sweep:
        raise Refused(f"there is no highest price: give --max-price or {PRICE_VARIABLE}.")
    if price is None:
        price = 1.0
    if not 0 < price <= 50:
        raise Refused(f"the highest price is {price:g}; it must be above 0 and at most 50 USD an hour.")
    return Options(name, given.region, given.instance_type, price, not given.no_setup)


def _price(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise Refused(f"{PRICE_VARIABLE} is '{text}'; it is a number of USD.") from exc


def _world(given: argparse.Namespace, options: Options) -> AbstractContextManager[World]:
    if given.environment:
        return worlds.environment(options)
    return worlds.sandbox(options)


def _raise_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Raise what ends the life, once. Later signals are ignored: the sweep has begun."""
    _ignore_signals()
    say(f"   signal {number}: ending this run")
    raise Stopped(number)


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

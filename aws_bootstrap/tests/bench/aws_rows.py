"""The rows of commands that call AWS, and of those that wait for it: ours beside the floors of aws_floors.py."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aws_bootstrap.tests.bench.aws_account import REPOSITORY, Account, AwsCost, account
from aws_bootstrap.tests.bench.aws_answers import REGIONS
from aws_bootstrap.tests.bench.measure import Figure, Row, Run

#: Starts a floor by the name and the regions that follow, with compiled bytecode.
_FLOOR = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from aws_bootstrap.tests.bench.aws_floors import main
main()
"""


class Scale(NamedTuple):
    """How large the accounts are, and how slow."""

    regions: int = len(REGIONS)
    boxes: int = 100
    many: int = 1700
    one_region: int = 20
    terminated: int = 10
    delay_ms: int = 80
    #: Seconds until the volumes of terminated boxes are detached.
    detach: int = 30
    #: Seconds from RunInstances until the SSH port of the box opens.
    opens: int = 5


FULL = Scale()
#: For a test, which looks at the rows alone.
SMALL = Scale(regions=2, boxes=4, many=8, one_region=2, terminated=2, delay_ms=5, detach=1, opens=1)


class _Programs:
    """Ours and the floors in one account."""

    def __init__(self, python: Path, of: Account) -> None:
        self._python = str(python)
        self._script = str(python.parent / "aws-bootstrap")
        self._account = of

    def ours(self, *words: str) -> Run:
        return partial(self._account.run, [self._python, self._script, *words, "-o", "json"])

    def floor(self, name: str, *regions: str) -> Run:
        return partial(self._account.run, [self._python, "-c", _FLOOR, name, *regions])


@contextmanager
def rows(python: Path, scale: Scale = FULL) -> Iterator[list[Row]]:
    """The rows of commands that ask and answer."""
    with ExitStack() as stack:

        def programs(boxes: int, regions: int, *, is_tls: bool = False) -> _Programs:
            delay = ["--delay-ms", str(scale.delay_ms)]
            options = ["--boxes", str(boxes), "--regions", str(regions), *delay]
            return _Programs(python, stack.enter_context(account(options, is_tls=is_tls)))

        plain = programs(scale.boxes, scale.regions)
        over_tls = programs(scale.boxes, scale.regions, is_tls=True)
        many = programs(scale.many, scale.regions)
        one_region = programs(scale.one_region, 1)
        empty = programs(0, scale.regions)
        yield [
            *_status_rows(scale, plain, over_tls),
            *_other_status_rows(scale, one_region, many),
            *_empty_account_rows(scale, empty),
        ]


def _status_rows(scale: Scale, plain: _Programs, over_tls: _Programs) -> list[Row]:
    name = f"`status`, {scale.regions} regions, {scale.boxes} boxes"
    ours, floor = plain.ours("status"), plain.floor("boto3-status")
    ours_tls, floor_tls = over_tls.ours("status"), over_tls.floor("signed-status")
    return [
        Row(f"{name}, TLS", "CPU ÷ without TLS", Figure(ours_tls, "cpu"), target=1.15, base=Figure(ours, "cpu")),
        Row(f"{name}, TLS", "MiB", Figure(ours_tls, "peak_mib"), Figure(floor_tls, "peak_mib"), 80),
        Row(name, "CPU s", Figure(ours, "cpu"), Figure(floor, "cpu"), 1.05, target_is_ratio=True),
        Row(name, "s", Figure(ours, "seconds"), Figure(floor, "seconds"), 1.05, target_is_ratio=True),
        Row(name, "calls", Figure(ours, "calls"), Figure(floor, "calls"), 3 * scale.regions + 2),
    ]


def _other_status_rows(scale: Scale, one_region: _Programs, many: _Programs) -> list[Row]:
    ours, floor = one_region.ours("status", "-r", "us-west-2"), one_region.floor("boto3-status", "us-west-2")
    many_ours, many_floor = many.ours("status"), many.floor("signed-status")
    name = f"`status`, 1 region, {scale.one_region} boxes"
    many_name = f"`status`, {scale.regions} regions, {scale.many} boxes"
    return [
        Row(name, "s", Figure(ours, "seconds"), Figure(floor, "seconds"), 1.05, target_is_ratio=True),
        Row(name, "CPU s", Figure(ours, "cpu"), Figure(floor, "cpu")),
        Row(many_name, "s", Figure(many_ours, "seconds"), Figure(many_floor, "seconds"), 2.0),
        Row(many_name, "CPU s", Figure(many_ours, "cpu"), Figure(many_floor, "cpu")),
    ]


def _empty_account_rows(scale: Scale, empty: _Programs) -> list[Row]:
    """The commands for which no box need exist."""
    regions = REGIONS[: scale.regions]
    named = [word for region in regions for word in ("--region", region)]
    quota, quota_floor = empty.ours("quota", "show", *named), empty.floor("signed-quota", *regions)
    plan, plan_floor = empty.ours("launch", "--dry-run", "-r", "us-west-2"), empty.floor("boto3-dry-run", "us-west-2")
    quota_name, plan_name = f"`quota show`, {scale.regions} regions", "`launch --dry-run`"
    return [
        Row(quota_name, "s", Figure(quota, "seconds"), Figure(quota_floor, "seconds"), 0.75),
        Row(quota_name, "CPU s", Figure(quota, "cpu"), Figure(quota_floor, "cpu")),
        Row(plan_name, "s", Figure(plan, "seconds"), Figure(plan_floor, "seconds"), 1.2, target_is_ratio=True),
        Row(plan_name, "CPU s", Figure(plan, "cpu"), Figure(plan_floor, "cpu")),
        Row(plan_name, "calls", Figure(plan, "calls"), Figure(plan_floor, "calls")),
    ]


@contextmanager
def waiting_rows(python: Path, scale: Scale = FULL) -> Iterator[list[Row]]:
    """The rows of commands that wait for what AWS does."""
    count = str(scale.terminated)
    delay = ["--delay-ms", str(scale.delay_ms), "--regions", "1"]
    volumes = ["--boxes", count, "--volumes", count, "--detach", str(scale.detach)]
    port = _free_port()
    box = ["--boxes", "0", "--box-port", str(port), "--box-opens", str(scale.opens)]
    with account([*delay, *volumes]) as terminated, account([*delay, *box]) as launched:
        yield [
            *_terminate_rows(scale, _Programs(python, terminated)),
            *_launch_rows(scale, _Programs(python, launched), launched, port),
        ]


def _terminate_rows(scale: Scale, programs: _Programs) -> list[Row]:
    ours = programs.ours("terminate", "-r", "us-west-2", "--yes")
    floor = programs.floor("boto3-terminate", "us-west-2")
    name = f"`terminate`, {scale.terminated} boxes with data volumes, detached after {scale.detach} s"
    return [
        Row(name, "s", Figure(ours, "seconds"), Figure(floor, "seconds"), 1.05, target_is_ratio=True),
        Row(name, "polls a second", Figure(ours, "polls_a_second"), Figure(floor, "polls_a_second"), 1.0),
        Row(name, "calls", Figure(ours, "calls"), Figure(floor, "calls")),
    ]


def _launch_rows(scale: Scale, programs: _Programs, launched: Account, port: int) -> list[Row]:
    ours = programs.ours("launch", "-r", "us-west-2", "--ssh-port", str(port))
    floor = partial(_log_in, launched, port)
    name = f"`launch`, a setup that does nothing, SSH port open {scale.opens} s after RunInstances"
    return [
        Row(name, "s from open to ready", Figure(ours, "after_open"), Figure(floor, "seconds"), 1.0),
        Row(name, "connections", Figure(ours, "connections"), Figure(floor, "connections"), 1),
    ]


def _log_in(launched: Account, port: int) -> AwsCost:
    """One ssh to the box, once its port is open."""
    launched.post("/reset")
    launched.post("/box")
    return launched.run_on(["ssh", *_trusting(launched), "-p", str(port), "ubuntu@127.0.0.1", "true"])


def _trusting(launched: Account) -> Sequence[str]:
    """Options of ssh: no file of the user's, no question, and no memory of a box that does not last."""
    key = launched.folder / ".ssh" / "id_ed25519"
    settings = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
    options = [word for setting in settings for word in ("-o", setting)]
    return ["-F", "/dev/null", "-i", str(key), *options]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port

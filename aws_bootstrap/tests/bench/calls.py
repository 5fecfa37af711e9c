"""The rows of the table about calls: what is measured against the AWS stand-in, ours beside the floors.

    python -m aws_bootstrap.tests.bench.calls [--rounds N] [ROW …]

prints for each row and program: seconds, CPU seconds, peak memory, calls, connections; each the median of the rounds.
Seconds on a busy machine say little; CPU seconds, memory and counts do not depend on who else works.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .aws_answers import REGIONS

_REPOSITORY = Path(__file__).parents[3]
#: A program that runs longer is stuck.
_LONGEST = 120.0


@dataclass(frozen=True)
class Row:
    """A command, the account that it meets, and the floors beside it."""

    name: str
    #: The words after `aws-bootstrap`.
    command: tuple[str, ...]
    #: The words after `floors`, of each floor.
    floors: tuple[tuple[str, ...], ...]
    #: The options of the stand-in.
    account: tuple[str, ...]
    is_tls: bool = False


@dataclass(frozen=True)
class Measured:
    """What one run of a program cost."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    calls: int
    connections: int


_IN_ALL = tuple(word for region in REGIONS for word in ("--region", region))
_STATUS = ("status", "-o", "json")
_STATUS_FLOORS = (("boto3-status",), ("signed-status",))
_HUNDRED = ("--boxes", "100")

ROWS = (
    Row("status-17", _STATUS, _STATUS_FLOORS, _HUNDRED),
    Row("status-17-tls", _STATUS, _STATUS_FLOORS, _HUNDRED, is_tls=True),
    Row("status-17-1700", _STATUS, _STATUS_FLOORS, ("--boxes", "1700", "--volumes", "1700")),
    Row(
        "status-1",
        (*_STATUS, "-r", "us-west-2"),
        (("boto3-status", "us-west-2"), ("signed-status", "us-west-2")),
        ("--boxes", "20", "--regions", "1"),
    ),
    Row(
        "quota-17",
        ("quota", "show", "-o", "json", *_IN_ALL),
        (("boto3-quota", *REGIONS), ("signed-quota", *REGIONS)),
        (),
    ),
    Row(
        "terminate-10",
        ("terminate", "-r", "us-west-2", "--yes", "-o", "json"),
        (("boto3-terminate", "us-west-2"),),
        ("--boxes", "10", "--regions", "1", "--volumes", "10", "--detach", "30"),
    ),
    Row(
        "launch-dry-run",
        ("launch", "--dry-run", "-r", "us-west-2", "-o", "json"),
        (("boto3-dry-run", "us-west-2"),),
        ("--boxes", "0"),
    ),
)


class Account:
    """The stand-in in a process of its own, and the environment that leads to it."""

    def __init__(self, url: str, folder: Path, certificate: Path | None) -> None:
        self.url = url
        self.environment = _environment(url, folder, certificate)
        #: Only this machine's own certificate is in doubt here; nothing is sent anywhere.
        self._tls = {"context": _unchecked()} if certificate else {}

    def log(self) -> list[dict[str, Any]]:
        """Return the calls since the last reset."""
        with urllib.request.urlopen(f"{self.url}/log", **self._tls) as reply:
            return list(json.load(reply))

    def reset(self) -> None:
        """Forget the calls, and bring back every box."""
        urllib.request.urlopen(f"{self.url}/reset", data=b"", **self._tls).close()

    def measure(self, program: list[str]) -> Measured:
        """Return what one run of the program costs. RuntimeError if it fails."""
        self.reset()
        begun = time.monotonic()
        with tempfile.TemporaryFile() as stderr:
            running = subprocess.Popen(
                program, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
            )
            timer = _kill_after(running, _LONGEST)
            _, status, usage = os.wait4(running.pid, 0)
            timer.cancel()
            running.returncode = os.waitstatus_to_exitcode(status)
            if running.returncode != 0:
                stderr.seek(0)
                raise RuntimeError(f"{' '.join(program)} failed: {stderr.read().decode()[-2000:]}")
        seconds = time.monotonic() - begun
        calls = self.log()
        connections = {call["connection"] for call in calls}
        return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, len(calls), len(connections))


def _kill_after(process: subprocess.Popen[bytes], seconds: float) -> Any:
    import threading

    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def _unchecked() -> Any:
    import ssl

    return ssl._create_unverified_context()


def _environment(url: str, folder: Path, certificate: Path | None) -> dict[str, str]:
    """Return an environment of its own: no profile, no user's files, no way but to the stand-in."""
    plain = url.replace("https://", "http://")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_REPOSITORY),
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_BOOTSTRAP_CHECKIP_URL": f"{plain}/",
        "AWS_BOOTSTRAP_SSH_CONFIG": str(folder / "ssh-config"),
    }
    if certificate:
        environment["AWS_CA_BUNDLE"] = str(certificate)
    return environment


@contextlib.contextmanager
def account(options: tuple[str, ...], *, is_tls: bool) -> Iterator[Account]:
    """Start the stand-in with these options; end it afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = None
        words = [sys.executable, "-m", "aws_bootstrap.tests.bench.aws_standin", *options]
        if is_tls:
            certificate, bundle = certificates(folder)
            words += ["--certificate", str(certificate)]
        _ssh_key(folder)
        environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
        with subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as serving:
            assert serving.stdout
            assert serving.stdin
            try:
                yield Account(serving.stdout.readline().strip(), folder, bundle)
            finally:
                serving.stdin.close()


def certificates(folder: Path) -> tuple[Path, Path]:
    """Return a new certificate with its key, and a bundle of all that a user's has and this one."""
    import certifi

    key, certificate, both, bundle = (folder / name for name in ("key.pem", "cert.pem", "both.pem", "bundle.pem"))
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    words = ["openssl", "req", "-x509", *curve, "-days", "2", *subject, *files]
    subprocess.run(words, check=True, capture_output=True)
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    bundle.write_bytes(Path(certifi.where()).read_bytes() + certificate.read_bytes())
    return both, bundle


def _ssh_key(folder: Path) -> None:
    """Create the key that `launch` would use, so that it need not."""
    (folder / ".ssh").mkdir(mode=0o700)
    path = folder / ".ssh" / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def programs(row: Row) -> dict[str, list[str]]:
    """Return the programs of the row by name, ours first."""
    script = Path(sys.executable).with_name("aws-bootstrap")
    by_name = {"ours": [sys.executable, str(script), *row.command]}
    for floor in row.floors:
        by_name[floor[0]] = [sys.executable, "-m", "aws_bootstrap.tests.bench.floors", *floor]
    return by_name


def measure(row: Row, rounds: int) -> dict[str, Measured]:
    """Return the median of each program of the row. They run in turns, so that a busy minute meets all of them."""
    runs: dict[str, list[Measured]] = {}
    with account(row.account, is_tls=row.is_tls) as standin:
        for _ in range(rounds):
            for name, program in programs(row).items():
                runs.setdefault(name, []).append(standin.measure(program))
    return {name: _median(measured) for name, measured in runs.items()}


def _median(runs: list[Measured]) -> Measured:
    return Measured(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        statistics.median(run.peak_mib for run in runs),
        round(statistics.median(run.calls for run in runs)),
        round(statistics.median(run.connections for run in runs)),
    )


def main() -> None:
    """Print the rows named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[[], *(row.name for row in ROWS)])
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    for row in ROWS:
        if chosen.rows and row.name not in chosen.rows:
            continue
        for name, cost in measure(row, chosen.rounds).items():
            figures = f"{cost.seconds:6.2f} s  CPU {cost.cpu_seconds:5.2f} s  {cost.peak_mib:5.0f} MiB"
            counts = f"{cost.calls:4} calls  {cost.connections:3} connections"
            sys.stdout.write(f"{row.name:15} {name:16} {figures}  {counts}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

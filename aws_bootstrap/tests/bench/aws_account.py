"""An account on the AWS stand-in, in a process of its own, and what a program costs that runs against it."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aws_bootstrap.tests.bench.measure import Cost, cost_of

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class AwsCost(Cost):
    """What one run of a program cost, and what AWS and the box saw of it."""

    calls: int
    #: While the volumes of terminated boxes are detached; 0.0 if none were.
    polls_a_second: float
    #: From the moment when the SSH port of the launched box opened until the program ended; 0.0 without one.
    after_open: float
    #: To that port.
    connections: int


class Account:
    """The stand-in, and the environment that leads to it."""

    def __init__(self, url: str, folder: Path, certificate: Path | None) -> None:
        self.url = url
        self.folder = folder
        self.environment = _environment(url, folder, certificate)
        #: Only this machine's own certificate is in doubt here; nothing is sent anywhere.
        self._tls = ssl._create_unverified_context() if certificate else None

    def run(self, program: Sequence[str]) -> AwsCost:
        """Run the program in the account as it was at its start. RuntimeError if it fails."""
        self.post("/reset")
        self.forget()
        return self.run_on(program)

    def forget(self) -> None:
        """Remove what programs have written about boxes, which do not exist any longer."""
        (self.folder / "ssh-config").unlink(missing_ok=True)
        (self.folder / ".aws-bootstrap" / "known_hosts").unlink(missing_ok=True)

    def run_on(self, program: Sequence[str]) -> AwsCost:
        """Run the program in the account as it is."""
        cost = cost_of(program, self.environment)
        ended_at = time.time()
        calls = self.get("/log")
        box = self.get("/box")
        after_open = ended_at - box["opened_at"] if box["opened_at"] else 0.0
        return AwsCost(
            **asdict(cost),
            calls=len(calls),
            polls_a_second=_polls_a_second(calls),
            after_open=after_open,
            connections=box["connections"],
        )

    def post(self, path: str) -> None:
        """Tell the stand-in to do something, as its module lists it."""
        urllib.request.urlopen(f"{self.url}{path}", data=b"", context=self._tls).close()

    def get(self, path: str) -> Any:
        """Return what the stand-in says of itself, as its module lists it."""
        with urllib.request.urlopen(f"{self.url}{path}", context=self._tls) as reply:
            return json.load(reply)


def _polls_a_second(calls: list[dict[str, Any]]) -> float:
    """How often a second volumes were asked for between the termination and the first deletion of one."""
    actions = [call["action"] for call in calls]
    if "TerminateInstances" not in actions or "DeleteVolume" not in actions:
        return 0.0
    waiting = calls[actions.index("TerminateInstances") : actions.index("DeleteVolume")]
    polls = [call["time"] for call in waiting if call["action"] == "DescribeVolumes"]
    if len(polls) < 2:
        return 0.0
    return (len(polls) - 1) / (polls[-1] - polls[0])


def _environment(url: str, folder: Path, certificate: Path | None) -> dict[str, str]:
    """Return an environment of its own: no profile, no user's files, no way but to the stand-in."""
    plain = url.replace("https://", "http://")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_BOOTSTRAP_CHECKIP_URL": f"{plain}/",
        "AWS_BOOTSTRAP_CONFIG": "",
        "AWS_BOOTSTRAP_SSH_CONFIG": str(folder / "ssh-config"),
    }
    if certificate:
        environment["AWS_CA_BUNDLE"] = str(certificate)
    return environment


@contextlib.contextmanager
def account(options: Sequence[str], *, is_tls: bool = False) -> Iterator[Account]:
    """Start the stand-in with these options; end it afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = None
        words = [sys.executable, "-m", "aws_bootstrap.tests.bench.aws_standin", *options]
        if is_tls:
            certificate, bundle = certificates(folder)
            words += ["--certificate", str(certificate)]
        _ssh_key(folder)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
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

"""No test reaches AWS, the network beyond loopback, or this machine's home."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.stub import Stubber
from click.testing import CliRunner

# Moto reads this once, when it is imported. Its own images cost half a second a test.
os.environ["MOTO_AMIS_PATH"] = str(Path(__file__).with_name("images.json"))

# Where Python is told to keep no bytecode, as in many containers, each of the hundreds of programs that tests start
# would compile our code again, and each sandbox moto's.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from aws_bootstrap import sshconfig
from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.keys import LocalKeys
from aws_bootstrap.models import LocalKey
from aws_bootstrap.paths import Paths
from aws_bootstrap.retry import poll
from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import Boxes, Cloud, Moto, new_client, start_box
from aws_bootstrap.tests.programs import Program

# Under nohup SIGHUP is ignored, which the program respects: tests of SIGHUP would wait for ever.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LONG = (
    "test_matrix.py",
    "test_day.py",
    "test_gates.py",
    "test_permissions.py",
    "test_bake.py",
    "test_status_program.py",
    "test_launch.py",
)
"""Files with tests that take long: these run first, since everyone waits for a long test that begins last."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More test processes than cores: a test with a box spends half of its time waiting for it."""
    cores = os.cpu_count() or 1
    return cores + min(2 * cores, 4)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first, in the order of LONG."""
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(LONG)))


@pytest.fixture(autouse=True)
def safe_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home of the test's own, dummy keys, and no way out of this machine."""
    for name in [n for n in os.environ if n.startswith(("AWS_", "SSH_AUTH", "UV_RUN", "NO_COLOR"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "aws-credentials"))
    monkeypatch.setenv("AWS_BOOTSTRAP_SSH_CONFIG", str(home / "ssh_config"))
    monkeypatch.setenv("AWS_BOOTSTRAP_CHECKIP_URL", "http://127.0.0.1:9/unset")
    # On a busy machine every region is silent for long at times; the tests of silence set times of their own.
    monkeypatch.setenv("AWS_BOOTSTRAP_REGION_TIMEOUT", "120")
    monkeypatch.setattr(socket.socket, "connect", _loopback_only(socket.socket.connect))


def _loopback_only(connect):
    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"a test wanted to connect to {address}")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def session_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox a test process: starting one costs seconds. The mutation tier shares one among many processes."""
    if shared := os.environ.get("MUTANTS_SANDBOX"):
        yield Sandbox(Path(shared))
        return
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def program(session_sandbox: Sandbox) -> Program:
    """The program in an empty sandbox, with no fault and no call so far."""
    session_sandbox.start()
    session_sandbox.wipe()
    for name in ("ssh_config", "known_hosts", "id_ed25519", "id_ed25519.pub", "config.toml"):
        (session_sandbox.home.root / name).unlink(missing_ok=True)
    return Program(session_sandbox)


@pytest.fixture
def app() -> App:
    return App(paths=Paths(os.environ))


@pytest.fixture
def cloud(app: App):
    """AWS in this process, behind the app's own door."""
    with Moto():
        app.aws = Cloud()
        yield app.aws


@pytest.fixture
def run(app: App):
    """Run the program in this process: `run("status", "-o", "json")`."""
    return lambda *args, **kwargs: CliRunner().invoke(main, list(args), obj=app, **kwargs)


@pytest.fixture
def boxes(app) -> Boxes:
    """Boxes that let everybody in, and whose disks cannot be mounted."""
    app.ssh = Boxes()
    app.ssh.refusal = SshError("This box has no disks.", code="mount-failed")
    return app.ssh


@pytest.fixture
def launch(run, app, cloud, boxes, tmp_path):
    """Exit code and document of a launch."""
    key = tmp_path / "id_test"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    given = ("--key-path", f"{key}.pub", "--ssh-cidr", "203.0.113.7", "--ami-filter", "ubuntu-noble-24.04-*")

    def launched(*words):
        done = run("launch", "--yes", "--no-setup", "-o", "json", *given, *words)
        return done.exit_code, json.loads(done.stdout)

    return launched


@pytest.fixture
def client() -> Any:
    """A client of EC2 that sends each request once."""
    return new_client("ec2", factories.REGION, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def stub(client) -> Iterator[Stubber]:
    """The answers to that client, each given once, and none left over."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def aws() -> Iterator[Any]:
    """A client of moto's EC2."""
    with Moto():
        yield new_client("ec2", factories.REGION)


@pytest.fixture
def key(app) -> LocalKey:
    """The default SSH key, created by this tool."""
    return LocalKeys().ensure(LocalKeys().inspect(LaunchConfig()))


@pytest.fixture
def box(app, cloud):
    """Start a box with an alias and return its id. `in_block`: the region that its block in the SSH config names."""

    def start(region: str = factories.REGION, *, in_block: str | None = "same", user: str = "ubuntu", **more) -> str:
        instance_id = start_box(cloud.ec2(region), **more)["InstanceId"]
        named = region if in_block == "same" else in_block
        host = factories.host(alias="", instance_id=instance_id, region=named, user=user)
        sshconfig.add(app.paths.ssh_config, host)
        return instance_id

    return start


@pytest.fixture
def own_volume(cloud) -> str:
    """A volume of the user's, in the only zone where boxes start."""
    made = cloud.ec2(factories.REGION).create_volume(AvailabilityZone=factories.ZONE, Size=3)
    return made["VolumeId"]


@pytest.fixture
def as_others():
    """A folder that everybody may use, and `access` answers for a user like others: root may write everywhere."""
    real, effective, saved = os.getresuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        if real == 0:
            os.setresuid(65534, effective, saved)
        yield Path(folder)
        os.setresuid(real, effective, saved)


@pytest.fixture
def wait_for():
    """Poll until a condition holds; fail at a generous bound."""

    def wait(condition, timeout: float = 30.0) -> None:
        assert poll(lambda: condition() or None, timeout=timeout, every=0.1)

    return wait


@pytest.fixture
def my_address(monkeypatch):
    """A service on loopback that tells everybody the same address."""

    class Teller(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"203.0.113.7\n")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Teller)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_BOOTSTRAP_CHECKIP_URL", f"http://127.0.0.1:{server.server_port}/")
    yield "203.0.113.7"
    server.shutdown()
    server.server_close()
    thread.join()

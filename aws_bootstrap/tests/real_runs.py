"""`.ci/real`: what it refuses before any call, and that its sweep ends its own run and nothing else.

The life itself is a tier of `.ci/run`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest

from aws_bootstrap.sandbox.cloud.policy import Request, decide, read_policy
from aws_bootstrap.tests.real import policies
from aws_bootstrap.tests.real.account import VARIABLE, is_loopback
from aws_bootstrap.tests.real.life import Life
from aws_bootstrap.tests.real.steps import Failed, Journal
from aws_bootstrap.tests.real.sweep import Timing
from aws_bootstrap.tests.real.worlds import Options, World
from aws_bootstrap.tests.sandbox.conftest import eventually, launch

ROOT = Path(__file__).parents[2]
STS = "https://sts.amazonaws.com/doc/2011-06-15/"
#: A name that never exists: https://www.rfc-editor.org/rfc/rfc2606
NOWHERE = "http://ec2.invalid"
RUN = "real-20260101-0a1b2c"
PRICE = ("--max-price", "0.6")


def real(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `.ci/real` to its end, in this environment and these variables."""
    argv = [sys.executable, "-m", "aws_bootstrap.tests.real", *words]
    return subprocess.run(argv, env=dict(os.environ) | env, cwd=ROOT, capture_output=True, text=True, timeout=120)


@dataclass
class Elsewhere:
    """A server that says which account it is, and keeps every request, those to other hosts too: it is the proxy."""

    account: str
    requests: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """Return an environment whose STS is this server, and whose other services are nowhere."""
        proxied = {"HTTP_PROXY": self.url, "HTTPS_PROXY": self.url, "NO_PROXY": "127.0.0.1"}
        return {"AWS_ENDPOINT_URL": NOWHERE, "AWS_ENDPOINT_URL_STS": self.url} | proxied


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere("999999999999")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            server.requests.append(f"{self.path} {parse_qs(body).get('Action', ['?'])[0]}")
            answer = f"<Account>{server.account}</Account><UserId>A</UserId><Arn>arn:aws:iam::x:user/x</Arn>"
            result = f"<GetCallerIdentityResult>{answer}</GetCallerIdentityResult>"
            self.send_response(200)
            self.end_headers()
            text = f'<GetCallerIdentityResponse xmlns="{STS}">{result}</GetCallerIdentityResponse>'
            self.wfile.write(text.encode())

        def do_CONNECT(self) -> None:
            server.requests.append(f"CONNECT {self.path}")
            self.send_error(502)

        do_GET = do_CONNECT

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    http.shutdown()
    http.server_close()
    thread.join()


# --- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [PRICE, ("--sweep", "--run", RUN)], ids=["life", "sweep"])
def test_an_account_that_nobody_named_is_refused_before_any_call(elsewhere, words):
    done = real("--environment", *words, **elsewhere.variables)
    assert done.returncode == 2
    assert "ec2 at ec2.invalid" in done.stderr
    assert VARIABLE in done.stderr
    assert elsewhere.requests == []


@pytest.mark.parametrize("words", [PRICE, ("--sweep", "--run", RUN)], ids=["life", "sweep"])
def test_another_account_than_the_named_one_is_refused_after_one_question(elsewhere, words):
    done = real("--environment", *words, **elsewhere.variables, **{VARIABLE: "111111111111"})
    assert done.returncode == 2
    assert "another account" in done.stderr
    assert elsewhere.account not in done.stdout + done.stderr, "logs are public"
    assert elsewhere.requests == ["/ GetCallerIdentity"]


def test_the_named_account_is_let_through_to_its_own_endpoint(elsewhere):
    """So that the two refusals above are for their reasons: the next call goes to the account's EC2."""
    done = real("--environment", "--sweep-limit", "1", *PRICE, **elsewhere.variables, **{VARIABLE: elsewhere.account})
    assert done.returncode == 1
    assert swept(done.stdout)["sweep"]["error"], "an answer that is not EC2's is no proof"
    assert elsewhere.requests[0] == "/ GetCallerIdentity"
    assert any(one.startswith(NOWHERE) for one in elsewhere.requests[1:])


def test_one_service_elsewhere_is_enough_to_refuse(elsewhere):
    """Everything else is on this machine."""
    env = elsewhere.variables | {"AWS_ENDPOINT_URL": elsewhere.url, "AWS_ENDPOINT_URL_EC2": NOWHERE}
    done = real("--environment", *PRICE, **env)
    assert done.returncode == 2
    assert "sts" not in done.stderr
    assert elsewhere.requests == []


def test_the_endpoint_of_a_profile_counts(elsewhere, tmp_path):
    config = tmp_path / "config"
    config.write_text(f"[profile far]\nservices = far\n[services far]\nec2 =\n  endpoint_url = {NOWHERE}\n")
    env = {"AWS_ENDPOINT_URL": "", "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "far"}
    done = real("--environment", *PRICE, **(elsewhere.variables | env))
    assert done.returncode == 2
    assert "ec2 at ec2.invalid" in done.stderr


def test_the_sandbox_is_not_entered_while_a_service_is_elsewhere(elsewhere):
    """A variable of the service wins over the sandbox's. That the account is named changes nothing."""
    env = elsewhere.variables | {"AWS_ENDPOINT_URL_EC2": NOWHERE, VARIABLE: elsewhere.account}
    done = real(**env)
    assert done.returncode == 2
    assert "ec2 at ec2.invalid" in done.stderr
    assert elsewhere.requests == []


def test_a_run_in_an_account_has_a_highest_price(elsewhere):
    env = elsewhere.variables | {VARIABLE: elsewhere.account}
    done = real("--environment", **env)
    assert done.returncode == 2
    assert "AWS_BOOTSTRAP_REAL_MAX_PRICE" in done.stderr
    assert real("--environment", **env, AWS_BOOTSTRAP_REAL_MAX_PRICE="cheap").returncode == 2
    assert real("--environment", "--max-price", "nan", **env).returncode == 2
    assert elsewhere.requests == []


@pytest.mark.parametrize("run", ["prod", "real-", "real-A*", "real-*"])
def test_an_id_that_others_may_use_is_refused(elsewhere, run):
    env = elsewhere.variables | {VARIABLE: elsewhere.account}
    assert real("--environment", "--sweep", "--run", run, **env).returncode == 2
    assert elsewhere.requests == []


def test_loopback_is_judged_by_the_address():
    for url in ("http://127.0.0.1:5000", "http://127.9.9.9", "http://[::1]:1", "http://localhost:4566"):
        assert is_loopback(url), url
    for url in (
        "https://ec2.us-west-2.amazonaws.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1@example.com",
        "http://0.0.0.0",
        "http://169.254.169.254",
        "",
    ):
        assert not is_loopback(url), url


# --- what it may do -------------------------------------------------------------------------------------------------


def test_the_policy_is_the_pages_and_what_the_sweep_needs():
    document = policies.role_policy()
    assert json.loads(real("--policy").stdout) == document
    *kept, swept = document["Statement"]
    assert swept["Action"] == ["ec2:DeleteKeyPair", "ec2:DeleteSecurityGroup"]
    of_page = {one["Sid"]: one for one in policies.narrowed()["Statement"]}
    assert {one["Sid"] for one in kept} == of_page.keys() - {"QuotaRequests"}
    for one in kept:
        assert one["Action"] == of_page[one["Sid"]]["Action"]
        assert set(one["Resource"]) <= set(of_page[one["Sid"]]["Resource"])
    assert "servicequotas.amazonaws.com" not in json.dumps(document)
    assert read_policy("role", json.dumps(document))


ENDING = {
    "ec2:TerminateInstances": "instance",
    "ec2:DeleteVolume": "volume",
    "ec2:DeleteKeyPair": "key-pair",
    "ec2:DeleteSecurityGroup": "security-group",
}


@pytest.mark.parametrize("action", ENDING)
def test_a_session_ends_what_is_of_its_run_alone(action):
    role = read_policy("role", json.dumps(policies.role_policy()))
    session = read_policy("session", json.dumps(policies.session_policy(RUN)))
    arn = f"arn:aws:ec2:us-west-2:123456789012:{ENDING[action]}/x-0"
    created = {"aws:resourcetag/created-by": ("aws-bootstrap-g4dn",)}
    own = {"aws:resourcetag/run": (RUN,), "aws:resourcetag/name": (policies.resource_name(RUN),)}
    other = {"aws:resourcetag/run": (f"{RUN}0",), "aws:resourcetag/name": (policies.resource_name(f"{RUN}0"),)}
    assert decide(Request(action, arn, created | own), [role], [session]) is None
    for context in (created | other, created, own, {}):
        assert decide(Request(action, arn, context), [role], [session]), context


def test_the_policy_of_a_session_fits():
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"""
    assert len(json.dumps(policies.session_policy(f"real-{10**11}-10"))) <= 2048


# --- the cleanup ----------------------------------------------------------------------------------------------------


@pytest.fixture
def life(program, monkeypatch, tmp_path) -> Life:
    """Return a life that has come to its last step: its volume is an orphan that was kept."""
    for name, value in program.sandbox.variables.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    client = program.sandbox.client()
    options = Options(RUN, "us-west-2", "g4dn.xlarge", 0.6)
    world = World("environment", client, tmp_path, 60, 0.2, Timing(limit=10, pause=0.2, settle=0.2))
    return Life(options, world, Journal(60), volume_id=orphan(client, RUN))


def orphan(client: Any, run: str) -> str:
    """Create a kept data volume of the caller, of a box that no longer exists."""
    owner = boto3.client("sts", region_name="us-west-2").get_caller_identity()["UserId"]
    marks = {"aws-bootstrap-instance": "i-0deadbeef00000001", "aws-bootstrap-keep": "true"}
    owned = marks | {"created-by": "aws-bootstrap-g4dn", "aws-bootstrap-owner": owner, "run": run}
    made = client.create_volume(AvailabilityZone="us-west-2a", Size=1, TagSpecifications=[tags("volume", owned)])
    volume_id: str = made["VolumeId"]
    return volume_id


def volumes(life: Life) -> set[str]:
    return {one["VolumeId"] for one in life.world.client.describe_volumes()["Volumes"]}


def test_a_cleanup_that_would_delete_a_volume_of_others_is_declined(life):
    other = orphan(life.world.client, "real-20260101-ffffff")
    with life.journal.step("cleanup"):
        life.cleanup()
    assert life.journal.steps[-1].result.startswith("skipped: ")
    assert volumes(life) == {life.volume_id, other}


def test_a_cleanup_that_names_the_runs_volume_alone_is_agreed_to(life):
    life.cleanup()
    assert volumes(life) == set()


def test_a_cleanup_that_does_not_name_the_runs_volume_fails(life):
    life.world.client.delete_volume(VolumeId=life.volume_id)
    other = orphan(life.world.client, "real-20260101-ffffff")
    with pytest.raises(Failed):
        life.cleanup()
    assert volumes(life) == {other}


# --- the sweep ------------------------------------------------------------------------------------------------------


@pytest.fixture
def others(program) -> list[dict[str, Any]]:
    """Return what must survive: box, volume, key and group of another run, a box without one, a foreign volume."""
    client = program.sandbox.client()
    other = {"run": "real-20260101-ffffff", "created-by": "aws-bootstrap-g4dn"}
    client.create_key_pair(KeyName="aws-bootstrap-real-20260101-ffffff", TagSpecifications=[tags("key-pair", other)])
    client.create_security_group(
        GroupName="aws-bootstrap-real-20260101-ffffff",
        Description="of another run",
        TagSpecifications=[tags("security-group", other)],
    )
    for owned in (other, {"created-by": "aws-bootstrap-g4dn"}, {"run": RUN}):
        client.create_volume(AvailabilityZone="us-west-2a", Size=1, TagSpecifications=[tags("volume", owned)])
        launch(client, TagSpecifications=[tags("instance", owned), tags("volume", owned)])
    eventually(lambda: states(program) == {"running"})
    return settled(program)


def tags(resource_type: str, owned: dict[str, str]) -> dict[str, Any]:
    return {"ResourceType": resource_type, "Tags": [{"Key": key, "Value": owned[key]} for key in owned]}


def states(program) -> set[str]:
    return {one["state"] for one in program.sandbox.inventory() if one["type"] == "instance"}


def settled(program) -> list[dict[str, Any]]:
    """Return everything in the account that exists: EC2 shows a terminated instance for an hour."""
    entries = [one for one in program.sandbox.inventory() if one.get("state") != "terminated"]
    return sorted(entries, key=lambda one: (one["type"], one["id"]))


def started(program, *words: str) -> subprocess.Popen[str]:
    """Start a run against the sandbox, as the leader of a group of processes."""
    argv = [sys.executable, "-m", "aws_bootstrap.tests.real", "--environment", "--run", RUN, *PRICE, *words]
    return subprocess.Popen(
        argv,
        env=program.sandbox.env,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def hold_in_the_middle(program) -> None:
    """Stop the next launch where its instance and its data volume exist, and it has not yet attached the one."""
    program.sandbox.fault(action="AttachVolume", do={"hold": True}, times=1)


def swept(out: str) -> dict[str, Any]:
    """Return the report at the end of a run's output."""
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    return report


def test_a_killed_run_is_swept_by_its_id_and_nothing_else(program, others):
    hold_in_the_middle(program)
    run = started(program, "--no-setup")
    assert program.sandbox.wait_held(60)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    program.sandbox.release()
    assert settled(program) != others
    done = real("--environment", "--sweep", "--run", RUN, **program.sandbox.env)
    assert done.returncode == 0, done.stdout + done.stderr
    report = swept(done.stdout)
    ended = sorted(one["type"] for one in report["sweep"]["ended"])
    assert ended == ["instance", "key-pair", "security-group", "volume"]
    assert report["sweep"]["left"] == []
    assert settled(program) == others


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_its_sweep(program, others, number):
    hold_in_the_middle(program)
    run = started(program, "--no-setup")
    assert program.sandbox.wait_held(60)
    run.send_signal(number)
    program.sandbox.release()
    out, _ = run.communicate(timeout=90)
    assert run.returncode == 128 + number, out
    assert swept(out)["sweep"]["left"] == []
    assert settled(program) == others


def test_a_step_that_fails_ends_the_run_with_its_sweep(program, others):
    program.sandbox.fault(action="AttachVolume", do={"error": "InvalidParameterValue"})
    run = started(program, "--no-setup")
    out, _ = run.communicate(timeout=90)
    assert run.returncode == 1, out
    report = swept(out)
    failed = [one["step"] for one in report["steps"] if one["result"].startswith("failed")]
    assert failed == ["launch"]
    assert report["sweep"]["left"] == []
    assert settled(program) == others


def test_what_cannot_be_ended_is_reported(program, others):
    """A refused deletion, and looks that are not answered: neither may pass for a clean account."""
    program.sandbox.fault(action="AttachVolume", do={"error": "InvalidParameterValue"})
    program.sandbox.fault(action="DeleteVolume", do={"error": "UnauthorizedOperation"})
    run = started(program, "--no-setup", "--sweep-limit", "5")
    out, _ = run.communicate(timeout=90)
    assert run.returncode == 1, out
    assert [one["type"] for one in swept(out)["sweep"]["left"]] == ["volume"]
    program.sandbox.fault(action="DescribeVolumes", do={"error": "UnauthorizedOperation"})
    done = real("--environment", "--sweep", "--run", RUN, "--sweep-limit", "2", **program.sandbox.env)
    assert done.returncode == 1
    assert "UnauthorizedOperation" in swept(done.stdout)["sweep"]["error"]

"""What a box has for its guardian: units that systemd starts again, the instance metadata, a serial console.

And that a box which shares this machine's processes never runs one.
"""

from __future__ import annotations

import json
import shutil
from http import HTTPStatus

import pytest

from aws_bootstrap import guardian
from aws_bootstrap.cloud_init import File, Part, user_data
from aws_bootstrap.sandbox.boxes.metadata import Metadata

from .conftest import eventually, wait_state
from .test_boxes import ON_2222, Login, box

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh client")

SPOT = {"MarketType": "spot"}
TTL, TOKEN = "x-aws-ec2-metadata-token-ttl-seconds", "x-aws-ec2-metadata-token"
#: A program of the box that prints the status and the text of some documents, with a token and without.
READER = """
import http.client, sys
def say(method, path, **headers):
    connection = http.client.HTTPConnection("169.254.169.254", timeout=5)
    named = {"X-aws-ec2-metadata-" + name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, "/latest/" + path, headers=named)
    reply = connection.getresponse()
    return reply.status, reply.read().decode()
_, token = say("PUT", "api/token", token_ttl_seconds="60")
print(say("GET", "meta-data/instance-id")[0])
for path in sys.argv[1:]:
    print(*say("GET", "meta-data/" + path, token=token))
"""


#: For tests of boxes that have namespaces, and of those that share this machine's processes.
NAMESPACES = pytest.mark.parametrize("_boxes", ["namespaces"], indirect=True)
PLAIN = pytest.mark.parametrize("_boxes", ["plain"], indirect=True)


def read(login: Login, *paths: str) -> list[str]:
    """What the box's own metadata says: the status without a token, then status and text of each document."""
    return login.said(f"$SANDBOX_PYTHON -I - {' '.join(paths)}", stdin=READER.encode()).splitlines()


# --- instance metadata -------------------------------------------------------------------------------------------


def test_metadata_is_for_those_with_a_token():
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html"""
    metadata = Metadata()
    metadata.show("meta-data/instance-id", "i-1")
    status, token = metadata.response("PUT", "/latest/api/token", {TTL: "60"})
    assert status == HTTPStatus.OK
    document = "/latest/meta-data/instance-id"
    assert metadata.response("GET", document, {TOKEN: token}) == (HTTPStatus.OK, "i-1")
    assert metadata.response("GET", document, {}) == (HTTPStatus.UNAUTHORIZED, "")
    assert metadata.response("GET", document, {TOKEN: "another"}) == (HTTPStatus.UNAUTHORIZED, "")
    missing = "/latest/meta-data/spot/instance-action"
    assert metadata.response("GET", missing, {TOKEN: token}) == (HTTPStatus.NOT_FOUND, "")
    for ttl in ("", "0", "21601", "soon"):
        assert metadata.response("PUT", "/latest/api/token", {TTL: ttl})[0] == HTTPStatus.BAD_REQUEST
    by_proxy = {TTL: "60", "x-forwarded-for": "192.0.2.1"}
    assert metadata.response("PUT", "/latest/api/token", by_proxy) == (HTTPStatus.FORBIDDEN, "")


@NAMESPACES
def test_a_box_reads_who_and_where_it_is(boxes, tmp_path):
    login = box(boxes, tmp_path)
    names = ("instance-id", "instance-type", "placement/region", "placement/availability-zone", "spot/instance-action")
    without_token, *documents = read(login, *names)
    assert without_token == "401"
    assert documents == [f"200 {login.instance_id}", "200 g4dn.xlarge", "200 us-west-2", "200 us-west-2a", "404"]


@NAMESPACES
def test_an_interruption_has_a_notice_before(boxes, tmp_path):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""
    login = box(boxes, tmp_path, InstanceMarketOptions=SPOT)
    action, rebalance = "spot/instance-action", "events/recommendations/rebalance"
    boxes.interrupt(login.instance_id, rebalance=True)
    _, before, recommended = read(login, action, rebalance)
    assert before == "404 "
    assert list(json.loads(recommended.removeprefix("200 "))) == ["noticeTime"]
    boxes.interrupt(login.instance_id, notice=4)
    _, notice = read(login, action)
    told = json.loads(notice.removeprefix("200 "))
    assert told["action"] == "terminate"
    assert told["time"][:2] == "20"
    assert told["time"][-1] == "Z"
    gone = wait_state(login.client, login.instance_id, "terminated")
    assert gone["StateReason"]["Code"] == "Server.SpotInstanceTermination"


@NAMESPACES
def test_a_notice_outlasts_a_restart_of_the_sandbox(boxes, tmp_path):
    login = box(boxes, tmp_path, InstanceMarketOptions=SPOT)
    boxes.interrupt(login.instance_id, notice=120)
    boxes.stop()
    boxes.start()
    _, notice = read(login.wait(), "spot/instance-action")
    assert notice.startswith("200 ")


# --- the console -------------------------------------------------------------------------------------------------


@NAMESPACES
def test_the_console_has_what_the_box_writes_to_it_and_outlasts_the_box(boxes, tmp_path):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html"""
    login = box(boxes, tmp_path)
    login.said("echo first | sudo tee /dev/console; sudo sh -c 'echo second > /dev/console'")

    def said() -> str:
        return login.client.get_console_output(InstanceId=login.instance_id)["Output"]

    assert eventually(lambda: "second" in said())
    login.ssh("sudo sh -c 'echo last words > /dev/console; poweroff'")
    wait_state(login.client, login.instance_id, "stopped")
    login.client.terminate_instances(InstanceIds=[login.instance_id])
    wait_state(login.client, login.instance_id, "terminated")
    assert eventually(lambda: not (boxes.home.boxes / login.instance_id).exists())
    assert [word in said() for word in ("boots", "first", "second", "last words")] == [True] * 4
    boxes.wipe()
    assert list(boxes.home.consoles.iterdir()) == []


@NAMESPACES
def test_a_box_sees_only_its_own_terminals(boxes, tmp_path):
    """A guardian writes to every terminal: those of this machine must not be among them."""
    login = box(boxes, tmp_path)
    shown = login.ssh("tty; echo in all: /dev/pts/[0-9]*", options=("-tt",)).stdout.decode().split()
    assert shown == ["/dev/pts/0", "in", "all:", "/dev/pts/0"]


# --- units -------------------------------------------------------------------------------------------------------


def unit(login: Login, name: str, text: str) -> None:
    login.said(f"sudo tee /etc/systemd/system/{name} >/dev/null", stdin=text.encode())


def marks(login: Login, name: str) -> int:
    return login.said(f"sudo cat /var/log/{name} 2>/dev/null || true").count("ran")


def mark(name: str) -> str:
    return f"ExecStart=/bin/sh -c 'echo ran >> $${{SANDBOX_ROOT}}/var/log/{name}'\n".replace("$$", "$")


def test_a_service_that_always_restarts_does_so_until_it_is_stopped(boxes, tmp_path):
    """systemd.service(5), Restart="""
    login = box(boxes, tmp_path)
    unit(login, "again.service", f"[Service]\n{mark('again')}Restart=always\nRestartSec=100ms\n")
    login.said("sudo systemctl start again")
    assert eventually(lambda: marks(login, "again") >= 3)
    listed = login.said("systemctl list-units 'aga*' --state=active --no-legend --plain")
    assert listed == "again.service loaded active running again"
    login.said("sudo systemctl stop 'aga*.service'")
    ran = marks(login, "again")
    assert login.said("sleep 0.5; systemctl list-units 'aga*'") == ""
    assert marks(login, "again") == ran


def test_a_timer_starts_its_service_again_and_again_and_after_a_reboot(boxes, tmp_path):
    """systemd.timer(5)"""
    login = box(boxes, tmp_path)
    unit(login, "tick.service", f"[Service]\nType=oneshot\n{mark('tick')}")
    unit(login, "tick.timer", "[Timer]\nOnBootSec=1min\nOnActiveSec=300ms\nOnUnitActiveSec=0.3s\n")
    created = login.ssh("sudo systemctl enable --now tick.timer").stderr.decode()
    assert "timers.target.wants/tick.timer → /etc/systemd/system/tick.timer" in created
    assert eventually(lambda: marks(login, "tick") >= 2)
    login.ssh("sudo reboot")
    assert eventually(lambda: login.console().count("boots") == 2)
    ran = marks(login.wait(), "tick")
    assert eventually(lambda: marks(login, "tick") > ran)
    login.said("sudo systemctl disable --now tick.timer")
    assert (
        login.ssh("systemctl is-enabled tick.timer; systemctl is-active tick.timer").stdout == b"disabled\ninactive\n"
    )


# --- the guardian ------------------------------------------------------------------------------------------------


def guarded(limits: guardian.Limits) -> bytes | None:
    """User data with the guardian, as a launch sends it; sshd listens on a port that needs no root."""
    port = Part(files=(File("/etc/ssh/sshd_config.d/10-port.conf", "Port 2222\n"),))
    return user_data([port, guardian.part(limits, user="ubuntu", ssh_port=2222)])


@NAMESPACES
def test_a_guardian_is_started_again_after_it_was_killed(boxes, tmp_path):
    login = box(boxes, tmp_path, UserData=guarded(guardian.Limits(3600)))
    assert eventually(lambda: "cloud-init: finished" in login.console())
    watching = "/usr/bin/python3 /usr/local/lib/aws-bootstrap/guardian.py watch"

    def pid() -> bytes:
        return login.ssh(f"pgrep -xf '{watching}'").stdout.strip()

    first = eventually(pid)  # it begins with the end of the first boot
    assert first.isdigit()
    login.said(f"sudo kill -9 {first.decode()}")
    assert eventually(lambda: pid() not in (b"", first))


@PLAIN
def test_a_box_that_shares_this_machines_processes_never_runs_a_guardian(boxes, tmp_path):
    login = box(boxes, tmp_path, UserData=guarded(guardian.Limits(3600)))
    assert eventually(lambda: "cloud-init: finished" in login.console())
    assert "runs only in a box with namespaces" in login.console()
    assert not list((boxes.home.boxes / login.instance_id / "root").rglob("guardian.py"))
    for name in ("aws-bootstrap-guardian", "aws-bootstrap-deadline.timer"):
        refused = login.ssh(f"sudo systemctl start {name}")
        assert refused.returncode == 1
        assert b"was not started. The guardian runs only" in refused.stderr
        assert login.ssh(f"systemctl is-active {name}").stdout == b"inactive\n"
    command = " ".join(guardian.change_command({}))
    refused = login.ssh(command)
    assert refused.returncode == 1
    assert b"Nothing ends this box by itself." in refused.stderr


@NAMESPACES
def test_user_data_without_a_guardian_starts_none(boxes, tmp_path):
    login = box(boxes, tmp_path, UserData=ON_2222)
    assert login.said("systemctl list-units 'aws-bootstrap-*'") == ""

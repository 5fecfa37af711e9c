"""The ssh door: waiting for a port, and a launch whose box never answers."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing

import pytest
from click.testing import CliRunner

from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.config import Paths
from aws_bootstrap.errors import SshError
from aws_bootstrap.ssh import Ssh


class Clock:
    """Time that passes only by sleeping; `at` does something when a moment comes."""

    def __init__(self, at: float = 1e9, act=lambda: None):
        self.now, self.at, self.act = 0.0, at, act

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if self.now >= self.at:
            self.at = 1e9
            self.act()


@pytest.fixture
def listener():
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def test_a_port_that_opens_late_is_awaited(listener):
    clock = Clock(at=5, act=listener.listen)
    Ssh(clock=clock, sleep=clock.sleep).wait_open("127.0.0.1", listener.getsockname()[1], timeout=60)
    assert 5 <= clock.now < 6


def test_a_port_that_stays_shut_is_told_at_the_bound(listener):
    clock = Clock()
    with pytest.raises(SshError, match="within 60 s") as caught:
        Ssh(clock=clock, sleep=clock.sleep).wait_open("127.0.0.1", listener.getsockname()[1], timeout=60)
    assert caught.value.code == "ssh-timeout" and clock.now == pytest.approx(60)


class ShutBox(Ssh):
    """A box whose port never opens."""

    def wait_open(self, host, port, timeout):
        raise SshError(f"{host} did not open port {port} within {timeout:.0f} s.", code="ssh-timeout")


def test_a_launch_whose_port_stays_shut_says_what_exists(program, monkeypatch):
    for name, value in program.sandbox.env.items():
        monkeypatch.setenv(name, value)
    app = App(paths=Paths(os.environ))
    app.ssh = ShutBox(app.paths)
    done = CliRunner().invoke(main, ["launch", "--ssh-cidr", "203.0.113.7", "-o", "json"], obj=app)
    failed = json.loads(done.stdout)
    assert (done.exit_code, failed["error"]["code"]) == (3, "ssh-timeout")
    assert [r["type"] for r in failed["error"]["resources"]] == ["instance", "key-pair", "security-group"]
    assert failed["ssh_alias"] == "aws-gpu1" and failed["setup"] is None
    hint = failed["error"]["hint"]
    assert "setup aws-gpu1" in hint and f"terminate {failed['instance_id']} --region us-west-2" in hint
    assert "Your address 127.0.0.1 is not let in" in hint

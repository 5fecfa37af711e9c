"""This machine's address: asked of a service of AWS, within a time, and no password told."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from aws_bootstrap.address import my_address
from aws_bootstrap.errors import BootstrapError


def test_a_service_that_never_answers_does_not_hold_a_launch():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(BootstrapError, match="timed out") as caught:
            my_address(url, timeout=0.2)
    assert caught.value.code == "no-address"
    assert "--ssh-cidr" in (caught.value.hint or "")


def test_the_password_of_a_service_is_not_shown():
    with pytest.raises(BootstrapError, match="from http://127.0.0.1:9/ ") as caught:
        my_address("http://me:secret@127.0.0.1:9/")
    assert "secret" not in str(caught.value)


def test_the_address_is_asked_of_aws(monkeypatch):
    monkeypatch.delenv("AWS_BOOTSTRAP_CHECKIP_URL")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(BootstrapError, match="from https://checkip.amazonaws.com .*urlopen error"):
        my_address()


def test_an_answer_that_is_no_address_is_reported():
    def answer():
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n\xff is no address")

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(BootstrapError, match="public address") as caught:
            my_address(f"http://127.0.0.1:{server.getsockname()[1]}/")
    assert caught.value.code == "no-address"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1"])
def test_only_the_web_is_asked(url):
    with pytest.raises(BootstrapError, match="not an http:// or https:// address"):
        my_address(url)

"""User data: one cloud-config of all parts, as YAML reads it and as a box of the sandbox obeys it."""

from __future__ import annotations

import gzip

import yaml

from aws_bootstrap import cloud_init
from aws_bootstrap.cloud_init import File, Part
from aws_bootstrap.sandbox.boxes import cloud_init as reader


def text_of(parts) -> str:
    """The cloud-config that cloud-init reads."""
    packed = cloud_init.user_data(parts)
    assert packed == cloud_init.user_data(parts), "the client token covers the bytes"
    assert packed
    return gzip.decompress(packed).decode()


def test_where_there_is_nothing_to_do_there_is_no_user_data():
    assert cloud_init.user_data([]) is None
    assert cloud_init.user_data([cloud_init.ssh_port(22), Part()]) is None


def test_parts_are_merged_in_their_order():
    """Content that YAML would read as something else arrives as it is."""
    tricky = "yes\n# not a comment\n\t'quoted': \"{}\"\n"
    first = Part(files=(File("/etc/a", tricky),), commands=(("echo", "a b"), ("true",)))
    second = Part(files=(File("/etc/b", "two\n", mode="0755"),), commands=(("sh", "-c", "! false"),))
    text = text_of([first, Part(), second])
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == {
        "write_files": [
            {"path": "/etc/a", "content": tricky, "permissions": "0644"},
            {"path": "/etc/b", "content": "two\n", "permissions": "0755"},
        ],
        "runcmd": [["echo", "a b"], ["true"], ["sh", "-c", "! false"]],
    }


def test_files_alone_need_no_commands():
    text = text_of([Part(files=(File("/etc/a", ""),))])
    assert yaml.safe_load(text) == {"write_files": [{"path": "/etc/a", "content": "", "permissions": "0644"}]}


def test_sshd_listens_on_the_port_that_was_asked_for():
    text = text_of([cloud_init.ssh_port(2222)])
    read = reader.parse(text.encode())
    (file,) = read.files
    assert (file.path, file.content) == ("/etc/ssh/sshd_config.d/10-aws-bootstrap.conf", b"Port 2222\n")
    assert len(read.commands) == 3
    assert not read.error
    assert yaml.safe_load(text)["runcmd"] == [
        ["sh", "-c", "! command -v semanage || semanage port -a -t ssh_port_t -p tcp 2222 || true"],
        ["systemctl", "daemon-reload"],
        ["sh", "-c", "systemctl restart ssh.socket || true; systemctl restart ssh || systemctl restart sshd"],
    ]

"""`forward` and `open`: pages of a box through a real tunnel, which comes back, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aws_bootstrap import ssh_tunnel
from aws_bootstrap.errors import UsageError
from aws_bootstrap.models import ForwardedPort
from aws_bootstrap.retry import poll
from aws_bootstrap.workflows.forward import split_words

SERVE = "mkdir -p w; echo PAGE > w/index.html; nohup python3 -m http.server {} --bind 127.0.0.1 -d w >/dev/null 2>&1 &"


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def page(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.read().decode()
    except OSError:
        return ""


def eventually(look):
    return poll(lambda: look() or None, timeout=30, every=0.05)


@pytest.fixture
def served(program) -> int:
    """The port of a box at which a page is served."""
    program("launch", "--no-setup", "-o", "json")
    port = free()  # a box without namespaces shares this machine's ports
    assert program.ssh("aws-gpu1", SERVE.format(port)).returncode == 0
    return port


@contextmanager
def running(program, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict, Path]]:
    """The command under way, its document, and the folder of its temporary files."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder, Path(folder, "err").open("w") as err:
        argv = [sys.executable, "-m", "aws_bootstrap", *words, "-o", "json"]
        env = program.sandbox.env | {"TMPDIR": folder}
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=err, text=True) as process:
            try:
                yield process, first_document(process), Path(folder)
            finally:
                process.kill()


def first_document(process: subprocess.Popen[str]) -> dict:
    text = ""
    for line in process.stdout or ():
        text += line
        if line.rstrip() == "}":
            break
    return json.loads(text)


def clients(folder: Path) -> list[int]:
    """The ssh processes that use a socket in the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        words = command_line(entry).split("\0")
        if words[0] == "ssh" and any(word.startswith(str(folder)) for word in words):
            found.append(int(entry.name))
    return found


def command_line(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != "err"]


def end(process: subprocess.Popen[str], number: int) -> int:
    process.send_signal(number)
    return process.wait(timeout=30)


# --- forward ---------------------------------------------------------------------------------------------


def test_a_tunnel_carries_a_page_comes_back_and_leaves_nothing(program, served):
    with running(program, "forward", "aws-gpu1", f"{free()}:{served}") as (process, document, folder):
        url = f"http://127.0.0.1:{document['ports'][0]['local_port']}/"
        assert eventually(lambda: page(url) == "PAGE\n")
        (first,) = clients(folder)
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: clients(folder) not in ([first], []) and page(url) == "PAGE\n")
        assert "Connecting again" not in (folder / "err").read_text(), "structured output is silent"
        assert end(process, signal.SIGINT) == 0
        assert (clients(folder), left_over(folder)) == ([], [])
        assert (folder / "err").read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_it_ends_its_ssh_ends_too(program, served, number):
    with running(program, "forward", str(served), "-o", "json") as (process, _, folder):
        assert clients(folder)
        code = end(process, number)
        assert code == (-9 if number == signal.SIGKILL else 128 + number)
        assert eventually(lambda: not clients(folder) and not left_over(folder))


def test_the_folder_is_removed_though_ssh_ends_first(tmp_path):
    """The shell that waits for ssh must not end the one that is about to remove the folder."""
    folder, programs = tmp_path / "folder", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    slow = programs / "rm"
    slow.write_text('#!/bin/sh\nsleep 0.3\nexec /bin/rm "$@"\n')
    slow.chmod(0o755)
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    argv = ["sh", "-c", ssh_tunnel._KEEPER, "sh", str(folder), "sleep", "60"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env=env) as keeper:
        assert keeper.stdin
        keeper.stdin.close()
        keeper.wait(20)
    assert eventually(lambda: not folder.exists())


def test_a_port_that_is_taken_is_replaced_and_said(program, served):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with running(program, "forward", f"{taken}:{served}") as (process, document, _):
            (port,) = document["ports"]
            assert port["local_port"] != taken
            assert page(f"http://127.0.0.1:{port['local_port']}/") == "PAGE\n"
            assert [one["code"] for one in document["warnings"]] == ["port-taken"]
            assert end(process, signal.SIGINT) == 0


def test_only_this_machine_reaches_the_port_and_print_opens_none(program, served):
    done = program("forward", "aws-gpu1", f"9000:{served}", "--print")
    config = program.sandbox.env["AWS_BOOTSTRAP_SSH_CONFIG"]
    assert done.out == f"ssh -F {config} -N -L 127.0.0.1:9000:localhost:{served} aws-gpu1\n"
    code, document = program.json("forward", "8888", "--print")
    assert (code, document["ports"]) == (0, [{"local_port": 8888, "remote_port": 8888}])


def test_a_box_that_refuses_is_an_error_at_once(program, served):
    program.sandbox.ssh_fault("wrong-key")
    code, document = program.json("forward", str(served))
    program.sandbox.clear_ssh_fault()
    assert (code, document["error"]["code"]) == (1, "ssh-refused")


@pytest.mark.parametrize(
    ("words", "name", "ports"),
    [
        ("8888", None, [(8888, 8888)]),
        ("aws-gpu1 9000:8888 6006", "aws-gpu1", [(9000, 8888), (6006, 6006)]),
        ("i-0123 80", "i-0123", [(80, 80)]),
    ],
)
def test_the_words_are_a_box_and_ports(words, name, ports):
    assert split_words(words.split()) == (name, [ForwardedPort(*one) for one in ports])


@pytest.mark.parametrize("words", ["aws-gpu1", "8888 x", "0", "70000", "8888:70000", "1:2:3"])
def test_other_words_are_refused(words):
    with pytest.raises(UsageError, match="port"):
        split_words(words.split())


# --- open ------------------------------------------------------------------------------------------------


def test_jupyter_is_opened_and_nothing_shows_its_token(program):
    assert program("launch").exit_code == 0
    listed = program.ssh("aws-gpu1", ".aws-bootstrap/jupyter-link").stdout
    token = listed.strip().rpartition("token=")[2]
    assert re.fullmatch("[0-9a-f]{48}", token)
    with running(program, "open", "jupyter", "--debug") as (process, document, folder):
        link = Path(urlsplit(document["link"]).path)
        assert link.parents[1] == Path(program.sandbox.env["AWS_BOOTSTRAP_HOME"])
        assert [stat.S_IMODE(path.stat().st_mode) for path in (link, link.parent)] == [0o600, 0o700]
        address = re.search(r"url=(\S+)\"", link.read_text())
        assert address
        assert address[1] == f"{document['url']}?token={token}"
        assert "fake JupyterLab" in page(address[1])
        for entry in Path("/proc").glob("[0-9]*"):
            assert token not in command_line(entry), entry
        assert token not in json.dumps(document)
        assert end(process, signal.SIGTERM) == 143
        assert not link.parent.exists()
        assert (clients(folder), left_over(folder)) == ([], [])
        shown = (folder / "err").read_text()
        assert "Traceback" in shown
        assert token not in shown
    check_print(program, token)


def check_print(program, token: str) -> None:
    done = program("open", "jupyter", "--print")
    assert "-N -L 127.0.0.1:8888:localhost:8888 aws-gpu1" in done.out
    assert "http://127.0.0.1:8888/lab\n" in done.out
    code, document = program.json("open", "jupyter", "aws-gpu1", "--print")
    assert (code, document["link"]) == (0, None)
    assert [one["do"] for one in document["next"]] == ["jupyter", "jupyter-link"]
    assert token not in done.out + json.dumps(document)


def test_what_a_killed_process_left_is_removed_by_the_next(program, served):
    home = Path(program.sandbox.env["AWS_BOOTSTRAP_HOME"])
    gone = subprocess.Popen(["true"])
    gone.wait()
    left, used = home / f"open-{gone.pid}-x", home / f"open-{os.getpid()}-x"
    left.mkdir()
    used.mkdir()
    code, document = program.json("open", "jupyter", "aws-gpu1")
    assert (code, document["error"]["code"]) == (1, "no-jupyter"), "the setup was skipped"
    assert (left.exists(), used.exists()) == (False, True)
    used.rmdir()


def editor(tmp_path: Path, name: str, script: str) -> dict[str, str | None]:
    """An environment with an editor of that name."""
    (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("code", "--remote ssh-remote+aws-gpu1 /home/ubuntu/work"),
        ("cursor", "--remote ssh-remote+aws-gpu1 /home/ubuntu/work"),
        ("zed", "ssh://aws-gpu1/home/ubuntu/work"),
    ],
)
def test_an_editor_is_started_with_the_folder(program, served, tmp_path, name, words):
    env = editor(tmp_path, name, f'echo "$@" > {tmp_path}/words')
    code, document = program.json("open", name, "--path", "~/work", env=env)
    assert (code, (tmp_path / "words").read_text()) == (0, f"{words}\n")
    assert document["command"] == [name, *words.split()]
    assert [one["code"] for one in document["warnings"]] == ["editor-config"]
    (tmp_path / "words").unlink()
    assert program("open", name, "--print", env=env).out.startswith(f"{name} ")
    assert not (tmp_path / "words").exists()


def test_an_editor_that_is_missing_or_fails_is_an_error(program, served, tmp_path):
    missing = program.json("open", "zed")[1]["error"]
    assert (missing["code"], missing["hint"][:8]) == ("no-editor", "Get it: ")
    env = editor(tmp_path, "zed", "echo no window >&2; exit 4")
    failed = program.json("open", "zed", env=env)[1]["error"]
    assert (failed["code"], failed["message"]) == ("editor-failed", "zed failed: no window")

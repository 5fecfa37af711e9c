"""The step jupyter over stand-ins: its token, its unit, when the service is started anew, and why it was not."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import RESOURCES, FakeBox

# The system's files lie below the box's home, and root serves only where it would never ask for a password.
MOVED = '"${@/#\\/etc\\//$HOME/etc/}"'
TOOLS = {
    "sudo": f"[[ $1 == -n ]] || exit 1; shift; exec {MOVED}",
    "cmp": f"exec /usr/bin/cmp {MOVED}",
    # Nothing else: it would read random bytes for ever.
    "od": '[[ $* == "-An -N24 -tx1 /dev/urandom" ]] || exit 1; exec /usr/bin/od "$@"',
    "mv": 'stat -c "%a ${2##*/}" "$1" >>"$HOME/modes"; exec /usr/bin/mv "$@"',
    "systemctl": """case $1 in
  is-active) [[ -e $HOME/active ]] ;;
  restart) echo >"$HOME/active" ;;
esac""",
}
FIRST_START = [
    "systemctl daemon-reload",
    "systemctl enable --quiet jupyter",
    "systemctl restart jupyter",
    "systemctl is-active --quiet jupyter",
]
TOKEN = re.compile(r"JUPYTER_TOKEN=[0-9a-f]{48}\n")


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    box = FakeBox(tmp_path / "box")
    for name, body in TOOLS.items():
        box.tool(name, body)
    return box


@pytest.fixture
def settled(box: FakeBox) -> FakeBox:
    """A box on which the step ran."""
    jupyter(box)
    box.forget_calls()
    return box


def ours(box: FakeBox) -> Path:
    return box.home / ".aws-bootstrap"


def jupyter(box: FakeBox) -> tuple[int, list[str], str]:
    """Run the step: its status, its report, what it printed."""
    done, report = box.step("jupyter")
    return done.returncode, report, done.stdout + done.stderr


def test_a_first_run_makes_a_token_and_a_unit_and_starts_it(box):
    assert jupyter(box) == (0, ["changed"] * 3, "")
    assert TOKEN.fullmatch((ours(box) / "jupyter.env").read_text())
    assert box.calls("systemctl") == FIRST_START
    assert [call for call in box.calls("sudo") if "systemctl" not in call] == [
        f"sudo -n install -D -m 0644 {box.home}/scratch/jupyter.service /etc/systemd/system/jupyter.service"
    ]
    unit = (box.home / "etc/systemd/system/jupyter.service").read_text()
    assert f"\nEnvironmentFile={ours(box)}/jupyter.env\n" in unit
    assert "--ServerApp.ip=127.0.0.1 " in unit
    link = ours(box) / "jupyter-link"
    assert link.read_bytes() == (RESOURCES / "jupyter-link").read_bytes()
    assert link.stat().st_mode & 0o777 == 0o700
    assert not (ours(box) / "state" / "jupyter.restart").exists()


def test_a_second_run_changes_nothing_and_says_nothing(settled):
    token = (ours(settled) / "jupyter.env").read_text()
    assert jupyter(settled) == (0, [], "")
    assert settled.calls("systemctl") == ["systemctl is-active --quiet jupyter"] * 2
    assert (ours(settled) / "jupyter.env").read_text() == token


def test_nobody_else_can_read_the_token_at_any_time(box):
    (ours(box) / "jupyter.env").write_text("MINE=kept\n")
    (ours(box) / "jupyter.env").chmod(0o644)
    jupyter(box)
    assert (box.home / "modes").read_text().splitlines() == ["600 jupyter.env", "700 jupyter-link"]
    assert (ours(box) / "jupyter.env").read_text().startswith("MINE=kept\nJUPYTER_TOKEN=")
    (ours(box) / "jupyter.env").chmod(0o644)
    jupyter(box)
    assert (ours(box) / "jupyter.env").stat().st_mode & 0o777 == 0o600, "a token of the user's own, too"


@pytest.mark.parametrize(
    ("tool", "body", "said"),
    [
        ("od", "echo 00", "no token for Jupyter: /dev/urandom cannot be read"),
        ("cat", "exit 1", "{ours}/jupyter.env cannot be read"),
        ("mv", "exit 1", "{ours}/jupyter.env could not be written"),
    ],
)
def test_without_a_token_nothing_is_started(box, tool, body, said):
    (ours(box) / "jupyter.env").write_text("MINE=kept\n")
    box.tool(tool, body)
    status, report, _ = jupyter(box)
    assert (status, report) == (1, [f"error {said.format(ours=ours(box))}"])
    assert box.calls("systemctl") == []
    assert (ours(box) / "jupyter.env").read_text() == "MINE=kept\n"


# --- When it is started anew -------------------------------------------------------------------------------------


def test_a_new_token_is_one_that_a_running_service_must_learn(settled):
    (ours(settled) / "jupyter.env").write_text("MINE=kept\n")
    assert jupyter(settled) == (0, ["changed"], "")
    assert settled.calls("systemctl") == ["systemctl restart jupyter", "systemctl is-active --quiet jupyter"]


def test_a_unit_that_changed_is_loaded_and_a_running_service_is_started_anew(settled):
    (settled.home / "etc/systemd/system/jupyter.service").write_text("[Unit]\n")
    assert jupyter(settled) == (0, ["changed"] * 2, "")
    assert settled.calls("systemctl") == FIRST_START


def test_a_unit_that_could_not_be_loaded_is_loaded_by_the_next_setup(box):
    """The file alone does not say that systemd knows it."""
    box.faults(("^systemctl daemon-reload", 1, "no answer"))
    assert jupyter(box)[0] == 1
    box.faults()
    box.forget_calls()
    assert jupyter(box)[0] == 0
    assert box.calls("systemctl") == FIRST_START
    box.forget_calls()
    assert jupyter(box)[0] == 0
    assert box.calls("systemctl daemon-reload") == []


def test_an_environment_that_was_replaced_is_a_reason_once(settled):
    (ours(settled) / "state" / "jupyter.restart").touch()
    for restarts in (1, 0):
        settled.forget_calls()
        assert jupyter(settled)[1] == ["changed"] * restarts
        assert settled.calls("systemctl restart") == ["systemctl restart jupyter"] * restarts


def test_a_service_that_does_not_run_is_started(settled):
    (settled.home / "active").unlink()
    assert jupyter(settled) == (0, ["changed"], "")
    asked = "systemctl is-active --quiet jupyter"
    assert settled.calls("systemctl") == [asked, "systemctl restart jupyter", asked]


def test_a_program_for_the_link_that_is_older_is_replaced_and_nothing_started(settled):
    (ours(settled) / "jupyter-link").write_text("older")
    assert jupyter(settled) == (0, ["changed"], "")
    assert (ours(settled) / "jupyter-link").read_bytes() == (RESOURCES / "jupyter-link").read_bytes()
    assert settled.calls("systemctl restart") == []


# --- Why it does not start ---------------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A port of this machine that nothing answers on until `listen` is called."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken


def use_port(box: FakeBox, port: socket.socket) -> int:
    """Let the step look at this port; its number."""
    script = box.folder / "setup.d" / "85-jupyter.sh"
    number = port.getsockname()[1]
    script.write_text(script.read_text().replace("8888", str(number)))
    return number


LISTENER = """echo 'LISTEN 0 128 127.0.0.1:1 0.0.0.0:* users:(("rstudio",pid=1020,fd=6),("other",pid=3,fd=7))'"""


@pytest.mark.parametrize(
    ("ss", "who"), [(LISTENER, " (rstudio, process 1020)"), ("echo LISTEN 0 128", ""), ("exit 1", "")]
)
def test_a_port_that_is_taken_is_named_with_the_program_that_took_it(settled, port, ss, who):
    number = use_port(settled, port)
    port.listen()
    settled.tool("ss", ss)
    settled.faults(("^systemctl restart", 1, "Job failed"))
    status, report, _ = jupyter(settled)
    told = f"error jupyter does not start: another program uses port {number}{who}"
    assert (status, report[-1]) == (1, told)
    assert settled.calls("ss") == [f"ss -Hltnp sport = :{number}"]
    assert settled.calls("journalctl") == []
    assert (ours(settled) / "state" / "jupyter.restart").exists(), "the next run starts it"


@pytest.mark.parametrize("journal", ["echo what it said", "exit 1"])
def test_a_service_that_fails_shows_the_end_of_its_journal(settled, port, journal):
    use_port(settled, port)
    settled.tool("journalctl", journal)
    settled.faults(("^systemctl restart", 1, "Job failed"))
    status, report, said = jupyter(settled)
    assert (status, report[-1]) == (1, "error jupyter does not start: sudo journalctl -u jupyter")
    assert settled.calls("journalctl") == ["journalctl -u jupyter -n 20 --no-pager"]
    assert ("what it said" in said) == ("echo" in journal)
    assert settled.calls("ss") == []


def test_a_service_that_ends_at_once_is_a_failure(settled, port):
    use_port(settled, port)
    settled.tool("journalctl", "exit 0")
    settled.faults(("^systemctl is-active", 3, ""))
    status, report, _ = jupyter(settled)
    assert (status, report[-1]) == (1, "error jupyter does not stay up: sudo journalctl -u jupyter")


def test_a_step_that_lacks_what_all_share_ends_there(box):
    said, status = box.step_without_lib("jupyter")
    assert said.endswith("lib.sh: No such file or directory")
    assert status == "status 1"
    assert box.calls() == []


def test_the_link_names_the_last_token(settled):
    with (ours(settled) / "jupyter.env").open("a") as settings:
        settings.write("JUPYTER_TOKEN=mine\n")
    shown = subprocess.run([ours(settled) / "jupyter-link"], env=settled.environment(), capture_output=True, text=True)
    assert shown.stdout == "http://localhost:8888/lab?token=mine\n"

"""The ssh door: waiting for a login, what a command says and how it may break, and a launch whose box never answers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap import ssh, ssh_session
from aws_bootstrap.errors import SshError
from aws_bootstrap.paths import Paths
from aws_bootstrap.ssh import (
    CONNECT_SECONDS,
    GPU_SECONDS,
    LOGIN_SECONDS,
    MOUNT_SECONDS,
    RETRIED_CONNECT_SECONDS,
    SILENCE_SECONDS,
    LoginTimeouts,
    Ssh,
    in_bash,
)
from aws_bootstrap.ssh_frame import Output, Tail
from aws_bootstrap.tests.factories import Clock

SHELLS = ("bash", "dash", "ksh", "zsh", "fish", "tcsh")
SETUP_STEPS = Path(__file__).parents[1] / "resources" / "setup.d"


@pytest.fixture
def listener():
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@pytest.fixture
def knock(listener, tmp_path):
    """`knock(SECONDS)` logs in by the real ssh client where the listener is, and retries for so long."""
    config = tmp_path / "config"
    port = listener.getsockname()[1]
    config.write_text(f"Host aws-gpu1\n  HostName 127.0.0.1\n  Port {port}\n")
    client = Ssh(Paths({"AWS_BOOTSTRAP_SSH_CONFIG": str(config)}))

    def log_in(seconds):
        return client.run("aws-gpu1", "true", timeouts=LoginTimeouts(unanswered=seconds))

    return log_in


def test_a_port_that_stays_shut_is_reported_at_the_bound(knock):
    with pytest.raises(SshError, match=r"^aws-gpu1 did not answer within 1 s: .* Connection refused") as caught:
        knock(1)
    assert caught.value.code == "ssh-timeout"


def test_a_port_that_accepts_and_never_answers_is_reported_near_the_bound(knock, listener):
    listener.listen()
    began = time.monotonic()
    with pytest.raises(SshError, match="^aws-gpu1 did not answer within 1 s: .* timed out") as caught:
        knock(1)
    assert caught.value.code == "ssh-timeout"
    # Not the seconds that a connection may take to be greeted while there is time.
    assert time.monotonic() - began < CONNECT_SECONDS / 2


def test_what_accepts_and_is_no_ssh_server_is_reported(knock, listener):
    listener.listen()

    def hang_up():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    with pytest.raises(SshError, match="^aws-gpu1 did not answer within 1 s: ") as caught:
        knock(1)
    assert caught.value.code == "ssh-timeout"


def failing(tmp_path, *complaints):
    """A stand-in for ssh: each complaint ends one attempt, then the command runs. It notes each ConnectTimeout."""
    lines = [f"echo x >> {tmp_path}/attempts; n=$(wc -l < {tmp_path}/attempts)"]
    lines.append(f"echo \"$*\" | grep -o 'ConnectTimeout=[0-9]*' >> {tmp_path}/timeouts")
    for number, complaint in enumerate(complaints, 1):
        lines.append(f"[[ $n != {number} ]] || {{ echo '{complaint}' >&2; exit 255; }}")
    return "\n".join([*lines, RUN_HERE])


SHUT = "ssh: connect to host 203.0.113.9 port 22: Connection refused"
SLOW_BANNER = "Connection timed out during banner exchange"
DENIED = "Permission denied (publickey)."


def test_a_port_that_opens_late_is_found_within_a_moment(box, tmp_path):
    """The connection that finds it open is the one that runs the command."""
    clock = Clock()
    client = box(failing(tmp_path, *[SHUT] * 10), clock=clock, sleep=clock.sleep)
    assert client.run("aws-gpu1", "echo up").lines == ("up",)
    assert clock.now == pytest.approx(3.0)


def test_a_server_that_takes_its_time_to_greet_gets_it(box, tmp_path):
    """A port that swallows packets is tried every two seconds; an open one whose server is slow has ten."""
    clock = Clock()
    client = box(failing(tmp_path, SHUT, SLOW_BANNER, SLOW_BANNER, SHUT, DENIED), clock=clock, sleep=clock.sleep)
    client.run("aws-gpu1", "true")
    timeouts = (tmp_path / "timeouts").read_text().split()
    assert timeouts == [f"ConnectTimeout={seconds}" for seconds in (2, 2, 10, 10, 2, 2)]


@pytest.mark.parametrize(("left", "connect_timeout"), [(30, 2), (1, 1), (0, CONNECT_SECONDS)])
def test_a_connection_does_not_outlast_the_time_for_the_login(box, tmp_path, left, connect_timeout):
    """One that is not retried has the whole time for its connection."""
    box(failing(tmp_path)).run("aws-gpu1", "true", timeouts=LoginTimeouts(unanswered=left))
    assert (tmp_path / "timeouts").read_text() == f"ConnectTimeout={connect_timeout}\n"


# --- what a command says ---------------------------------------------------------------------------------


class LastWords:
    """In place of the process of ssh: it writes its last words and ends in the moment in which it is asked for its end.

    What it has started still holds its pipes.
    """

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._reading, self._writing = os.pipe()
        self.stdout = os.fdopen(self._reading, "rb", buffering=0)
        quiet, self._quiet = os.pipe()
        self.stderr = os.fdopen(quiet, "rb", buffering=0)

    def poll(self) -> int:
        os.write(self._writing, self._words)
        self._words = b""
        return 0

    def close(self) -> None:
        for held in (self._writing, self._quiet):
            os.close(held)
        self.stdout.close()
        self.stderr.close()


def test_the_last_words_are_read_whenever_ssh_ends():
    """With many connections at once, a thread may look for the end long after it has looked for output."""
    ending: Any = LastWords(b"@aws-bootstrap-connected\ndone\n\n@aws-bootstrap-ended 7\n")
    with closing(ending) as process:
        output = Output(lambda line: None)
        assert Ssh()._listen(process, output, Tail(99), None) is None
    assert (output.exit_code, output.lines()) == (7, ("done",))


def test_the_last_words_of_a_session_are_passed_on_whenever_ssh_ends():
    passed: list[bytes] = []
    ending: Any = LastWords(b"done")
    with closing(ending) as process:
        ssh_session._copy(process, passed.append, passed.append)
    assert passed == [b"done"]


RUN_HERE = 'exec bash -c "${@: -1}"'
"""What a stand-in for ssh does at its end: the command, its last argument, on this machine."""


@pytest.fixture
def box(tmp_path, monkeypatch):
    """`box("script")` puts a stand-in for the ssh program first on the PATH and returns our door to it."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(script, **settings):
        program = tmp_path / "ssh"
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
        return Ssh(**settings)

    return make


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("true", ()),
        ("echo", ("",)),
        ("printf hi", ("hi",)),
        ("echo one; echo two # the end", ("one", "two")),
        (r"printf '\xff\r\n'", ("\ufffd",)),
        (r"printf '\xc3'; sleep 0.2; printf '\xa9\n'", ("\xe9",)),
        ("exit 255", ()),
        ("echo epoch 5; echo done", ("epoch 5", "done")),
        ("echo @aws-bootstrap-ended soon", ("@aws-bootstrap-ended soon",)),
    ],
)
def test_the_output_of_a_command_is_what_it_said(box, command, lines):
    told: list[str] = []
    done = box(RUN_HERE).run("aws-gpu1", command, on_line=told.append)
    assert done.lines == lines
    assert told[: len(lines)] == list(lines)
    assert done.exit_code == (255 if "255" in command else 0)


def test_the_command_reads_its_input(box):
    assert box(RUN_HERE).run("aws-gpu1", "cat", stdin=b"said\n").lines == ("said",)


def test_an_rc_file_may_write_what_it_likes(box):
    """Nothing reads one pipe while the other fills: a pipe holds 64 KiB."""
    noise = "yes a noisy rc file | head -c 300000 >&2; yes noise | head -c 300000; printf 'a line without its end'"
    command = "yes complaint | head -c 300000 >&2; echo said"
    assert box(f"{noise}\n{RUN_HERE}").run("aws-gpu1", command).lines == ("said",)


def test_a_bash_env_does_not_bend_the_command_or_its_end(box, tmp_path):
    """Bash reads the file that it names also with --norc."""
    (tmp_path / "rc").write_text("set -e\necho from the rc file\n")
    login = f"export BASH_ENV={tmp_path}/rc"
    done = box(f"{login}\n{RUN_HERE}").run("aws-gpu1", "false; echo said; exit 3")
    assert (done.exit_code, done.lines) == (3, ("said",))


def test_of_a_flood_the_end_is_kept(box):
    flood = "yes $(printf '%01000d' 7) | head -n 12000; head -c 3000000 /dev/zero; echo; echo the end"
    lines = box(RUN_HERE).run("aws-gpu1", flood).lines
    assert lines[-1] == "the end"
    assert sum(map(len, lines)) <= 8 * 1024 * 1024


def test_a_line_that_comes_in_pieces_is_one_line(box):
    told: list[str] = []
    box(RUN_HERE).run("aws-gpu1", "printf half; sleep 0.2; printf ' and half\\nrest'", on_line=told.append)
    assert told[:2] == ["half and half", "rest"]


def test_a_line_without_an_end_is_cut_and_loses_nothing(box):
    """Progress bars write one line for hours: it must not fill the memory."""
    size = 2 * 1024 * 1024
    lines = box(RUN_HERE).run("aws-gpu1", f"head -c {size} /dev/zero | tr '\\0' x; echo; echo next").lines
    assert len(lines) == 3
    assert lines[-1] == "next"
    assert "".join(lines[:2]) == "x" * size


def test_nothing_of_the_users_own_options_bends_a_command(box, tmp_path):
    box(f'printf "%s\\n" "$@" > {tmp_path}/argv\n{RUN_HERE}').run("aws-gpu1", "true")
    argv = (tmp_path / "argv").read_text().splitlines()
    given = dict(word.split("=", 1) for before, word in pairwise(argv) if before == "-o")
    assert given == {
        "BatchMode": "yes",
        "ConnectTimeout": f"{RETRIED_CONNECT_SECONDS}",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
        "LogLevel": "ERROR",
        "ControlPath": "none",
        "ClearAllForwardings": "yes",
        "RemoteCommand": "none",
        "RequestTTY": "no",
    }


def test_what_a_command_leaves_running_does_not_hold_it_up(box):
    (pid,) = box(RUN_HERE).run("aws-gpu1", "sleep 1000 & echo $!").lines
    os.kill(int(pid), signal.SIGKILL)


# --- how it may break ------------------------------------------------------------------------------------

BEGIN = "echo @aws-bootstrap-connected; echo half a line"


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (f"{BEGIN}; echo Connection to x closed by remote host. >&2; exit 255", "ssh-lost", "closed by remote host"),
        (f"{BEGIN}; exit 255", "ssh-lost", "ssh ended with status 255"),
        (f"{BEGIN}; kill -9 $$", "ssh-lost", "ssh ended with status -9"),
        ("echo Permission denied >&2; exit 255", "ssh-refused", "Permission denied"),
        ("exit 255", "ssh-refused", "without a message"),
        ("echo Please login as ubuntu; exit 142", "ssh-failed", "Please login as ubuntu"),
        ("printf 'Please login as admin'; exit 142", "ssh-failed", "Please login as admin"),
        ("echo Please login as root; echo; exit 142", "ssh-failed", "Please login as root"),
        ("echo the account is barred >&2; exit 142", "ssh-failed", "the account is barred"),
        ("echo This account is not available; exit 255", "ssh-refused", "This account is not available"),
        (r"printf 'refused \xff' >&2; exit 255", "ssh-refused", "refused \ufffd"),
        ("exit 0", "ssh-failed", "exit status 0"),
        ("echo ssh: connect to host x port 22: No route to host >&2; exit 255", "ssh-timeout", "does not answer"),
        (
            "echo Connection timed out during banner exchange >&2; echo Connection to x timed out >&2; exit 255",
            "ssh-timeout",
            "does not answer",
        ),
    ],
)
def test_a_login_or_connection_that_breaks_is_never_the_commands_exit_code(box, script, code, words):
    with pytest.raises(SshError, match=words) as caught:
        box(script).run("aws-gpu1", "true", timeouts=ssh.ONCE)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("complaint", "helps"),
    [
        ("Host key verification failed.", "remove the old one: ssh-keygen -f {known_hosts} -R aws-gpu1"),
        ("ssh: Could not resolve hostname aws-gpu1", None),
        ("Permission denied (publickey).", None),
    ],
)
def test_a_changed_host_key_alone_comes_with_what_to_do_about_it(box, complaint, helps):
    """What cannot change is not tried again either: the clock would run out."""
    clock = Clock()
    ssh = box(f"[[ $* != *-G* ]] || exit 0\necho '{complaint}' >&2; exit 255", clock=clock, sleep=clock.sleep)
    with pytest.raises(SshError) as caught:
        ssh.run("aws-gpu1", "true")
    hint = caught.value.hint or ""
    assert (helps.format(known_hosts=ssh.paths.known_hosts) in hint) if helps else not hint
    assert (30 <= clock.now <= 60) if complaint.startswith("Permission") else clock.now == 0


def test_a_box_that_boots_slowly_is_waited_for_longer_than_one_that_refuses_the_key(box, tmp_path):
    """A first boot reads its disk from S3: the banner may take 40 s, and then the key is not there yet."""
    clock = Clock()
    tries = tmp_path / "tries"
    script = f"""
        echo x >> {tries}; n=$(wc -l < {tries})
        [[ $n -gt 40 ]] || {{ echo "{SLOW_BANNER}" >&2; exit 255; }}
        [[ $n -gt 60 ]] || {{ echo "Permission denied (publickey)." >&2; exit 255; }}
        {RUN_HERE}"""
    done = box(script, clock=clock, sleep=clock.sleep).run(
        "aws-gpu1", "true", timeouts=ssh.LoginTimeouts(unanswered=300)
    )
    assert done.exit_code == 0
    assert clock.now == pytest.approx(40 * 0.3 + 20)


@pytest.mark.parametrize(
    ("complaint", "seconds"),
    [(SLOW_BANNER, 100), ("Permission denied (publickey).", 30), ("Too many authentication failures", 30)],
)
def test_each_cause_has_its_own_limit(box, complaint, seconds):
    clock = Clock()
    client = box(f"echo '{complaint}' >&2; exit 255", clock=clock, sleep=clock.sleep)
    with pytest.raises(SshError):
        client.run("aws-gpu1", "true", timeouts=ssh.LoginTimeouts(unanswered=100))
    assert clock.now == pytest.approx(seconds)


def test_a_login_that_ends_by_itself_leads_to_what_the_account_runs(box):
    with pytest.raises(SshError) as caught:
        box("exit 0").run("aws-gpu1", "true")
    assert caught.value.code == "ssh-failed"
    assert (caught.value.hint or "").endswith("{ssh} aws-gpu1")


def test_a_client_that_is_given_up_is_asked_to_end(box, tmp_path):
    """So that it may tell the box: one that is killed leaves the box to find out."""
    script = f"trap 'touch {tmp_path}/asked; exit 1' TERM; {BEGIN}; while :; do sleep 0.1; done"
    with pytest.raises(SshError):
        box(script, clock=Hurried(GPU_SECONDS)).query_box("aws-gpu1")
    assert (tmp_path / "asked").exists()


def test_a_client_that_does_not_end_is_killed(box):
    script = f"trap '' TERM; {BEGIN}; while :; do sleep 0.2; done"
    with pytest.raises(SshError, match="did not finish"):
        box(script, clock=Hurried(GPU_SECONDS)).query_box("aws-gpu1")


def test_a_command_has_the_whole_of_its_time(box):
    done = box(RUN_HERE).run("aws-gpu1", "sleep 1.2; echo said", limit=60)
    assert done.lines == ("said",)


def test_a_question_about_the_gpu_is_asked_once(box, tmp_path):
    """A view of many boxes does not wait for one that refuses."""
    with pytest.raises(SshError):
        box(f"echo asked >> {tmp_path}/asked; exit 255").query_box("aws-gpu1")
    assert (tmp_path / "asked").read_text() == "asked\n"


@pytest.mark.parametrize("ask", [lambda: Ssh().run("aws-gpu1", "true"), ssh.agent_keys, ssh.check_installed])
def test_without_an_ssh_client_the_way_to_install_it_is_reported(monkeypatch, tmp_path, ask):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SshError, match="is not installed") as caught:
        ask()
    assert caught.value.code == "no-ssh"
    assert "apt-get install openssh-client" in (caught.value.hint or "")


class Hurried:
    """A clock that is `step` seconds further each time it is looked at."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def mount(ssh):
    return ssh.mount_ebs_volume("aws-gpu1", b"", "vol-0abc", format_if_empty=False)


@pytest.mark.parametrize(
    ("script", "ask", "code", "bound"),
    [
        ("exec sleep 1000", lambda ssh: ssh.run("aws-gpu1", "true"), "ssh-timeout", LOGIN_SECONDS),
        ("exec yes noise", lambda ssh: ssh.run("aws-gpu1", "true"), "ssh-timeout", LOGIN_SECONDS),
        ("exec yes noise >&2", lambda ssh: ssh.run("aws-gpu1", "true"), "ssh-timeout", LOGIN_SECONDS),
        (f"{BEGIN}; exec sleep 1000", lambda ssh: ssh.query_box("aws-gpu1"), "ssh-timeout", GPU_SECONDS),
        # It may wait for another mount and for the disk, and then has e2fsck check that.
        (f"{BEGIN}; exec sleep 1000", mount, "ssh-timeout", MOUNT_SECONDS),
        (f"{BEGIN}; exec yes", lambda ssh: ssh.query_box("aws-gpu1"), "ssh-timeout", GPU_SECONDS),
    ],
)
def test_every_wait_on_a_box_has_a_bound(box, script, ask, code, bound):
    with pytest.raises(SshError, match=f"within {bound:.0f} s") as caught:
        ask(box(script, clock=Hurried(LOGIN_SECONDS + 1)))
    assert caught.value.code == code


def test_a_box_that_falls_silent_is_lost(box):
    clock = Hurried(0)
    ssh = box(f"{BEGIN}; exec sleep 1000", clock=clock)

    def hurry(line):
        clock.step = SILENCE_SECONDS + 1

    with pytest.raises(SshError, match="no output for") as caught:
        ssh.run("aws-gpu1", "true", on_line=hurry)
    assert caught.value.code == "ssh-lost"


def test_a_box_that_speaks_now_and_then_is_not_lost(box):
    """Each line comes after more than half of the silence that is borne."""
    clock = Clock()
    said = box(RUN_HERE, clock=clock).run(
        "aws-gpu1",
        "echo 1; sleep 0.2; echo 2; sleep 0.2; echo 3",
        on_line=lambda line: clock.sleep(0.6 * SILENCE_SECONDS),
    )
    assert said.lines == ("1", "2", "3")


def test_no_step_of_the_setup_may_be_silent_for_longer_than_is_borne():
    limits = re.findall(r"^# limit: (\d+)", "\n".join(p.read_text() for p in SETUP_STEPS.glob("*.sh")), re.MULTILINE)
    assert max(map(int, limits)) + CONNECT_SECONDS < SILENCE_SECONDS


AWKWARD = "printf '%s\\n' 'one\\two' \"it's three!\" \\\n  '!!' '$HOME' '%b' '\\0041'\nexit 7"


@pytest.mark.parametrize("shell", [path for path in map(shutil.which, SHELLS) if path])
def test_each_login_shell_runs_the_same_script(shell):
    done = subprocess.run([shell, "-c", in_bash(AWKWARD)], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["one\\two", "it's three!", "!!", "$HOME", "%b", "\\0041"], done.stderr
    assert (done.returncode, done.stderr) == (7, "")

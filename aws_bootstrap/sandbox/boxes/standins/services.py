"""systemctl, journalctl and sshd: units of /etc/systemd/system are started as plain daemons of the box.

A service's process, its log and whether it is enabled are kept as files. Only what systemd.service(5) calls simple
services is done; sshd itself is the sandbox's, which is asked to read its configuration again.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import box

UNITS = "/etc/systemd/system"
WANTS = UNITS + "/multi-user.target.wants"
RUNNING = "/run/sandbox/services"
JOURNAL = "/var/log/sandbox-journal"
SSHD = frozenset({"ssh", "sshd", "ssh.socket", "ssh.service", "sshd.service"})
NOT_ACTIVE, NO_SUCH_UNIT = 3, 5
STOP_SECONDS, POST_SECONDS = 5.0, 60.0
_POWER = frozenset({"reboot", "poweroff", "halt"})


def systemctl(program: str, arguments: list[str]) -> int:
    """The exit status that systemctl would have."""
    flags = [word for word in arguments if word.startswith("-")]
    verb, *names = [word for word in arguments if not word.startswith("-")] or ["list-units"]
    if verb in _POWER:
        box.ask("reboot" if verb == "reboot" else "poweroff")
        return 0
    if verb == "sandbox-boot":
        return max([_start(link.stem) for link in sorted(box.place(WANTS).glob("*.service"))], default=0)
    action = _VERBS.get(verb)
    if action is None:
        return 0  # daemon-reload, reset-failed and what else changes nothing here
    status = 0
    for name in names:
        status = action(name.removesuffix(".service"), flags) or status
    return status


def _unit(name: str) -> Path:
    return box.place(f"{UNITS}/{name}.service")


def _read(name: str) -> dict[str, list[str]]:
    """The settings of a unit, each with all its values. Lines that end in a backslash go on."""
    text = re.sub(r"\\\n\s*", " ", _unit(name).read_text())
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.lstrip().startswith(("#", ";")):
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def _pid(name: str) -> int:
    """The service's process, 0 when it has none."""
    try:
        pid = int(box.place(f"{RUNNING}/{name}").read_text())
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return 0 if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z" else pid
    except (OSError, ValueError):
        return 0


def _start(name: str, flags: list[str] | None = None) -> int:
    if name in SSHD:
        box.ask("sshd")
        return 0
    if not _unit(name).exists():
        return _missing(name)
    if not _pid(name):
        unit = _read(name)
        environment = _environment(unit)
        process = _spawn(name, unit, environment)
        running = box.place(f"{RUNNING}/{name}")
        running.parent.mkdir(parents=True, exist_ok=True)
        running.write_text(str(process))
        for command in unit.get("ExecStartPost", []):
            if _post(command, environment, name):
                _stop(name)
                return box.complain(f'Job for {name}.service failed. See "journalctl -u {name}" for details.')
    return 0


def _missing(name: str) -> int:
    box.complain(f"Unit {name}.service not found.")
    return NO_SUCH_UNIT


def _environment(unit: dict[str, list[str]]) -> dict[str, str]:
    """The box's environment and what the unit sets."""
    kept = {
        key: value for key, value in os.environ.items() if key.startswith("SANDBOX") or key in ("HOME", "LANG", "PATH")
    }
    files = [name.lstrip("-") for name in unit.get("EnvironmentFile", [])]
    lines = [word for line in unit.get("Environment", []) for word in shlex.split(line)]
    lines += [line for name in files if box.place(name).exists() for line in box.place(name).read_text().splitlines()]
    settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    if not box.APART and "PATH" in settings:
        settings["PATH"] = os.pathsep.join([settings["PATH"].split(os.pathsep)[0], kept.get("PATH", "")])
    return {**kept, **settings}


def _words(command: str, environment: dict[str, str]) -> list[str]:
    """A command line of a unit, its variables filled in."""
    words = shlex.split(command.lstrip("-+!@:"))
    return [re.sub(r"\$\{(\w+)\}", lambda found: environment.get(found[1], ""), word) for word in words]


def _spawn(name: str, unit: dict[str, list[str]], environment: dict[str, str]) -> int:
    """Starts the service as a daemon; its process comes back."""
    journal = box.place(f"{JOURNAL}/{name}.log")
    journal.parent.mkdir(parents=True, exist_ok=True)
    folder = unit.get("WorkingDirectory", ["/"])[-1]
    with journal.open("ab") as log:
        daemon = subprocess.Popen(
            _words(unit["ExecStart"][-1], environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=str(box.place(folder)),
            env=environment,
            start_new_session=True,
        )
    return daemon.pid


def _post(command: str, environment: dict[str, str], name: str) -> int:
    """Runs a command of ExecStartPost; the status of one marked with `-` does not count."""
    with box.place(f"{JOURNAL}/{name}.log").open("ab") as log:
        try:
            done = subprocess.run(
                _words(command, environment), env=environment, stdout=log, stderr=log, timeout=POST_SECONDS
            )
        except subprocess.TimeoutExpired:
            return 1
    return 0 if command.startswith("-") else done.returncode


def _stop(name: str, flags: list[str] | None = None) -> int:
    pid = _pid(name)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        if pid and _pid(name):
            os.killpg(pid, number)
        while _pid(name) and time.monotonic() < deadline:
            time.sleep(0.02)
    box.place(f"{RUNNING}/{name}").unlink() if box.place(f"{RUNNING}/{name}").exists() else None
    return 0


def _restart(name: str, flags: list[str]) -> int:
    if name not in SSHD and not _unit(name).exists():
        return _missing(name)
    if name not in SSHD:
        _stop(name)
    return _start(name)


def _reload(name: str, flags: list[str]) -> int:
    return _start(name) if name in SSHD else (0 if _unit(name).exists() else _missing(name))


def _enable(name: str, flags: list[str]) -> int:
    if name in SSHD:
        return 0
    if not _unit(name).exists():
        return _missing(name)
    wants = box.place(WANTS)
    wants.mkdir(parents=True, exist_ok=True)
    link = wants / f"{name}.service"
    if not link.is_symlink():
        link.symlink_to(f"../{name}.service")
        if "--quiet" not in flags and "-q" not in flags:
            box.complain(f"Created symlink {WANTS}/{name}.service → {UNITS}/{name}.service.")
    return _start(name) if "--now" in flags else 0


def _disable(name: str, flags: list[str]) -> int:
    link = box.place(WANTS) / f"{name}.service"
    if link.is_symlink():
        link.unlink()
    return _stop(name) if "--now" in flags else 0


def _is_active(name: str, flags: list[str]) -> int:
    active = name in SSHD or bool(_pid(name))
    if "--quiet" not in flags and "-q" not in flags:
        box.say("active" if active else "inactive")
    return 0 if active else NOT_ACTIVE


def _is_enabled(name: str, flags: list[str]) -> int:
    enabled = name in SSHD or (box.place(WANTS) / f"{name}.service").is_symlink()
    box.say("enabled" if enabled else "disabled")
    return 0 if enabled else 1


def _status(name: str, flags: list[str]) -> int:
    active = name in SSHD or bool(_pid(name))
    box.say(f"● {name}.service", f"     Active: {'active (running)' if active else 'inactive (dead)'}")
    return 0 if active else NOT_ACTIVE


_VERBS = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "try-restart": _restart,
    "reload": _reload,
    "reload-or-restart": _restart,
    "enable": _enable,
    "disable": _disable,
    "is-active": _is_active,
    "is-enabled": _is_enabled,
    "status": _status,
}


def journalctl(program: str, arguments: list[str]) -> int:
    """`journalctl -u UNIT`: what the unit has said."""
    names = [
        word.removesuffix(".service")
        for before, word in zip(arguments, arguments[1:], strict=False)
        if before in ("-u", "--unit")
    ]
    for name in names:
        log = box.place(f"{JOURNAL}/{name}.log")
        box.say(log.read_text(errors="replace").rstrip() if log.exists() else "-- No entries --")
    return 0


def sshd(program: str, arguments: list[str]) -> int:
    """`sshd -t`: whether the configuration can be read. The daemon itself is the sandbox's."""
    for file in [box.place("/etc/ssh/sshd_config"), *sorted(box.place("/etc/ssh/sshd_config.d").glob("*.conf"))]:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            word = line.split("#")[0].split()
            if word and not re.fullmatch(r"[A-Za-z]+", word[0].split("=")[0]):
                return box.complain(f"{box.own(str(file))}: line {number}: Bad configuration option: {word[0]}") + 254
    return 0

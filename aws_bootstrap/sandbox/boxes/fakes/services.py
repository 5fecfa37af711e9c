"""systemctl and sshd: units of /etc/systemd/system are started as plain daemons of the box.

A unit's process, its log and whether it is enabled are files. Simple services of systemd.service(5) are supported, and
timers of systemd.timer(5); keepers.py runs those, and services with Restart=always. sshd itself is the sandbox's, which
reads its configuration again on request.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import box

UNITS = "/etc/systemd/system"
WANTS = UNITS + "/multi-user.target.wants"
EARLY_WANTS = UNITS + "/sysinit.target.wants"
TIMER_WANTS = UNITS + "/timers.target.wants"
RUNNING = "/run/sandbox/services"
JOURNAL = "/var/log/sandbox-journal"
SSHD = frozenset({"ssh", "sshd", "ssh.socket", "ssh.service", "sshd.service"})
NOT_ACTIVE, NO_SUCH_UNIT, SSHD_FAILED = 3, 5, 255
STOP_SECONDS, POST_SECONDS = 5.0, 60.0
_POWER_OFF = frozenset({"poweroff", "halt"})
#: The folder of the guardian's programs.
_GUARDIAN = "/usr/local/lib/aws-bootstrap/"


def systemctl(program: str, arguments: list[str]) -> int:
    """Return the exit status that systemctl would have."""
    flags = [word for word in arguments if word.startswith("-")]
    verb, *names = box.words(arguments) or ["list-units"]
    if verb == "reboot":
        box.request("reboot")
        return 0
    if verb in _POWER_OFF:
        box.request("poweroff")
        return 0
    if verb == "sandbox-boot":
        return _boot()
    if verb == "list-units":
        return _list_units(names)
    action = _VERBS.get(verb)
    if action is None:
        return 0  # daemon-reload, reset-failed and other verbs change nothing here
    status = 0
    for name in _named(names):
        status = action(name, flags) or status
    return status


def _named(patterns: list[str]) -> list[str]:
    """Return the units named. A pattern means those that run, as in systemctl(1)."""
    found: list[str] = []
    for pattern in patterns:
        if re.search(r"[*?[]", pattern):
            found += [name for name in _running() if fnmatch(_full(name), pattern)]
        else:
            found.append(pattern.removesuffix(".service"))
    return found


def _running() -> list[str]:
    """Return the units that run."""
    folder = box.place(RUNNING)
    if not folder.exists():
        return []
    return [file.name for file in sorted(folder.iterdir()) if _pid(file.name)]


def _list_units(patterns: list[str]) -> int:
    """Print the units that run, all or those of the patterns, without a legend."""
    for name in _running():
        full = _full(name)
        if not patterns or any(fnmatch(full, pattern) for pattern in patterns):
            box.say(f"{full} loaded active running {name}")
    return 0


def _boot() -> int:
    """Start the units that are enabled; return the highest status."""
    status = 0
    for link in sorted(box.place(WANTS).glob("*.service")):
        status = max(status, _start(link.stem))
    for link in sorted(box.place(TIMER_WANTS).glob("*.timer")):
        status = max(status, _start(link.name))
    return status


def _full(name: str) -> str:
    """Return the unit's name with its type."""
    if name.endswith(".timer"):
        return name
    return f"{name}.service"


def _unit(name: str) -> Path:
    return box.place(f"{UNITS}/{_full(name)}")


def read_unit(name: str) -> dict[str, list[str]]:
    """Return the settings of a unit, each with all its values. A backslash at the end of a line continues it."""
    text = re.sub(r"\\\n\s*", " ", _unit(name).read_text())
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.lstrip().startswith(("#", ";")):
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def _pid(name: str) -> int:
    """Return the pid of the service; 0 if it does not run."""
    try:
        pid = int(box.place(f"{RUNNING}/{name}").read_text())
        os.kill(pid, 0)
        if _is_zombie(pid):
            return 0
        return pid
    except (OSError, ValueError):
        return 0


def _is_zombie(pid: int) -> bool:
    """Return whether the process is a zombie (proc(5), /proc/PID/stat)."""
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


def _is_active(name: str) -> bool:
    return name in SSHD or bool(_pid(name))


def _is_quiet(flags: list[str]) -> bool:
    return "--quiet" in flags or "-q" in flags


def _start(name: str, flags: list[str] | None = None) -> int:
    if name in SSHD:
        box.request("sshd")
        return 0
    if not _unit(name).exists():
        return _missing(name)
    if _pid(name):
        return 0
    unit = read_unit(name)
    if not box.HAS_NAMESPACES and _is_guardian(name, unit):
        return box.complain(f"{_full(name)} was not started. {box.NO_GUARDIAN}")
    environment = environment_of(unit)
    spawn(name, unit, _program(name, unit, environment))
    for command in unit.get("ExecStartPost", []):
        if _post(command, environment, name):
            _stop(name)
            return box.complain(f'Job for {name}.service failed. See "journalctl -u {name}" for details.')
    return 0


def _is_guardian(name: str, unit: dict[str, list[str]]) -> bool:
    """Return whether the unit runs the guardian, which would act on this machine's processes in a plain box."""
    if name.endswith(".timer"):
        unit = read_unit(timed_by(name, unit))
    return any(_GUARDIAN in command for command in unit.get("ExecStart", []))


def timed_by(name: str, timer: dict[str, list[str]]) -> str:
    """Return the service that a timer starts."""
    named = timer.get("Unit", [name.replace(".timer", ".service")])
    return named[-1].removesuffix(".service")


def _missing(name: str) -> int:
    return box.complain(f"Unit {_full(name)} not found.", status=NO_SUCH_UNIT)


def environment_of(unit: dict[str, list[str]]) -> dict[str, str]:
    """Return the box's environment with the unit's variables."""
    found = {}
    for name, value in os.environ.items():
        if name.startswith("SANDBOX") or name in ("HOME", "LANG", "PATH"):
            found[name] = value
    own_path = found.get("PATH", "")
    settings = _settings(unit)
    found.update(settings)
    if not box.HAS_NAMESPACES and "PATH" in settings:
        first = settings["PATH"].split(os.pathsep)[0]
        found["PATH"] = first + os.pathsep + own_path
    return found


def _settings(unit: dict[str, list[str]]) -> dict[str, str]:
    """Return the variables that a unit sets, in its own lines and in the files that it names."""
    lines = []
    for line in unit.get("Environment", []):
        lines += shlex.split(line)
    for name in unit.get("EnvironmentFile", []):
        file = box.place(name.lstrip("-"))
        if file.exists():
            lines += file.read_text().splitlines()
    found = {}
    for line in lines:
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found[name] = value
    return found


def words_of(command: str, environment: dict[str, str]) -> list[str]:
    """Return the words of a unit's command line, its variables filled in."""

    def value(found: re.Match[str]) -> str:
        return environment.get(found[1], "")

    words = shlex.split(command.lstrip("-+!@:"))
    return [re.sub(r"\$\{(\w+)\}", value, word) for word in words]


def is_running(name: str) -> bool:
    """Return whether the unit's process runs."""
    return bool(_pid(name))


def spawn(name: str, unit: dict[str, list[str]], program: list[str]) -> None:
    """Start the unit's program as a daemon, and note its pid."""
    journal = box.place(f"{JOURNAL}/{name}.log")
    journal.parent.mkdir(parents=True, exist_ok=True)
    folder = unit.get("WorkingDirectory", ["/"])[-1]
    with journal.open("ab") as log:
        daemon = subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=str(box.place(folder)),
            env=environment_of(unit),
            start_new_session=True,
        )
    running = box.place(f"{RUNNING}/{name}")
    running.parent.mkdir(parents=True, exist_ok=True)
    running.write_text(str(daemon.pid))


def _program(name: str, unit: dict[str, list[str]], environment: dict[str, str]) -> list[str]:
    """Return the program that runs the unit: the service's own, or a keeper that starts it again and again."""
    keeper = [sys.executable, "-IS", os.path.join(os.path.dirname(os.path.realpath(__file__)), "main.py")]
    if name.endswith(".timer"):
        return [*keeper, "sandbox-timer", name]
    if unit.get("Restart") == ["always"]:
        return [*keeper, "sandbox-restart", name]
    return words_of(unit["ExecStart"][-1], environment)


def _post(command: str, environment: dict[str, str], name: str) -> int:
    """Run a command of ExecStartPost; return its status, always 0 if it begins with `-`."""
    with box.place(f"{JOURNAL}/{name}.log").open("ab") as log:
        try:
            done = subprocess.run(
                words_of(command, environment), env=environment, stdout=log, stderr=log, timeout=POST_SECONDS
            )
        except subprocess.TimeoutExpired:
            return 1
    if command.startswith("-"):
        return 0
    return done.returncode


def _stop(name: str, flags: list[str] | None = None) -> int:
    pid = _pid(name)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        if pid and _pid(name):
            os.killpg(pid, number)
        while _pid(name) and time.monotonic() < deadline:
            time.sleep(0.02)
    box.place(f"{RUNNING}/{name}").unlink(missing_ok=True)
    return 0


def _restart(name: str, flags: list[str]) -> int:
    if name in SSHD:
        return _start(name)
    if not _unit(name).exists():
        return _missing(name)
    _stop(name)
    return _start(name)


def _reload(name: str, flags: list[str]) -> int:
    if name in SSHD:
        return _start(name)
    if not _unit(name).exists():
        return _missing(name)
    return 0


def _link(name: str) -> Path:
    """Return the link that exists while the unit is enabled."""
    if name.endswith(".timer"):
        return box.place(TIMER_WANTS) / name
    if "sysinit.target" in read_unit(name).get("WantedBy", []):
        return box.place(EARLY_WANTS) / f"{name}.service"
    return box.place(WANTS) / f"{name}.service"


def _enable(name: str, flags: list[str]) -> int:
    if name in SSHD:
        return 0
    if not _unit(name).exists():
        return _missing(name)
    link = _link(name)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        full = _full(name)
        link.symlink_to(f"../{full}")
        if not _is_quiet(flags):
            box.complain(f"Created symlink {box.box_path(str(link))} → {UNITS}/{full}.")
    if "--now" in flags:
        return _start(name)
    return 0


def _disable(name: str, flags: list[str]) -> int:
    link = _link(name)
    if link.is_symlink():
        link.unlink()
    if "--now" in flags:
        return _stop(name)
    return 0


def _show_active(name: str, flags: list[str]) -> int:
    active = _is_active(name)
    if not _is_quiet(flags):
        box.say("active" if active else "inactive")
    return 0 if active else NOT_ACTIVE


def _show_enabled(name: str, flags: list[str]) -> int:
    enabled = name in SSHD or _link(name).is_symlink()
    box.say("enabled" if enabled else "disabled")
    return 0 if enabled else 1


def _show_status(name: str, flags: list[str]) -> int:
    if _is_active(name):
        box.say(f"● {_full(name)}", "     Active: active (running)")
        return 0
    box.say(f"● {_full(name)}", "     Active: inactive (dead)")
    return NOT_ACTIVE


_VERBS = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "try-restart": _restart,
    "reload": _reload,
    "reload-or-restart": _restart,
    "enable": _enable,
    "disable": _disable,
    "is-active": _show_active,
    "is-enabled": _show_enabled,
    "status": _show_status,
}


def sshd(program: str, arguments: list[str]) -> int:
    """Check the configuration (`sshd -t`). The daemon itself is the sandbox's."""
    files = [box.place("/etc/ssh/sshd_config"), *sorted(box.place("/etc/ssh/sshd_config.d").glob("*.conf"))]
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            words = line.split("#")[0].split()
            if words and not re.fullmatch(r"[A-Za-z]+", words[0].split("=")[0]):
                place = f"{box.box_path(str(file))}: line {number}"
                return box.complain(f"{place}: Bad configuration option: {words[0]}", status=SSHD_FAILED)
    return 0

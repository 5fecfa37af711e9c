"""systemd-run: a command as a transient service, a daemon of the box that outlives the login which started it."""

from __future__ import annotations

import box
import services

_WITH_VALUE = frozenset(
    {"-u", "--unit", "-p", "--property", "-E", "--setenv", "--uid", "--gid", "--description", "--slice"}
)
NOT_STARTED = 203


def systemd_run(program: str, arguments: list[str]) -> int:
    """Start `systemd-run [OPTION]… --unit NAME [OPTION]… COMMAND…`."""
    settings, command = _split(arguments)
    name = settings.get("--unit", settings.get("-u", "")).removesuffix(".service")
    if not name or not command:
        return box.complain("systemd-run: the sandbox needs a unit and a command")
    if services.is_running(name):
        return box.complain(f"Failed to start transient service unit: Unit {name}.service was already loaded.")
    unit: dict[str, list[str]] = {"WorkingDirectory": [settings.get("--working-directory", "/")]}
    try:
        services.spawn(name, unit, command)
    except OSError as error:
        return box.complain(f"Job for {name}.service failed: {error}", status=NOT_STARTED)
    if "--quiet" not in settings and "-q" not in settings:
        box.complain(f"Running as unit: {name}.service")
    return 0


def _split(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options, each with its value, and the command."""
    settings: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        word, _, value = rest.pop(0).partition("=")
        if word == "--":
            break
        if word in _WITH_VALUE and not value:
            value = rest.pop(0)
        settings[word] = value
    return settings, rest

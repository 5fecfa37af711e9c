"""sudo: the box's own root. Where the box is only a folder, paths are mapped into it, and little is allowed."""

from __future__ import annotations

import os
import re
import shutil

import box
import disks

_WITH_VALUE = frozenset({"-u", "--user", "-g", "--group", "-C", "-D", "-h", "-p", "-r", "-t", "-U", "--chdir"})
_ALLOWED = """
    basename bash cat chmod cmp cp cut date dd diff dirname du echo env false find grep head id install ln ls
    mkdir mktemp mv printf pwd python3 readlink realpath rm rmdir sed sh sleep sort stat tail tee test timeout touch tr
    true truncate uname wc which whoami xargs
"""
_NOTHING_TO_DO = frozenset(
    {"chown", "chgrp", "modprobe", "nvidia-persistenced", "sysctl", "udevadm", "update-initramfs"}
)
_OWN_TREE = r"(?:boot|data|etc|home|media|mnt|opt|root|run|srv|tmp|usr/local|var)"
_PATH = re.compile(rf"(?<![\w./-])(/{_OWN_TREE}(?=/|\b))")


def sudo(program: str, arguments: list[str]) -> int:
    """Runs the command as the box's root; does not come back if it can be run."""
    command, settings, shell = _split(arguments)
    if shell or not command:
        command = ["/bin/bash", *(["-c", " ".join(command)] if command else [])]
        if not shell and len(command) == 1:
            return box.complain("usage: sudo [-n] command")
    environment = {**os.environ, **settings, "SUDO_USER": os.environ.get("USER", "")}
    if not box.APART:
        return _plain(command, environment)
    environment.update(USER="root", LOGNAME="root")
    return _run(_with_images(command), environment)


def _with_images(command: list[str]) -> list[str]:
    """The command; a program that is no stand-in reads a data volume's file in place of its device."""
    if _standin(os.path.basename(command[0])):
        return command
    return [disks.image(word) for word in command]


def _standin(name: str) -> str | None:
    """The stand-in of that name, in a box with or without a root of its own."""
    folders = "/usr/local/bin:/usr/local/cuda/bin" if box.APART else str(box.place("/.local/bin"))
    return shutil.which(name, path=folders)


def _split(arguments: list[str]) -> tuple[list[str], dict[str, str], bool]:
    """The command, the variables set for it, and whether a shell was asked for."""
    settings, shell, rest = {}, False, list(arguments)
    while rest:
        word = rest[0]
        if word == "--":
            rest = rest[1:]
            break
        if word in _WITH_VALUE:
            rest = rest[2:]
        elif word.startswith("-"):
            shell = shell or word in ("-i", "-s", "--login", "--shell")
            rest = rest[1:]
        elif re.match(r"\w+=", word):
            name, _, value = word.partition("=")
            settings[name] = value
            rest = rest[1:]
        else:
            break
    return rest, settings, shell


def _run(command: list[str], environment: dict[str, str]) -> int:
    try:
        os.execvpe(command[0], command, environment)
    except FileNotFoundError:
        return box.complain(f"sudo: {command[0]}: command not found")
    except PermissionError:
        return box.complain(f"sudo: unable to execute {command[0]}: Permission denied")


def _plain(command: list[str], environment: dict[str, str]) -> int:
    """Runs a command in a box without namespaces: every path of the box is mapped into its tree."""
    name = os.path.basename(command[0])
    if name in _NOTHING_TO_DO:
        return 0
    standin = _standin(name)
    if standin:
        return _run([standin, *command[1:]], environment)
    if name not in _ALLOWED.split():
        return box.complain(f"sudo: {name}: not allowed in a box without namespaces")
    if name in ("sh", "bash"):
        return _run([command[0], *(_map_text(word) for word in command[1:])], environment)
    if name == "env":
        return _env(command[1:], environment)
    return _run([command[0], *(_map_word(disks.image(word)) for word in command[1:])], environment)


def _env(words: list[str], environment: dict[str, str]) -> int:
    """`env NAME=VALUE… COMMAND`."""
    rest, settings, _ = _split(words)
    return _plain(rest, {**environment, **settings}) if rest else _run(["env"], environment)


def _map_word(word: str) -> str:
    """A word that is a path of the box, as it lies in its tree."""
    if word.startswith(box.ROOT) or word.startswith(("/dev/", "/proc/")):
        return word
    return box.ROOT + word if _PATH.match(word) else word


def _map_text(text: str) -> str:
    """A script in which the paths of the box are mapped into its tree."""
    return _PATH.sub(lambda found: box.ROOT + found[1], text) if box.ROOT not in text else text

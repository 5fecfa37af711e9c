"""sudo: root of the box. In a box without namespaces paths are mapped into its tree, and few programs are allowed."""

from __future__ import annotations

import os

import box

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_WITH_VALUE = frozenset({"-u", "--user", "-g", "--group", "-C", "-D", "-h", "-p", "-r", "-t", "-U", "--chdir"})
_ALLOWED = """
    basename bash cat chmod cmp cp cut date dd diff dirname du echo env false find grep head id install ln ls
    mkdir mktemp mv printf pwd python3 readlink realpath rm rmdir sed sh sleep sort stat tail tee test timeout touch tr
    true truncate uname wc which whoami xargs
"""
_NOTHING_TO_DO = frozenset(
    {"chown", "chgrp", "modprobe", "nvidia-persistenced", "sysctl", "udevadm", "update-initramfs"}
)
_GUARDIAN = "/aws-bootstrap/guardian.py"
_OWN_TREE = r"(?:boot|data|etc|home|media|mnt|opt|root|run|srv|sys/devices/virtual/dmi|tmp|usr/local|var)"
_PATH = rf"(?<![\w./-])(/{_OWN_TREE}(?=/|\b))"


def sudo(program: str, arguments: list[str]) -> int:
    """Run the command as the box's root; return only if it cannot be run."""
    command, settings, shell = _split(arguments)
    if not command and not shell:
        return box.complain("usage: sudo [-n] command")
    if shell:
        command = _shell(command)
    environment = {**os.environ, **settings, "SUDO_USER": os.environ.get("USER", "")}
    if not box.HAS_NAMESPACES:
        return _plain(command, environment)
    environment.update(USER="root", LOGNAME="root")
    return _run(_with_images(command), environment)


def _shell(command: list[str]) -> list[str]:
    """Return the shell that runs the command, or an interactive one."""
    if not command:
        return ["/bin/bash"]
    return ["/bin/bash", "-c", " ".join(command)]


def _with_images(command: list[str]) -> list[str]:
    """Return the command; a real program reads a data volume's file instead of its device."""
    if _fake(os.path.basename(command[0])):
        return command
    return [_image(word) for word in command]


def _image(word: str) -> str:
    """Return the file that a real program reads instead of a data volume's device; any other word unchanged."""
    if not word.startswith("/dev/"):
        return word
    import disks

    return disks.image(word)


def _fake(name: str) -> str | None:
    """Return the path of the fake program of this name, or None."""
    if box.HAS_NAMESPACES:
        return box.find_program(name, "/usr/local/bin:/usr/local/cuda/bin")
    return box.find_program(name, box.path_of("/.local/bin"))


def _split(arguments: list[str]) -> tuple[list[str], dict[str, str], bool]:
    """Return the command, the variables set for it, and whether a shell is requested."""
    settings, shell, rest = {}, False, list(arguments)
    while rest:
        word = rest[0]
        name, is_setting, value = word.partition("=")
        if word == "--":
            rest = rest[1:]
            break
        if word in _WITH_VALUE:
            rest = rest[2:]
        elif word.startswith("-"):
            shell = shell or word in ("-i", "-s", "--login", "--shell")
            rest = rest[1:]
        elif is_setting and name.isidentifier():
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
    """Run a command in a box without namespaces: every path of the box is mapped into its tree."""
    name = os.path.basename(command[0])
    if _GUARDIAN in " ".join(command):
        return box.complain(box.NO_GUARDIAN)
    if name in _NOTHING_TO_DO:
        return 0
    fake = _fake(name)
    if fake:
        return _run([fake, *command[1:]], environment)
    if name not in _ALLOWED.split():
        return box.complain(f"sudo: {name}: not allowed in a box without namespaces")
    if name in ("sh", "bash"):
        mapped = [_map_text(word) for word in command[1:]]
        return _run([command[0], *mapped], environment)
    if name == "env":
        return _env(command[1:], environment)
    mapped = [_map_word(_image(word)) for word in command[1:]]
    return _run([command[0], *mapped], environment)


def _env(words: list[str], environment: dict[str, str]) -> int:
    """Run `env NAME=VALUE… COMMAND`."""
    rest, settings, _ = _split(words)
    if not rest:
        return _run(["env"], environment)
    return _plain(rest, {**environment, **settings})


def _map_word(word: str) -> str:
    """Return a path of the box mapped into its tree; any other word unchanged."""
    import re

    if word.startswith((box.ROOT, "/dev/", "/proc/")) or not re.match(_PATH, word):
        return word
    return box.ROOT + word


def _map_text(text: str) -> str:
    """Return a script in which the paths of the box are mapped into its tree."""
    import re

    if box.ROOT in text:
        return text
    return re.sub(_PATH, _in_tree, text)


def _in_tree(found: re.Match[str]) -> str:
    return box.ROOT + found[1]

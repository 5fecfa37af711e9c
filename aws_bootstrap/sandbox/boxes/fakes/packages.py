"""apt-get, dpkg and similar programs: packages are recorded as installed, nothing is downloaded."""

from __future__ import annotations

import os

import box

INSTALLED = "/var/lib/sandbox-packages"
_WITH_VALUE = ("-o", "-c", "-t", "--option")


def _installed() -> set[str]:
    try:
        with open(box.path_of(INSTALLED)) as record:
            return set(record.read().split())
    except FileNotFoundError:
        return set()


def _save(names: set[str]) -> None:
    path = box.path_of(INSTALLED)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as record:
        record.write("\n".join(sorted(names)) + "\n")


def _words(arguments: list[str]) -> list[str]:
    """Return the arguments that are neither options nor their values."""
    words, skip = [], False
    for argument in arguments:
        if not skip and not argument.startswith("-"):
            words.append(argument)
        skip = not skip and argument in _WITH_VALUE
    return words


def apt_get(program: str, arguments: list[str]) -> int:
    """Record installed and removed packages; do nothing else (update, …)."""
    action, *names = _words(arguments) or [""]
    if action == "install":
        _save(_installed() | set(names))
    elif action in ("remove", "purge"):
        _save(_installed() - set(names))
    else:
        return 0
    box.say("Reading package lists...", "Building dependency tree...")
    for name in names:
        box.say(f"Setting up {name} ...")
    return 0


def apt_cache(program: str, arguments: list[str]) -> int:
    """Print packages (`apt-cache show NAME`): every package exists."""
    for name in _words(arguments)[1:]:
        box.say(f"Package: {name}")
    return 0


def dpkg(program: str, arguments: list[str]) -> int:
    """Print the state of a package (`dpkg -s NAME`), or do nothing (`dpkg --configure -a`)."""
    if "-s" in arguments:
        return dpkg_query(program, ["-W", *arguments[1:]])
    if "--print-architecture" in arguments:
        box.say("arm64" if box.facts("machine.json")["architecture"] == "arm64" else "amd64")
    return 0


def dpkg_query(program: str, arguments: list[str]) -> int:
    """Print the state of packages: installed are the recorded ones, and those whose program the machine has."""
    status, skip = 0, False
    for word in arguments:
        if skip or word.startswith("-"):
            skip = word == "-f"
            continue
        if word in _installed() or box.find_program(word, os.environ.get("PATH", os.defpath)):
            box.say("install ok installed")
        else:
            status = box.complain(f"dpkg-query: no packages found matching {word}")
    return status


def rpm(program: str, arguments: list[str]) -> int:
    """Print which packages are missing (`rpm -q NAME…`); return how many."""
    missing = 0
    for word in box.words(arguments):
        if word not in _installed():
            missing += 1
            box.say(f"package {word} is not installed")
    return missing

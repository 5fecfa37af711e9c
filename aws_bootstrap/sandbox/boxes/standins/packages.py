"""apt-get, dpkg and their like: packages are noted as installed, nothing is fetched."""

from __future__ import annotations

import shutil

import box

INSTALLED = "/var/lib/sandbox-packages"
_REFUSED_OPTIONS = ("-o", "-c", "-t", "--option")


def _installed() -> set[str]:
    noted = box.place(INSTALLED)
    if not noted.exists():
        return set()
    return set(noted.read_text().split())


def _note(names: set[str]) -> None:
    noted = box.place(INSTALLED)
    noted.parent.mkdir(parents=True, exist_ok=True)
    noted.write_text("\n".join(sorted(names)) + "\n")


def _words(arguments: list[str]) -> list[str]:
    """Return the arguments that are neither options nor their values."""
    words, skip = [], False
    for argument in arguments:
        if not skip and not argument.startswith("-"):
            words.append(argument)
        skip = not skip and argument in _REFUSED_OPTIONS
    return words


def apt_get(program: str, arguments: list[str]) -> int:
    """Note what is installed and removed; do nothing else (update, …)."""
    action, *names = _words(arguments) or [""]
    if action == "install":
        _note(_installed() | set(names))
    elif action in ("remove", "purge"):
        _note(_installed() - set(names))
    else:
        return 0
    box.say("Reading package lists...", "Building dependency tree...")
    for name in names:
        box.say(f"Setting up {name} ...")
    return 0


def apt_cache(program: str, arguments: list[str]) -> int:
    """Show packages (`apt-cache show NAME`): the distribution has every one."""
    for name in _words(arguments)[1:]:
        box.say(f"Package: {name}")
    return 0


def dpkg(program: str, arguments: list[str]) -> int:
    """Show what is known of a package (`dpkg -s NAME`), or do nothing (`dpkg --configure -a`)."""
    if "-s" in arguments:
        return dpkg_query(program, ["-W", *arguments[1:]])
    if "--print-architecture" in arguments:
        box.say("arm64" if box.facts("machine.json")["architecture"] == "arm64" else "amd64")
    return 0


def dpkg_query(program: str, arguments: list[str]) -> int:
    """Show the state of packages: installed are those noted, and those whose program the machine lends."""
    status, skip = 0, False
    for word in arguments:
        if skip or word.startswith("-"):
            skip = word == "-f"
            continue
        if word in _installed() or shutil.which(word):
            box.say("install ok installed")
        else:
            status = box.complain(f"dpkg-query: no packages found matching {word}")
    return status


def rpm(program: str, arguments: list[str]) -> int:
    """Show which packages are missing (`rpm -q NAME…`); return how many."""
    missing = 0
    for word in box.words(arguments):
        if word not in _installed():
            missing += 1
            box.say(f"package {word} is not installed")
    return missing

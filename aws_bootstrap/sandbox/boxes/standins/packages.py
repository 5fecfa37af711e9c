"""apt-get, dpkg and their like: packages are noted as installed, nothing is fetched."""

from __future__ import annotations

import shutil

import box

INSTALLED = "/var/lib/sandbox-packages"
_REFUSED_OPTIONS = ("-o", "-c", "-t", "--option")


def _installed() -> set[str]:
    noted = box.place(INSTALLED)
    return set(noted.read_text().split()) if noted.exists() else set()


def _words(arguments: list[str]) -> list[str]:
    """The arguments that are no options."""
    words, skip = [], False
    for argument in arguments:
        if not skip and not argument.startswith("-"):
            words.append(argument)
        skip = not skip and argument in _REFUSED_OPTIONS
    return words


def apt_get(program: str, arguments: list[str]) -> int:
    """install, remove, update, …: what is installed is noted."""
    words = _words(arguments)
    action, names = (words[0], words[1:]) if words else ("", [])
    if action in ("install", "remove", "purge"):
        known = _installed()
        changed = known | set(names) if action == "install" else known - set(names)
        noted = box.place(INSTALLED)
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.write_text("\n".join(sorted(changed)) + "\n")
        box.say(
            "Reading package lists...", "Building dependency tree...", *(f"Setting up {name} ..." for name in names)
        )
    return 0


def apt_cache(program: str, arguments: list[str]) -> int:
    """`apt-cache show NAME`: the distribution has every package."""
    box.say(*(f"Package: {name}" for name in _words(arguments)[1:]))
    return 0


def dpkg(program: str, arguments: list[str]) -> int:
    """`dpkg --configure -a` has nothing to do; `dpkg -s NAME` tells what is known."""
    if "-s" in arguments:
        return dpkg_query(program, ["-W", *arguments[1:]])
    if "--print-architecture" in arguments:
        box.say("arm64" if box.facts("machine.json")["architecture"] == "arm64" else "amd64")
    return 0


def dpkg_query(program: str, arguments: list[str]) -> int:
    """The state of packages: those noted, and those whose program the machine lends."""
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
    """`rpm -q NAME…`: which are installed."""
    missing = [word for word in arguments if not word.startswith("-") and word not in _installed()]
    box.say(*(f"package {word} is not installed" for word in missing))
    return len(missing)

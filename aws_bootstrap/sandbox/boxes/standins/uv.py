"""uv: real virtual environments, and packages that are noted as installed instead of fetched.

`import` works for the few packages that have a stand-in under site/; the others have their metadata alone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import box

VERSION = "0.9.11"
NOTED = "/home/.sandbox-pythons"
# The Pythons that uv can install: https://docs.astral.sh/uv/concepts/python-versions/
PYTHONS = {"3.9": 25, "3.10": 19, "3.11": 14, "3.12": 12, "3.13": 9, "3.14": 0}
# What PyTorch publishes wheels for: https://download.pytorch.org/whl/
TORCH_TAGS = frozenset({"126", "129", "130", "132", "cpu"})
VERSIONS = {"torch": "2.12.1", "torchvision": "0.27.1", "torchaudio": "2.12.1", "jupyterlab": "4.5.0", "numpy": "2.3.5"}
NOT_FOUND, FAILED = 1, 2
SITE = Path(__file__).resolve().parent / "site"
_TAGGED = frozenset({"torch", "torchvision", "torchaudio"})


def uv(program: str, arguments: list[str]) -> int:
    """The exit status of `uv …`: 1 is uv's own word for not found, 2 for a command it does not take."""
    words = [word for word in arguments if word not in ("-q", "--quiet", "-v", "--verbose")]
    if not words or words[0] in ("--version", "-V", "self"):
        box.say(f"uv {VERSION}")
        return 0
    actions = {
        ("venv",): _venv,
        ("python", "find"): _find,
        ("python", "install"): _install_python,
        ("python", "list"): _list,
        ("pip", "install"): _pip_install,
        ("pip", "check"): _pip_check,
        ("pip", "list"): _pip_list,
        ("pip", "freeze"): _pip_list,
    }
    for length in (2, 1):
        action = actions.get(tuple(words[:length]))
        if action:
            return action(words[length:])
    return box.complain(f"error: unrecognized subcommand '{words[0]}'") + 1


def _options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options that have a value, and the words that are neither options nor values."""
    with_value = {
        "--python": "python",
        "-p": "python",
        "--index-url": "index",
        "--default-index": "index",
        "--extra-index-url": "extra",
        "-r": "file",
        "--requirement": "file",
        "--index": "index",
        "--prompt": "prompt",
        "--reinstall-package": "again",
    }
    found, rest, queue = {}, [], list(words)
    while queue:
        word = queue.pop(0)
        name, equals, value = word.partition("=")
        if name in with_value and name.startswith("-"):
            found[with_value[name]] = value if equals else queue.pop(0)
        elif word.startswith("-"):
            found[word.lstrip("-")] = ""
        else:
            rest.append(word)
    return found, rest


def _full_version(wanted: str) -> str | None:
    """The version that a request such as 3, 3.13 or 3.13.2 means; None if there is none."""
    if wanted == "3":
        wanted = "3.14"
    if wanted in PYTHONS:
        return f"{wanted}.{PYTHONS[wanted]}"
    minor, _, patch = wanted.rpartition(".")
    return wanted if minor in PYTHONS and patch.isdigit() and int(patch) <= PYTHONS[minor] else None


def _own_version() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])


def _noted() -> list[str]:
    noted = box.place(NOTED)
    return noted.read_text().split() if noted.exists() else []


def _installed(wanted: str) -> str | None:
    """The installed Python that fits the request."""
    fitting = [held for held in [_own_version(), *_noted()] if held == wanted or held.startswith(wanted + ".")]
    return fitting[0] if fitting else None


def _find(words: list[str]) -> int:
    _, rest = _options(words)
    if rest and not _installed(rest[0]):
        return (
            box.complain(f"error: No interpreter found for Python {rest[0]} in managed installations or search path")
            + FAILED
            - 1
        )
    box.say(sys.executable)
    return 0


def _install_python(words: list[str]) -> int:
    _, rest = _options(words)
    for wanted in rest:
        full = _full_version(wanted)
        if full is None:
            return box.complain(f"error: No download found for request: cpython-{wanted}-linux-x86_64-gnu")
        box.place(NOTED).write_text("\n".join([*_noted(), full]) + "\n")
        box.complain(f"Installed Python {full}")
    return 0


def _list(words: list[str]) -> int:
    box.say(*(f"cpython-{version}-linux-x86_64-gnu" for version in [_own_version(), *_noted()]))
    return 0


# --- venv -------------------------------------------------------------------------------------------------------


def _venv(words: list[str]) -> int:
    """A virtual environment like Python's own, without a minute of copying."""
    options, rest = _options(words)
    folder = Path(rest[0] if rest else ".venv").absolute()
    version = _own_version()
    if options.get("python"):
        found = _installed(options["python"])
        if not found:
            if _install_python([options["python"]]):
                return NOT_FOUND
            found = _installed(options["python"])
        version = found or version
    if folder.exists() and "clear" not in options and any(folder.iterdir()):
        return (
            box.complain(
                f"error: Failed to create virtual environment\n  Caused by: A directory already exists at: {folder}"
            )
            + 1
        )
    _lay(folder, version)
    box.complain(f"Using CPython {version}", f"Creating virtual environment at: {folder}")
    return 0


def _lay(folder: Path, version: str) -> None:
    base = Path(os.path.realpath(sys.executable))
    programs = folder / "bin"
    site = _site(folder)
    programs.mkdir(parents=True)
    site.mkdir(parents=True)
    for name in ("python", "python3", f"python{version.rpartition('.')[0]}"):
        (programs / name).symlink_to(base)
    (folder / "pyvenv.cfg").write_text(
        f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {version}\nversion_info = {version}\n"
    )
    (programs / "activate").write_text(
        f'VIRTUAL_ENV="{folder}"\nexport VIRTUAL_ENV\nPATH="$VIRTUAL_ENV/bin:$PATH"\nexport PATH\n'
        'deactivate () {\n    PATH="${PATH#"$VIRTUAL_ENV/bin:"}"\n    unset VIRTUAL_ENV\n    unset -f deactivate\n}\n'
    )
    _program(
        programs / "pip",
        f'exec "{os.environ["SANDBOX_PYTHON"]}" -IS "{SITE.parent}/main.py" uv pip "$@" --python "{programs}/python"',
    )
    if version != _own_version():
        # platform.python_version() reads sys.version. The interpreter itself stays the sandbox's.
        (site / "sitecustomize.py").write_text(
            f"import sys\nsys.version = {version!r} + sys.version[sys.version.index(' '):]\n"
        )


def _site(folder: Path) -> Path:
    return folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


# --- pip --------------------------------------------------------------------------------------------------------


def _pip_install(words: list[str]) -> int:
    """Notes the packages as installed into the environment that --python, or the active one, names."""
    options, names = _options(words)
    file = options.get("file", "")
    index = options.get("index", "")
    if Path(file).name == "pyproject.toml":
        project = Path(file).read_text()
        names += re.findall(r'"([^"]+)"', project.partition("dependencies = [")[2].partition("]")[0])
        index = re.findall(r'^url = "([^"]+)"', project, re.MULTILINE)[0]
    else:
        names += _required(file)
    tag = re.search(r"/whl/(?:cu)?(\w+)/?$", index)
    if tag and tag[1] not in TORCH_TAGS:
        return box.complain(
            f"  × No solution found when resolving dependencies:\n  ╰─▶ Because {names[0]} was not found in {index}"
        )
    folder = _environment(options)
    if folder is None:
        return box.complain("error: No virtual environment found; run `uv venv` to create an environment") + 1
    local = f"+{'cu' if tag and tag[1] != 'cpu' else ''}{tag[1]}" if tag else ""
    chosen = {name: _version(name) + (local if name in _TAGGED else "") for name in map(_name, names)}
    if "dry-run" not in options:
        for name, version in chosen.items():
            _install(folder, name, version)
    box.complain(
        f"{'Would install' if 'dry-run' in options else 'Installed'} {len(chosen)} packages",
        *(f" + {name}=={version}" for name, version in chosen.items()),
    )
    return 0


def _required(file: str) -> list[str]:
    lines = Path(file).read_text().splitlines() if file else []
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def _name(requirement: str) -> str:
    return re.split(r"[\s<>=!~\[;@]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _version(name: str) -> str:
    return VERSIONS.get(name, "1.0.0")


def _environment(options: dict[str, str]) -> Path | None:
    named = options.get("python") or os.environ.get("VIRTUAL_ENV", "")
    folder = Path(named).parent.parent if named.endswith(("/python", "/python3")) else Path(named or ".venv")
    return folder if (folder / "pyvenv.cfg").exists() else None


def _install(folder: Path, name: str, version: str) -> None:
    site = _site(folder)
    for old in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(old)
    noted = site / f"{name.replace('-', '_')}-{version}.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    if (SITE / name).is_dir():
        shutil.copytree(SITE / name, site / name, dirs_exist_ok=True)
    if name == "torch":
        (site / "torch/build.txt").write_text(version)
    if name == "jupyterlab":
        _program(folder / "bin/jupyter", f'exec "{os.environ["SANDBOX_PYTHON"]}" -IS "{SITE.parent}/jupyter.py" "$@"')


def _pip_check(words: list[str]) -> int:
    return box.complain("All installed packages are compatible") - 1


def _pip_list(words: list[str]) -> int:
    folder = _environment(_options(words)[0])
    noted = sorted(_site(folder).glob("*.dist-info")) if folder else []
    box.say(*(entry.name.removesuffix(".dist-info").replace("-", "==", 1) for entry in noted))
    return 0

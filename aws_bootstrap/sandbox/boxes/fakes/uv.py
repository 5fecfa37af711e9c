"""uv: real virtual environments, and packages that are recorded as installed instead of downloaded.

`import` works for the few packages that have a fake under site/; the others have only metadata.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import box

VERSION = "0.9.11"
RECORD = "/home/.sandbox-pythons"
# The Pythons that uv can install: https://docs.astral.sh/uv/concepts/python-versions/
PYTHONS = {"3.9": 25, "3.10": 19, "3.11": 14, "3.12": 12, "3.13": 9, "3.14": 0}
# The CUDA versions that PyTorch publishes wheels for: https://download.pytorch.org/whl/
TORCH_TAGS = frozenset({"126", "129", "130", "132", "cpu"})
VERSIONS = {"torch": "2.12.1", "torchvision": "0.27.1", "torchaudio": "2.12.1", "jupyterlab": "4.5.0", "numpy": "2.3.5"}
NOT_FOUND, FAILED = 1, 2
SITE = Path(__file__).resolve().parent / "site"
_TAGGED = frozenset({"torch", "torchvision", "torchaudio"})


def uv(program: str, arguments: list[str]) -> int:
    """Return the exit status of `uv …`: 1 if something is not found, 2 for an invalid command, as uv does."""
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
    return box.complain(f"error: unrecognized subcommand '{words[0]}'", status=FAILED)


def _options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options with their values, and the words that are neither."""
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
            if not equals:
                value = queue.pop(0)
            found[with_value[name]] = value
        elif word.startswith("-"):
            found[word.lstrip("-")] = ""
        else:
            rest.append(word)
    return found, rest


def _full_version(requested: str) -> str | None:
    """Return the full version of a request such as 3, 3.13 or 3.13.2; None if there is none."""
    if requested == "3":
        requested = "3.14"
    if requested in PYTHONS:
        return f"{requested}.{PYTHONS[requested]}"
    minor, _, patch = requested.rpartition(".")
    if minor in PYTHONS and patch.isdigit() and int(patch) <= PYTHONS[minor]:
        return requested
    return None


def _own_version() -> str:
    major, minor, patch = sys.version_info[:3]
    return f"{major}.{minor}.{patch}"


def _installed() -> list[str]:
    """Return the installed versions: the sandbox's own Python first, then the recorded ones."""
    recorded = box.place(RECORD)
    if not recorded.exists():
        return [_own_version()]
    return [_own_version(), *recorded.read_text().split()]


def _find_installed(requested: str) -> str | None:
    """Return the installed version that matches the request, or None."""
    for version in _installed():
        if version == requested or version.startswith(requested + "."):
            return version
    return None


def _find(words: list[str]) -> int:
    _, rest = _options(words)
    if rest and not _find_installed(rest[0]):
        where = "managed installations or search path"
        return box.complain(f"error: No interpreter found for Python {rest[0]} in {where}", status=FAILED)
    box.say(sys.executable)
    return 0


def _install_python(words: list[str]) -> int:
    _, rest = _options(words)
    for requested in rest:
        full = _full_version(requested)
        if full is None:
            return box.complain(f"error: No download found for request: cpython-{requested}-linux-x86_64-gnu")
        recorded = _installed()[1:]
        box.place(RECORD).write_text("\n".join([*recorded, full]) + "\n")
        box.complain(f"Installed Python {full}")
    return 0


def _list(words: list[str]) -> int:
    for version in _installed():
        box.say(f"cpython-{version}-linux-x86_64-gnu")
    return 0


# --- venv -------------------------------------------------------------------------------------------------------


def _venv(words: list[str]) -> int:
    """Create a virtual environment like Python's own, without copying an interpreter."""
    options, rest = _options(words)
    folder = Path(rest[0] if rest else ".venv").absolute()
    version = _own_version()
    requested = options.get("python")
    if requested:
        if not _find_installed(requested) and _install_python([requested]):
            return NOT_FOUND
        version = _find_installed(requested) or version
    if folder.exists() and "clear" not in options and any(folder.iterdir()):
        return box.complain(
            "error: Failed to create virtual environment",
            f"  Caused by: A directory already exists at: {folder}",
            status=FAILED,
        )
    _write_environment(folder, version)
    box.complain(f"Using CPython {version}", f"Creating virtual environment at: {folder}")
    return 0


def _write_environment(folder: Path, version: str) -> None:
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
    """Record the packages as installed in the environment of --python, or in the active one."""
    options, names = _options(words)
    file = options.get("file", "")
    index = options.get("index", "")
    if Path(file).name == "pyproject.toml":
        project = Path(file).read_text()
        names += re.findall(r'"([^"]+)"', project.partition("dependencies = [")[2].partition("]")[0])
        index = re.findall(r'^url = "([^"]+)"', project, re.MULTILINE)[0]
    elif file:
        names += _required(file)
    tag = _torch_tag(index)
    if tag and tag not in TORCH_TAGS:
        return box.complain(
            "  × No solution found when resolving dependencies:",
            f"  ╰─▶ Because {names[0]} was not found in {index}",
        )
    folder = _environment(options)
    if folder is None:
        complaint = "error: No virtual environment found; run `uv venv` to create an environment"
        return box.complain(complaint, status=FAILED)
    chosen = _chosen(names, tag)
    if "dry-run" in options:
        _show_chosen("Would install", chosen)
        return 0
    for name, version in chosen.items():
        _install(folder, name, version)
    _show_chosen("Installed", chosen)
    return 0


def _required(file: str) -> list[str]:
    """Return the requirements in a file, without its comments."""
    found = []
    for line in Path(file).read_text().splitlines():
        requirement = line.split("#")[0].strip()
        if requirement:
            found.append(requirement)
    return found


def _torch_tag(index: str) -> str:
    """Return the tag of PyTorch's wheel index: 130 of …/whl/cu130, or cpu. Empty for another index."""
    found = re.search(r"/whl/(?:cu)?(\w+)/?$", index)
    if found is None:
        return ""
    return found[1]


def _chosen(requirements: list[str], tag: str) -> dict[str, str]:
    """Return the version of each package; PyTorch's own name their CUDA version."""
    local = ""
    if tag == "cpu":
        local = "+cpu"
    elif tag:
        local = f"+cu{tag}"
    found = {}
    for requirement in requirements:
        name = _name(requirement)
        found[name] = VERSIONS.get(name, "1.0.0")
        if name in _TAGGED:
            found[name] += local
    return found


def _show_chosen(done: str, chosen: dict[str, str]) -> None:
    box.complain(f"{done} {len(chosen)} packages")
    for name, version in chosen.items():
        box.complain(f" + {name}=={version}")


def _name(requirement: str) -> str:
    return re.split(r"[\s<>=!~\[;@]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _environment(options: dict[str, str]) -> Path | None:
    """Return the folder of the environment of --python, or of the active one; None if there is none."""
    named = options.get("python") or os.environ.get("VIRTUAL_ENV", "")
    folder = Path(named or ".venv")
    if named.endswith(("/python", "/python3")):
        folder = folder.parent.parent
    if not (folder / "pyvenv.cfg").exists():
        return None
    return folder


def _install(folder: Path, name: str, version: str) -> None:
    site = _site(folder)
    for old in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(old)
    recorded = site / f"{name.replace('-', '_')}-{version}.dist-info"
    recorded.mkdir()
    (recorded / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    if (SITE / name).is_dir():
        shutil.copytree(SITE / name, site / name, dirs_exist_ok=True)
    if name == "torch":
        (site / "torch/build.txt").write_text(version)
        (site / "torch/version.py").write_text(_torch_versions(version))
        python = f'SANDBOX_WORKER_PYTHON="{folder.absolute()}/bin/python"'
        script = f'{python} exec "{os.environ["SANDBOX_PYTHON"]}" -IS "{SITE.parent}/torchrun.py" "$@"'
        _program(folder / "bin/torchrun", script)
    if name == "jupyterlab":
        _program(folder / "bin/jupyter", f'exec "{os.environ["SANDBOX_PYTHON"]}" -IS "{SITE.parent}/jupyter.py" "$@"')


def _torch_versions(version: str) -> str:
    """Return the module torch.version, which a program may read without importing torch."""
    tag = version.partition("+cu")[2]
    cuda = repr(f"{tag[:-1]}.{tag[-1]}") if tag else None
    return f"__version__ = {version!r}\ncuda = {cuda}\n"


def _pip_check(words: list[str]) -> int:
    return box.complain("All installed packages are compatible", status=0)


def _pip_list(words: list[str]) -> int:
    options, _ = _options(words)
    folder = _environment(options)
    if folder is None:
        return 0
    for entry in sorted(_site(folder).glob("*.dist-info")):
        box.say(entry.name.removesuffix(".dist-info").replace("-", "==", 1))
    return 0

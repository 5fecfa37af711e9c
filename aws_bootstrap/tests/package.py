"""Wheel and sdist as users get them. `.ci/package` runs this; it needs uv and the package registry."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = os.environ.get("UV") or shutil.which("uv") or "uv"
KINDS = ("wheel", "sdist")


def run(*argv: str | Path, cwd: Path = ROOT, **env: str) -> str:
    """What the command prints; its whole output if it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VIRTUAL_ENV"))}
    done = subprocess.run([str(a) for a in argv], cwd=cwd, env=clean | env, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done.stdout


def tracked() -> list[str]:
    """The files of the work tree that git knows or would take."""
    names = run("git", "ls-files", "-co", "--exclude-standard").splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def tree(folder: Path, *, git: bool = True) -> Path:
    """A copy of the work tree, so that building leaves nothing in it."""
    if git:
        run("git", "clone", "-q", "--shared", ROOT, folder)
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def build(source: Path, *options: str) -> dict[str, Path]:
    """Wheel and sdist of the tree, by kind."""
    run(UV, "build", "-q", *options, "--out-dir", source / "dist", source)
    kinds = {".whl": "wheel", ".gz": "sdist"}
    return {kinds[p.suffix]: p for p in (source / "dist").iterdir() if p.suffix in kinds}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    files = build(tree(tmp_path_factory.mktemp("build") / "tree"))
    for path in files.values() if "AWS_BOOTSTRAP_DIST" in os.environ else ():
        shutil.copy(path, os.environ["AWS_BOOTSTRAP_DIST"])
    return files


def contents(path: Path) -> set[str]:
    if path.suffix == ".whl":
        return set(zipfile.ZipFile(path).namelist())
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive}


@pytest.mark.parametrize("kind", KINDS)
def test_it_holds_every_file_of_the_package(built, kind):
    wanted = {name for name in tracked() if name.startswith("aws_bootstrap/") and "/tests/" not in name}
    assert wanted - contents(built[kind]) == set()
    assert {"aws_bootstrap/resources/saxpy.cu", "aws_bootstrap/sandbox/boxes/boot.sh"} <= wanted


def test_the_wheel_is_small_and_has_neither_tests_nor_docs(built):
    assert built["wheel"].stat().st_size < 500_000
    assert not [name for name in contents(built["wheel"]) if "/tests/" in name]
    assert not [name for name in contents(built["wheel"]) if name.startswith("docs/")]


@pytest.mark.parametrize("kind", KINDS)
def test_it_launches_from_an_empty_environment(built, kind, tmp_path):
    run(UV, "venv", "-q", "--no-project", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(UV, "pip", "install", "-q", "--python", python, f"{built[kind]}[sandbox]", cwd=tmp_path)
    program = python.with_name("aws-bootstrap")
    version = built["sdist"].name.removeprefix("aws_bootstrap_g4dn-").removesuffix(".tar.gz")
    assert version in run(program, "--version", cwd=tmp_path)
    run(python, "-c", "import awscrt.crypto", cwd=tmp_path)  # sessions of `aws login` need it

    def rehearse(*words: str) -> str:
        return run(program, *words, cwd=tmp_path, AWS_BOOTSTRAP_SANDBOX_HOME=str(tmp_path / "sandbox"))

    try:
        box = json.loads(rehearse("--sandbox", "launch", "--no-setup", "-o", "json"))
        assert box["ssh_alias"] == "aws-gpu1"
        assert box["setup"] == "skipped"
        assert json.loads(rehearse("--sandbox", "terminate", "--yes", "-o", "json"))["terminated"]
    finally:
        rehearse("sandbox", "stop")


def test_a_tag_is_the_version(tmp_path):
    source = tmp_path / "tagged"
    run("git", "clone", "-q", "--shared", ROOT, source)
    run("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "tag", "7.8.9", cwd=source)
    assert build(source, "--wheel")["wheel"].name.startswith("aws_bootstrap_g4dn-7.8.9-")


def test_a_tree_without_git_has_a_version(tmp_path):
    wheel = build(tree(tmp_path / "plain", git=False), "--wheel")["wheel"]
    assert wheel.name.startswith("aws_bootstrap_g4dn-1.0.0.dev0-")


def test_a_tree_without_tags_has_a_version(tmp_path):
    source = tree(tmp_path / "untagged")
    for tag in run("git", "tag", cwd=source).split():
        run("git", "tag", "-d", tag, cwd=source)
    assert build(source, "--wheel")["wheel"].name.startswith("aws_bootstrap_g4dn-1.0.0.dev")


# --- the commands of README.md, as printed ---------------------------------------------------------------

README = (ROOT / "README.md").read_text()


def lines_below(heading: str) -> list[str]:
    """The commands of the first block below a heading of README.md."""
    section = README.partition(f"\n{heading}\n")[2]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert block, heading
    return block[1].splitlines()


def fresh_machine(folder: Path) -> dict[str, str]:
    """Variables of a machine with nothing but what the system has: a home of its own, no environment, no program."""
    outside = [part for part in os.environ["PATH"].split(os.pathsep) if not Path(part).is_relative_to(ROOT)]
    programs = folder / "home" / ".local" / "bin"
    programs.mkdir(parents=True)
    return {
        "HOME": str(folder / "home"),
        "PATH": os.pathsep.join([str(programs), *outside]),
        "AWS_BOOTSTRAP_SANDBOX_HOME": str(folder / "sandbox"),
        # What was downloaded before is no part of what is tested.
        "UV_CACHE_DIR": run(UV, "cache", "dir").strip(),
    }


def test_the_first_command_of_the_readme_launches_a_box_from_a_clone(tmp_path):
    clone = tree(tmp_path / "a clone")
    machine = fresh_machine(tmp_path)
    line = re.search(r"```bash\n(.*)\n```", README)
    assert line
    try:
        shown = run("bash", "-c", line[1], cwd=clone, **machine)
        assert "ssh -F" in shown
        assert "aws-gpu1" in shown
    finally:
        run(clone / ".uv/bin/uv", "run", "aws-bootstrap", "sandbox", "stop", cwd=clone, **machine)


def test_every_command_below_install_installs_a_program_that_launches(tmp_path):
    clone = tmp_path / "clone"
    run("git", "clone", "-q", tree(tmp_path / "origin"), clone)
    machine = fresh_machine(tmp_path)
    for name in ("uv", "pipx"):
        run(UV, "tool", "install", "-q", name, cwd=ROOT, **machine)

    def install_and_launch(command: str) -> None:
        run("bash", "-c", command, cwd=clone, **machine)
        try:
            shown = run("aws-bootstrap", "--sandbox", "launch", "--no-setup", "-o", "json", cwd=tmp_path, **machine)
            assert json.loads(shown)["setup"] == "skipped"
        finally:
            run("aws-bootstrap", "sandbox", "stop", cwd=tmp_path, **machine)

    first, update = lines_below("## Install")
    by_uv, _, by_pipx = first.partition("# or: ")
    assert by_pipx
    install_and_launch(by_uv)
    install_and_launch(update)
    run("uv", "tool", "uninstall", "-q", "aws-bootstrap-g4dn", cwd=ROOT, **machine)
    install_and_launch(by_pipx)

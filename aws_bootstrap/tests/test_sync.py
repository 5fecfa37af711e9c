"""`sync` with the real ssh, rsync and git against a box: what git would take is sent, and nothing else is touched."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from aws_bootstrap.ssh_copy import box_files
from aws_bootstrap.tests.programs import started

GIT = ("git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main")

#: Rules that rsync's own filter reads otherwise, and the files that they are about.
RULES = {
    ".gitignore": "*.log\n!keep.log\n/build/\n**/cache/*\n!**/cache/note\ndata/*\n!data/in\n# comment\n\\#odd\nend /\n",
    "inner/.gitignore": "!loud.log\nkeep.log\n",
    "a.log": "",
    "keep.log": "",
    "inner/loud.log": "",
    "inner/keep.log": "",
    "build/out": "",
    "inner/build/out": "",
    "x/cache/big": "",
    "x/cache/note": "",
    "data/in": "",
    "data/out": "",
    "#odd": "",
    "-dash": "",
    "sp ace 'q\" ü": "",
    "new\nline": "",
    "glob[1]*": "",
    "dir with.log/inside.log": "",
    "dir with.log/inside": "",
}


@pytest.fixture
def box(program):
    """The files of the home folder of a box that runs."""
    launched = program("launch", "--no-setup", "-o", "json").document
    return program.sandbox.home.boxes / launched["instance_id"] / "root/home/ubuntu"


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with nested and negated rules."""
    folder = tmp_path / "project"
    for name, text in RULES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or name)
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run([*GIT, "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


def files(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return {str(path.relative_to(folder)) for path in found}


def taken(folder: Path) -> set[str]:
    """What git itself says."""
    git(folder, "init", "-q")
    return {name for name in git(folder, "ls-files", "-co", "--exclude-standard", "-z").split("\0") if name}


@pytest.mark.parametrize("repository", [True, False])
def test_what_git_would_take_is_sent(program, box, project, tmp_path, repository):
    wanted = taken(project)
    assert {"keep.log", "inner/loud.log", "x/cache/note", "data/in"} <= wanted
    assert not {"a.log", "inner/keep.log", "build/out", "data/out", "x/cache/big", "#odd"} & wanted
    if not repository:
        (project / ".git").rename(tmp_path / "away")
    code, done = program.json("sync", str(project), "aws-gpu1:work/project")
    assert (code, done["files"]) == (0, len(wanted)), done
    assert files(box / "work/project") == wanted
    assert {change["path"] for change in done["changes"]} == wanted
    assert program.json("sync", str(project), "aws-gpu1:work/project")[1]["changes"] == []
    code, back = program.json("sync", "aws-gpu1:work/project", str(tmp_path / "back"))
    assert (code, files(tmp_path / "back")) == (0, wanted)


def test_tracked_files_of_a_repository_and_those_inside_it_count(program, box, project):
    git(project, "init", "-q")
    (project / "forced.log").write_text("x")
    git(project, "add", "-f", "forced.log", "keep.log")
    git(project, "commit", "-qm", "x")
    (project / "keep.log").unlink()
    other = project / "other"
    other.mkdir()
    (other / "own.log").write_text("x")
    git(other, "init", "-q")
    (project / "link").symlink_to("nowhere")
    code, _ = program.json("sync", str(project), "aws-gpu1:p")
    assert code == 0
    sent = files(box / "p")
    assert {"forced.log", "other/own.log", "link"} <= sent, "a repository inside has rules of its own"
    assert not {"keep.log"} & sent
    assert not any(".git/" in name for name in sent)
    assert program.json("sync", str(project), "aws-gpu1:p", "--include-git")[0] == 0
    assert git(box / "p", "log", "--format=%s") == "x\n"


def test_nothing_is_deleted_unless_asked_and_what_is_excluded_never(program, box, project):
    assert program.json("sync", str(project), "aws-gpu1:p")[0] == 0
    for name in ("extra", "sub/deep/extra", "results.log", "build/model.pt", "new.tmp"):
        path = box / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (box / "outside").mkdir()
    (box / "outside/file").write_text("x")
    (box / "p/away").symlink_to("../outside")
    with (project / ".gitignore").open("a") as rules:
        rules.write("*.tmp\n")  # not on the box yet
    (project / "data/in").unlink()
    before = files(box / "p")

    code, dry = program.json("sync", str(project), "aws-gpu1:p", "--delete", "--dry-run")
    gone = {change["path"] for change in dry["changes"] if change["change"] == "deleted"}
    assert (code, gone) == (0, {"extra", "sub/deep/extra", "data/in", "away"})
    assert files(box / "p") == before
    code, kept = program.json("sync", str(project), "aws-gpu1:p", "-n")
    assert (code, kept["extra_files"]) == (0, 4)
    assert program("sync", str(project), "aws-gpu1:p", "--delete").exit_code == 2, "nobody can be asked"
    assert program.json("sync", str(project), "aws-gpu1:p", "--delete")[0] == 2
    assert program.json("sync", str(project), "aws-gpu1:p")[0] == 0
    assert files(box / "p") == before

    assert program.json("sync", str(project), "aws-gpu1:p", "--delete", "--yes")[0] == 0
    assert files(box / "p") == before - gone
    assert not (box / "p/sub").exists(), "folders that are empty then go with their files"
    assert (box / "outside/file").exists()


def test_deletion_stays_in_the_folder(tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "file").write_text("x")
    (folder / "link").symlink_to(outside)
    asked = b"../outside/file\0" + bytes(outside / "file") + b"\0link/file\0./../outside/file\0"
    code, deleted, _ = box_files(None, "delete", str(folder), stdin=asked)
    assert (code, deleted, (outside / "file").exists()) == (0, b"", True)


def test_a_watched_folder_is_followed_until_ctrl_c(program, box, project, wait_for):
    running = started(program, "sync", str(project), "aws-gpu1:p", "--watch")
    try:
        wait_for(lambda: (box / "p/keep.log").exists())
        (project / "later").write_text("1")
        wait_for(lambda: (box / "p/later").exists())
        (project / "ignored.log").write_text("1")
        (project / "later").write_text("22")
        wait_for(lambda: (box / "p/later").read_text() == "22")
        assert not (box / "p/ignored.log").exists()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 0, err
    assert '"files": ' in out


@pytest.mark.parametrize(
    ("words", "code", "error", "message"),
    [
        (("nothing", "aws-gpu1:p"), 1, "not-found", "nothing does not exist."),
        (("aws-gpu1:nothing", "p"), 1, "not-found", "aws-gpu1:nothing does not exist."),
        (("/etc/hostname", "aws-gpu1:p"), 2, "usage", "/etc/hostname is a file."),
        ((".", "aws-gpu1:p", "--watch", "--delete"), 2, "usage", "--watch with --delete"),
        ((".", "aws-gpu1:p", "--watch", "-n"), 2, "usage", "--dry-run has no effect with --watch."),
    ],
)
def test_what_cannot_be_meant_is_refused(program, box, words, code, error, message):
    done = program("sync", *words, "-o", "json")
    assert (done.exit_code, done.document["error"]["code"]) == (code, error)
    assert message in done.document["error"]["message"]


def test_a_side_without_rsync_is_named_with_the_command_that_installs_it(program, box, tmp_path):
    done = program("sync", ".", "aws-gpu1:p", "-o", "json", env={"PATH": str(tmp_path)})
    assert done.document["error"]["code"] == "no-rsync"
    assert done.document["error"]["message"] == "rsync is not installed on this machine."
    assert done.document["error"]["hint"].startswith("Install it: ")

"""`cp` with the real ssh, rsync and scp against a box: both ways, names of every kind, and what is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from aws_bootstrap.errors import UsageError
from aws_bootstrap.workflows.box_paths import check_sides, place

#: Names that a shell, a program's options or a protocol of lines would misread.
ODD_NAMES = (
    "-dash",
    "sp ace",
    "quo'te\"",
    "ünï",
    "new\nline",
    "a[1]*?.txt",
    "$HOME",
    "co:lon",
    "~x",
    "back\\slash",
)


@pytest.fixture
def box(program):
    """The files of the home folder of a box that runs."""
    launched = program("launch", "--no-setup", "-o", "json").document
    return program.sandbox.home.boxes / launched["instance_id"] / "root/home/ubuntu"


@pytest.fixture
def odd(tmp_path) -> Path:
    """A folder with odd names, and another inside it."""
    folder = tmp_path / "odd"
    (folder / "in ner").mkdir(parents=True)
    for number, name in enumerate(ODD_NAMES):
        (folder / name).write_text(str(number))
        (folder / "in ner" / name).write_text(str(number))
    return folder


@pytest.fixture
def without_rsync(tmp_path) -> dict[str, str | None]:
    """An environment whose PATH has ssh and scp, and no rsync."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("ssh", "scp", "sh", "cat", "rm", "git"):
        (programs / name).symlink_to(str(shutil.which(name)))
    return {"PATH": str(programs)}


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.parametrize("engine", ["rsync", "scp"])
def test_a_folder_of_odd_names_comes_and_goes(program, box, odd, tmp_path, without_rsync, engine):
    env = without_rsync if engine == "scp" else None
    code, up = program.json("cp", str(odd), "aws-gpu1:", env=env)
    assert (code, up["engine"], up["files"], up["bytes"]) == (0, engine, 20, 20)
    assert contents(box / "odd") == contents(odd)
    # To a name that does not exist: the folder itself, as by cp -r.
    code, down = program.json("cp", "aws-gpu1:odd", str(tmp_path / "back"), env=env)
    assert (code, down["engine"], down["files"]) == (0, engine, 20)
    assert contents(tmp_path / "back") == contents(odd)


def test_each_odd_name_can_be_copied_alone(program, box, odd, tmp_path):
    (tmp_path / "down").mkdir()
    sources = [str(odd / name) for name in ODD_NAMES]
    assert program.json("cp", *sources, "aws-gpu1:")[0] == 0
    for name in ODD_NAMES:
        assert (box / name).read_text() == (odd / name).read_text()
    remote = [f"aws-gpu1:./{name}" for name in ODD_NAMES]
    code, done = program.json("cp", *remote, str(tmp_path / "down"))
    assert (code, done["files"]) == (0, len(ODD_NAMES))
    assert sorted(os.listdir(tmp_path / "down")) == sorted(ODD_NAMES)


def test_the_target_is_a_name_or_a_folder(program, box, tmp_path):
    (tmp_path / "a").write_text("a")
    (box / "there").mkdir()
    assert program("cp", str(tmp_path / "a"), "aws-gpu1:there").exit_code == 0
    assert program("cp", str(tmp_path / "a"), ":~/renamed").exit_code == 0
    assert (box / "there/a").read_text() == (box / "renamed").read_text() == "a"
    (box / "renamed").write_text("newer")
    done = program("cp", "aws-gpu1:ren*", "aws-gpu1:there/a", str(tmp_path))
    assert (done.exit_code, done.err) == (0, "")
    assert done.out == f"Copied 1 file, 5 B to {tmp_path}.\n", "what is equal already is skipped"
    assert (tmp_path / "renamed").read_text() == "newer"
    (tmp_path / "renamed").write_text("other")
    moment = (box / "renamed").stat().st_mtime_ns
    os.utime(tmp_path / "renamed", ns=(moment, moment - moment % 10**9 + (moment + 1) % 10**9))
    assert program("cp", str(tmp_path / "renamed"), "aws-gpu1:").exit_code == 0
    assert (box / "renamed").read_text() == "other", (
        "what exists is overwritten, as by scp; of the same size and second, too"
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nothing", "aws-gpu1:"), "not-found", "nothing does not exist."),
        (("aws-gpu1:nothing", "."), "not-found", "aws-gpu1:nothing does not exist."),
        (("/etc/hostname", "aws-gpu1:none/"), "not-found", "aws-gpu1:none/ is no folder."),
        (("/etc/hostname", "aws-gpu7:"), "not-found", "aws-gpu7"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_copied(program, box, words, code, message):
    done = program("cp", *words, "-o", "json")
    assert done.exit_code == 1, done
    assert done.document["error"]["code"] == code
    assert message in done.document["error"]["message"]
    assert done.err.startswith("Error: ")


def test_files_that_cannot_be_read_make_the_copy_incomplete(program, box, tmp_path):
    (tmp_path / "good").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    folder = box / "full"
    (folder / "good").mkdir(parents=True)
    (folder / "good" / "file").write_text("in the way")
    code, done = program.json("cp", str(tmp_path / "good"), str(tmp_path / "loop"), "aws-gpu1:full")
    assert code == 1, "nothing but a link was copied"
    (tmp_path / "more").write_text("y")
    code, done = program.json("cp", str(tmp_path / "good"), str(tmp_path / "more"), "aws-gpu1:full")
    assert (code, done["files"], done["error"]["code"]) == (3, 1, "copy-failed")
    assert "good" in done["errors"][0]
    assert (folder / "more").read_text() == "y"


def test_a_box_that_does_not_answer_is_an_error_of_ssh(program, box):
    program.sandbox.ssh_fault("refused")
    code, done = program.json("cp", "/etc/hostname", "aws-gpu1:")
    program.sandbox.clear_ssh_fault()
    assert (code, done["error"]["code"]) == (1, "ssh-timeout")


def test_a_path_of_a_box_begins_with_its_name():
    assert place("aws-gpu1:a b").path == "a b"
    assert (place(":x").is_on_box, place(":x").name) == (True, None)
    assert not place("./a:b").is_on_box
    assert not place("/x/a:b").is_on_box
    assert [place(f"b:{path}").path for path in ("", "~", "~/x", "/x", "-x", "a:b")] == [
        *(".", ".", "x", "/x", "./-x", "./a:b")
    ]


@pytest.mark.parametrize(
    ("sources", "target", "message"),
    [
        (("a",), "b", "No path names a box."),
        (("x:a",), "y:b", "Both sides are boxes."),
        (("x:a", "b"), "c", "All sources must be on one side."),
        (("x:a", "y:b"), "c", "All sources must be on one side."),
    ],
)
def test_one_side_is_a_box(sources, target, message):
    with pytest.raises(UsageError, match=message):
        check_sides([place(source) for source in sources], place(target))

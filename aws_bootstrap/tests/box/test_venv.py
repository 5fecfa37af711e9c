"""~/venv: what is replaced, what is never touched, and what is there after a setup that died at any line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import FakeBox

# Sourced by the step's bash: it dies, as by kill -9, before the command whose number is in KILL_AT. Counted are the
# commands of venv.sh from the first one on that changes what the next setup finds.
KILLER = r"""
reached=0
die_here() {
  case ${BASH_SOURCE[1]:-} in */venv.sh) ;; *) return 0 ;; esac
  [[ $reached != 0 || $BASH_COMMAND == begin_making* ]] || return 0
  case $BASH_COMMAND in
    begin_making* | mv* | rm* | :* | echo* | sync* | note* | changed* | '"$uv"'*) ;;
    *) return 0 ;;
  esac
  reached=$((reached + 1))
  if [[ $reached == "$KILL_AT" ]]; then kill -9 $$; fi
}
set -o functrace
trap die_here DEBUG
"""


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(tmp_path / "box")


def whole(venv: Path) -> bool:
    """Whether an environment is one that the setup made, with a file of the user's in it."""
    return (venv / "bin" / "python").exists() and (venv / "lib" / "mine.py").exists()


def used(box: FakeBox) -> Path:
    """Give the box a venv in which the user has something."""
    box.step("venv")
    mine = box.home / "venv" / "lib" / "mine.py"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    box.forget_calls()
    return mine


def kept(box: FakeBox) -> list[Path]:
    return sorted(box.home.glob("venv.old-*"))


def test_what_is_no_venv_is_left_alone(box):
    thesis = box.home / "venv" / "projA" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("mine")
    done, report = box.step("venv")
    assert done.returncode == 1 and thesis.read_text() == "mine" and not box.calls("uv venv")
    assert [line for line in report if line.startswith("error")] == [
        f"error {box.home}/venv is no virtual environment (it has no pyvenv.cfg) and is left alone: move it away "
        f"(mv {box.home}/venv {box.home}/venv-mine), then run the setup again"
    ]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_file_or_a_link_to_nowhere_in_its_place_is_left_alone(box, kind):
    venv = box.home / "venv"
    if kind == "link":
        venv.symlink_to("/data/venv")
    else:
        venv.write_text("mine")
    done, report = box.step("venv")
    assert done.returncode == 1 and "has no pyvenv.cfg" in report[-1]
    assert venv.is_symlink() if kind == "link" else venv.read_text() == "mine"


def test_an_empty_folder_becomes_the_venv(box):
    (box.home / "venv").mkdir()
    assert box.step("venv")[0].returncode == 0 and not kept(box)


def test_a_venv_whose_python_broke_is_kept_and_that_is_said(box):
    mine = used(box)
    (box.home / "venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    done, report = box.step("venv")
    [old] = kept(box)
    assert done.returncode == 0 and (old / "lib" / "mine.py").read_text() == "mine" and not mine.exists()
    assert f"note {box.home}/venv was replaced" in report
    told = f"note the one before is kept; when you do not need it: rm -r {old}"
    assert told in report and told in box.step("venv")[1], "by every setup"


def test_another_python_keeps_the_venv_before_and_its_notes(box):
    used(box)
    (box.home / "venv" / ".aws-bootstrap").mkdir()
    box.step("venv", PYTHON_VERSION="3.99")
    [old] = kept(box)
    assert whole(old) and (old / ".aws-bootstrap").exists() and not (box.home / "venv" / ".aws-bootstrap").exists()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (r"^uv venv .*venv\.trial$", "is as it was"),
        (r"^uv venv .*box/venv$", "the one before is back"),
        (r"^uv python (find|install)", "could not install Python 3.99"),
    ],
)
def test_an_index_that_fails_leaves_the_venv_as_it_was(box, call, says):
    mine = used(box)
    inode = mine.stat().st_ino
    box.faults((call, 2, "error: Failed to fetch pip"))
    done, report = box.step("venv", PYTHON_VERSION="3.99")
    assert done.returncode == 1 and says in report[-1], report
    assert mine.stat().st_ino == inode and whole(box.home / "venv") and not kept(box)
    assert not (box.home / ".aws-bootstrap" / "state" / "venv.making").exists()
    box.faults()
    assert "changed" not in box.step("venv")[1], "nothing is left to do"


def test_a_first_venv_cut_short_is_not_believed_whole(box):
    """Its python works already, but what uv seeds is not there."""
    box.tool("uv", f"[[ $1 == venv ]] || exit 0\n{PYTHON} 3.12.3; kill -9 $PPID")
    assert box.step("venv")[0].returncode == -9
    box.tool("uv", f"[[ $1 == venv ]] || exit 0\n{PYTHON} 3.12.4")
    done, report = box.step("venv")
    [aside] = kept(box)
    assert done.returncode == 0 and "fact python 3.12.4" in report
    assert f"note a setup was cut short while it made {box.home}/venv" in report
    assert f"note the one before is kept; when you do not need it: rm -r {aside}" in report


# Make a venv whose python says the version that follows.
PYTHON = """make() {
  mkdir -p "$HOME/venv/bin"
  printf '#!/bin/sh\\necho %s\\n' "$1" >"$HOME/venv/bin/python"
  chmod +x "$HOME/venv/bin/python"
}
make"""


def test_killed_at_any_line_the_next_run_has_the_venv_of_before_or_keeps_it(box):
    (box.home / "killer").write_text(KILLER)
    killed = 0
    used(box)
    for number in range(1, 100):
        done, _ = box.step("venv", PYTHON_VERSION="3.99", BASH_ENV=str(box.home / "killer"), KILL_AT=str(number))
        if done.returncode == 0:
            break
        assert done.returncode == -9
        killed += 1
        # What the user had is somewhere, whole, before anybody mends anything ...
        assert any(whole(venv) for venv in [box.home / "venv", *kept(box)]), number
        done, report = box.step("venv")
        # ... and the next run puts it back in its place, or has put a whole one there and says where the other is.
        assert done.returncode == 0, (number, done.stdout, report)
        assert not (box.home / ".aws-bootstrap" / "state" / "venv.making").exists()
        if not whole(box.home / "venv"):
            [old] = [old for old in kept(box) if whole(old)]
            assert f"rm -r {old}" in str(report), number
            used(box)
            shutil.rmtree(old)
    assert killed > 8

"""~/venv: what is replaced, what is never touched, and what is there after a setup that died at any line."""

from __future__ import annotations

import re
import shutil
import subprocess
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
    assert done.returncode == 1
    assert thesis.read_text() == "mine"
    assert not box.calls("uv venv")
    assert [line for line in report if line.startswith("error")] == [
        f"error {box.home}/venv is not a virtual environment (no pyvenv.cfg) and was not changed: move it away "
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
    assert done.returncode == 1
    assert "no pyvenv.cfg" in report[-1]
    assert venv.is_symlink() if kind == "link" else venv.read_text() == "mine"


def test_an_empty_folder_becomes_the_venv(box):
    (box.home / "venv").mkdir()
    assert box.step("venv")[0].returncode == 0
    assert not kept(box)


def test_a_venv_whose_python_broke_is_kept_and_that_is_said(box):
    mine = used(box)
    (box.home / "venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    done, report = box.step("venv")
    [old] = kept(box)
    assert done.returncode == 0
    assert (old / "lib" / "mine.py").read_text() == "mine"
    assert not mine.exists()
    assert f"note {box.home}/venv was replaced" in report
    told = f"note a previous environment is kept; delete it with: rm -r {old}"
    assert told in report, "by every setup"
    assert told in box.step("venv")[1], "by every setup"


def test_another_python_keeps_the_venv_before_and_its_notes(box):
    used(box)
    (box.home / "venv" / ".aws-bootstrap").mkdir()
    box.step("venv", PYTHON_VERSION="3.99")
    [old] = kept(box)
    assert whole(old)
    assert (old / ".aws-bootstrap").exists()
    assert not (box.home / "venv" / ".aws-bootstrap").exists()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (r"^uv venv .*venv\.trial$", "is unchanged"),
        (r"^uv venv .*box/venv$", "the previous one was restored"),
        (r"^uv python (find|install)", "could not install Python 3.99"),
    ],
)
def test_an_index_that_fails_leaves_the_venv_as_it_was(box, call, says):
    mine = used(box)
    inode = mine.stat().st_ino
    box.faults((call, 2, "error: Failed to fetch pip"))
    done, report = box.step("venv", PYTHON_VERSION="3.99")
    assert done.returncode == 1, report
    assert says in report[-1], report
    assert mine.stat().st_ino == inode
    assert whole(box.home / "venv")
    assert not kept(box)
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
    assert done.returncode == 0
    assert "fact python 3.12.4" in report
    assert f"note an earlier setup was interrupted while it created {box.home}/venv" in report
    assert f"note a previous environment is kept; delete it with: rm -r {aside}" in report


# --- The parts ---------------------------------------------------------------------------------------------------


def parts(box: FakeBox, code: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run shell code with the functions of the venv and mv and rm noted; it must print no error."""
    for name in ("mv", "rm"):
        box.tool(name, f'exec /usr/bin/{name} "$@"')
    done = box.shell(f"uv=uv; {code}", "lib.sh", "venv.sh", **{"PYTHON_VERSION": "", **more})
    assert done.stderr == ""
    return done


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [("", 0), ("3.12.3", 0), ("3.12", 0), ("3", 0), ("3.1", 1), ("3.13", 1), ("3.12.30", 1), ("3.12.3.1", 1)],
)
def test_the_python_that_was_asked_for_may_be_named_by_its_first_digits(box, wanted, fits):
    code = "venv_python() { echo 3.12.3; }; venv_fits"
    assert parts(box, code, PYTHON_VERSION=wanted).returncode == fits


def test_a_venv_whose_python_does_not_run_fits_nothing(box):
    assert parts(box, "venv_python() { return 1; }; venv_fits").returncode == 1


def test_a_link_to_nowhere_exists_as_a_file_and_a_folder_do(box):
    (box.home / "link").symlink_to("nowhere")
    shown = parts(box, 'for it in link faults standins nothing; do exists "$HOME/$it" && echo "$it"; done; true')
    assert shown.stdout.split() == ["link", "faults", "standins"]


def test_a_name_that_is_taken_gets_a_number(box):
    box.tool("date", "echo 20261001-120000")
    code = 'for _ in 1 2 3; do name=$(free_name); echo "$name"; ln -s nowhere "$name"; done'
    names = [f"{box.home}/venv.old-20261001-120000{suffix}" for suffix in ("", "-1", "-2")]
    assert parts(box, code).stdout.splitlines() == names
    assert set(box.calls("date")) == {"date +%Y%m%d-%H%M%S"}


@pytest.mark.parametrize(
    ("before", "there", "moves", "after"),
    [
        # Nothing was being replaced.
        (None, "venv", [], "venv"),
        # A first one: what was begun is moved away.
        ("", "venv", ["venv KEPT"], "KEPT"),
        ("", "", [], ""),
        # The one before comes back, whether or not another was begun.
        ("before", "before venv", ["venv KEPT", "before venv"], "KEPT venv"),
        ("before", "before", ["before venv"], "venv"),
        # It was moved nowhere yet, or is back.
        ("before", "venv", [], "venv"),
    ],
)
def test_what_a_setup_that_was_cut_short_left_is_put_right(box, before, there, moves, after):
    making, scratch = box.home / "scratch" / "venv.making", box.home / "scratch"
    scratch.mkdir()
    if before is not None:
        making.write_text(f"{box.home}/{before}\n" if before else "\n")
    for name in there.split():
        (box.home / name).mkdir()
        (box.home / name / f"was-{name}").touch()
    box.tool("date", "echo NOW")
    assert parts(box, "recover").returncode == 0

    def paths(words: str) -> str:
        return " ".join(f"{box.home}/{word}".replace("KEPT", "venv.old-NOW") for word in words.split())

    assert box.calls("mv") == [f"mv -T {paths(move)}" for move in moves]
    assert not making.exists()
    assert box.calls("rm") == ([] if before is None else [f"rm -f {making}"])
    assert {str(path) for path in box.home.glob("[vb]e*")} == set(paths(after).split())
    told = [f"note an earlier setup was interrupted while it created {box.home}/venv"]
    assert box.reported() == (told if "venv KEPT" in moves else [])
    if before and "before" in there:
        assert (box.home / "venv" / "was-before").exists()


@pytest.mark.parametrize(("wanted", "options"), [("", ""), ("3.13", "--python 3.13 ")])
def test_a_try_that_failed_leaves_no_folder_behind(box, wanted, options):
    box.tool("uv", 'mkdir -p "${!#}/bin"; exit 2')
    assert parts(box, 'create_venv_at "$HOME/new"', PYTHON_VERSION=wanted).returncode == 1
    assert not (box.home / "new").exists()
    assert box.calls("uv") == [f"uv venv --seed {options}{box.home}/new"]
    box.tool("uv", 'mkdir -p "${!#}/bin"')
    assert parts(box, 'create_venv_at "$HOME/new"', PYTHON_VERSION=wanted).returncode == 0
    assert (box.home / "new" / "bin").exists()


def test_before_a_venv_is_moved_it_is_written_down_where_to(box):
    box.tool("sync", "exit 0")
    parts(box, "begin_making /somewhere")
    making = box.home / "scratch" / "venv.making"
    assert making.read_text() == "/somewhere\n"
    assert (box.home / "scratch" / "jupyter.restart").read_text() == ""
    assert box.calls() == [f"sync {making}.draft", f"mv -T {making}.draft {making}"]


def test_only_what_is_there_is_reported_as_kept(box):
    parts(box, "note_kept")
    assert box.reported() == []
    for name in ("venv.old-1", "venv.old-2", "venv.other"):
        (box.home / name).mkdir()
    parts(box, "note_kept")
    told = "note a previous environment is kept; delete it with: rm -r"
    assert box.reported() == [f"{told} {box.home}/venv.old-{number}" for number in (1, 2)]


MAKES = 'if [[ $1 == venv ]]; then mkdir -p "${!#}"; echo new >"${!#}/pyvenv.cfg"; fi'


def old_venv(box: FakeBox) -> None:
    """Give the box a venv to be replaced, and a trial that another setup left behind."""
    (box.home / "venv").mkdir()
    (box.home / "venv" / "pyvenv.cfg").write_text("old\n")
    (box.home / "scratch" / "venv.trial" / "bin").mkdir(parents=True)
    box.tool("date", "echo NOW")
    box.tool("uv", MAKES)


def test_a_venv_is_tried_elsewhere_then_moved_away_and_made_anew(box):
    old_venv(box)
    assert parts(box, "create_venv").returncode == 0
    venv, scratch = f"{box.home}/venv", f"{box.home}/scratch"
    assert [call for call in box.calls() if not call.startswith("date")] == [
        f"rm -rf {scratch}/venv.trial",
        f"uv venv --seed {scratch}/venv.trial",
        f"rm -rf {scratch}/venv.trial",
        f"mv -T {scratch}/venv.making.draft {scratch}/venv.making",
        f"mv -T {venv} {venv}.old-NOW",
        f"uv venv --seed {venv}",
        f"rm -f {scratch}/venv.making",
    ]
    assert (box.home / "venv" / "pyvenv.cfg").read_text() == "new\n"
    assert (box.home / "venv.old-NOW" / "pyvenv.cfg").read_text() == "old\n"
    assert box.reported() == [f"note {venv} was replaced", "changed"]


@pytest.mark.parametrize(
    ("fails", "tries", "said"),
    [
        ("^uv venv .*trial", 3, "uv could not create a virtual environment: VENV is unchanged"),
        ("^uv venv .*/venv$", 3, "uv could not create VENV: the previous one was restored"),
        ("^mv -T .*old-NOW$", 1, "VENV could not be moved to VENV.old-NOW"),
    ],
)
def test_a_venv_that_cannot_be_replaced_stays(box, fails, tries, said):
    old_venv(box)
    box.faults((fails, 2, ""))
    done = box.home / "venv"
    code = "create_venv 2>/dev/null"
    assert parts(box, code).returncode == 1
    assert box.reported() == [f"error {said.replace('VENV', str(done))}"]
    assert (done / "pyvenv.cfg").read_text() == "old\n"
    assert kept(box) == []
    assert len([call for call in box.calls() if re.search(fails, call)]) == tries
    making = box.home / "scratch" / "venv.making"
    assert not making.exists()
    assert (f"rm -f {making}" in box.calls()) == ("trial" not in fails)
    back = f"mv -T {done}.old-NOW {done}"
    assert (back in box.calls()) == ("was restored" in said)


def test_a_first_venv_is_made_in_its_place(box):
    box.tool("uv", MAKES)
    assert parts(box, "create_venv").returncode == 0
    assert box.reported() == ["changed"]
    making = f"{box.home}/scratch/venv.making"
    assert box.calls("uv") == [f"uv venv --seed {box.home}/venv"]
    assert box.calls("mv") == [f"mv -T {making}.draft {making}"]
    assert box.calls("rm")[-1] == f"rm -f {making}"
    assert (box.home / "scratch" / "jupyter.restart").exists()


def test_a_first_venv_that_cannot_be_made_leaves_nothing(box):
    box.faults(("^uv venv", 2, ""))
    assert parts(box, "create_venv 2>/dev/null").returncode == 1
    assert box.reported() == [f"error uv could not create {box.home}/venv"]
    making = box.home / "scratch" / "venv.making"
    assert box.calls("uv") == [f"uv venv --seed {box.home}/venv"] * 3
    assert box.calls("rm")[-1] == f"rm -f {making}"
    assert not making.exists()
    assert not (box.home / "venv").exists()


@pytest.mark.parametrize(
    ("fails", "calls"),
    [
        ("never", ["find --no-project 3.13"]),
        ("^uv python find", ["find --no-project 3.13", "install 3.13"]),
        ("^uv python", ["find --no-project 3.13", *["install 3.13"] * 3]),
    ],
)
def test_a_python_that_is_not_there_is_installed(box, fails, calls):
    box.tool("uv", MAKES)
    box.faults((fails, 2, ""))
    status = parts(box, "create_venv 2>/dev/null", PYTHON_VERSION="3.13").returncode
    assert box.calls("uv python") == [f"uv python {call}" for call in calls]
    made = [] if fails == "^uv python" else [f"uv venv --seed --python 3.13 {box.home}/venv"]
    assert box.calls("uv venv") == made
    assert (status == 0) == bool(made)
    assert box.reported() == (["changed"] if made else ["error uv could not install Python 3.13"])


# --- uv ----------------------------------------------------------------------------------------------------------

# What astral.sh sends: an installer that notes how it was called.
INSTALLER = """echo "installer, path $UV_NO_MODIFY_PATH" >>~/calls
[ ! -e ~/broken ] || exit 1
[ -e ~/empty ] || { mkdir -p ~/.local/bin; cp ~/uv ~/.local/bin/uv; }"""


@pytest.fixture
def bare(box: FakeBox) -> FakeBox:
    """A box without uv, and an installer of it on the network."""
    (box.bin / "uv").rename(box.home / "uv")
    box.tool("curl", f"cat >\"${{!#}}\" <<'END'\n{INSTALLER}\nEND")
    return box


def test_uv_is_installed_once_by_its_installer_which_was_fetched_whole(bare):
    done, report = bare.step("venv")
    assert done.returncode == 0
    assert report[:2] == ["changed", "changed"]
    assert report[2].startswith("fact python 3.")
    assert bare.calls()[:3] == [
        "curl --proto =https --tlsv1.2 --connect-timeout 20 --max-time 120 -LsSf https://astral.sh/uv/install.sh "
        f"-o {bare.home}/scratch/install-uv.sh",
        "installer, path 1",
        "uv --version",
    ]
    bare.forget_calls()
    assert bare.step("venv")[1] == report[2:]
    assert bare.calls() == ["uv --version"]


@pytest.mark.parametrize(
    ("trouble", "call", "tries", "said"),
    [
        ("", "curl", 4, "https://astral.sh/uv/install.sh does not answer"),
        ("broken", "installer", 3, "uv's installer failed"),
        ("empty", "installer", 1, "uv is still missing after its installer ran"),
    ],
)
def test_a_uv_that_cannot_be_installed_is_tried_again_and_named(bare, trouble, call, tries, said):
    if trouble:
        (bare.home / trouble).touch()
    else:
        bare.faults(("^curl", 28, "curl: (28) timed out"))
    done, report = bare.step("venv")
    errors = [line for line in report if line != "changed"]
    assert (done.returncode, errors, len(bare.calls(call))) == (1, [f"error {said}"], tries)
    assert not (bare.home / "venv").exists()


def test_a_step_that_lacks_what_all_share_ends_there(box):
    said, status = box.step_without_lib("venv")
    assert said.endswith("lib.sh: No such file or directory")
    assert status == "status 1"
    assert box.calls() == []


# --- Killed ------------------------------------------------------------------------------------------------------

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

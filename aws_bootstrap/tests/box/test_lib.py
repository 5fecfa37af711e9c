"""What the steps of the setup share: each function of lib.sh, called as a step calls it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import STRICT_SUDO, FakeBox

# The files of a test, as the code below has them.
FILES = 'T="$HOME/target" S="$HOME/source"; '


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    box = FakeBox(tmp_path / "box")
    box.tool("sudo", STRICT_SUDO)
    return box


def lib(box: FakeBox, code: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run code with lib.sh sourced."""
    return box.shell(FILES + code, "lib.sh", **more)


def quiet(box: FakeBox, code: str, **more: str) -> None:
    """Run code that ends well and has nothing to say."""
    done = lib(box, code, **more)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_where_everything_is_and_how_long_others_are_waited_for(box):
    shown = 'printf "%s\\n" "$VENV" "$VENV_NOTES" "$NSIGHT_SYSTEMS" "$TORCH_WHEELS" "$RETRY_SECONDS" "$RETRY_PAUSE"'
    assert lib(box, shown, SETUP_RETRY_SECONDS="", SETUP_RETRY_PAUSE="").stdout.splitlines() == [
        f"{box.home}/venv",
        f"{box.home}/venv/.aws-bootstrap",
        "/opt/nvidia/nsight-systems",
        "https://download.pytorch.org/whl",
        "300",
        "2",
    ]
    assert (
        lib(box, 'echo "$RETRY_SECONDS $RETRY_PAUSE"', SETUP_RETRY_SECONDS="7", SETUP_RETRY_PAUSE="3").stdout == "7 3\n"
    )


# --- The report --------------------------------------------------------------------------------------------------


def test_each_word_of_a_step_is_one_line_of_its_report(box):
    done = lib(box, "changed; passed; note a b; warn 'two\nlines\n\n'; fact torch '2.0 +cu128'")
    assert box.reported() == ["changed", "passed", "note a b", "warning two lines", "fact torch 2.0 +cu128"]
    assert done.stdout == "note: a b\nwarning: two\nlines\n\n\n"
    assert done.stderr == ""


def test_an_error_ends_the_step(box):
    done = lib(box, "die no such thing; echo after")
    assert (done.returncode, done.stdout, done.stderr) == (1, "error: no such thing\n", "")
    assert box.reported() == ["error no such thing"]


@pytest.mark.parametrize(
    ("log", "more"),
    [
        ("cp: error writing 'x': No space left on device\n", " (the disk is full: No space left on device)"),
        ("cp: error writing 'x': No space, left on device\n", ""),
    ],
)
def test_an_error_of_a_full_disk_says_so(box, log, more):
    (box.home / "log").mkdir()
    (box.home / "log" / "samples.log").write_text(log)
    done = lib(box, 'STATE_DIR="$HOME/state"; die failed', STEP_NAME="samples")
    assert (done.returncode, done.stdout, done.stderr) == (1, f"error: failed{more}\n", "")


def test_an_error_that_cannot_be_reported_is_still_said_and_ends_the_step(box):
    done = lib(box, "STEP_REPORT=/dev/full; die failed; echo after")
    assert done.returncode != 0
    assert done.stdout == "error: failed\n"


# --- Programs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "said"), [(0o755, "system\n"), (0o644, "path\n"), (None, "path\n")])
def test_the_system_s_python_is_used_where_there_is_one(box, mode, said):
    here, script = box.home / "system-python3", box.folder / "setup.d" / "lib.sh"
    script.write_text(script.read_text().replace("/usr/bin/python3", str(here)))
    if mode:
        here.write_text('#!/bin/bash\n[[ "$*" == "-c text" ]] && echo system\n')
        here.chmod(mode)
    box.tool("python3", '[[ "$*" == "-c text" ]] && echo path')
    done = lib(box, "system_python -c text")
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_what_is_looked_for_is_not_run(box):
    box.tool("loud", "echo loud")
    done = lib(box, "have loud && echo yes; have no-such-program || echo no")
    assert (done.stdout, done.stderr, box.calls("loud")) == ("yes\nno\n", "", [])


def test_root_is_never_asked_for_a_password(box):
    assert lib(box, "as_root printf '%s|' a 'b c'").stdout == "a|b c|"
    assert box.calls("sudo") == ["sudo -n printf %s| a b c"]


@pytest.mark.parametrize(
    ("good", "status", "tries", "pauses"),
    [(1, 0, 1, []), (2, 0, 2, [2]), (3, 0, 3, [2, 4]), (4, 9, 3, [2, 4])],
)
def test_a_command_is_tried_again_after_longer_and_longer_pauses(box, good, status, tries, pauses):
    box.tool("sleep", "exit 0")
    box.tool("flaky", f'(( $(grep -c ^flaky "$HOME/calls") >= {good} )) || exit 9')
    done = lib(box, 'status=0; retry 3 flaky a "b c" || status=$?; echo "ended with $status"', SETUP_RETRY_PAUSE="2")
    failures = [f"attempt {number} of 3 failed (status 9): flaky a b c" for number in range(1, min(good, 4))]
    assert done.stdout.splitlines() == [*failures, f"ended with {status}"]
    assert box.calls("flaky") == ["flaky a b c"] * tries
    assert box.calls("sleep") == [f"sleep {pause}" for pause in pauses]


def test_uv_is_its_installer_s_before_the_image_s(box):
    own = box.home / ".local" / "bin" / "uv"
    assert lib(box, "find_uv").stdout == f"{box.bin}/uv\n"
    own.parent.mkdir(parents=True)
    own.touch()
    assert lib(box, "find_uv").stdout == f"{box.bin}/uv\n", "one that cannot be run is none"
    own.chmod(0o755)
    assert lib(box, "find_uv").stdout == f"{own}\n"
    own.unlink()
    (box.bin / "uv").unlink()
    assert lib(box, 'find_uv && echo "found it"', PATH=box.bare_path()).stdout == ""
    assert box.calls() == []


def test_the_newest_nsight_systems_is_found_by_its_version(box):
    for path in ("2024.6.2/bin/nsys", "2024.10.1/bin/nsys", "2024.9.1/bin/nsys", "2025.1.3/host/nsys"):
        (box.home / "ns" / path).parent.mkdir(parents=True)
        (box.home / "ns" / path).touch()
    (box.home / "ns" / "2026.1.1" / "target" / "bin").mkdir(parents=True)
    (box.home / "ns" / "2026.1.1" / "target" / "bin" / "nsys").touch()
    done = lib(box, 'NSIGHT_SYSTEMS="$HOME/ns"; newest_nsys')
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{box.home}/ns/2024.10.1/bin\n", "")


def test_without_nsight_systems_nothing_is_found(box):
    done = lib(box, 'NSIGHT_SYSTEMS="$HOME/ns"; found=$(newest_nsys); echo "found: $found"')
    assert (done.returncode, done.stdout, done.stderr) == (0, "found: \n", "")


# --- Files -------------------------------------------------------------------------------------------------------


ROOT_FILE = 'put_root_file "$HOME/due" "$HOME/etc/x.d/y.conf" <<<'


def test_a_file_of_root_s_is_written_readable_with_the_folders_above_it(box):
    quiet(box, f"{ROOT_FILE}'a line'")
    path = box.home / "etc" / "x.d" / "y.conf"
    assert path.read_text() == "a line\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert box.calls("sudo") == [f"sudo -n install -D -m 0644 {box.home}/scratch/y.conf {path}"]
    assert box.reported() == ["changed"]


def test_what_a_file_of_root_s_asks_for_is_due_until_it_is_done(box):
    due = box.home / "due"
    quiet(box, f"{ROOT_FILE}one")
    quiet(box, f"{ROOT_FILE}one")
    assert due.exists(), "the setup before has not done it"
    assert len(box.calls("sudo")) == 1, "the setup before has not done it"
    due.unlink()
    assert lib(box, f"{ROOT_FILE}one || echo 'as it was'").stdout == "as it was\n"
    assert not due.exists()
    assert len(box.calls("sudo")) == 1
    quiet(box, f"{ROOT_FILE}two")
    assert due.exists()
    assert (box.home / "etc/x.d/y.conf").read_text() == "two\n"


def test_a_setup_that_dies_right_after_a_file_of_root_s_leaves_it_due(box):
    box.tool("install", '/usr/bin/install "$@"; kill -9 $PPID')
    assert lib(box, f"if {ROOT_FILE}one; then true; fi").returncode == -9
    assert (box.home / "etc/x.d/y.conf").exists()
    assert (box.home / "due").exists()


@pytest.mark.parametrize(
    ("mark", "path", "named"),
    [("$HOME/due", "/nowhere/y", "/nowhere/y"), ("/nowhere/due", "y", "/nowhere/due")],
)
def test_a_file_of_root_s_that_cannot_be_written_is_an_error(box, mark, path, named):
    box.faults(("install", 1, "read-only file system"))
    done = lib(box, f'if put_root_file "{mark}" "{path}" <<<x; then echo written; fi; echo after')
    assert done.returncode == 1
    assert done.stdout == f"error: {named} could not be written\n"
    assert box.reported() == [f"error {named} could not be written"]


def test_a_checksum_is_a_word_without_an_end_of_line(box):
    (box.home / "target").touch()
    assert lib(box, 'checksum "$T"').stdout == "4294967295 0"


def test_the_version_of_the_venv_s_python(box):
    assert lib(box, "venv_python").returncode != 0
    (box.home / "venv" / "bin").mkdir(parents=True)
    (box.home / "venv" / "bin" / "python").symlink_to(sys.executable)
    done = lib(box, "venv_python")
    assert (done.stdout, done.stderr) == (f"{platform.python_version()}\n", "")


def test_a_file_of_the_setup_s_own_is_replaced_in_one_move(box):
    box.tool("mv", 'cat "$HOME/target" >"$HOME/before-the-move" 2>/dev/null; exec /bin/mv "$@"')
    target = box.home / "target"
    quiet(box, 'replace_own_file "$T" <<<first')
    assert target.read_text() == "first\n"
    assert box.reported() == ["changed"]
    quiet(box, 'replace_own_file "$T" <<<first')
    assert box.reported() == ["changed"]
    quiet(box, 'replace_own_file "$T" <<<second')
    assert target.read_text() == "second\n"
    assert box.reported() == ["changed", "changed"]
    assert (box.home / "before-the-move").read_text() == "first\n"
    assert box.calls("mv") == [f"mv -T {target}.draft {target}"] * 2
    assert not (box.home / "target.draft").exists()


def test_a_folder_in_the_place_of_a_file_of_the_setup_s_own_is_not_filled(box):
    (box.home / "target").mkdir()
    assert lib(box, 'replace_own_file "$T" <<<text').returncode != 0
    assert not list((box.home / "target").iterdir())
    assert box.reported() == []


@pytest.mark.parametrize(
    ("target", "stamp", "ours"),
    [
        ("file", "\n1 1\n4294967295 0", True),
        ("file", "\n4294967295 0\n1 1", True),
        ("file", "\n1 1", False),
        ("file", "\n14294967295 0", False),
        ("file", "\n", False),
        ("file", None, False),
        ("link", "\n4294967295 0", False),
        ("link", None, False),
    ],
)
def test_a_file_is_unmodified_if_it_is_as_any_setup_left_it(box, target, stamp, ours):
    (box.home / "file").touch()
    (box.home / "link").symlink_to("file")
    if stamp:
        (box.home / "stamp").write_text(stamp)
    done = lib(box, f'if is_unmodified "$HOME/{target}" "$HOME/stamp"; then echo ours; fi')
    assert (done.returncode, done.stdout, done.stderr) == (0, "ours\n" if ours else "", "")


def deploy(box: FakeBox, text: str | None = None, target: str = "target") -> str:
    """Deploy a file with this text; what is said."""
    if text is not None:
        (box.home / "source").write_text(text)
    done = lib(box, f'deploy "$S" "$HOME/{target}"')
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_file_for_the_user_is_copied_once_and_again_when_the_setup_has_a_newer_one(box):
    box.tool("mv", 'exec /bin/mv "$@"')
    target, stamp = box.home / "a" / "b" / "target", box.home / "scratch" / "deployed-target"
    assert deploy(box, "", "a/b/target") == ""
    assert target.read_text() == ""
    assert box.reported() == ["changed"]
    assert stamp.read_text() == "\n4294967295 0"
    assert deploy(box, None, "a/b/target") == ""
    assert box.reported() == ["changed"]
    assert stamp.read_text() == "\n4294967295 0", "a version that is known is not noted again"
    assert deploy(box, "newer", "a/b/target") == ""
    assert box.reported() == ["changed", "changed"]
    assert target.read_text() == "newer"
    assert len(stamp.read_text().splitlines()) == 3
    assert box.calls("mv") == [f"mv -T {target}.aws-bootstrap-draft {target}"] * 2
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_file_that_the_user_changed_is_kept_and_one_that_he_removed_comes_again(box):
    target = box.home / "target"
    deploy(box, "ours")
    target.write_text("his")
    for _ in range(2):
        assert deploy(box, "newer") == "note: kept your own target\n"
        assert target.read_text() == "his"
    assert box.reported() == ["changed", "note kept your own target", "note kept your own target"]
    target.unlink()
    assert deploy(box) == ""
    assert target.read_text() == "newer"


def test_a_file_of_the_user_s_that_is_the_same_becomes_ours(box):
    (box.home / "target").write_text("same")
    assert deploy(box, "same") == ""
    assert box.reported() == []
    assert deploy(box, "newer") == ""
    assert (box.home / "target").read_text() == "newer"


@pytest.mark.parametrize("leads_to", ["elsewhere", "file"])
def test_a_link_of_the_user_s_is_kept(box, leads_to):
    (box.home / "file").write_text("his")
    (box.home / "target").symlink_to(leads_to)
    assert deploy(box, "ours") == "note: kept your own target\n"
    assert (box.home / "target").is_symlink()
    assert (box.home / "file").read_text() == "his"


def test_a_folder_in_the_place_of_a_file_for_the_user_is_an_error(box):
    (box.home / "target").mkdir()
    done = lib(box, 'touch "$S"; deploy "$S" "$T"')
    said = f"{box.home}/target is a folder: move it away and run the setup again"
    assert (done.returncode, done.stdout, done.stderr) == (1, f"error: {said}\n", "")
    assert box.reported() == [f"error {said}"]
    assert not list((box.home / "target").iterdir())


def test_a_file_for_the_user_is_never_half_written(box):
    deploy(box, "first")
    box.tool("cp", 'printf half >"${!#}"; exit 1')
    assert lib(box, 'echo newer >"$S"; deploy "$S" "$T"').returncode == 1
    assert (box.home / "target").read_text() == "first"
    assert box.reported() == ["changed"]


# --- Packages into the venv --------------------------------------------------------------------------------------

# Notes whether the mark of an unfinished install is there while it runs.
MARKING_UV = '[[ ! -e $HOME/venv/.aws-bootstrap/x.installing ]] || echo marked >>"$HOME/calls"; exit "${UV_STATUS:-0}"'


def test_packages_are_installed_into_the_venv_and_marked_until_they_are_whole(box):
    box.tool("uv", MARKING_UV)
    call = f"uv pip install --python {box.home}/venv/bin/python"
    for _ in range(2):
        quiet(box, 'uv_install x -r "a list" numpy')
        assert box.calls() == [f"{call} -r a list numpy", "marked"]
        assert not list((box.home / "venv" / ".aws-bootstrap").iterdir())
        box.forget_calls()


def test_an_install_that_fails_is_tried_thrice_and_reinstalls_the_next_time(box):
    box.tool("uv", MARKING_UV)
    call = f"uv pip install --python {box.home}/venv/bin/python"
    done = lib(box, "uv_install x numpy || echo status $?", UV_STATUS="1")
    assert done.stdout.splitlines()[-1] == "status 1"
    assert done.stderr == ""
    assert box.calls() == [f"{call} numpy", "marked"] * 3
    assert (box.home / "venv" / ".aws-bootstrap" / "x.installing").exists()
    box.forget_calls()
    quiet(box, "uv_install y numpy; uv_install x numpy; uv_install x numpy")
    assert box.calls("uv") == [f"{call} numpy", f"{call} --reinstall numpy", f"{call} numpy"]


def test_a_venv_that_is_replaced_while_packages_are_installed_is_no_failure(box):
    box.tool("uv", 'rm -r "$HOME/venv"')
    quiet(box, "uv_install x numpy")


def test_without_uv_there_is_no_install(box):
    (box.bin / "uv").unlink()
    done = lib(box, "uv_install x numpy || true; echo after", PATH=box.bare_path())
    assert (done.returncode, done.stdout, done.stderr) == (1, "error: uv is not installed\n", "")
    assert not (box.home / "venv").exists()

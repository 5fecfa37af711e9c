"""~/.bashrc and its like: our block goes in, and every other byte stays, whatever the file looks like."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aws_bootstrap.resources.put_block import BrokenBlock, put_block, without_block
from aws_bootstrap.tests.box.standins import RESOURCES, FakeBox

FIRST, LAST = b"# >>> aws-bootstrap >>>", b"# <<< aws-bootstrap <<<"
BLOCK = FIRST + b"\nexport OURS=1\n" + LAST + b"\n"
OLD_BLOCK = FIRST + b"\r\nexport OLD=1\r\n" + LAST + b"\r\n"

# Pieces of which files are made: marks whole and spoilt, line ends of all kinds, NULs, bytes that are no UTF-8.
PIECES = [FIRST, LAST, FIRST + b"\n", LAST + b"\n", BLOCK, OLD_BLOCK, b"\n", b"\r\n", b"\r", b"\0", b"\xff\xfe", b" "]
PIECES += [b"alias mine=yes\n", b"# >>> conda initialize >>>\n", b"#", b"'", b"\x85", "\u2028é\n".encode()]
FILES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=12).map(b"".join)


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(tmp_path / "box")


def marks(content: bytes) -> list[bytes]:
    """Return the marks of a file in their order, found in another way than the program finds them."""
    return [
        found[1] for found in re.finditer(rb"(?<![^\n])(# (?:>>>|<<<) aws-bootstrap (?:>>>|<<<))\r?(?![^\n])", content)
    ]


def is_sound(content: bytes) -> bool:
    """Whether every block of ours that begins also ends."""
    found = [mark for mark in marks(content) if mark in (FIRST, LAST)]
    return found == [FIRST, LAST] * (len(found) // 2)


def outside(content: bytes) -> bytes:
    """Return a sound file's bytes outside its blocks."""
    whole = rb"(?<![^\n])# >>> aws-bootstrap >>>\r?\n(?:[^\n]*\n)*?# <<< aws-bootstrap <<<\r?(?:\n|\Z)"
    return re.sub(whole, b"", content)


@given(FILES)
@settings(max_examples=400, deadline=None)
def test_every_byte_outside_a_block_is_kept_and_a_broken_block_is_none(content):
    if is_sound(content):
        assert without_block(content) == outside(content)
        assert without_block(BLOCK + without_block(content)) == without_block(content)
    else:
        with pytest.raises(BrokenBlock, match=r" line \d+ "):
            without_block(content)


@given(FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_is_replaced_whole_and_a_copy_is_kept_once(tmp_path, content):
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    rc, copy = folder / ".bashrc", folder / ".bashrc.before-aws-bootstrap"
    copy.unlink(missing_ok=True)
    rc.write_bytes(content)
    rc.chmod(0o640)
    if not is_sound(content):
        with pytest.raises(BrokenBlock):
            put_block(rc, BLOCK)
        assert rc.read_bytes() == content
        assert os.listdir(folder) == [".bashrc"]
        return
    changed = put_block(rc, BLOCK)
    assert rc.read_bytes() == BLOCK + outside(content)
    assert rc.stat().st_mode & 0o777 == 0o640
    assert changed == (rc.read_bytes() != content)
    assert put_block(rc, BLOCK) is False, "a second run changes nothing"
    assert put_block(rc, BLOCK.replace(b"1", b"2")) is True
    # What was there before the first change, not before the last one.
    assert copy.read_bytes() == (content if changed else BLOCK + outside(content))
    assert copy.stat().st_mode & 0o777 == 0o640
    assert len(os.listdir(folder)) == 2


# Runs 60-shell.sh twice for each home, in one bash; what it reports lands in HOME/report.
EACH_HOME = """
for home in "$@"; do
  for run in 1 2; do
    ( export HOME=$home STEP_REPORT=$home/report.$run; source "$SETUP_DIR/setup.d/60-shell.sh" ) >"$home/said" 2>&1 ||
      echo "status $?" >>"$home/report.$run"
  done
done
"""


@given(st.lists(FILES, min_size=8, max_size=8))
@settings(max_examples=2, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_the_step_itself_over_arbitrary_files(tmp_path_factory, contents):
    box = FakeBox(tmp_path_factory.mktemp("homes") / "box")
    homes = []
    for number, content in enumerate(contents):
        home = box.home / f"home{number}"
        (home / ".aws-bootstrap").mkdir(parents=True)
        (home / ".bashrc").write_bytes(content)
        homes.append(home)
    folders = {"SETUP_DIR": str(box.folder), "STATE_DIR": str(box.home), "STEP_TMP": str(box.home)}
    command = ["bash", "-c", EACH_HOME, "-", *map(str, homes)]
    subprocess.run(command, env=box.environment(**folders), check=True)
    for home, content in zip(homes, contents, strict=True):
        after = (home / ".bashrc").read_bytes()
        first, second = (home / "report.1").read_text(), (home / "report.2")
        if is_sound(content):
            assert after.endswith(outside(content))
            assert after.count(FIRST) == 1 + outside(content).count(FIRST)
            assert "warning" not in first
            assert not second.exists()
        else:
            assert after == content
            assert "warning" in first
            assert "warning" in second.read_text()


# --- The step on one box -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mark", "says"), [(LAST, "has no last line"), (FIRST, "has no first line")])
def test_a_block_that_lost_a_mark_is_left_alone_and_that_is_said(box, mark, says):
    rc = box.home / ".bashrc"
    rc.write_bytes(b"alias before=1\n")
    box.step("shell")
    rc.write_bytes(rc.read_bytes().replace(mark + b"\n", b"") + b"alias mine=yes\n" * 100)
    spoilt = rc.read_bytes()
    done, report = box.step("shell")
    assert done.returncode == 0
    assert rc.read_bytes() == spoilt
    assert [line for line in report if line.startswith("warning")] == report
    assert f"{rc} was not changed: the block of aws-bootstrap " in report[0]
    assert says in report[0]


def test_a_link_stays_a_link_and_what_it_leads_to_is_changed(box):
    dotfiles = box.home / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "bashrc").write_text("alias mine=yes\n")
    (dotfiles / "bashrc").chmod(0o600)
    (box.home / ".bashrc").symlink_to("dotfiles/bashrc")
    box.step("shell")
    assert os.readlink(box.home / ".bashrc") == "dotfiles/bashrc"
    text = (dotfiles / "bashrc").read_text()
    assert text.startswith(FIRST.decode())
    assert text.endswith("alias mine=yes\n")
    assert (dotfiles / "bashrc").stat().st_mode & 0o777 == 0o600
    assert os.listdir(dotfiles) == ["bashrc"]
    assert (box.home / ".bashrc.before-aws-bootstrap").read_text() == "alias mine=yes\n"


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_file_fails_at_once(box, kind):
    if kind == "fifo":
        os.mkfifo(box.home / ".bashrc")
    else:
        (box.home / ".bashrc").mkdir()
    done, report = box.step("shell")
    assert done.returncode == 1
    assert "is not a file: move it away" in report[-1]


# Run with files of no more than nothing, which is as a disk that is full: writing fails, and a draft can be made.
FULL = "trap '' XFSZ; ulimit -f 0; exec \"$@\""


def test_a_full_disk_is_named_and_the_file_stays(box, tmp_path):
    rc = box.home / ".bashrc"
    rc.write_text("alias mine=yes\n")
    command = ["bash", "-c", FULL, "-", sys.executable, str(RESOURCES / "put_block.py"), str(rc)]
    done = subprocess.run(command, input=BLOCK, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stdout.decode() == f"{rc} could not be written: File too large\n"
    assert rc.read_text() == "alias mine=yes\n"
    assert not list(box.home.glob(".bashrc*draft"))


def test_the_variables_of_the_user_are_left_alone(box):
    (box.home / ".bashrc").write_text('echo "$folder"\n')
    box.step("shell")
    shown = box.shell("source ~/.bashrc; compgen -v | grep aws_bootstrap || echo none", folder="mine")
    assert shown.stdout == "mine\nnone\n"
    assert shown.stderr == ""


def test_a_step_that_lacks_what_all_share_ends_there(box):
    said, status = box.step_without_lib("shell")
    assert said.endswith("lib.sh: No such file or directory")
    assert status == "status 1"
    assert box.calls() == []
    assert not (box.home / ".bashrc").exists()


# --- What a shell has of it --------------------------------------------------------------------------------------


def started(box: FakeBox, code: str, **more: str) -> str:
    """What bash prints that read the box's .bashrc first; nothing else may be printed."""
    command = ["bash", "-c", f"source ~/.bashrc; {code}"]
    done = subprocess.run(command, env=box.environment(**more), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def test_a_shell_has_the_folders_that_are_there_once_each_on_its_path(box):
    nsys = box.home / "ns" / "2025.1.1" / "bin"
    for folder in (nsys, box.home / ".local" / "bin"):
        folder.mkdir(parents=True)
    (nsys / "nsys").touch()
    library = box.folder / "setup.d" / "lib.sh"
    library.write_text(library.read_text() + f"NSIGHT_SYSTEMS={box.home}/ns\n")
    assert box.step("shell")[0].returncode == 0
    # On this machine there may be a toolkit.
    cuda = ["/usr/local/cuda/bin"] * os.path.isdir("/usr/local/cuda/bin")
    path = started(box, 'echo "$PATH"; source ~/.bashrc; echo "$PATH"').splitlines()
    wanted = [str(nsys), *cuda, f"{box.home}/.local/bin", str(box.bin), "/usr/bin", "/bin"]
    assert path == [":".join(wanted)] * 2
    nsys.rename(nsys.parent / "gone")
    assert started(box, 'echo "$PATH"') == ":".join(wanted[1:]) + "\n"


def test_a_shell_has_the_venv_and_the_caches_where_there_are_any(box):
    box.step("shell")
    assert (box.home / ".aws-bootstrap" / "caches.sh").read_bytes() == (RESOURCES / "caches.sh").read_bytes()
    (box.home / ".aws-bootstrap" / "caches.sh").write_text("echo caches\n")
    assert started(box, "echo then") == "caches\nthen\n"
    (box.home / "venv" / "bin").mkdir(parents=True)
    (box.home / "venv" / "bin" / "activate").write_text("echo venv\n")
    (box.home / ".aws-bootstrap" / "caches.sh").unlink()
    assert started(box, "echo then") == "venv\nthen\n"


# --- Other shells ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "file"), [("/usr/bin/zsh", ".zshrc"), ("/bin/bash", ".zshrc"), ("/usr/bin/zsh", "x")]
)
def test_zsh_finds_the_venv_where_it_is_used(box, shell, file):
    (box.home / file).touch()
    (box.home / ".zshenv").write_text("export MINE=1")
    box.step("shell", SHELL=shell)
    # The text is bash's, too.
    assert (box.home / ".zshenv").read_text() == (box.home / ".bashrc").read_text() + "export MINE=1"
    assert box.step("shell", SHELL=shell)[1] == []


def test_fish_finds_the_venv_where_it_is_used(box):
    box.step("shell", SHELL="/usr/bin/fish")
    config = box.home / ".config" / "fish" / "conf.d" / "aws-bootstrap.fish"
    assert "source ~/venv/bin/activate.fish" in config.read_text()
    for cache in ("HF_HOME $_aws_bootstrap_folder/.cache/huggingface", "UV_CACHE_DIR $_aws_bootstrap_folder/.cache/uv"):
        assert f"set -gx {cache}\n" in config.read_text()
    assert "set -gx PIP_CACHE_DIR $_aws_bootstrap_folder/.cache/pip\n" in config.read_text()
    assert not (box.home / ".zshenv").exists()
    assert box.step("shell", SHELL="/usr/bin/fish")[1] == []
    config.write_text("# mine")
    box.step("shell")
    assert config.read_text() == "# mine"


FISH = """\
for _aws_bootstrap_folder in $HOME/.local/bin /usr/local/cuda/bin NSYS
    if test -d $_aws_bootstrap_folder; and not contains -- $_aws_bootstrap_folder $PATH
        set -gx PATH $_aws_bootstrap_folder $PATH
    end
end
for _aws_bootstrap_folder in /data /opt/dlami/nvme
    if grep -qs " $_aws_bootstrap_folder " /proc/mounts; and test -w $_aws_bootstrap_folder
        set -q HF_HOME; or set -gx HF_HOME $_aws_bootstrap_folder/.cache/huggingface
        set -q PIP_CACHE_DIR; or set -gx PIP_CACHE_DIR $_aws_bootstrap_folder/.cache/pip
        if not set -q UV_CACHE_DIR
            set -gx UV_CACHE_DIR $_aws_bootstrap_folder/.cache/uv
            set -q UV_LINK_MODE; or set -gx UV_LINK_MODE copy
        end
        break
    end
end
set -e _aws_bootstrap_folder
if test -f ~/venv/bin/activate.fish
    source ~/venv/bin/activate.fish
end
"""


def test_what_fish_reads_is_the_text_that_was_tried_in_a_real_one(box):
    """By .ci/box; this machine may have no fish."""
    box.step("shell", SHELL="/usr/bin/fish")
    config = box.home / ".config" / "fish" / "conf.d" / "aws-bootstrap.fish"
    assert config.read_text() == FISH.replace("NSYS", box.shell("newest_nsys", "lib.sh").stdout.strip())


@pytest.mark.parametrize(
    ("shell", "there", "made"),
    [
        ("bash", "", ""),
        ("zsh", "", "zsh"),
        ("bash", ".zshrc", "zsh"),
        ("bash", ".zshenv", "zsh"),
        ("fish", "", "fish"),
        ("zsh", ".config/fish/config.fish", "zsh fish"),
        ("bash", ".config/other/file", ""),
    ],
)
def test_files_are_made_for_the_shells_that_the_user_has(box, shell, there, made):
    if there:
        (box.home / there).parent.mkdir(parents=True, exist_ok=True)
        (box.home / there).touch()
    done, report = box.step("shell", SHELL=f"/usr/bin/{shell}")
    zshenv, fish = box.home / ".zshenv", box.home / ".config" / "fish" / "conf.d" / "aws-bootstrap.fish"
    assert (zshenv.exists() and zshenv.stat().st_size > 0) == ("zsh" in made)
    assert fish.exists() == ("fish" in made)
    # The caches, .bashrc, and these.
    assert done.returncode == 0
    assert report == ["changed"] * (2 + len(made.split()))


def test_another_login_shell_is_reported_where_python_is(box):
    assert (
        "warning your login shell, tcsh, does not activate ~/venv: use ~/venv/bin/python"
        in (box.step("shell", SHELL="/bin/tcsh")[1])
    )


# --- Caches ------------------------------------------------------------------------------------------------------


def caches(box: FakeBox, mounts: list[str], **environment: str) -> list[str]:
    """Source caches.sh on a box with these mounts under its home; what is set then."""
    text = (RESOURCES / "caches.sh").read_text()
    text = text.replace("/proc/mounts", f"{box.home}/mounts").replace("/data", f"{box.home}/data")
    text = text.replace("/opt/dlami/nvme", f"{box.home}/nvme")
    for name in ("data", "nvme"):
        (box.home / name).mkdir(exist_ok=True)
    (box.home / "mounts").write_text("".join(f"/dev/x {box.home}/{name} ext4 rw 0 0\n" for name in mounts))
    (box.home / "caches.sh").write_text(text)
    code = "unset SETUP_DIR STATE_DIR; source ~/caches.sh; env | grep -E '^(HF_|UV_|PIP_|_aws)' | sort || true"
    shown = box.shell(code, **environment)
    assert shown.stderr == ""
    return shown.stdout.replace(str(box.home), "").splitlines()


def test_caches_go_to_the_data_volume_where_one_is_mounted(box):
    wanted = ["HF_HOME=/F/.cache/huggingface", "PIP_CACHE_DIR=/F/.cache/pip", "UV_CACHE_DIR=/F/.cache/uv"]
    wanted.append("UV_LINK_MODE=copy")
    assert caches(box, []) == []
    assert caches(box, ["nvme", "data"]) == [line.replace("/F", "/data") for line in wanted]
    assert caches(box, ["nvme"]) == [line.replace("/F", "/nvme") for line in wanted]


def test_what_the_user_set_stays(box):
    shown = caches(box, ["data"], HF_HOME="/mine", UV_CACHE_DIR="/own", PIP_CACHE_DIR="/pip")
    assert shown == ["HF_HOME=/mine", "PIP_CACHE_DIR=/pip", "UV_CACHE_DIR=/own"]

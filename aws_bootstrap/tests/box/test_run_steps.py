"""The program that runs the setup's steps: what it leaves behind, and what it says where it cannot even begin."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import FakeBox

MARK = "@report"
HOUR = 3600


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    """A box that knows one short step."""
    box = FakeBox(tmp_path / "box")
    box.keep("samples")
    return box


def ours(box: FakeBox) -> Path:
    return box.home / ".aws-bootstrap"


def until(condition, seconds: float = 20):
    """Poll until the condition holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "never came to be"
        time.sleep(0.02)


def begin(box: FakeBox, folder: Path | None = None, before: str = "") -> subprocess.Popen[str]:
    """Start the setup whose files lie in the folder, after some shell code, as the client does."""
    return subprocess.Popen(
        ["bash", "-c", f"{before} exec bash ./remote_setup.sh"],
        cwd=folder or box.folder,
        env=box.environment(SETUP_REPORT=MARK),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def report_of(process: subprocess.Popen[str]) -> tuple[str, dict]:
    """Wait for the end; what was said before the report, and the report."""
    said, _ = process.communicate(timeout=60)
    before, _, report = said.partition(f"{MARK}\n")
    assert "Traceback" not in said, said
    return before, json.loads(report)


def uploaded(box: FakeBox, name: str) -> Path:
    """A second upload, beside the first."""
    return Path(shutil.copytree(box.folder, ours(box) / name))


def hang(box: FakeBox, folder: Path) -> Path:
    """Let the step wait until the file returned is removed."""
    step = folder / "setup.d" / "70-samples.sh"
    flag = box.home / "hanging"
    step.write_text(step.read_text() + f'\ntouch "{flag}"\nwhile [[ -e {flag} ]]; do sleep 0.05; done\n')
    return flag


def test_the_report_is_printed_for_the_program_that_asks_for_it(box):
    before, report = report_of(begin(box))
    assert report == box.state()
    assert report["outcome"] == "completed"
    assert "Benchmark and notebook: done" in before


def test_the_folder_of_the_setup_is_made_private_again(box):
    ours(box).chmod(0o755)
    report_of(begin(box))
    assert ours(box).stat().st_mode & 0o777 == 0o700


def test_no_step_reads_what_bash_env_names(box):
    (box.home / "rc").write_text("set -u\necho ran >>~/rc-ran\n")
    (box.folder / "setup.d" / "70-samples.sh").write_text("echo note ${BASH_ENV:-none} >>$STEP_REPORT\n")
    _, report = report_of(begin(box, before=f"export BASH_ENV={box.home}/rc;"))
    assert report["steps"][0]["message"] == "none"


def test_a_closed_lid_does_not_end_the_setup(box):
    flag = hang(box, box.folder)
    process = begin(box)
    until(flag.exists)
    process.send_signal(signal.SIGHUP)
    flag.unlink()
    assert report_of(process)[1]["outcome"] == "completed"


def test_an_upload_takes_the_place_of_the_last_one_and_of_what_was_left_in_it(box):
    (box.folder / "setup.d" / "66-old.sh").write_text("# title: Old\ntouch ~/old-ran\n")
    (box.folder / "user-setup-script").write_text("touch ~/script-ran\nexit 1\n")
    new = uploaded(box, "setup.new.abc123")
    (new / "setup.d" / "66-old.sh").unlink()
    (new / "user-setup-script").unlink()
    for left in ("step.killed", "setup.old", "setup.new.killed", "setup.new.waits"):
        (ours(box) / left / "inside").mkdir(parents=True)
    long_ago = time.time() - 3 * HOUR
    os.utime(ours(box) / "setup.new.killed", (long_ago, long_ago))
    (ours(box) / "jupyter.env").write_text("mine")
    _, report = report_of(begin(box, new))
    assert [step["name"] for step in report["steps"]] == ["samples"]
    assert not list(box.home.glob("*-ran"))
    kept = {path.name for path in ours(box).iterdir()}
    assert kept == {"setup", "setup.new.waits", "jupyter.env", "setup.json", "setup.lock", "setup.log", "log", "state"}


def test_an_upload_waits_until_a_running_setup_needs_its_files_no_more(box):
    flag = hang(box, box.folder)
    step = box.folder / "setup.d" / "70-samples.sh"
    step.write_text(step.read_text() + 'cp "$SETUP_DIR/saxpy.cu" ~/first-ended\n')
    new = uploaded(box, "setup.new.second")
    (new / "setup.d" / "70-samples.sh").write_text("# title: Second\ntouch ~/second-ran\n")
    first = begin(box)
    until(flag.exists)
    second = begin(box, new)
    assert second.stdout
    assert "another setup is running" in second.stdout.readline()
    assert new.exists()
    assert step.exists()
    flag.unlink()
    assert report_of(first)[1]["outcome"] == "completed"
    assert (box.home / "first-ended").exists()
    assert report_of(second)[1]["outcome"] == "completed"
    assert (box.home / "second-ran").exists()
    assert not new.exists()
    assert "Second" in step.read_text()


def test_a_second_setup_that_waited_too_long_says_so_and_leaves_the_first_one_alone(box):
    flag = hang(box, box.folder)
    first = begin(box)
    until(flag.exists)
    _, report = report_of(begin(box, before="export SETUP_LOCK_TIMEOUT=0;"))
    assert (report["failed_step"], report["outcome"]) == ("start", "failed")
    assert "another setup is still running" in report["steps"][0]["message"]
    assert box.state()["outcome"] == "running"
    flag.unlink()
    assert report_of(first)[1]["outcome"] == "completed"


def test_a_disk_without_room_is_reported_in_one_sentence(box):
    """A file may not become longer than nothing: the kernel refuses each write, as it does on a full disk."""
    (ours(box) / "setup.json").write_text('{"outcome": "completed"}')
    before, report = report_of(begin(box, before="ulimit -f 0;"))
    assert report["outcome"] == "failed"
    assert report["failed_step"] == "samples"
    record = report["steps"][-1]
    assert record["name"] == "record"
    assert "setup.json.new: File too large" in record["message"]
    assert f"    Record of the setup: FAILED: {record['message']}\n" in before
    assert not (ours(box) / "setup.json").exists(), "it would tell of an older run"


def test_a_setup_json_that_cannot_be_written_fails_the_setup_by_name(box):
    (ours(box) / "setup.json" / "in the way").mkdir(parents=True)
    process = begin(box)
    _, report = report_of(process)
    assert process.returncode == 1
    assert report["failed_step"] == "record"
    assert [step["outcome"] for step in report["steps"]] == ["ok", "failed"]


@pytest.mark.parametrize("name", ["setup.lock", "state/file", "log/file"])
def test_a_setup_that_cannot_begin_says_why(box, name):
    path = ours(box) / name
    if name == "setup.lock":
        path.mkdir()
    else:
        path.parent.write_text("a file in the place of a folder")
    process = begin(box)
    before, report = report_of(process)
    assert process.returncode == 1
    assert report["failed_step"] == "start"
    place = path if name == "setup.lock" else path.parent
    assert report["steps"][0]["message"].startswith(f"{place}: ")
    assert re.fullmatch(r"    Start of the setup: FAILED: .*\n", before)


# --- what the user asked for ------------------------------------------------------------------------------------------


def told(box: FakeBox, folder: Path, text: str | None) -> str:
    """The Python version that a step is told, where the upload has these settings."""
    step = folder / "setup.d" / "70-samples.sh"
    step.write_text("# title: Version\necho note ${PYTHON_VERSION:-any} >>$STEP_REPORT\n")
    if text is not None:
        (folder / "settings.json").write_text(text)
    _, report = report_of(begin(box, folder))
    return report["steps"][0]["message"]


def test_a_box_keeps_what_was_asked_for(box):
    assert told(box, uploaded(box, "setup.new.first"), '{"python_version": "3.13"}') == "3.13"
    assert told(box, uploaded(box, "setup.new.second"), "{}") == "3.13"
    assert told(box, uploaded(box, "setup.new.third"), None) == "3.13", "an upload of an older version"
    assert told(box, uploaded(box, "setup.new.fourth"), '{"python_version": "3.12"}') == "3.12"
    kept = ours(box) / "settings.json"
    assert json.loads(kept.read_text()) == {"python_version": "3.12"}
    kept.write_text('{"python_version": "3.12", "of_a_newer_version": "yes", "number": 7}')
    assert told(box, uploaded(box, "setup.new.fifth"), '{"python_version": "3.11"}') == "3.11"
    assert json.loads(kept.read_text()) == {"python_version": "3.11", "of_a_newer_version": "yes"}


@pytest.mark.parametrize("broken", ["", "[1]", '{"python_version": ["3.13"]}', "{"])
def test_settings_that_make_no_sense_ask_for_nothing(box, broken):
    (ours(box) / "settings.json").write_text(broken)
    assert told(box, uploaded(box, "setup.new.one"), None) == "any"
    assert told(box, uploaded(box, "setup.new.two"), '{"python_version": "3.13"}') == "3.13"
    assert json.loads((ours(box) / "settings.json").read_text()) == {"python_version": "3.13"}


def test_a_version_that_is_given_by_hand_stands_for_this_time(box):
    (ours(box) / "settings.json").write_text('{"python_version": "3.13"}')
    (box.folder / "setup.d" / "70-samples.sh").write_text("echo note ${PYTHON_VERSION:-any} >>$STEP_REPORT\n")
    _, report = report_of(begin(box, before="export PYTHON_VERSION=3.12;"))
    assert report["steps"][0]["message"] == "3.12"
    assert json.loads((ours(box) / "settings.json").read_text()) == {"python_version": "3.13"}


# --- steps that the box is as good without --------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "program"), [("more-packages", "uv"), ("tools", "sudo")])
def test_a_slow_mirror_fails_no_setup_by_what_is_optional(tmp_path, step, program):
    """The step is stopped at its limit, which is told as a warning; the user's script runs all the same."""
    box = FakeBox(tmp_path / "box")
    box.keep(step, "setup-script")
    (box.folder / "user-setup-script").write_text("touch ~/script-ran\n")
    [script] = (box.folder / "setup.d").glob(f"*-{step}.sh")
    text, changes = re.subn(r"^# limit: \d+$", "# limit: 1", script.read_text(), flags=re.MULTILINE)
    assert changes == 1
    script.write_text(text)
    (box.home / "venv" / "bin").mkdir(parents=True)
    (box.home / "venv" / "bin" / "python").symlink_to("/usr/bin/python3")
    box.tool(program, "sleep 60")
    done = box.setup()
    assert done.returncode == 0, done.stdout
    assert box.outcomes() == {step: "warning", "setup-script": "ok"}
    assert (box.home / "script-ran").exists()
    assert ": WARNING: stopped: not finished after 1 s; the next setup tries again; log: " in done.stdout
    assert (box.state()["outcome"], box.state()["failed_step"]) == ("completed", None)


def test_an_optional_step_that_fails_is_a_warning_with_its_own_words(box):
    step = box.folder / "setup.d" / "70-samples.sh"
    step.write_text("# title: Extras\n# optional: yes\necho error no room >>$STEP_REPORT\nexit 3\n")
    _, report = report_of(begin(box))
    assert (report["outcome"], report["failed_step"]) == ("completed", None)
    assert report["steps"][0]["outcome"] == "warning"
    assert report["steps"][0]["message"].startswith("no room; the next ")


def test_an_optional_step_that_is_interrupted_is_not_called_done(box):
    flag = hang(box, box.folder)
    step = box.folder / "setup.d" / "70-samples.sh"
    step.write_text(step.read_text().replace("# limit", "# optional: yes\n# limit"))
    process = begin(box)
    until(flag.exists)
    process.send_signal(signal.SIGTERM)
    _, report = report_of(process)
    assert (report["outcome"], report["failed_step"]) == ("failed", "samples")


def test_a_warning_does_not_hide_the_notes(box):
    step = box.folder / "setup.d" / "70-samples.sh"
    step.write_text("printf '%s\\n' 'note replaced' 'warning the default one' changed >>$STEP_REPORT\n")
    before, report = report_of(begin(box))
    assert report["steps"][0]["message"] == "the default one; replaced"
    assert "    samples: WARNING: the default one; replaced\n" in before


# --- Jupyter -----------------------------------------------------------------------------------------------------


def test_jupyter_gets_a_token_once_that_only_its_user_can_read(tmp_path):
    box = FakeBox(tmp_path / "box")
    box.keep("jupyter")
    settings = ours(box) / "jupyter.env"
    settings.write_text("MINE=kept\n")
    report_of(begin(box))
    text = settings.read_text()
    assert re.fullmatch(r"MINE=kept\nJUPYTER_TOKEN=[0-9a-f]{48}\n", text)
    token = text.strip().rpartition("=")[2]
    assert settings.stat().st_mode & 0o777 == 0o600
    shown = subprocess.run([ours(box) / "jupyter-link"], env=box.environment(), capture_output=True, text=True)
    assert shown.stdout == f"http://localhost:8888/lab?token={token}\n"
    report_of(begin(box))
    assert settings.read_text() == text, "another run keeps it"
    told = [path for path in ours(box).rglob("*") if path.is_file() and token in path.read_text(errors="replace")]
    assert told == [settings]
    assert token not in "".join(box.calls())

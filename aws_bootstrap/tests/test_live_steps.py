"""Running steps at a terminal: one live line each, which folds to its outcome. pyte shows what a person sees."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aws_bootstrap.live_steps import LiveSteps
from aws_bootstrap.tests.factories import Clock
from aws_bootstrap.tests.programs import Program
from aws_bootstrap.tests.terminal import Terminal, run_at_terminal


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    return Terminal()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def steps(terminal, clock) -> Iterator[LiveSteps]:
    running = LiveSteps(terminal, clock)
    yield running
    running.end_all()


def drawn(steps: LiveSteps, terminal: Terminal) -> list[str]:
    """What the terminal shows once the steps are drawn again."""
    steps.pause()
    steps.resume()
    return terminal.lines


def test_a_running_step_shows_its_seconds_and_folds_to_its_outcome(steps, terminal, clock):
    step = steps.begin("[1/2] Launch g4dn.xlarge")
    clock.now += 12
    (line,) = drawn(steps, terminal)
    assert line[1:] == " [1/2] Launch g4dn.xlarge  12 s"
    clock.now += 60
    steps.end(step, "done")
    assert terminal.lines == ["✓ [1/2] Launch g4dn.xlarge  1 min 12 s"]


def test_details_stand_below_their_own_step_though_two_run(steps, terminal):
    first, second = steps.begin("[1/2] One"), steps.begin("[2/2] Two")

    def work(step, words):
        steps.enter(step)
        for word in words:
            assert steps.add(word)

    for step, words in ((first, ("Instance: i-1", "Address: a")), (second, ("Volume: vol-1",))):
        worker = threading.Thread(target=work, args=(step, words))
        worker.start()
        worker.join()
    assert [line.lstrip("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏") for line in drawn(steps, terminal)] == [
        " [1/2] One",
        "    Instance: i-1",
        "    Address: a",
        " [2/2] Two",
        "    Volume: vol-1",
    ]
    steps.end(second, "done")
    steps.end(first, "done")
    assert terminal.lines == [
        "✓ [2/2] Two",
        "    Volume: vol-1",
        "✓ [1/2] One",
        "    Instance: i-1",
        "    Address: a",
    ]


def test_a_failed_step_is_red(steps, terminal):
    steps.end(steps.begin("Import the key"), "failed")
    assert terminal.lines == ["✗ Import the key"]
    assert {terminal.screen.buffer[0][column].fg for column in (0, 5)} == {"red"}


def test_the_steps_of_a_setup_are_lines_of_their_own(steps, terminal):
    step = steps.begin("Set up the box")
    for line in (
        "==> GPU",
        "==> Python",
        "    GPU: done in 0 s (Tesla T4)",
        "    Python: FAILED: no disk",
        "    | why",
    ):
        assert steps.add_box_line(line)
    steps.end(step, "done")
    assert terminal.lines == [
        "✗ Set up the box",
        "    ✓ GPU: done in 0 s (Tesla T4)",
        "    ✗ Python: FAILED: no disk",
        "    | why",
    ]


def test_a_setup_that_reports_no_end_of_a_step_says_so(steps, terminal):
    step = steps.begin("Set up the box")
    steps.add_box_line("==> GPU")
    steps.end(step, "failed")
    assert terminal.lines == ["✗ Set up the box", "    ✗ GPU: no outcome reported"]


def test_a_status_is_replaced_and_leaves_nothing(steps, terminal):
    step = steps.begin("Launch")
    assert steps.show_status("Sweep 1")
    assert steps.show_status("Sweep 2")
    assert drawn(steps, terminal)[1:] == ["    Sweep 2"]
    steps.end(step, "done")
    assert terminal.lines == ["✓ Launch"]


def test_a_note_stands_above_the_running_steps(steps, terminal):
    step = steps.begin("Launch")
    assert steps.note("\x1b[33mWarning: dear\x1b[0m")
    shown = drawn(steps, terminal)
    assert shown[0] == "Warning: dear"
    assert shown[1].endswith(" Launch")
    steps.end(step, "done")
    assert terminal.lines == ["Warning: dear", "✓ Launch"]


def test_an_interrupt_folds_what_runs_and_a_thread_that_ends_later_adds_nothing(steps, terminal):
    step = steps.begin("Launch")
    steps.add("Instance: i-1")
    steps.end_all()
    steps.end(step, "done")
    assert terminal.lines == ["✗ Launch", "    Instance: i-1"]


def test_more_steps_than_the_terminal_has_lines_show_the_last_and_stay_complete(monkeypatch, clock):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "6")
    terminal = Terminal(40, 6)
    steps = LiveSteps(terminal, clock)
    step = steps.begin("Set up the box")
    for number in range(12):
        steps.add_box_line(f"==> Step {number} with a title of more than forty columns")
    shown = drawn(steps, terminal)
    assert len(shown) == 5
    assert "Step 11" in shown[-1]
    for number in range(12):
        steps.add_box_line(f"    Step {number} with a title of more than forty columns: done")
    steps.end(step, "done")
    text = " ".join(terminal.lines)
    assert [f"✓ Step {number} with" in text for number in range(12)] == [True] * 12


@pytest.mark.parametrize("method", ["add", "show_status", "add_box_line", "note"])
def test_without_a_running_step_nothing_is_taken(steps, method):
    steps.end(steps.begin("Launch"), "done")
    assert getattr(steps, method)("text") is False


# --- the program -----------------------------------------------------------------------------------------


def at_a_terminal(program: Program, *words: str, **settings: Any) -> tuple[int, Terminal]:
    """Exit code and terminal of the program."""
    return run_at_terminal(words, program.sandbox.env, **settings)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_launch_at_a_terminal_folds_every_step(program, columns):
    code, terminal = at_a_terminal(program, "launch", "--no-setup", "--yes", "--ebs-storage", "5", columns=columns)
    assert code == 0
    steps = [line for line in terminal.lines if re.match(r"\S \[\d+/\d+\] ", line)]
    assert len(steps) == int(re.findall(r"/(\d+)\]", steps[0])[0])
    assert all(line.startswith("✓ [") for line in steps)
    text = terminal.getvalue()
    assert "⠋" in text or "⠙" in text, "a spinner was drawn"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"
    ready = [number for number, line in enumerate(terminal.lines) if " is ready after " in line]
    assert len(ready) == 1
    assert set(steps) <= set(terminal.lines[: ready[0]]), "the result comes after the steps"


def test_without_colours_lines_stay_as_they_are(program):
    env = program.sandbox.env | {"NO_COLOR": "1"}
    code, terminal = run_at_terminal(["launch", "--no-setup", "--yes"], env)
    assert code == 0
    assert [line for line in terminal.lines if re.match(r"\[\d+/\d+\] Launch g4dn.xlarge", line)]
    assert "\x1b" not in terminal.getvalue()


def test_a_step_that_fails_is_marked_and_the_error_follows(program):
    program.sandbox.fault(action="RunInstances", do={"error": "UnauthorizedOperation", "message": "No."})
    code, terminal = at_a_terminal(program, "launch", "--no-setup", "--yes")
    assert code == 1
    lines = terminal.lines
    failed = [number for number, line in enumerate(lines) if line.startswith("✗ [")]
    errors = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
    assert len(failed) == len(errors) == 1
    assert failed < errors


def test_ctrl_c_folds_what_runs_and_gives_the_cursor_back(program):
    program.sandbox.timing(pending=30)
    try:
        code, terminal = at_a_terminal(
            program, "launch", "--no-setup", "--yes", interrupt_at=r"\] Wait for the instance"
        )
    finally:
        program.sandbox.timing(pending=0)
    assert code == 130
    lines = terminal.lines
    stopped = [number for number, line in enumerate(lines) if re.match(r"✗ \[\d+/\d+\] Wait for the instance", line)]
    (error,) = [number for number, line in enumerate(lines) if line.startswith("Error: Interrupted.")]
    assert len(stopped) == 1
    assert stopped[0] < error
    text = terminal.getvalue()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")

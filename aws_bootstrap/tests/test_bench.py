"""The benchmark runs, and prints its rows. What it measures is for people: `.ci/bench`."""

from __future__ import annotations

from aws_bootstrap.tests.bench import startup
from aws_bootstrap.tests.bench.__main__ import HEADINGS, main
from aws_bootstrap.tests.bench.measure import Result, Row, measure


def test_it_prints_every_row_of_startup(capsys):
    main(["startup", "--rounds", "1"])
    table = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert table[0] == HEADINGS
    lines = [*startup.ANSWERS, *(f"{line} TAB" for line in startup.COMPLETED)]
    assert [cells[0].replace("`", "") for cells in table[2:]] == lines


def test_a_row_has_medians_in_its_unit_and_says_whether_its_target_is_met():
    figures = iter([4.0, 5.0, 4.0, 100.0])  # the first is not counted
    ours, floor, base = (lambda: next(figures)), (lambda: 2.0), (lambda: 2.0)
    row = Row("status", "CPU ÷ import", ours, floor, 1.05, base, target_is_ratio=True)
    assert measure([row], 3) == [Result(row, 2.5, 1.0)]
    assert Result(row, 2.5, 1.0).cells() == ["status", "CPU ÷ import", "2.50", "1.00", "2.50", "≤ 1.05 × floor", "no"]
    assert Result(row._replace(target=2.5, target_is_ratio=False), 2.5, 1.0).cells()[-2:] == ["≤ 2.5", "yes"]

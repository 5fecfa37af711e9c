"""The benchmark runs, and prints its rows. What it measures is for people: `.ci/bench`."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from aws_bootstrap.tests.bench import startup
from aws_bootstrap.tests.bench.__main__ import HEADINGS, main
from aws_bootstrap.tests.bench.aws_answers import Call, Refused
from aws_bootstrap.tests.bench.measure import Cost, Figure, Result, Row, measure
from aws_bootstrap.tests.bench.throttling import Throttle
from aws_bootstrap.tests.factories import Clock


def test_it_prints_every_row_of_startup(capsys):
    main(["startup", "--rounds", "1"])
    table = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert table[0] == HEADINGS
    lines = [*startup.ANSWERS, *(f"{line} TAB" for line in startup.COMPLETED)]
    assert [cells[0].replace("`", "") for cells in table[2:]] == lines


def printed(capsys) -> list[list[str]]:
    """The cells of the table's rows."""
    return [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]


def test_it_prints_every_row_of_commands_that_call_aws(capsys):
    main(["aws", "--rounds", "1", "--small"])
    assert [cells[:2] for cells in printed(capsys)] == [
        ["`status`, 2 regions, 4 boxes, TLS", "CPU ÷ without TLS"],
        ["`status`, 2 regions, 4 boxes, TLS", "MiB"],
        ["`status`, 2 regions, 4 boxes", "CPU s"],
        ["`status`, 2 regions, 4 boxes", "s"],
        ["`status`, 2 regions, 4 boxes", "calls"],
        ["`status`, 1 region, 2 boxes", "s"],
        ["`status`, 1 region, 2 boxes", "CPU s"],
        ["`status`, 2 regions, 8 boxes", "s"],
        ["`status`, 2 regions, 8 boxes", "CPU s"],
        ["`quota show`, 2 regions", "s"],
        ["`quota show`, 2 regions", "CPU s"],
        ["`launch --dry-run`", "s"],
        ["`launch --dry-run`", "CPU s"],
        ["`launch --dry-run`", "calls"],
    ]


def test_it_prints_every_row_of_commands_that_wait(capsys):
    main(["waits", "--rounds", "1", "--small"])
    cells = printed(capsys)
    terminate = "`terminate`, 2 boxes with data volumes, detached after 1 s"
    launch = "`launch`, a setup that does nothing, SSH port open 1 s after RunInstances"
    assert [row[:2] for row in cells] == [
        [terminate, "s"],
        [terminate, "polls a second"],
        [terminate, "calls"],
        [launch, "s from open to ready"],
        [launch, "connections"],
    ]
    assert cells[-1][2:] == ["1.00", "1.00", "1.00", "≤ 1", "yes"]


def test_it_prints_every_row_of_the_launch_of_clusters(capsys):
    main(["cluster", "--rounds", "1", "--small"])
    cells = printed(capsys)
    names = [f"`cluster launch`, {nodes} nodes, a setup of 1 s" for nodes in (2, 3)]
    volumes = "`cluster launch --ebs-storage`, 3 nodes, a setup of 1 s"
    units = ["s", "CPU s", "MiB", "calls", "connections to AWS", "ssh at once", "threads", "open files"]
    expected = [[name, unit] for name in names for unit in (*units, "setups at once")]
    assert [row[:2] for row in cells] == [*expected, *([volumes, unit] for unit in ("s", "calls", "calls refused"))]
    figures = {(row[0], row[1]): row[2:4] for row in cells}
    for number, name in enumerate(names, 1):
        ours, floor = map(float, figures[name, "calls"])
        assert ours == floor + number, "one node more is one CreateTags more"
    assert [figures[name, "setups at once"] for name in names] == [["2.00", "1.00"], ["3.00", "1.00"]]
    assert figures[volumes, "calls refused"] == ["0.00", "–"]


def test_its_timeline_has_the_steps_of_a_launch_for_each_number_of_nodes(capsys):
    main(["--timeline", "--small"])
    heading, _, *rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert heading == ["step", "1 node", "2 nodes", "3 nodes"]
    steps = [row[0] for row in rows]
    assert "Wait for SSH and set up the nodes" in steps
    assert rows[steps.index("setups at once")][1:] == ["1", "2", "3"]


def test_calls_are_refused_as_long_as_their_bucket_is_empty():
    clock = Clock()
    throttle = Throttle(clock)
    attach = Call("us-west-2", "AttachVolume", {})

    def taken(call: Call, count: int) -> int:
        """How many of so many calls are taken."""
        done = 0
        for _ in range(count):
            with suppress(Refused):
                throttle.take(call)
                done += 1
        return done

    assert taken(attach, 60) == 50
    clock.now += 2.0
    assert taken(attach, 60) == 10
    assert taken(Call("eu-west-1", "AttachVolume", {}), 1) == 1, "each region has its own"
    assert taken(Call("us-west-2", "DescribeVolumes", {"VolumeId.1": "vol-1"}), 120) == 50
    assert taken(Call("us-west-2", "DescribeVolumes", {"Filter.1.Name": "volume-id"}), 120) == 100
    assert taken(Call("us-west-2", "GetServiceQuota", {}, is_json=True), 300) == 300


def test_a_row_has_medians_in_its_unit_and_says_whether_its_target_is_met():
    runs = iter([Cost(cpu, 1.0, 30.0) for cpu in (4.0, 5.0, 4.0, 100.0)])  # the first is not counted
    ours, floor = Figure(lambda: next(runs), "cpu"), Figure(lambda: Cost(2.0, 1.0, 20.0), "cpu")
    row = Row("status", "CPU ÷ import", ours, floor, 1.05, floor, target_is_ratio=True)
    assert measure([row], 3) == [Result(row, 2.5, 1.0)]
    assert Result(row, 2.5, 1.0).cells() == ["status", "CPU ÷ import", "2.50", "1.00", "2.50", "≤ 1.05 × floor", "no"]
    assert Result(row._replace(target=2.5, target_is_ratio=False), 2.5, 1.0).cells()[-2:] == ["≤ 2.5", "yes"]


def test_a_program_runs_once_a_round_for_all_its_figures():
    runs = iter([Cost(3.0, 2.0, 30.0)])
    ours = partial(next, runs)
    rows = [Row("status", "CPU s", Figure(ours, "cpu")), Row("status", "MiB", Figure(ours, "peak_mib"), target=80)]
    assert [result.cells() for result in measure(rows, 1)] == [
        ["status", "CPU s", "3.00", "–", "–", "–", "–"],
        ["status", "MiB", "30.00", "–", "–", "≤ 80", "yes"],
    ]

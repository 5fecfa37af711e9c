"""The mutation tier's own parts: which slips it makes, which tests it picks, and what its survivors' file says."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from aws_bootstrap.tests.mutants import __main__ as tier
from aws_bootstrap.tests.mutants import hot, python, records, report, shell

SOURCE = b'''"""A docstring."""
from os import path

LIMIT: int = 5

def f(a, b="x"):
    """Another."""
    assert a
    output.info("told")
    output.warn("told too")
    if a < LIMIT and not b:
        return [x for x in g(a, key="k") if x != 2]
    raise ValueError("a sentence", f"with {a}")
'''


def changed(source: bytes, make=python.slips) -> set[tuple[str, str]]:
    """(kind, the line as it is with the slip) of each slip."""
    return {(s.kind, s.applied(source).decode().splitlines()[s.line - 1].strip()) for s in make(source)}


def test_the_slips_of_python():
    assert changed(SOURCE) == {
        ("constant", "LIMIT: int = 6"),
        ("constant", "def f(a, b='XXx'):"),
        ("statement-dropped", "pass"),
        ("compare", "if a <= LIMIT and not b:"),
        ("and-or", "if ((a < LIMIT) or (not b)):"),
        ("operand-dropped", "if ((a < LIMIT)):"),
        ("operand-dropped", "if ((not b)):"),
        ("not-dropped", "if a < LIMIT and (b):"),
        ("returns-none", "return None"),
        ("argument-dropped", "return [x for x in g(a) if x != 2]"),
        ("constant", "return [x for x in g(a, key='XXk') if x != 2]"),
        ("filter-dropped", 'return [x for x in g(a, key="k") if True]'),
        ("compare", 'return [x for x in g(a, key="k") if x == 2]'),
        ("constant", 'return [x for x in g(a, key="k") if x != 3]'),
    }
    assert {s.line for s in python.slips(SOURCE) if s.at_import} == {4, 6}
    lines = {s.line for s in python.slips(SOURCE)}
    assert not lines & {1, 2, 7, 8, 9}, "wording and progress are left alone"
    assert 10 in lines, "wording and progress are left alone"
    assert 13 in lines, "wording and progress are left alone"


def test_the_slips_of_shell():
    script = b'is_empty() {\n  # if x\n  if [[ $1 == 2 ]] && grep -q x f; then\n    rm -f "$2"\n  fi\n}\n'
    assert {line for _, line in changed(script, shell.slips)} == {
        "if [[ $1 != 2 ]] && grep -q x f; then",
        "if [[ $1 == 2 ]] || grep -q x f; then",
        "if ! [[ $1 == 2 ]] && grep -q x f; then",
        "if [[ ! $1 == 2 ]] && grep -q x f; then",
        "if [[ $1 == 3 ]] && grep -q x f; then",
        "if [[ $1 == 2 ]] && grep  x f; then",
        'rm  "$2"',
        ":",
    }
    assert {s.where for s in shell.slips(script)} == {"is_empty"}


def test_a_slip_of_shell_changes_what_a_status_says_and_no_wording():
    script = b'f() {\n  local a b\n  [[ -d $1 ]] || die "1 is --no folder" && return 0\n  exit 3\n}\n'
    found = [line for _, line in changed(script, shell.slips)]
    assert {'[[ -d $1 ]] || die "1 is --no folder" && return 1', "exit 0"} <= set(found)
    assert not [line for line in found if "2 is" in line or "is  folder" in line]
    assert "[[  $1 ]]" not in [line for _, line in changed(b"[[ -n $1 ]]\n", shell.slips)], "it means the same"
    dropped = [slip.line for slip in shell.slips(script) if slip.kind == "statement-dropped"]
    assert dropped == [3, 4], "a declaration alone does nothing"


def test_the_n_of_a_test_is_no_option_that_could_be_dropped():
    script = b"[[ -n $a || -n $b ]] && sudo -n true\n"
    dropped = [line for kind, line in changed(script, shell.slips) if kind == "option-dropped"]
    assert dropped == ["[[ -n $a || -n $b ]] && sudo  true"]


def test_what_follows_a_here_document_is_tried_and_three_signs_begin_none():
    script = b"echo '# <<< ours <<<'\nread a <<< word\ncat <<END\nrm -f a\nEND\nrm -f b\n"
    assert {s.line for s in shell.slips(script)} == {2, 3, 6}


def test_each_slip_has_an_id_of_its_own():
    found = tier.mutants(records.PACKAGE / "ec2" / "tags.py")
    assert len({m.id for m in found}) == len(found) > 10
    assert all(m.before != m.after for m in found)


def test_the_quickest_tests_of_a_line_are_taken_within_the_budget():
    known = [
        records.Record("aws_bootstrap/tests/test_a.py::slow", 50.0, {"ec2/tags.py": frozenset({16})}),
        records.Record("aws_bootstrap/tests/test_a.py::quick", 0.1, {"ec2/tags.py": frozenset({16})}),
        records.Record("aws_bootstrap/tests/test_a.py::other", 0.2, {"ec2/tags.py": frozenset({20})}),
    ]
    picked = [r.test.partition("::")[2] for r in records.choose(known, "ec2/tags.py", 16, budget=60)]
    assert picked == ["quick", "slow"]
    assert [r.seconds for r in records.choose(known, "ec2/tags.py", 16, budget=20)] == [0.1]
    assert len(records.choose(known, "ec2/tags.py", 10, budget=60, at_import=True)) == 3, "whoever runs its users"


@pytest.mark.parametrize(
    ("hits", "size", "low", "high"), [(0, 20, 0.0, 0.161), (2, 20, 0.028, 0.301), (10, 100, 0.055, 0.174)]
)
def test_a_samples_confidence_interval(hits, size, low, high):
    """Values of Wilson's score interval, https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval"""
    assert report.interval(hits, size) == pytest.approx((low, high), abs=0.001)


def test_every_survivor_has_its_reason():
    entries = tomllib.loads(tier.SURVIVORS.read_text()).get("survivor", [])
    ids = [entry["id"] for entry in entries]
    assert len(set(ids)) == len(ids)
    assert [e["id"] for e in entries if set(e) != {"id", "before", "after", "reason"} or len(e["reason"]) < 15] == []
    known = {str(path.relative_to(records.PACKAGE)) for path in tier.targets([])}
    assert {i.partition("::")[0] for i in ids} <= known


def test_each_module_that_guards_money_data_and_access_is_a_target():
    found = {str(path.relative_to(records.PACKAGE)) for path in tier.targets([])}
    assert {"workflows/terminate/volumes.py", "ec2/volumes.py", "ssh.py", "aws.py"} <= found
    assert "resources/mount_data_volume.sh" in found
    assert [str(p.relative_to(records.PACKAGE)) for p in tier.targets(["keys"])] == ["keys.py"]


def test_a_share_is_weighted_by_how_many_slips_a_module_has():
    big, small = report.Figures(90, 1, ()), report.Figures(10, 2, ("one",))
    share = report.weighted_share({"big": big, "small": small, "untried": report.Figures(70, 0, ())})
    assert share == pytest.approx(0.5 * 10 / 100)


def test_a_run_over_some_modules_keeps_the_figures_of_the_others(tmp_path):
    page, places = tmp_path / "page.md", (tmp_path / "measured.json", tmp_path / "page.md")
    sources = {"a.py": "1", "b.py": "2", "c.sh": "3"}
    first = {
        "a.py": report.Figures(10, 10, ("x", "y"), "1", "aaa", explained=1),
        "b.py": report.Figures(8, 8, (), "old", "aaa"),
    }
    report.write(first, sources, *places)
    report.write({"c.sh": report.Figures(4, 2, ("z",), "3", "bbb")}, sources, *places)
    text = page.read_text()
    rows = ["| a.py | 10 | 10 | 2 | 1 | 20.0% |", "| b.py | 8 | 8 | 0 | 0 | 0.0% |", "| c.sh | 4 | 2 | 1 | 0 | 50.0% ("]
    assert "\n".join(rows) in text
    assert "Tried at aaa: a.py, b.py." in text
    assert "Tried at bbb: c.sh." in text
    assert "**Changed since they were tried**: b.py." in text
    assert "Never tried" not in text
    assert "**20 of 22 slips were tried**" in text
    report.write({}, {"a.py": "1", "d.py": "4"}, *places)
    assert "c.sh" not in page.read_text()
    assert "**Never tried**: d.py." in page.read_text()


def test_what_another_machine_found_out_counts_while_the_module_is_the_same(tmp_path):
    found = tier.mutants(records.PACKAGE / "ec2" / "tags.py")
    source = records.digest(records.PACKAGE / "ec2" / "tags.py")
    explained, other = found[0].id, found[1].id
    module = report.Figures(len(found), len(found), (explained, other), source)
    results = tier.Results({explained}, tmp_path / "results.jsonl")
    results.take_over(found, replace(module, source="other"))
    results.take_over(found, replace(module, tried=3))
    assert results.known == {}
    results.take_over(found, module)
    assert {m.id for m in found} - results.known.keys() == {other}, "a survivor without a reason is tried again"
    assert results.known[explained]["status"] == "survived"
    assert results.known[found[2].id]["status"] == "killed"


def test_a_slip_is_put_into_the_functions_in_memory(tmp_path):
    path = tmp_path / "module.py"
    before = b"def outer():\n    def inner(x):\n        return x + 1\n    return inner\nkept = outer()\n"
    path.write_bytes(before)
    names: dict = {}
    exec(compile(before, str(path), "exec"), names)
    hot.put_in(path, before, before.replace(b"+ 1", b"- 1"))
    assert (names["outer"]()(5), names["kept"](5)) == (4, 4)
    with pytest.raises(hot.Cold):
        hot.put_in(path, before, before.replace(b"    return inner\n", b"    return lambda x: x\n"))
    assert names["kept"](5) == 4


def test_the_tests_that_noticed_another_slip_of_the_function_come_first():
    lines = {"ec2/tags.py": frozenset({16})}
    known = [records.Record(f"aws_bootstrap/tests/test_a.py::{name}", s, lines) for name, s in (("a", 1.0), ("b", 9.0))]
    assert [r.seconds for r in records.choose(known, "ec2/tags.py", 16, 60, first={known[1].test})] == [9.0, 1.0]

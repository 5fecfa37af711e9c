"""A key is set in any TOML text, and everything else stays as it was."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_bootstrap.tests.properties import cases
from aws_bootstrap.workflows.config_edit import Edit, with_value

LINES = st.sampled_from(["# a comment", "", "  # indented"])
VALUES = st.one_of(
    st.booleans(),
    st.integers(0, 9999),
    st.text("ab\"'\\#= é", max_size=8),
    st.lists(st.text("xy", min_size=1), max_size=3),
)
TABLES = st.sampled_from([(), ("launch",), ("status",), ("presets", "a"), ("presets", "b"), ("quota", "show")])
NAMES = st.sampled_from(["ttl", "name", "tag", "volume-size"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A TOML text with comments, tables in any order, and keys in them."""
    found: list[str] = []
    for table in draw(st.permutations([(), ("launch",), ("presets", "a"), ("quota", "show")])):
        if table == () and found:
            continue
        if not draw(st.booleans()):
            continue
        if table:
            found.append(f"[{'.'.join(table)}]{draw(st.sampled_from(['', '  # why']))}")
        for name in draw(st.lists(NAMES, unique=True, max_size=3)):
            found += [
                draw(LINES),
                f"{name} = {draw(st.sampled_from(['1', 'true', chr(34) + 'x' + chr(34)]))}  # {name}",
            ]
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    return draw(st.sampled_from(["", "\ufeff"])) + ends.join(found) + draw(st.sampled_from(["", ends]))


def parsed(text: str) -> dict:
    return tomllib.loads(text.removeprefix("\ufeff"))


@cases(200)
@given(texts(), TABLES, NAMES, VALUES)
def test_the_value_is_set_and_the_rest_stays(text, table, name, value):
    changed = with_value(text, Edit(table, name, value))
    expected = parsed(text)
    place = expected
    for part in table:
        place = place.setdefault(part, {})
    place[name] = value
    assert parsed(changed) == expected
    assert changed.startswith("\ufeff") is text.startswith("\ufeff")
    comments = [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]
    kept = [line.rpartition("#")[2].strip() for line in changed.splitlines() if "#" in line]
    assert [comment for comment in comments if comment not in kept] == []
    if "\r\n" in text:
        assert "\n" not in changed.replace("\r\n", "")


@pytest.mark.parametrize("text", ["", "\n", "# only a comment"])
def test_a_text_without_tables_gets_one(text):
    assert parsed(with_value(text, Edit(("presets", "train"), "ttl", "8h")))["presets"] == {"train": {"ttl": "8h"}}


def test_the_same_value_changes_no_byte():
    text = '# x\n[launch]\nttl = "8h"  # why\n\n[status]\ngpu = true\n'
    assert with_value(text, Edit(("launch",), "ttl", "8h")) == text

"""Which command lines of the pages are found, and which of them are left out; `.ci/documented` runs the others."""

from __future__ import annotations

import re

from aws_bootstrap.tests.documented import EXCEPTIONS, lines

LINES = lines()


def test_no_exception_is_idle():
    assert [why for pattern, why in EXCEPTIONS.items() if not any(re.search(pattern, x.text) for x in LINES)] == []


def test_lines_are_found_wherever_they_stand():
    pages = {line.page for line in LINES}
    assert {"README.md", "aws-bootstrap-skill/skills/aws-bootstrap/SKILL.md", "docs/sandbox.md"} <= pages
    assert {"docs/capacity.md", "docs/nsight-remote-profiling.md", "launch --help", "quota --help"} <= pages

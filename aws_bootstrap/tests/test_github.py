"""The GitHub workflows and issue forms: well-formed, and without the holes that zizmor knows. No network is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
SCHEMA = (sys.executable, "-m", "check_jsonschema", "--builtin-schema")

CHECKS = {
    "workflows": (*SCHEMA, "vendor.github-workflows", *map(str, WORKFLOWS)),
    "forms": (*SCHEMA, "vendor.github-issue-forms", *map(str, FORMS)),
    "security": (str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-progress", "--quiet", ".github"),
}


@pytest.mark.parametrize("check", CHECKS)
def test_check(check):
    done = subprocess.run(CHECKS[check], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_workflow_names_a_registry():
    """Its address is a variable of the GitHub environment, so that a fork cannot publish to the wrong place."""
    assert [p.name for p in WORKFLOWS if re.search(r"https?://", p.read_text())] == []

"""The GitHub workflows and issue forms: well-formed, and without the holes that zizmor knows. No network is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_bootstrap.tests.real.policies import session_policy

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


# --- each workflow, and the one that spends money ---------------------------------------------------------

#: What a job may need beside reading the code, and in which workflows.
RIGHTS = {"id-token": {"publish-to-pypi.yml", "real-aws.yml"}, "contents": {"publish-to-pypi.yml"}}


def workflow(name: str) -> dict[Any, Any]:
    parsed: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return parsed


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_named_by_a_released_version(path):
    used = [step["uses"] for step in steps(path.name) if "uses" in step]
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40})", one)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_minimal_and_every_job_ends(path):
    parsed = workflow(path.name)
    assert parsed["permissions"] in ({}, {"contents": "read"})
    for name, job in parsed["jobs"].items():
        assert job["timeout-minutes"] <= 100, name
        for right, level in job.get("permissions", {}).items():
            assert level == "read" or path.name in RIGHTS.get(right, ()), f"{name}: {right}"


def test_a_real_run_is_started_by_hand_alone_and_one_at_a_time():
    parsed = workflow("real-aws.yml")
    assert list(parsed[True]) == ["workflow_dispatch"], "YAML reads the key `on` as true"
    assert set(parsed[True]["workflow_dispatch"]["inputs"]) == {"region", "instance-type", "max-price"}
    assert parsed["concurrency"] == {"group": "real-aws", "cancel-in-progress": False}
    assert parsed["jobs"]["life"]["environment"] == "real-aws"


def test_a_real_run_is_swept_whatever_happened():
    *_, again, sweep = steps("real-aws.yml")
    assert again["if"] == sweep["if"] == "always()"
    assert again["uses"].startswith("aws-actions/configure-aws-credentials@")
    assert "--sweep --run" in sweep["run"]
    job = workflow("real-aws.yml")["jobs"]["life"]
    limits = [step["timeout-minutes"] for step in job["steps"] if "timeout-minutes" in step]
    assert len(limits) == 2, "the life's own limit leaves time for the sweep"
    assert job["timeout-minutes"] >= sum(limits) + 10


def test_a_real_run_has_no_lasting_keys_and_names_its_account():
    text = (ROOT / ".github" / "workflows" / "real-aws.yml").read_text()
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"AWS_ACCOUNT"}
    for step in steps("real-aws.yml"):
        if "configure-aws-credentials" in step.get("uses", ""):
            assert step["with"]["mask-aws-account-id"] is True
            assert step["with"]["inline-session-policy"] == "${{ env.SESSION_POLICY }}"
            assert "aws-access-key-id" not in step["with"]
        if "--environment" in step.get("run", ""):
            assert step["env"]["AWS_BOOTSTRAP_REAL_ACCOUNT"] == "${{ secrets.AWS_ACCOUNT }}"


def test_a_real_run_can_end_nothing_of_others():
    variables = workflow("real-aws.yml")["jobs"]["life"]["env"]
    run = "real-${{ github.run_id }}-${{ github.run_attempt }}"
    assert variables["RUN"] == run
    assert json.loads(variables["SESSION_POLICY"]) == session_policy(run)

"""What a run may do: the policy of its role, and the policy that keeps a session from what others own.

The first is docs/permissions.md's policy narrowed by tag, less what no step needs, and the two actions that only the
sweep needs. The second comes on top, by the workflow: whatever goes wrong, only this run's resources can be ended.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "permissions.md"
#: Statements of the page that no step of a life needs.
UNUSED = {"QuotaRequests"}
QUOTA_ROLE = "AWSServiceRoleForServiceQuotas"


def resource_name(run: str) -> str:
    """Return the name of the run's key pair and security group."""
    return f"aws-bootstrap-{run}"


def role_policy() -> dict[str, Any]:
    """Return the policy of the role that runs `.ci/real` in an account."""
    statements: list[dict[str, Any]] = []
    for statement in narrowed()["Statement"]:
        if statement["Sid"] not in UNUSED:
            statements.append(_without_quota_role(statement))
    statements.append(
        {
            "Sid": "Sweep",
            "Effect": "Allow",
            "Action": ["ec2:DeleteKeyPair", "ec2:DeleteSecurityGroup"],
            "Resource": ["arn:aws:ec2:*:*:key-pair/*", "arn:aws:ec2:*:*:security-group/*"],
            "Condition": {
                "StringEquals": {"aws:ResourceTag/created-by": "aws-bootstrap-g4dn"},
                "StringLike": {"aws:ResourceTag/Name": "aws-bootstrap-real-*"},
            },
        }
    )
    return {"Version": "2012-10-17", "Statement": statements}


def session_policy(run: str) -> dict[str, Any]:
    """Return the policy of the session: everything that the role allows, but nothing of another run is ended."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": ["ec2:DeleteVolume", "ec2:StopInstances", "ec2:TerminateInstances"],
                "Resource": "*",
                "Condition": {"StringNotEquals": {"aws:ResourceTag/run": run}},
            },
            {
                "Effect": "Deny",
                "Action": ["ec2:DeleteKeyPair", "ec2:DeleteSecurityGroup", "ec2:RevokeSecurityGroupIngress"],
                "Resource": ["arn:aws:ec2:*:*:key-pair/*", "arn:aws:ec2:*:*:security-group/*"],
                "Condition": {"StringNotEquals": {"aws:ResourceTag/Name": resource_name(run)}},
            },
        ],
    }


def narrowed() -> dict[str, Any]:
    """Return the page's policy that is narrowed by tag."""
    text = PAGE.read_text().partition("\n## Narrowed by tag\n")[2]
    found = re.search(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(f"{PAGE} has no policy narrowed by tag")
    document: dict[str, Any] = json.loads(found.group(1))
    return document


def _without_quota_role(statement: dict[str, Any]) -> dict[str, Any]:
    resources = statement["Resource"]
    if isinstance(resources, str):
        return statement
    needed = [one for one in resources if not one.endswith(QUOTA_ROLE)]
    return statement | {"Resource": needed}

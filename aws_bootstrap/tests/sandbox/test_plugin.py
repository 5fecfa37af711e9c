"""The fixture `aws_bootstrap_sandbox`, used as a stranger's suite would use it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

PLUGIN = "aws_bootstrap.sandbox.pytest_plugin"
PROJECT = Path(__file__).parents[3] / "pyproject.toml"
SUITE = """
import boto3
import pytest
from botocore.exceptions import ClientError


def test_launch(aws_bootstrap_sandbox):
    ec2 = boto3.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    ec2.run_instances(ImageId=image, InstanceType="g4dn.xlarge", MinCount=1, MaxCount=1)
    assert len(aws_bootstrap_sandbox.log("RunInstances")) == 1


def test_each_test_starts_empty_and_faults_are_on_request(aws_bootstrap_sandbox):
    ec2 = boto3.client("ec2")
    assert ec2.describe_instances()["Reservations"] == []
    aws_bootstrap_sandbox.fault(action="DescribeVpcs", do={"error": "UnauthorizedOperation"})
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        ec2.describe_vpcs()
"""


def test_the_fixture_serves_a_strangers_suite(tmp_path):
    (tmp_path / "test_theirs.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN],
        cwd=tmp_path,
        env=dict(os.environ, AWS_PROFILE="nobody", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_an_installed_package_brings_the_fixture():
    """https://docs.pytest.org/en/stable/how-to/writing_plugins.html (entry points pytest11)"""
    declared = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]["pytest11"]
    assert declared == {"aws_bootstrap_sandbox": PLUGIN}

"""Where the tool keeps its files (paths.py)."""

from __future__ import annotations

from pathlib import Path

from aws_bootstrap.paths import Paths


def test_files_are_below_the_users_home_by_default():
    paths = Paths({})
    assert paths.home == Path.home() / ".aws-bootstrap"
    assert paths.known_hosts == Path.home() / ".aws-bootstrap" / "known_hosts"
    assert paths.ssh_config == Path.home() / ".ssh" / "config"


def test_variables_name_other_files(tmp_path):
    paths = Paths({"AWS_BOOTSTRAP_HOME": str(tmp_path), "AWS_BOOTSTRAP_SSH_CONFIG": str(tmp_path / "config")})
    assert paths.known_hosts == tmp_path / "known_hosts"
    assert paths.ssh_config == tmp_path / "config"
    assert paths.ssh_flags == ("-F", str(tmp_path / "config"))

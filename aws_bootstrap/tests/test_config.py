"""What a launch is configured with, and its defaults (config.py, defaults.py)."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest

from aws_bootstrap.commands.launch import launch
from aws_bootstrap.config import LaunchConfig

DEFAULTS: dict[str, object] = {
    "instance_type": ("g4dn.xlarge",),
    "ami_filter": "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*",
    "image": None,
    "spot": True,
    "region": (),
    "cheapest": False,
    "wait": False,
    "wait_timeout": 1800.0,
    "max_price": None,
    "key_path": Path("~/.ssh/id_ed25519.pub"),
    "key_name": "aws-bootstrap-key",
    "security_group": "aws-bootstrap-ssh",
    "ssh_cidr": ("me",),
    "subnet_id": (),
    "name": None,
    "volume_size": 100,
    "ebs_storage": None,
    "ebs_volume_id": None,
    "python_version": None,
    "ssh_port": 22,
    "ssh_user": None,
    "ssh_timeout": 300.0,
    "metadata_hop_limit": 1,
    "no_setup": False,
    "setup_script": None,
    "ttl": None,
    "idle_timeout": None,
    "max_cost": None,
    "tag": {},
}


def test_a_launch_without_options_has_the_documented_defaults():
    assert asdict(LaunchConfig()) == DEFAULTS


def test_a_configuration_is_never_changed():
    with pytest.raises(FrozenInstanceError):
        LaunchConfig().spot = False  # type: ignore[misc]


def test_every_launch_option_is_a_field_and_every_field_an_option():
    options = {p.name for p in launch.params}
    told_elsewhere = {"yes", "dry_run", "preset", "output", "profile", "debug", "timings"}
    assert options - told_elsewhere == set(LaunchConfig.__dataclass_fields__)


def test_every_launch_option_has_the_default_of_its_field():
    with launch.make_context("launch", []) as context:
        chosen = {name: context.params[name] for name in DEFAULTS}
    assert LaunchConfig(**{**chosen, "tag": dict(chosen["tag"])}) == LaunchConfig()


@pytest.mark.parametrize(("spot", "market"), [(True, "spot"), (False, "on-demand")])
def test_the_market_is_spot_or_on_demand(spot, market):
    assert LaunchConfig(spot=spot).market == market


def test_the_private_key_is_beside_the_public_one_in_the_users_home():
    config = LaunchConfig()
    assert config.public_key == Path.home() / ".ssh" / "id_ed25519.pub"
    assert config.private_key == Path.home() / ".ssh" / "id_ed25519"


def test_a_relative_key_path_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert LaunchConfig(key_path=Path("box.pub")).public_key == tmp_path / "box.pub"

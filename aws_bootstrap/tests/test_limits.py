"""What ends a box by itself: time, idleness and money become a deadline, tags and user data."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from aws_bootstrap import cloud_init, guardian
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import CapacityError
from aws_bootstrap.guardian import Limits
from aws_bootstrap.models import LocalKey, Prices, SpotPrice
from aws_bootstrap.workflows.launch import limits
from aws_bootstrap.workflows.launch.capacity import Attempt
from aws_bootstrap.workflows.launch.plan import LaunchPlan

WEST = "us-west-2"
SPOT = Attempt(WEST, "g4dn.xlarge", "spot")
ON_DEMAND = Attempt(WEST, "g4dn.xlarge", "on-demand")
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
LISTED = Prices(on_demand={(WEST, "g4dn.xlarge"): 0.5})
#: What disk and address of a box with a root volume of 1 GB cost an hour.
BESIDE = (0.08 + 3.65) / 730


def plan(**options) -> LaunchPlan:
    key = LocalKey(Path("id.pub"), Path("id"), None)
    return LaunchPlan(LaunchConfig(volume_size=1, **options), (), (), (), key)


def spot_prices(**zones: float) -> Prices:
    """The spot prices of these zones."""
    points = {}
    for zone, price in zones.items():
        points["g4dn.xlarge", zone] = SpotPrice("g4dn.xlarge", zone, price, NOON)
    return Prices(spot={WEST: points})


def test_without_an_option_nothing_ends_the_box():
    found = limits.limits_of(plan(), SPOT, Prices())
    assert found == Limits()
    assert limits.tags_of(found) == {}


def test_time_and_idleness_need_no_price():
    found = limits.limits_of(plan(ttl=28800.0, idle_timeout=3600.0), SPOT, Prices())
    assert found == Limits(28800.0, 3600.0, "deadline")
    assert limits.tags_of(found, NOON) == {
        "aws-bootstrap-deadline": "2026-01-15T20:00:00+00:00",
        "aws-bootstrap-idle-timeout": "3600",
    }


def test_money_becomes_time_at_the_price_of_the_attempts_market():
    found = limits.limits_of(plan(max_cost=10.0), ON_DEMAND, LISTED)
    assert found.reason == "cost-cap"
    assert found.deadline == pytest.approx(10 / (0.5 + BESIDE) * 3600)


def test_spot_money_lasts_as_long_as_in_the_dearest_zone():
    """EC2 chooses the zone, and a cap is a cap."""
    found = limits.limits_of(plan(max_cost=10.0), SPOT, spot_prices(a=0.15, b=0.2))
    assert found.deadline == pytest.approx(10 / (0.2 + BESIDE) * 3600)


@pytest.mark.parametrize(("ttl", "reason"), [(3600.0, "deadline"), (360000.0, "cost-cap")])
def test_of_time_and_money_the_earlier_end_holds(ttl, reason):
    found = limits.limits_of(plan(ttl=ttl, max_cost=10.0), ON_DEMAND, LISTED)
    assert found.reason == reason
    assert found.deadline is not None
    assert found.deadline <= ttl


def test_money_without_a_known_price_is_refused():
    with pytest.raises(CapacityError, match="spot price is not known, and --max-cost is set") as failure:
        limits.limits_of(plan(max_cost=10.0, ttl=3600.0), SPOT, spot_prices())
    assert failure.value.hint == "Set a time in its place: --ttl 8h"


# --- user data -------------------------------------------------------------------------------------------


def user_data(found: Limits, *, user: str = "ubuntu", ssh_port: int = 22) -> bytes:
    packed = cloud_init.user_data([cloud_init.ssh_port(ssh_port), guardian.part(found, user=user, ssh_port=ssh_port)])
    assert packed
    return packed


def test_user_data_with_every_option_leaves_a_kilobyte_of_ec2s_limit():
    packed = user_data(Limits(10_000_000.5, 1_000_000.5, "cost-cap"), user="a" * 32, ssh_port=65535)
    assert len(packed) <= 16384 - 1024


def test_user_data_has_the_guardian_whole_and_starts_it():
    config = yaml.safe_load(gzip.decompress(user_data(Limits(60.0, None), user="me", ssh_port=2222)))
    files = {file["path"]: file["content"] for file in config["write_files"]}
    folder = Path(guardian.__file__).parent / "resources" / "guardian"
    for resource in folder.iterdir():
        if resource.is_file():
            assert resource.read_text() in files.values(), resource.name
    settings = files["/etc/aws-bootstrap/guardian.env"].splitlines()
    assert settings[:2] == ["GUARDIAN_USER=me", "GUARDIAN_SSH_PORT=2222"]
    *_, set_limits, reload, start = config["runcmd"]
    assert set_limits[:3] == ["/usr/bin/python3", "/usr/local/lib/aws-bootstrap/guardian.py", "set"]
    assert json.loads(set_limits[3]) == {"deadline": 60.0, "idle_timeout": None, "reason": "deadline"}
    assert reload == ["systemctl", "daemon-reload"]
    assert start[:3] == ["systemctl", "enable", "--now"]
    assert {f"/etc/systemd/system/{unit}" for unit in start[3:]} <= set(files)


def test_user_data_has_no_secret():
    text = gzip.decompress(user_data(Limits(60.0))).decode()
    for word in ("AKIA", "aws_secret", "PRIVATE KEY", "ssh-ed25519"):
        assert word not in text

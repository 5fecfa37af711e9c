"""What a person is warned of is in the document, too, and what is unknown looks unknown.

A promise of all commands, so that it is no test of one of them.
"""

from __future__ import annotations

import json

import pytest

from aws_bootstrap import output, sshconfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.ssh import Ssh
from aws_bootstrap.tests import factories, schema_check
from aws_bootstrap.tests.cloud import make_volume, start_box
from aws_bootstrap.tests.test_output import RESULTS

WEST = "us-west-2"
SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


class Mute(Ssh):
    """Boxes that do not tell their GPU."""

    code = "ssh-refused"

    def query_box(self, alias):
        """Refuse."""
        raise SshError(f"{alias} refuses the login: Permission denied (publickey).", code=self.code)


@pytest.fixture
def box(app, cloud):
    """A running spot box with an alias, that refuses logins."""
    app.ssh = Mute(app.paths)
    started = start_box(cloud.ec2(WEST), **SPOT)["InstanceId"]
    sshconfig.add(app.paths.ssh_config, factories.host(alias="", instance_id=started, region=WEST))
    return started


def status(run, *words):
    done = run("status", "-r", WEST, *words, "-o", "json")
    shown = json.loads(done.stdout)
    schema_check.check(("status",), shown)
    return done.exit_code, shown


def codes(shown) -> list[str]:
    return sorted(warning["code"] for warning in shown["warnings"])


@pytest.mark.parametrize(
    "result", [r for r in RESULTS if isinstance(r.to_dict(), dict)], ids=lambda r: type(r).__name__
)
def test_every_result_object_has_a_list_of_warnings(result):
    assert result.to_dict()["warnings"] == []
    assert "warnings" not in json.dumps(next(r for r in RESULTS if isinstance(r.to_dict(), list)).to_dict())


def test_a_box_that_does_not_tell_its_gpu_is_no_box_without_one(run, box):
    code, shown = status(run, "--gpu")
    unread = [warning for warning in shown["warnings"] if warning["code"] == "gpu-unknown"]
    assert code == 3
    assert "gpu" not in shown["instances"][0]
    assert [(w["instance_id"], w["region"]) for w in unread] == [(box, WEST)]
    assert "Permission denied" in unread[0]["message"]
    assert shown["error"]["code"] == "gpu-unknown"
    told = run("status", "-r", WEST, "--gpu")
    assert told.exit_code == 3
    assert "Permission denied" in told.stderr
    assert "unknown" in told.stdout
    table = run("status", "-r", WEST, "--gpu", "-o", "table")
    assert table.exit_code == 3
    assert "gpu-unknown" in table.stdout
    row = next(line for line in table.stdout.splitlines() if line.startswith(box))
    assert row.endswith("unknown"), "an empty cell would look like a box without a GPU"


def test_a_box_without_an_alias_is_not_skipped_in_silence(run, app, box):
    app.paths.ssh_config.write_text("")
    code, shown = status(run, "--gpu")
    assert code == 3
    assert "no-alias" in codes(shown)
    message = next(w["message"] for w in shown["warnings"] if w["code"] == "no-alias")
    assert box in message
    assert "cleanup --sync" in message


def test_status_without_gpu_asks_no_box_and_misses_none(run, app, box):
    app.paths.ssh_config.write_text("")
    code, shown = status(run)
    assert code == 0
    assert "no-alias" not in codes(shown)


def test_a_box_that_does_not_answer_since_the_address_is_not_let_in_says_so(run, app, box, my_address):
    app.ssh.code = "ssh-timeout"
    code, shown = status(run, "--gpu")
    assert code == 3
    assert "address-not-allowed" in codes(shown)
    message = next(w["message"] for w in shown["warnings"] if w["code"] == "address-not-allowed")
    assert "203.0.113.7" in message
    assert "--ssh-cidr me" in message


def test_a_price_that_cannot_be_read_is_warned_of_and_no_failure(run, cloud, box):
    cloud.deny(WEST, "DescribeSpotPriceHistory")
    code, shown = status(run)
    assert code == 0
    assert "spot_price_per_hour" not in shown["instances"][0]
    unpriced = [w for w in shown["warnings"] if w["code"] == "price-unknown"]
    assert {w["region"] for w in unpriced} == {WEST}
    assert box in {w.get("instance_id") for w in unpriced}


def test_the_table_of_status_has_volumes_cost_and_gpu():
    shown = output.as_table(RESULTS[2])
    head = shown.splitlines()[0]
    assert all(word in head for word in ("Volumes", "USD so far", "GPU"))
    assert "vol-1" in shown
    assert "96 GB" in shown
    assert "0.1578" in shown


def test_orphan_volumes_come_with_the_commands_that_use_or_delete_them(run, cloud):
    client = cloud.ec2(WEST)
    left, kept = make_volume(client, "i-0gone"), make_volume(client, "i-0gone", kept=True)
    brought = make_volume(client, "i-0gone", ours=False, kept=True)
    shown = run("status", "-r", WEST).stdout
    for volume in (left, kept, brought):
        assert f"aws-bootstrap launch --region {WEST} --ebs-volume-id {volume}" in shown
    assert "aws-bootstrap cleanup --include-ebs --include-kept" in shown
    assert f"aws ec2 delete-volume --region {WEST} --volume-id {brought}" in shown, "cleanup never deletes it"
    assert run("cleanup", "--include-ebs", "--include-kept", "--yes").exit_code == 0
    after = run("status", "-r", WEST).stdout
    assert brought in after
    assert left not in after
    assert "cleanup --include-ebs" not in after


def test_a_region_that_a_launch_leaves_out_is_in_the_document(program):
    program.sandbox.fault(region="eu-west-1", action="DescribeImages", do={"error": "UnauthorizedOperation"})
    code, plan = program.json("launch", "--no-setup", "-r", "eu-west-1", "-r", WEST)
    assert code == 0
    assert [(w["code"], w["region"]) for w in plan["warnings"]] == [("region-failed", "eu-west-1")]


def test_the_command_that_deletes_what_was_left_behind_deletes_no_kept_volume(run, cloud):
    client = cloud.ec2("us-west-2")
    left_behind = make_volume(client, "i-0123456789abcdef0")
    kept = make_volume(client, "i-0123456789abcdef1", kept=True)
    lines = run("status", "-r", "us-west-2").stdout.splitlines()
    deletions = [line.split("aws-bootstrap ")[1].split() for line in lines if "cleanup --include-ebs" in line]
    assert deletions == [["cleanup", "--include-ebs"], ["cleanup", "--include-ebs", "--include-kept"]]
    assert run(*deletions[0], "--yes").exit_code == 0
    existing = [volume["VolumeId"] for volume in client.describe_volumes()["Volumes"]]
    assert kept in existing
    assert left_behind not in existing

"""What volumes of other types than gp3 cost: unknown where no list price by size is known, never a wrong number."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap.tests.cloud import make_volume, start_box

WEST = "us-west-2"


def document(done):
    return json.loads(done.stdout)


def unknown_prices(shown) -> list[str]:
    return [warning["message"] for warning in shown["warnings"] if warning["code"] == "price-unknown"]


def test_an_orphan_of_another_type_has_no_price(run, cloud):
    volume = make_volume(cloud.ec2(WEST), "i-0gone", size=125, ours=False, kept=True, VolumeType="sc1")
    make_volume(cloud.ec2(WEST), "i-0gone", size=100)
    shown = document(run("status", "-o", "json"))
    costs = {one["volume_id"]: one["monthly_cost_usd"] for one in shown["orphan_volumes"]}
    assert costs[volume] is None
    assert sorted(costs.values(), key=str) == [8.0, None]
    assert shown["monthly_cost_usd"] is None
    assert unknown_prices(shown) == [f"What {volume} costs a month is unknown: no list price of sc1 is known by size."]
    text = run("status").stdout
    assert f"{volume}  125 GB  price unknown  in {WEST}" in text
    assert "Disks, addresses  more than $8.00 a month; 1 of 2 prices are unknown" in text
    for output_format in ("table", "yaml"):
        assert run("status", "-o", output_format).exit_code == 0


def test_a_box_with_a_brought_volume_of_another_type_has_no_monthly_cost(run, cloud):
    box = start_box(cloud.ec2(WEST))["InstanceId"]
    make_volume(cloud.ec2(WEST), box, size=100, ours=False, kept=True, VolumeType="st1")
    shown = document(run("status", "-o", "json"))
    (instance,) = shown["instances"]
    assert instance["monthly_cost_usd"] is None
    assert {cost["item"]: cost["monthly_cost_usd"] for cost in instance["monthly_costs"]}["data volume"] is None
    message = f"What the data volume (100 GB) of {box} costs a month is unknown: its type has no list price by size."
    assert message in unknown_prices(shown)


@pytest.mark.parametrize("words", [("--dry-run",), ("--include-ebs", "--dry-run")], ids=" ".join)
def test_a_cleanup_says_where_a_price_is_unknown(run, cloud, words):
    kept = make_volume(cloud.ec2(WEST), "i-0gone", size=125, kept=True, VolumeType="st1")
    shown = document(run("cleanup", *words, "-o", "json"))
    assert [(one["volume_id"], one["monthly_cost_usd"]) for one in shown["kept_volumes"]] == [(kept, None)]
    assert unknown_prices(shown) == [f"What {kept} costs a month is unknown: no list price of st1 is known by size."]
    assert f"{kept}  125 GB  {WEST}  price unknown" in run("cleanup", *words).stdout
    assert "unknown USD/month" not in run("cleanup", *words, "-o", "table").stdout


def test_a_volume_of_others_says_where_its_price_is_unknown(run, cloud):
    make_volume(cloud.ec2(WEST), "i-0gone", size=125, owner="AIDAOTHER", VolumeType="st1")
    shown = document(run("cleanup", "--include-ebs", "--yes", "-o", "json"))
    assert shown["left_out"][0]["monthly_cost_usd"] is None
    assert "(125 GB, price unknown)" in next(
        warning["message"] for warning in shown["warnings"] if warning["code"] == "not-yours"
    )


def test_the_dry_run_of_a_launch_with_a_brought_volume_of_another_type_has_no_sum(launch, cloud):
    client = cloud.ec2(WEST)
    volume = client.create_volume(AvailabilityZone=f"{WEST}a", Size=100, VolumeType="io2", Iops=1000)["VolumeId"]
    code, planned = launch("--dry-run", "--ebs-volume-id", volume, "-r", WEST)
    assert code == 0
    assert planned["monthly_cost_usd"] is None
    assert f"What {volume} costs a month is unknown: no list price of io2 is known by size." in unknown_prices(planned)


def test_a_volume_whose_size_ec2_leaves_out_says_that(run, cloud):
    """Its type has a list price: that is not what is missing."""
    box = start_box(cloud.ec2(WEST))["InstanceId"]
    attached = make_volume(cloud.ec2(WEST), box, size=100)
    orphan = make_volume(cloud.ec2(WEST), "i-0gone", size=100)

    def without_size(answer):
        for volume in answer["Volumes"]:
            if volume["VolumeId"] in (attached, orphan):
                del volume["Size"]

    cloud.faults.change_answer("DescribeVolumes", without_size)
    shown = document(run("status", "-r", WEST, "-o", "json"))
    assert unknown_prices(shown) == [
        f"What the data volume of {box} costs a month is unknown: EC2 reported no size.",
        f"What {orphan} costs a month is unknown: EC2 reported no size.",
    ]

"""The two bare lists."""

from __future__ import annotations

import json

import pytest
import yaml

EAST, WEST = "us-east-1", "us-west-2"
GVT_SPOT = "L-3819A6DF"


def test_instance_types_by_size_with_gpu_and_quota_family(run, cloud):
    done = run("list", "instance-types", "-o", "json")
    rows = json.loads(done.stdout)
    assert rows[0].pop("spot_price_per_hour") > 0
    assert rows[0] == {
        "region": WEST,
        "instance_type": "g4dn.xlarge",
        "vcpus": 4,
        "memory_mib": 16384,
        "quota_family": "gvt",
        "gpu": "1x T4 (16384 MiB)",
        "on_demand_price_per_hour": 0.526,
    }
    assert [row["vcpus"] for row in rows if "metal" not in row["instance_type"]] == [4, 8, 16, 32, 48, 64]
    assert all(row["instance_type"].startswith("g4dn") for row in rows)


def test_prices_are_read_by_few_calls_and_an_unknown_one_is_said(run, cloud):
    cloud.list_price = {"g4dn.xlarge": 0.526}
    rows = json.loads(run("list", "instance-types", "-o", "json").stdout)
    assert [row["on_demand_price_per_hour"] for row in rows] == [0.526] + [None] * (len(rows) - 1)
    read = [operation for _, operation in cloud.calls if "Price" in operation or "Products" in operation]
    assert sorted(read) == ["DescribeSpotPriceHistory", "GetProducts"]
    assert "on-demand about $0.526/h" in run("list", "instance-types").stdout
    assert "on-demand unknown" in run("list", "instance-types").stdout
    assert "unknown" in run("list", "instance-types", "-o", "table").stdout


def test_prices_that_cannot_be_read_are_warned_of_and_no_failure(run, cloud):
    cloud.deny(EAST, "GetProducts")
    done = run("list", "instance-types")
    assert done.exit_code == 0
    assert f"Could not read the on-demand prices in {WEST}" in done.stderr
    assert "on-demand unknown" in done.stdout


def test_types_without_gpu_or_gpu_quota_have_null_there(run, cloud):
    rows = json.loads(run("list", "instance-types", "--prefix", "t3.micro", "-o", "json").stdout)
    assert [(row["gpu"], row["quota_family"]) for row in rows] == [(None, None)]


def test_text_ends_with_the_quota_commands_of_the_family(run, cloud):
    shown = run("list", "instance-types", "-r", EAST, "-r", WEST).stdout
    assert "aws-bootstrap quota show --family gvt -r us-east-1 -r us-west-2\n" in shown
    assert shown.rstrip().endswith("quota request --type spot --desired-value 8 -r us-east-1 -r us-west-2")


def test_the_printed_request_exceeds_the_quota_of_every_region(run, cloud):
    cloud.quotas.values = {(EAST, GVT_SPOT): 64.0, (WEST, GVT_SPOT): 8.0}
    shown = run("list", "instance-types", "-r", EAST, "-r", WEST).stdout
    assert shown.rstrip().endswith("quota request --type spot --desired-value 72 -r us-east-1 -r us-west-2")
    words = shown.splitlines()[-1].split()[1:]
    assert run(*words, "--yes").exit_code == 0


def test_types_are_listed_where_the_quota_cannot_be_read(run, cloud):
    cloud.deny(WEST, "GetServiceQuota")
    done = run("list", "instance-types")
    assert done.exit_code == 0
    assert "g4dn.xlarge" in done.stdout
    assert done.stdout.rstrip().endswith("quota request --type spot --desired-value 8 -r us-west-2")


def test_images_are_newest_first_and_at_most_twenty_a_region(run, cloud):
    client = cloud.ec2(WEST)
    source = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = client.run_instances(ImageId=source, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    for number in range(21):
        client.create_image(InstanceId=instance, Name=f"al2-mine-{number}")
    rows = json.loads(run("list", "amis", "--filter", "*", "-o", "json").stdout)
    assert len(rows) == 20
    assert set(rows[0]) == {"region", "image_id", "name", "creation_date", "architecture"}
    dates = [row["creation_date"] for row in rows]
    assert dates == sorted(dates, reverse=True)
    assert all(len(date) == 10 for date in dates)


@pytest.mark.parametrize(
    ("args", "words"),
    [(("instance-types", "--prefix", "zz9"), "zz9"), (("amis", "--filter", "nothing*"), "'nothing*'")],
    ids=["types", "amis"],
)
def test_nothing_found_is_an_empty_list_and_a_sentence(run, cloud, args, words):
    done = run("list", *args, "-o", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == []
    assert words in run("list", *args).stdout


@pytest.mark.parametrize(("fmt", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
@pytest.mark.parametrize("what", ["instance-types", "amis"])
def test_a_region_that_fails_leaves_a_bare_list_and_exit_code_3(run, cloud, what, fmt, load):
    cloud.deny(EAST)
    done = run("list", what, "-r", EAST, "-r", WEST, "-o", fmt)
    rows = load(done.stdout)
    assert done.exit_code == 3
    assert isinstance(rows, list)
    assert EAST in done.stderr
    assert {row["region"] for row in rows} <= {WEST}


@pytest.mark.parametrize("what", ["instance-types", "amis"])
def test_every_region_failing_is_an_error_document(run, cloud, what):
    cloud.deny(EAST)
    done = run("list", what, "-r", EAST, "-o", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "access-denied"


def test_options_come_from_variables_named_after_group_and_command(run, cloud, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_LIST_INSTANCE_TYPES_PREFIX", "g5.xlarge")
    rows = json.loads(run("list", "instance-types", "-o", "json").stdout)
    assert [row["instance_type"] for row in rows] == ["g5.xlarge"]

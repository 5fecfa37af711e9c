"""Quotas: shown, asked for, looked back on. Service Quotas answers in this process."""

from __future__ import annotations

import json
import signal
import threading
from typing import Any

import pytest

from aws_bootstrap import quota
from aws_bootstrap.models.quota import value_to_request

GVT_SPOT, GVT_ON_DEMAND = "L-3819A6DF", "L-DB2E81BA"
P_SPOT, P5_SPOT, P_ON_DEMAND = "L-7212CCBC", "L-C4BD4855", "L-417A185B"
EAST, WEST = "us-east-1", "us-west-2"


@pytest.fixture
def quotas(cloud):
    """Each region knows every code; 4 vCPUs each."""
    codes = {kind.code for kind in quota.quota_keys()}
    cloud.quotas.values = {(region, code): 4.0 for region in (EAST, WEST) for code in codes}
    return cloud.quotas


def sent(cloud) -> list[str]:
    return [region for region, operation in cloud.calls if operation == "RequestServiceQuotaIncrease"]


# --- show ------------------------------------------------------------------------------------------------


def test_the_codes_are_those_of_the_contract():
    assert quota.CODES == {
        "gvt": {"spot": "L-3819A6DF", "on-demand": "L-DB2E81BA"},
        "p": {"spot": "L-7212CCBC", "on-demand": "L-417A185B"},
        "p5": {"spot": "L-C4BD4855", "on-demand": "L-417A185B"},
        "dl": {"spot": "L-85EED4F7", "on-demand": "L-6E869C2A"},
    }


def test_all_families_are_shown_and_the_shared_code_is_asked_for_once(run, cloud, quotas):
    shown = json.loads(run("quota", "show", "-o", "json").stdout)
    assert [(q["family"], q["quota_type"]) for q in shown["quotas"]] == [
        (family, market) for family in ("gvt", "p", "p5", "dl") for market in ("spot", "on-demand")
    ]
    assert shown["quotas"][0] == {
        "region": WEST,
        "family": "gvt",
        "quota_type": "spot",
        "quota_code": GVT_SPOT,
        "quota_name": f"Quota {GVT_SPOT}",
        "value": 4.0,
    }
    assert shown["regions_queried"] == [WEST]
    assert cloud.calls == [(WEST, "GetServiceQuota")] * 7


def test_four_quotas_of_a_region_are_read_at_the_same_time():
    """As many as AWS allows: 5 a second, and 5 more at once."""
    four = threading.Barrier(4)

    class Client:
        def get_service_quota(self, *, ServiceCode: str, QuotaCode: str) -> dict[str, Any]:
            four.wait(30)
            return {"Quota": {"Value": 1.0}}

    codes = ("L-1", "L-2", "L-2", "L-3", "L-4")
    client: Any = Client()
    assert list(quota.find_quotas(client, codes)) == ["L-1", "L-2", "L-3", "L-4"]


def test_a_quota_that_was_never_changed_answers_as_a_default(run, quotas):
    del quotas.values[WEST, GVT_SPOT]
    quotas.defaults[WEST, GVT_SPOT] = 0.0
    shown = json.loads(run("quota", "show", "--family", "gvt", "-o", "json").stdout)
    assert [(q["quota_code"], q["value"]) for q in shown["quotas"]] == [(GVT_SPOT, 0.0), (GVT_ON_DEMAND, 4.0)]


def test_where_p5_was_folded_into_p_that_is_said_and_ps_quota_shown(run, quotas):
    del quotas.values[WEST, P5_SPOT]
    quotas.values[WEST, P_SPOT] = 96.0
    spot, on_demand = json.loads(run("quota", "show", "--family", "p5", "-o", "json").stdout)["quotas"]
    assert (spot["family"], spot["quota_code"], spot["value"]) == ("p5", P_SPOT, 96.0)
    assert P_SPOT in spot["note"]
    assert "note" not in on_demand
    assert spot["note"] in run("quota", "show", "--family", "p5").stdout


def test_text_ends_with_a_request_that_exceeds_the_value(run, quotas):
    quotas.values[WEST, GVT_SPOT] = 64.0
    shown = run("quota", "show", "--family", "gvt").stdout
    assert shown.rstrip().endswith("aws-bootstrap quota request --type spot --desired-value 72 -r us-west-2")


@pytest.mark.parametrize(("family", "smallest"), [("gvt", 4), ("p", 8), ("p5", 16), ("dl", 96)])
@pytest.mark.parametrize("current", [0.0, 3.5, 64.0])
def test_the_request_is_for_two_boxes_of_the_family_above_the_highest_quota(run, quotas, family, smallest, current):
    quotas.values[EAST, quota.CODES[family]["spot"]] = current
    quotas.values[WEST, quota.CODES[family]["spot"]] = 0.0
    regions = ("-r", WEST, "-r", EAST)
    shown = json.loads(run("quota", "show", "--family", family, *regions, "-o", "json").stdout)
    (command,) = shown["next"]
    desired = command["argv"][command["argv"].index("--desired-value") + 1]
    assert int(desired) == int(current) + 2 * smallest
    assert run(*command["argv"][1:], "--yes").exit_code == 0, "AWS accepts it: it exceeds the quota of each region"


def test_a_request_exceeds_the_quota_where_the_vcpus_of_a_type_are_not_known():
    assert value_to_request(12.0, 0) == 14
    assert value_to_request(None, 4) == 8


def test_a_region_that_cannot_be_read_is_unknown_and_the_rest_is_shown(run, cloud, quotas):
    cloud.deny(EAST)
    done = run("quota", "show", "-r", EAST, "-r", WEST, "-o", "json")
    shown = json.loads(done.stdout)
    assert done.exit_code == 3
    assert {q["region"] for q in shown["quotas"]} == {WEST}
    assert shown["regions_failed"][0]["region"] == EAST
    assert shown["error"]["code"] == "region-failed"
    cloud.deny(WEST)
    done = run("quota", "show", "-r", EAST, "-r", WEST, "-o", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "access-denied"


# --- request ---------------------------------------------------------------------------------------------


ASK = ("quota", "request", "--type", "spot", "--desired-value", "8", "-r", EAST, "-r", WEST, "-o", "json")


def test_a_request_is_sent_in_every_region(run, cloud, quotas):
    done = run(*ASK, "--yes")
    assert done.exit_code == 0
    assert sorted(sent(cloud)) == [EAST, WEST]
    rows = json.loads(done.stdout)["requests"]
    assert [row["region"] for row in rows] == [EAST, WEST]
    assert rows[0] == {
        "request_id": rows[0]["request_id"],
        "status": "PENDING",
        "quota_code": GVT_SPOT,
        "quota_name": f"Quota {GVT_SPOT}",
        "desired_value": 8.0,
        "region": EAST,
        "quota_type": "spot",
        "family": "gvt",
    }


@pytest.mark.parametrize("value", [8.0, 64.0])
def test_one_region_at_or_above_the_value_and_nothing_is_sent_anywhere(run, cloud, quotas, value):
    quotas.values[EAST, GVT_SPOT] = value
    done = run(*ASK, "--yes")
    error = json.loads(done.stdout)["error"]
    assert done.exit_code == 1
    assert error["code"] == "bad-quota-value"
    assert sent(cloud) == []
    assert [r["region"] for r in error["regions"]] == [EAST]


def test_one_region_that_cannot_be_read_and_nothing_is_sent_anywhere(run, cloud, quotas):
    cloud.deny(EAST)
    done = run(*ASK, "--yes")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "access-denied"
    assert sent(cloud) == []


def test_a_request_that_is_open_already_is_reported_with_its_id(run, cloud, quotas):
    quotas.add_request(WEST, GVT_SPOT, 16.0, "APPROVED")
    quotas.add_request(WEST, GVT_SPOT, 32.0, "CASE_OPENED")
    done = run(*ASK, "--yes")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (1, "quota-pending")
    assert sent(cloud) == []
    assert "32 vCPUs" in error["message"]
    assert "request-1" in error["message"]
    assert "quota history" in error["hint"]


def test_a_request_opened_by_another_just_now_is_reported_in_our_words(run, cloud, quotas):
    quotas.refuse = {EAST: "ResourceAlreadyExistsException", WEST: "ResourceAlreadyExistsException"}
    error = json.loads(run(*ASK, "--yes").stdout)["error"]
    assert error["code"] == "quota-pending"
    assert error["message"] == "A request for this quota is already open."


def test_one_region_that_refuses_leaves_the_others_request_listed(run, cloud, quotas):
    quotas.refuse = {EAST: "DependencyAccessDeniedException"}
    done = run(*ASK, "--yes")
    shown = json.loads(done.stdout)
    assert done.exit_code == 3
    assert [row["region"] for row in shown["requests"]] == [WEST]
    assert [r["region"] for r in shown["error"]["regions"]] == [EAST] == [r["region"] for r in shown["regions_failed"]]


@pytest.mark.parametrize("lost", [1, None], ids=["once", "always"])
def test_a_request_whose_answer_is_lost_is_found_among_the_open_ones(run, cloud, quotas, lost):
    cloud.faults.lose("RequestServiceQuotaIncrease", region=EAST, times=lost)
    done = run(*ASK, "--yes")
    rows = json.loads(done.stdout)["requests"]
    assert done.exit_code == 0
    assert [row["region"] for row in rows] == [EAST, WEST]
    assert {row["request_id"] for row in rows} == {made["Id"] for made in quotas.requests}


def test_an_open_request_for_another_value_is_not_taken_for_ours(run, cloud, quotas):
    """Somebody asks for another value between our check and our request."""
    cloud.faults.on("RequestServiceQuotaIncrease", lambda: quotas.add_request(EAST, GVT_SPOT, 7.0), region=EAST)
    done = run(*ASK, "--yes")
    shown = json.loads(done.stdout)
    assert done.exit_code == 3
    assert [row["region"] for row in shown["requests"]] == [WEST]
    assert "already open" in shown["error"]["message"]


def test_a_request_of_which_nothing_can_be_learnt_is_reported_as_unknown(run, app, cloud, quotas):
    app.lookup_seconds = 0
    cloud.faults.lose("RequestServiceQuotaIncrease", region=EAST)
    cloud.faults.drop("ListRequestedServiceQuotaChangeHistoryByQuota", region=EAST, skip=1)  # the first one checks
    done = run(*ASK, "--yes")
    error = json.loads(done.stdout)["error"]
    assert done.exit_code == 3
    assert "It is unknown whether AWS received the request" in error["message"]
    assert "quota history" in error["hint"]


def test_an_interrupted_request_names_what_was_sent(run, app, cloud, quotas):
    """The answer of one region is held back; the other one's never comes, for a signal does."""
    held = cloud.faults.hold("RequestServiceQuotaIncrease", region=WEST)
    cloud.faults.interrupt("RequestServiceQuotaIncrease", signal.SIGTERM, region=EAST, after=held)
    done = run(*ASK, "--yes")
    shown = json.loads(done.stdout)
    held.release()
    assert done.exit_code == 143
    assert shown["error"]["code"] == "interrupted"
    assert [(row["region"], row["status"]) for row in shown["requests"]] == [(EAST, "PENDING"), (WEST, "PENDING")]
    assert "quota history" in shown["error"]["hint"]


def test_without_yes_structured_output_sends_nothing(run, cloud, quotas):
    done = run(*ASK)
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["hint"] == "Add --yes."
    assert sent(cloud) == []


def test_where_p5_was_folded_the_request_says_so_and_names_ps_code(run, cloud, quotas):
    del quotas.values[WEST, P5_SPOT]
    done = run("quota", "request", "--family", "p5", "--type", "spot", "--desired-value", "192", "--yes")
    assert done.exit_code == 0
    assert f"{P_SPOT} applies" in done.stdout
    assert quotas.requests[0]["QuotaCode"] == P_SPOT


def test_a_quota_that_the_region_does_not_know_is_reported(run, cloud):
    done = run("quota", "request", "--family", "dl", "--type", "spot", "--desired-value", "8", "--yes")
    assert done.exit_code == 1
    assert "no dl spot quota" in done.stderr


# --- history ---------------------------------------------------------------------------------------------


def history(run, *args) -> list[tuple[str, str, str]]:
    rows = json.loads(run("quota", "history", "-o", "json", *args).stdout)["requests"]
    return [(row["request_id"], row["family"], row["quota_type"]) for row in rows]


def test_history_is_newest_first_over_regions_and_pages_and_of_gpu_quotas_alone(run, cloud, quotas):
    quotas.add_request(WEST, GVT_SPOT, 8.0, "APPROVED", CaseId="42")
    quotas.add_request(EAST, P_ON_DEMAND, 96.0)
    quotas.add_request(WEST, "L-1216C47A", 500.0)  # standard on-demand instances
    quotas.add_request(WEST, GVT_ON_DEMAND, 16.0, "DENIED")
    both = ("-r", EAST, "-r", WEST)
    assert history(run, *both) == [
        ("request-3", "gvt", "on-demand"),
        ("request-1", "p", "on-demand"),
        ("request-0", "gvt", "spot"),
    ]
    assert history(run, *both, "--family", "p5") == [("request-1", "p5", "on-demand")]
    assert history(run, *both, "--type", "spot") == [("request-0", "gvt", "spot")]
    assert history(run, *both, "--status", "DENIED") == [("request-3", "gvt", "on-demand")]
    first = json.loads(run("quota", "history", "--type", "spot", "-o", "json").stdout)["requests"][0]
    assert first["created"] == "2026-01-01T00:00:00+00:00"
    assert first["case_id"] == "42"


def test_p5s_history_is_among_ps_where_it_was_folded(run, cloud, quotas):
    quotas.add_request(WEST, P_SPOT, 192.0)
    assert history(run, "--family", "p5") == []
    del quotas.values[WEST, P5_SPOT]
    assert history(run, "--family", "p5") == [("request-0", "p5", "spot")]


def test_no_requests_is_an_empty_list_and_a_sentence(run, cloud):
    assert history(run) == []
    assert "us-west-2" in run("quota", "history").stdout


def test_a_missing_option_is_one_line_that_names_the_choices(run):
    message = json.loads(run("quota", "request", "-o", "json").stdout)["error"]["message"]
    assert message == "Missing option '--type'. Choose from: spot, on-demand"


def test_the_table_shows_numbers_and_times_as_a_person_writes_them(run, cloud, quotas):
    quotas.add_request(WEST, GVT_SPOT, 8.0)
    last = run("quota", "history", "-o", "table").stdout.splitlines()[-1].split("  ")
    assert last[0] == "2026-01-01 00:00"
    assert "8" in [cell.strip() for cell in last]


def test_options_come_from_variables_named_after_group_and_command(run, cloud, quotas, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_QUOTA_SHOW_FAMILY", "dl")
    monkeypatch.setenv("AWS_BOOTSTRAP_QUOTA_SHOW_REGION", f"{EAST},{WEST}")
    rows = json.loads(run("quota", "show", "-o", "json").stdout)["quotas"]
    assert {(row["family"], row["region"]) for row in rows} == {("dl", EAST), ("dl", WEST)}


@pytest.mark.parametrize(
    "words",
    [
        ("quota", "history", "-o", "JSON", "--status", "pending"),
        ("quota", "history", "--output=Json", "--family", "GVT", "--type", "SPOT"),
    ],
    ids=" ".join,
)
def test_choices_are_taken_in_any_case(run, cloud, quotas, words):
    quotas.add_request(WEST, GVT_SPOT, 8.0)
    done = run(*words)
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)["requests"]) == 1


def test_the_format_of_the_environment_is_taken_in_any_case(run, cloud, quotas, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_OUTPUT", "JSON")
    assert json.loads(run("quota", "history").stdout)["requests"] == []
    failed = run("quota", "history", "--status", "nonsense")
    assert failed.exit_code == 2
    assert json.loads(failed.stdout)["error"]["code"] == "usage"


def test_a_request_that_nobody_can_confirm_is_refused_before_any_call(run, cloud, quotas):
    """Also where the value is too low: a script learns of the missing --yes whatever it requests."""
    done = run("quota", "request", "--type", "spot", "--desired-value", "1", "-o", "json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["hint"] == "Add --yes."
    assert not cloud.calls

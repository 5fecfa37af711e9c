"""What `cluster prepare` compares of the nodes, and what `cluster test` makes of the results of its jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aws_bootstrap.models import ClusterPrepareReport, NodeFacts
from aws_bootstrap.outcomes import error_for
from aws_bootstrap.workflows.cluster import facts

USUAL = NodeFacts(
    rank=0,
    instance_id="i-0",
    ssh_alias="aws-train-0",
    private_ip="10.0.0.10",
    gpus=("Tesla T4",),
    driver="595.91.07",
    cuda_toolkit="13.2",
    torch="2.12.1+cu132",
    python="3.12.1",
    host_name="ip-10-0-0-10",
    host_addresses=("10.0.0.10",),
    clock_offset_seconds=0.2,
    free_gb=60.0,
)


def nodes(**changes: Any) -> list[NodeFacts]:
    """Three nodes, of which the last one differs."""
    return [USUAL, replace(USUAL, rank=1), replace(USUAL, rank=2, **changes)]


def failed(found: list[NodeFacts], *, with_gpu: bool = True) -> dict[str, str]:
    """The details of the checks that did not pass, by their names."""
    return {check.name: check.detail for check in facts.checks(found, with_gpu=with_gpu) if not check.passed}


def test_equal_nodes_pass():
    assert failed(nodes()) == {}


@pytest.mark.parametrize(
    ("changes", "name", "detail"),
    [
        ({"gpus": ()}, "gpu", "1 × Tesla T4 on nodes 0 and 1; no GPU on node 2"),
        ({"gpus": ("Tesla T4", "Tesla T4")}, "gpu", "1 × Tesla T4 on nodes 0 and 1; 2 × Tesla T4 on node 2"),
        (
            {"driver": "570.1"},
            "cuda",
            "driver 595.91.07, CUDA 13.2 on nodes 0 and 1; driver 570.1, CUDA 13.2 on node 2",
        ),
        ({"cuda_toolkit": "12.8"}, "cuda", None),
        ({"torch": "2.11.0"}, "torch", None),
        ({"torch": None}, "torch", None),
        ({"python": "3.13.0"}, "torch", None),
        ({"clock_offset_seconds": 1.3}, "clock", "that of node 2 is 1.1 s ahead of that of node 0"),
        ({"clock_offset_seconds": -0.9}, "clock", "that of node 0 is 1.1 s ahead of that of node 2"),
        ({"host_addresses": ("127.0.1.1",)}, "host-name", "that of node 2 resolves to the loopback, or to nothing"),
        ({"host_addresses": ("::1", "10.0.0.12")}, "host-name", None),
        ({"host_addresses": ()}, "host-name", None),
        ({"free_gb": 2.0}, "disk", "at least 2 GB free, on node 2"),
    ],
)
def test_what_differs_is_named_with_its_nodes(changes, name, detail):
    found = failed(nodes(**changes))
    assert list(found) == [name]
    assert detail in (None, found[name])


def test_clocks_may_differ_by_a_second():
    assert failed(nodes(clock_offset_seconds=1.2)) == {}


def test_what_all_nodes_lack_fails_only_where_it_is_needed():
    bare = [replace(one, gpus=(), driver=None, cuda_toolkit=None) for one in nodes()]
    assert failed(bare, with_gpu=False) == {}
    assert failed(bare) == {"gpu": "no GPU"}
    assert failed([replace(one, torch=None) for one in nodes()]) == {"torch": "no PyTorch in ~/venv"}


@pytest.mark.parametrize(
    ("speeds", "passed", "detail"),
    [
        ((9.0, 8.0, 2.3), True, "at least 2.3 Gbit/s from node to node"),
        ((9.0, 8.0, 1.9), False, "node 2: 1.9 Gbit/s, where 8.0 Gbit/s are usual in this cluster"),
        ((None, None, None), True, "one node alone"),
    ],
)
def test_a_node_whose_network_is_slow_is_named(speeds, passed, detail):
    found = [replace(one, gbit_per_second=speed) for one, speed in zip(nodes(), speeds, strict=True)]
    check = facts.network(found, None)
    assert (check.passed, check.detail) == (passed, detail)


def test_a_measurement_that_failed_is_no_network():
    check = facts.network(nodes(), "Node 1 was lost.")
    assert (check.passed, check.detail) == (False, "Node 1 was lost.")


def test_the_error_names_all_that_differs_and_the_command_that_helps():
    checks = tuple(facts.checks(nodes(torch=None, free_gb=1.0), with_gpu=True))
    error = error_for(ClusterPrepareReport("train", None, False, None, "10.0.0.10", 3, checks, ()))
    assert error
    assert error.code == "cluster-not-ready"
    assert str(error) == (
        "The cluster train is not ready. torch: PyTorch 2.12.1+cu132, Python 3.12.1 on nodes 0 and 1; "
        "no PyTorch in ~/venv on node 2. disk: at least 1 GB free, on node 2."
    )
    assert "cluster launch --cluster-id train --nodes 3" in str(error.hint)

"""The calls that EC2 demands for each node of a launch come no faster than EC2 takes them (launch/each_node.py)."""

from __future__ import annotations

import pytest

from aws_bootstrap.parallel import Rate, map_few_at_once
from aws_bootstrap.tests.bench.aws_answers import Call, Refused
from aws_bootstrap.tests.bench.throttling import Throttle
from aws_bootstrap.tests.factories import Clock
from aws_bootstrap.workflows.launch.each_node import ATTACH_VOLUME, CREATE_TAGS, CREATE_VOLUME

RATES = [("CreateTags", CREATE_TAGS), ("CreateVolume", CREATE_VOLUME), ("AttachVolume", ATTACH_VOLUME)]


def send(action: str, count: int, rate: Rate | None) -> float:
    """Send so many calls, which take no time. Return when the last one was sent."""
    clock = Clock()
    buckets = Throttle(clock)

    def call(_: int) -> float:
        buckets.take(Call("us-west-2", action, {}))
        return clock()

    return map_few_at_once(call, range(count), 1, rate, clock=clock, sleep=clock.sleep)[-1]


@pytest.mark.parametrize(("action", "rate"), RATES)
def test_none_of_them_is_refused_however_many_there_are(action, rate):
    assert send(action, 300, rate) > 0
    with pytest.raises(Refused, match="Request limit exceeded"):
        send(action, 300, None)


@pytest.mark.parametrize(("action", "rate"), RATES)
def test_those_of_few_nodes_are_all_sent_at_once(action, rate):
    assert send(action, 32, rate) == 0.0

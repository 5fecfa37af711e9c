"""Do something for several boxes of a launch: at the same time, or no faster than EC2 takes the calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ...parallel import Rate, map_few_at_once, run_parallel
from .state import Launch, Node

#: How many calls of an action EC2 takes of an account in one region, at once and a second, less a fifth for what else
#: the account does: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
CREATE_TAGS = Rate(80, 8.0)
CREATE_VOLUME = Rate(80, 4.0)
ATTACH_VOLUME = Rate(40, 4.0)
#: So many of them at the same time, as many as a client keeps connections.
_AT_ONCE = 20


def at_the_same_time(action: Callable[[Launch, Node], None], launch: Launch, nodes: Sequence[Node]) -> None:
    """Run the action for all these boxes at the same time; for a single one in this thread."""
    if len(nodes) == 1:
        action(launch, nodes[0])
    else:
        run_parallel([partial(action, launch, node) for node in nodes])


def at_rate(rate: Rate, action: Callable[[Launch, Node], None], launch: Launch, nodes: Sequence[Node]) -> None:
    """Run the action, which sends one call, for all these boxes, at the rate that EC2 takes."""
    if len(nodes) == 1:
        action(launch, nodes[0])
    else:
        map_few_at_once(partial(action, launch), nodes, _AT_ONCE, rate)


def for_each_node(action: Callable[[Launch, Node], None]) -> Callable[[Launch], None]:
    """Return a function that runs the action for all boxes of a launch at the same time."""

    def run(launch: Launch) -> None:
        at_the_same_time(action, launch, launch.nodes)

    return run

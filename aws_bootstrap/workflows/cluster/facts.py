"""What the nodes of a cluster have, as each says it (resources/gang/checks.py), and what must be equal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from statistics import median
from typing import TYPE_CHECKING, Any

from ...errors import BootstrapError, SshError
from ...models import Check, NodeFacts
from ..runs import PYTHON
from .nodes import Node, named, on_all

if TYPE_CHECKING:
    from ...ssh_tunnel import Connection

_CHECKS = files("aws_bootstrap") / "resources" / "gang" / "checks.py"
#: By how much two clocks may differ, in seconds: certificates, tokens and the order of checkpoints depend on them.
_CLOCKS = 1.0
#: Below that a node has no space for a data set or a checkpoint.
_FREE_GB = 5.0
#: A node that gets less than so much of what the others get slows all of them down.
_SLOW = 0.25


def read(nodes: Sequence[Node], connections: Mapping[int, Connection]) -> list[NodeFacts | BootstrapError]:
    """Return what each node says, or why it says nothing. Several errors do not hide what the others say."""
    return on_all(partial(_facts_of, connections), nodes)


def _facts_of(connections: Mapping[int, Connection], node: Node) -> NodeFacts:
    program = _CHECKS.read_bytes()
    code, answer, words = connections[node.rank].run("bash", "--norc", "-c", PYTHON, stdin=program)
    here = time.time()
    try:
        found: dict[str, Any] = json.loads(answer)
    except ValueError as exc:
        raise SshError(f"{node.alias} did not answer as expected: {words or f'exit code {code}'}") from exc
    return NodeFacts(
        rank=node.rank,
        instance_id=node.host.instance_id,
        ssh_alias=node.alias,
        private_ip=node.address,
        gpus=tuple(found["gpus"]),
        driver=found["driver"],
        cuda_driver_max=found["cuda_driver_max"],
        cuda_toolkit=found["cuda_toolkit"],
        torch=found["torch"],
        torch_cuda=found["torch_cuda"],
        python=found["venv_python"],
        host_name=found["host_name"],
        host_addresses=tuple(found["addresses"] or ()),
        clock_offset_seconds=round(found["time"] - here, 3),
        free_gb=round(found["free_bytes"] / 1e9, 1),
    )


# --- what must be so -------------------------------------------------------------------------------------


def checks(facts: Sequence[NodeFacts], *, with_gpu: bool) -> list[Check]:
    """Return what these nodes have in common, and what keeps them from training. `with_gpu`: each must have a GPU."""
    return [
        _same("gpu", facts, _gpus, required=with_gpu, missing="no GPU"),
        _same("cuda", facts, _cuda, missing="no CUDA"),
        _same("torch", facts, _torch, required=True, missing="no PyTorch in ~/venv"),
        _clocks(facts),
        _host_names(facts),
        _disks(facts),
    ]


def _gpus(facts: NodeFacts) -> str:
    if not facts.gpus:
        return ""
    return f"{len(facts.gpus)} × {', '.join(dict.fromkeys(facts.gpus))}"


def _cuda(facts: NodeFacts) -> str:
    words: list[str] = []
    for name, version in (("driver", facts.driver), ("CUDA", facts.cuda_toolkit or facts.cuda_driver_max)):
        if version:
            words.append(f"{name} {version}")
    return ", ".join(words)


def _torch(facts: NodeFacts) -> str:
    if facts.torch is None:
        return ""
    return f"PyTorch {facts.torch}, Python {facts.python}"


def _same(
    name: str, facts: Sequence[NodeFacts], value: Callable[[NodeFacts], str], *, missing: str, required: bool = False
) -> Check:
    """Return the check that all nodes have the same, and where it is `required` that they have it."""
    ranks_by_value: dict[str, list[int]] = {}
    for one in facts:
        ranks_by_value.setdefault(value(one) or missing, []).append(one.rank)
    detail = "; ".join(f"{found} on {named(ranks)}" for found, ranks in ranks_by_value.items())
    if len(ranks_by_value) == 1:
        (detail,) = ranks_by_value
    return Check(name, len(ranks_by_value) == 1 and not (required and missing in ranks_by_value), detail)


def _clocks(facts: Sequence[NodeFacts]) -> Check:
    offsets = [one.clock_offset_seconds or 0.0 for one in facts]
    spread = max(offsets) - min(offsets)
    detail = f"within {max(spread, 0.1):.1f} s"
    if spread > _CLOCKS:
        first = max(facts, key=_offset)
        last = min(facts, key=_offset)
        detail = f"that of node {first.rank} is {spread:.1f} s ahead of that of node {last.rank}"
    return Check("clock", spread <= _CLOCKS, detail)


def _offset(facts: NodeFacts) -> float:
    return facts.clock_offset_seconds or 0.0


def _host_names(facts: Sequence[NodeFacts]) -> Check:
    """Return the check that other nodes can reach a node by what its own name resolves to: gloo and NCCL look there."""
    wrong = [one.rank for one in facts if not _is_reachable_by_name(one)]
    if wrong:
        return Check("host-name", False, f"that of {named(wrong)} resolves to the loopback, or to nothing")
    return Check("host-name", True, "each resolves to an address that the others reach")


def _is_reachable_by_name(facts: NodeFacts) -> bool:
    loopback = [address for address in facts.host_addresses if address.startswith("127.") or address == "::1"]
    return bool(facts.host_addresses) and not loopback


def _disks(facts: Sequence[NodeFacts]) -> Check:
    least = min(facts, key=_free)
    detail = f"at least {_free(least):.0f} GB free, on node {least.rank}"
    return Check("disk", _free(least) >= _FREE_GB, detail)


def _free(facts: NodeFacts) -> float:
    return facts.free_gb or 0.0


def network(facts: Iterable[NodeFacts], reason: str | None) -> Check:
    """Return the check of the network between the nodes. `reason`: why the measurement failed, None if it did not."""
    if reason is not None:
        return Check("bandwidth", False, reason)
    speeds = {one.rank: one.gbit_per_second for one in facts if one.gbit_per_second is not None}
    if not speeds:
        return Check("bandwidth", True, "one node alone")
    usual = median(speeds.values())
    slow = [rank for rank, speed in speeds.items() if speed < _SLOW * usual]
    slowest = min(speeds.values())
    detail = f"at least {slowest:.1f} Gbit/s from node to node"
    if slow:
        detail = f"{named(slow)}: {slowest:.1f} Gbit/s, where {usual:.1f} Gbit/s are usual in this cluster"
    return Check("bandwidth", not slow, detail)

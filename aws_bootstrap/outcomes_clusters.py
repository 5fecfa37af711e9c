"""Which error a result about several nodes of a cluster amounts to: `outcomes` for one box."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import BootstrapError, IncompleteError
from .models import ExtendedNode


def extended_nodes_error(nodes: Sequence[ExtendedNode]) -> BootstrapError | None:
    """Return the error of nodes whose limits have not changed; else that of nodes whose tags have not."""
    failed = [node for node in nodes if node.error]
    if failed:
        names = ", ".join(node.ssh_alias or node.instance_id for node in failed)
        hints = dict.fromkeys(node.hint for node in failed if node.hint)
        return IncompleteError(
            f"The other nodes have new limits, but not {names}: {failed[0].error}",
            hint="\n".join(hints),
            code=failed[0].error_code,
        )
    untagged = [node for node in nodes if node.tag_error]
    if not untagged:
        return None
    names = ", ".join(node.ssh_alias or node.instance_id for node in untagged)
    commands = "\n".join(f"Write them yourself: {node.tag_command}" for node in untagged)
    return IncompleteError(
        f"The nodes have their new limits, but the tags of {names}, which `status` reads, have not: "
        f"{untagged[0].tag_error}",
        hint=commands,
        code="tags-failed",
    )

"""The options with which the nodes of a cluster were launched, as EC2's tags keep them: for those that are added."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from ...workflows.cluster.members import Cluster


def typed(ctx: click.Context, cluster: Cluster | None) -> dict[str, Any]:
    """Return the options of the cluster's launch, by the names of parameters, without those that this line has.

    Empty where EC2 has none, or where somebody edited them.
    """
    from ..launch import launch

    try:
        known = launch.make_context("launch", words_of(cluster), parent=ctx.parent, default_map={})
    except click.UsageError:
        return {}
    kept: dict[str, Any] = {}
    with known:
        for name, value in known.params.items():
            is_set = known.get_parameter_source(name) is ParameterSource.COMMANDLINE
            is_typed = ctx.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
            if is_set and not is_typed and name in ctx.params:
                kept[name] = value
    return kept


def words_of(cluster: Cluster | None) -> list[str]:
    """Return the options of the launch of the first node as words; empty where EC2 has none."""
    line = cluster.nodes[0].instance.settings if cluster else None
    try:
        return shlex.split(line or "")
    except ValueError:  # somebody edited them
        return []

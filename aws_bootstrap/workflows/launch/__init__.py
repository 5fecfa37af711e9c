"""Launch one box: plan (read-only), then apply, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ... import output
from ...config import LaunchConfig
from ...models import LaunchReport
from ..steps import run_steps, titles
from .failure import incomplete
from .plan import LaunchPlan, make_plan
from .report import report
from .state import Launch
from .steps import STEPS

if TYPE_CHECKING:
    from ...app import App


def plan(config: LaunchConfig, app: App) -> LaunchPlan:
    """Return what `apply` would do. Reads only; changes nothing."""
    facts = make_plan(config, app)
    return replace(facts, steps=titles(STEPS, facts))


def apply(plan: LaunchPlan, app: App, ask_on_demand: Callable[[Callable[[], str]], bool]) -> LaunchReport:
    """Do what was planned, and return its report.

    Whatever breaks it, the error says what exists, how to go on and how to undo it.
    """
    launch = Launch(plan, app, ask_on_demand, plan.key)
    _warn_of_regions(plan)
    try:
        run_steps(STEPS, plan, launch)
    except (Exception, KeyboardInterrupt) as exc:
        raise incomplete(launch, exc) from exc
    return report(launch)


def _warn_of_regions(plan: LaunchPlan) -> None:
    """Warn of the regions that are left out, and of the types that a region does not have."""
    for failure in plan.regions_failed:
        what = f"{failure.region} is left out: {failure.error}"
        output.warn(what, code="region-failed", region=failure.region)
    for region_plan in plan.regions:
        missing = [name for name in plan.config.instance_type if name not in region_plan.types]
        if missing:
            what = f"{region_plan.region} has no {' or '.join(missing)}"
            output.warn(what, code="bad-instance-type", region=region_plan.region)

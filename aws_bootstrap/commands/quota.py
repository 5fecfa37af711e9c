"""`quota`: how many vCPUs of each GPU family may run, and requests for more."""

from __future__ import annotations

import click

from .. import quota as quotas
from ..app import App
from ..models.facts import MARKETS, Market
from . import options
from .command import Group, any_case

_FAMILIES = any_case(quotas.FAMILIES)
_MARKETS = any_case(MARKETS)
_FAMILY_HELP = "GPU family: gvt (G and VT), p (P2 to P4), p5 (P5), dl (DL)."


@click.group("quota", cls=Group, default="show")
def quota() -> None:
    """Show and raise the account's vCPU quotas for GPU instances.

    `quota` alone is `quota show`.

    \b
    Examples:
      aws-bootstrap quota
      aws-bootstrap quota request --type spot --desired-value 8
      aws-bootstrap quota history
    """


@quota.command()
@click.option("--family", type=_FAMILIES, help=f"{_FAMILY_HELP}  [default: all]")
@options.regions_here
@click.pass_obj
def show(app: App, family: str | None, regions: tuple[str, ...]) -> None:
    """Show how many vCPUs may run. Each family has a quota on spot and one on-demand.

    \b
    Examples:
      aws-bootstrap quota show
      aws-bootstrap quota show --family gvt -r us-east-1 -r us-west-2
      aws-bootstrap quota show -o json
    """
    from ..workflows import quota as workflow

    app.show(workflow.show(app, family, regions))


@quota.command()
@click.option("--type", "market", required=True, type=_MARKETS, help="Market of the quota.")
@click.option(
    "--desired-value",
    required=True,
    type=click.IntRange(1, 100_000),
    metavar="VCPUS",
    help="Number of vCPUs in all, not in addition.",
)
@click.option("--family", default="gvt", show_default=True, type=_FAMILIES, help=_FAMILY_HELP)
@options.regions_here
@options.yes
@click.pass_obj
def request(app: App, market: Market, desired_value: int, family: str, regions: tuple[str, ...], yes: bool) -> None:
    """Request a higher quota. Every region is checked first: if one must be left out, no request is sent.

    \b
    Examples:
      aws-bootstrap quota request --type spot --desired-value 8
      aws-bootstrap quota request --family p5 --type on-demand --desired-value 192
    """
    from ..views import questions
    from ..workflows import quota as workflow

    app.require_answer(yes=yes)
    checked = workflow.check(app, quotas.QuotaKey(family, market), desired_value, regions)
    if not app.confirm(questions.quota_increases(workflow.increases(checked)), yes=yes):
        checked = ()
    app.show(workflow.request(app, checked))


@quota.command()
@click.option("--family", type=_FAMILIES, help=f"{_FAMILY_HELP}  [default: all]")
@click.option("--type", "market", type=_MARKETS, help="Only quotas of this market.")
@click.option("--status", type=any_case(quotas.STATUSES), help="Only requests in this state.")
@options.regions_here
@click.pass_obj
def history(app: App, family: str | None, market: Market | None, status: str | None, regions: tuple[str, ...]) -> None:
    """Show the requests sent so far, newest first.

    \b
    Examples:
      aws-bootstrap quota history
      aws-bootstrap quota history --family gvt --status PENDING
    """
    from ..workflows import quota as workflow

    app.show(workflow.history(app, quotas.quota_keys(family, market), status, regions))

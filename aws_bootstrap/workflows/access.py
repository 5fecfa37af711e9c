"""Show who may reach the SSH port of the boxes, and replace the rules that allow it.

Only managed rules are replaced, those that this tool created. Rules of other owners are never changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import aws, ec2, output
from ..errors import BootstrapError, SshError
from ..invocation import PROGRAM
from ..models import AccessReport, AccessRule, BoxAccess, IngressRule, Instance
from ..parallel import gather
from ..sshconfig import Host
from . import left_out
from .access_change import BoxRules, Change, Changes, Replacement, change_rules, replaced_owners
from .box import Box
from .cidrs import resolve_cidrs
from .hosts import ssh_port
from .inventory import check_none_ended, read_region, read_with
from .owners import find_owner, get_owner, is_yours, warn_if_caller_unknown

if TYPE_CHECKING:
    from ..app import App


def apply(
    app: App, names: Sequence[str], regions: Sequence[str], cidrs: Sequence[str], *, everyone: bool = False
) -> AccessReport:
    """Return who may reach the SSH port of the boxes named; of all boxes if none is named.

    If there are CIDRs, first replace the managed rules by rules that allow these CIDRs: those of the boxes named, else
    of the caller's boxes, else, with `everyone`, of all boxes. BootstrapError `owner-unknown` if it is unknown
    which boxes are the caller's.
    """
    address = _my_address(app, needed="me" in cidrs)

    def known_address() -> str:
        return address or ""

    new_cidrs = resolve_cidrs(cidrs, known_address)
    find_caller = find_owner
    if new_cidrs and not names and not everyone:
        find_caller = get_owner
    (inventory, rules), caller = gather(
        partial(read_with, _read_rules, app, regions, names, volumes="none"), partial(find_caller, app)
    )
    if names:
        check_none_ended(inventory.boxes)
    by_region = _by_region(inventory.boxes, rules)
    report = AccessReport((), address, inventory.regions, inventory.failed, inventory.denied)
    if not new_cidrs:
        return replace(report, boxes=_all_access(by_region, address, caller, {}))
    owners = replaced_owners(inventory.boxes, caller, named=bool(names), everyone=everyone)
    new = Replacement(new_cidrs, caller, bool(names) or everyone, owners)
    return _changed(app, report, by_region, new)


def _changed(app: App, report: AccessReport, by_region: dict[str, list[BoxRules]], new: Replacement) -> AccessReport:
    """Replace the rules of the boxes that the replacement is for. Return the report with all boxes as they are then."""
    to_change: dict[str, list[BoxRules]] = {}
    others: list[Instance] = []
    for region, boxes in by_region.items():
        for box_rules in boxes:
            if new.is_for(box_rules.box):
                to_change.setdefault(region, []).append(box_rules)
            else:
                others.append(box_rules.box.instance)
    changed: dict[str, Changes] = {}
    failed = report.regions_failed
    if to_change:
        changed, refused = change_rules(app, to_change, new)
        read_again, unread = _read_again(app, by_region, changed)
        by_region |= read_again
        failed = (*failed, *refused, *unread)
    return replace(
        report,
        boxes=_all_access(by_region, report.my_address, new.caller, changed, new.is_for),
        regions_failed=failed,
        left_out=left_out.boxes(app, others, partial(_access_command, new.cidrs)),
    )


def _is_any(box: Box) -> bool:
    return True


def _access_command(cidrs: Iterable[str], instance: Instance) -> str:
    """Return the command that changes the access to this box, too."""
    words = f"{PROGRAM} access {instance.instance_id} --region {instance.region}"
    for cidr in cidrs:
        words += f" --ssh-cidr {cidr}"
    return words


def _all_access(
    by_region: Mapping[str, Sequence[BoxRules]],
    address: str | None,
    caller: str | None,
    changed: Mapping[str, Changes],
    was_changed: Callable[[Box], bool] = _is_any,
) -> tuple[BoxAccess, ...]:
    """Return the access to each box, with what was changed."""
    access: list[BoxAccess] = []
    for region, boxes in by_region.items():
        for box_rules in boxes:
            changes = None
            if was_changed(box_rules.box):
                changes = changed.get(region)
            box_access = _box_access(box_rules, address, changes)
            access.append(replace(box_access, yours=is_yours(box_access.owner, caller)))
    warn_if_caller_unknown([box.yours for box in access])
    return tuple(access)


@contextlib.contextmanager
def hint_on_timeout(app: App, host: Host) -> Iterator[None]:
    """Add a hint to an ssh timeout raised inside the block if no rule allows this machine's address."""
    try:
        yield
    except SshError as exc:
        hints = [exc.hint]
        if exc.code == "ssh-timeout" or "timed out" in str(exc):
            hints.append(blocked_address_hint(app, host))
        exc.add_details(hint="\n".join(filter(None, hints)) or None)
        raise


def blocked_address_hint(app: App, host: Host) -> str | None:
    """Return the command that allows this machine's address, with the reason.

    None if a rule allows it, or if the rules cannot be read.
    """
    with contextlib.suppress(BootstrapError):
        address = app.my_address()

        def look(region: str) -> bool:
            return _is_blocked(app.aws.ec2(region), host, address)

        if aws.without_waiting(host.region or app.aws.region, look):
            return (
                f"The security group of {host.alias} does not allow SSH from your address {address}. "
                f"Allow only this address: {PROGRAM} access {host.alias} --ssh-cidr me"
            )
    return None


def _is_blocked(client: Any, host: Host, address: str) -> bool:
    """Return whether certainly no rule of the host's box allows the address."""
    instances, _ = read_region(client, [host.instance_id], volumes="none")
    rules = _read_rules(client, instances)
    for instance in instances:
        box = Box(instance, host)
        if not box.has_ended:
            return ec2.allows(_box_rules(box, rules).rules, address) is False
    return False


def _my_address(app: App, *, needed: bool) -> str | None:
    """Return this machine's public address.

    If it cannot be determined, raise BootstrapError where it is needed. Elsewhere warn and return None.
    """
    try:
        return app.my_address()
    except BootstrapError as exc:
        if needed:
            raise
        output.warn(str(exc), code=exc.code)
        return None


def _read_rules(client: Any, instances: Sequence[Instance]) -> list[IngressRule]:
    """Return the rules of these instances' security groups, in one region."""
    group_ids: list[str] = []
    for instance in instances:
        if instance.state not in ec2.ENDED:
            group_ids += instance.group_ids
    return ec2.find_rules(client, group_ids)


def _by_region(boxes: Iterable[Box], rules: Mapping[str, Sequence[IngressRule]]) -> dict[str, list[BoxRules]]:
    """Return the boxes that are not terminated, with their rules, by region."""
    by_region: dict[str, list[BoxRules]] = {}
    for box in boxes:
        if not box.has_ended:
            by_region.setdefault(box.region, []).append(_box_rules(box, rules[box.region]))
    return by_region


def _read_again(
    app: App, by_region: Mapping[str, Sequence[BoxRules]], regions: Iterable[str]
) -> aws.Answers[list[BoxRules]]:
    """Return the boxes of these regions with their current rules, and the regions that could not be read."""

    def read(region: str) -> list[BoxRules]:
        boxes = [box_rules.box for box_rules in by_region[region]]
        rules = _read_rules(app.aws.ec2(region), [box.instance for box in boxes])
        return [_box_rules(box, rules) for box in boxes]

    return aws.each_region(regions, read)


def _box_rules(box: Box, rules: Iterable[IngressRule]) -> BoxRules:
    """Return the box with those of the rules that cover its SSH port."""
    own_rules = [rule for rule in rules if rule.group_id in box.instance.group_ids]
    port = box.host.port if box.host else ssh_port(own_rules)
    return BoxRules(box, port, tuple(rule for rule in own_rules if ec2.covers_port(rule, port)))


def _box_access(box_rules: BoxRules, address: str | None, changes: Changes | None) -> BoxAccess:
    """Return the access to one box. `changes` are those of its region; None if nothing was changed there."""
    box = box_rules.box
    added: tuple[str, ...] | None = None
    removed: tuple[str, ...] | None = None
    if changes is not None:
        added, removed = _change_of(box_rules, changes)
    reachable = None
    if address:
        reachable = ec2.allows(box_rules.rules, address)
    return BoxAccess(
        instance_id=box.instance_id,
        region=box.region,
        ssh_alias=box.alias,
        ssh_port=box_rules.port,
        reachable=reachable,
        rules=tuple(_access_rule(rule) for rule in sorted(box_rules.rules, key=_managed_first)),
        added=added,
        removed=removed,
        owner=box.instance.owner,
    )


def _change_of(box_rules: BoxRules, changes: Changes) -> Change:
    """Return the CIDRs added to and removed from all security groups of the box."""
    added: set[str] = set()
    removed: set[str] = set()
    for group_id in box_rules.box.instance.group_ids:
        added_here, removed_here = changes.get((group_id, box_rules.port), ((), ()))
        added.update(added_here)
        removed.update(removed_here)
    return tuple(sorted(added)), tuple(sorted(removed))


def _managed_first(rule: IngressRule) -> tuple[bool, str]:
    """Return the sort key that puts managed rules first, then sorts by source."""
    return not rule.created_by_us, rule.source


def _access_rule(rule: IngressRule) -> AccessRule:
    return AccessRule(rule.source, rule.group_id, rule.rule_id, rule.created_by_us, rule.description, rule.owner)

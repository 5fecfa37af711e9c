"""Show who may reach the SSH port of the boxes, and replace the rules that allow it.

Only managed rules are replaced, those that this tool created. Rules of other owners are never changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import aws, ec2, output
from ..errors import BootstrapError, Interrupted
from ..invocation import PROGRAM
from ..models import AccessReport, AccessRule, BoxAccess, IngressRule, Instance, RegionFailure
from ..sshconfig import Host
from .cidrs import resolve_cidrs
from .hosts import ssh_port
from .inventory import Box, check_none_ended, read_region, read_with
from .unknown import Calls, note_nothing

if TYPE_CHECKING:
    from ..app import App

#: The CIDRs added and removed.
Change = tuple[tuple[str, ...], tuple[str, ...]]
#: The change of each security group and port.
Changes = dict[tuple[str, int], Change]


@dataclass(frozen=True)
class BoxRules:
    """A box, the port that its sshd listens on, and the rules of its security groups that cover this port."""

    box: Box
    port: int
    rules: tuple[IngressRule, ...]

    @property
    def group_id(self) -> str | None:
        """Return the security group for managed rules: the one that has any, else the box's first."""
        for rule in self.rules:
            if rule.created_by_us:
                return rule.group_id
        group_ids = self.box.instance.group_ids
        return group_ids[0] if group_ids else None


def apply(app: App, names: Sequence[str], regions: Sequence[str], cidrs: Sequence[str]) -> AccessReport:
    """Return who may reach the SSH port of the boxes named; of all boxes if none is named.

    If there are CIDRs, first replace the managed rules by rules that allow these CIDRs.
    """
    address = _my_address(app, needed="me" in cidrs)

    def known_address() -> str:
        return address or ""

    new_cidrs = resolve_cidrs(cidrs, known_address)
    inventory, rules = read_with(_read_rules, app, regions, names, volumes="none")
    if names:
        check_none_ended(inventory.boxes)
    by_region = _by_region(inventory.boxes, rules)
    failed = inventory.failed
    changed: dict[str, Changes] = {}
    if new_cidrs and by_region:
        changed, refused = _change(app, by_region, new_cidrs)
        read_again, unread = _read_again(app, by_region, changed)
        by_region |= read_again
        failed = (*failed, *refused, *unread)
    access: list[BoxAccess] = []
    for region, boxes in by_region.items():
        for box_rules in boxes:
            access.append(_box_access(box_rules, address, changed.get(region)))
    return AccessReport(
        boxes=tuple(access),
        my_address=address,
        regions_queried=inventory.regions,
        regions_failed=failed,
    )


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


def _change(
    app: App, boxes: dict[str, list[BoxRules]], cidrs: tuple[str, ...]
) -> tuple[dict[str, Changes], tuple[RegionFailure, ...]]:
    """Replace the managed rules of each region. Return the changes, and the regions that failed."""
    calls = Calls(app.lookup_seconds)

    def replace(region: str) -> Changes:
        return _replace(app.aws.ec2(region), calls, boxes[region], cidrs)

    try:
        return aws.change_each_region(boxes, replace)
    except KeyboardInterrupt as exc:
        calls.settle()
        hint = f"The rules may have changed. Show them: {PROGRAM} access"
        raise Interrupted.of(exc, hint=hint) from exc


def _replace(client: Any, calls: Calls, boxes: Sequence[BoxRules], cidrs: tuple[str, ...]) -> Changes:
    """Replace the managed rules of one region. Return the change of each group and port, as boxes may share a group.

    The CIDRs are allowed by one group of each box, `BoxRules.group_id`. Managed rules of its other groups are revoked.
    """
    targets: set[tuple[str, int]] = set()
    with_managed_rules: set[tuple[str, int]] = set()
    rules_by_id: dict[str, IngressRule] = {}
    for box_rules in boxes:
        if box_rules.group_id:
            targets.add((box_rules.group_id, box_rules.port))
        for rule in box_rules.rules:
            rules_by_id[rule.rule_id] = rule
            if rule.created_by_us:
                with_managed_rules.add((rule.group_id, box_rules.port))
    rules = list(rules_by_id.values())
    changes: Changes = {}
    for group_id, port in sorted(targets):
        changes[group_id, port] = _replace_in(client, calls, group_id, port, cidrs, rules)
    for group_id, port in sorted(with_managed_rules - targets):
        changes[group_id, port] = _replace_in(client, calls, group_id, port, (), rules)
    return changes


def _replace_in(
    client: Any, calls: Calls, group_id: str, port: int, cidrs: tuple[str, ...], rules: Sequence[IngressRule]
) -> Change:
    """Replace the managed rules of one group. Return the CIDRs added and removed.

    New rules are added before old ones are revoked, so that an address which both allow is never blocked.
    """
    missing, surplus = ec2.rule_changes(group_id, port, cidrs, rules)

    def remaining() -> tuple[tuple[str, ...], tuple[IngressRule, ...]]:
        return ec2.rule_changes(group_id, port, cidrs, ec2.find_rules(client, [group_id]))

    def added() -> bool | None:
        still_missing, _ = remaining()
        if still_missing:
            return None
        return True

    def removed() -> bool | None:
        _, still_existing = remaining()
        if still_existing:
            return None
        return True

    if missing:
        authorize = partial(ec2.authorize, client, group_id, port, missing)
        calls.make(f"the new rules of {group_id}", authorize, look=added, note=note_nothing)
    if surplus:
        revoke = partial(ec2.revoke, client, group_id, surplus)
        calls.make(f"the old rules of {group_id}", revoke, look=removed, note=note_nothing)
    return missing, tuple(rule.source for rule in surplus)


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
    return AccessRule(rule.source, rule.group_id, rule.rule_id, rule.created_by_us, rule.description)

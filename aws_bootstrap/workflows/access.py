"""Who may reach the SSH port of our boxes, and the rules of ours replaced, so that it follows a person who moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import aws, ec2, output
from ..errors import BootstrapError, Interrupted, SshError
from ..models import AccessReport, AccessRule, BoxAccess, IngressRule, Instance, RegionFailure
from ..sshconfig import Host
from .cidrs import resolve_cidrs
from .hosts import ssh_port
from .inventory import Box, check_none_ended, read_region, read_with
from .unknown import Calls, note_nothing

if TYPE_CHECKING:
    from ..app import App

Changes = dict[tuple[str, int], tuple[tuple[str, ...], tuple[str, ...]]]
"""By group and port: the CIDRs added and removed."""


@dataclass(frozen=True)
class BoxRules:
    """A box, the port that its sshd listens on, and the rules of its security groups that are about it."""

    box: Box
    port: int
    rules: tuple[IngressRule, ...]

    @property
    def group_id(self) -> str | None:
        """Return the group that holds our rules, or shall."""
        for rule in self.rules:
            if rule.created_by_us:
                return rule.group_id
        group_ids = self.box.instance.group_ids
        return group_ids[0] if group_ids else None


def apply(app: App, names: Sequence[str], regions: Sequence[str], cidrs: Sequence[str]) -> AccessReport:
    """Return who may reach the boxes named (none: all of ours), after letting in these CIDRs alone by rules of ours."""
    address = _my_address(needed="me" in cidrs)
    new_cidrs = resolve_cidrs(cidrs, lambda: address or "")
    inventory, rules = read_with(_read_rules, app, regions, names, volumes="none")
    if names:
        check_none_ended(inventory.boxes)
    by_region: dict[str, list[BoxRules]] = {}
    for box in inventory.boxes:
        if not box.has_ended:
            by_region.setdefault(box.region, []).append(_box_rules(box, rules[box.region]))
    failed = inventory.failed
    changed: dict[str, Changes] = {}
    if new_cidrs and by_region:
        changed, refused = _change(app, by_region, new_cidrs)
        again, unread = aws.each_region(changed, lambda region: _read_again(app, region, by_region[region]))
        by_region |= again
        failed = (*failed, *refused, *unread)
    shown: list[BoxAccess] = []
    for region, boxes in by_region.items():
        shown += [_shown(each, address, changed.get(region)) for each in boxes]
    return AccessReport(
        boxes=tuple(shown),
        my_address=address,
        regions_queried=inventory.regions,
        regions_failed=failed,
        access=app.access,
    )


@contextlib.contextmanager
def explained_timeout(app: App, host: Host) -> Iterator[None]:
    """Where ssh times out inside the block and the rules leave this machine's address out, the error's hint says so."""
    try:
        yield
    except SshError as exc:
        shut = locked_out(app, host) if exc.code == "ssh-timeout" or "timed out" in str(exc) else None
        exc.with_facts(hint="\n".join(filter(None, [exc.hint, shut])) or None)
        raise


def locked_out(app: App, host: Host) -> str | None:
    """A sentence for a box whose rules leave this machine's address out; None if they let it in, or cannot be read."""
    with contextlib.suppress(BootstrapError):
        address = aws.my_address()
        region = host.region or app.aws.region
        if aws.without_waiting(region, lambda where: _is_locked_out(app.aws.ec2(where), host, address)):
            program = app.access.program
            return f"Your address {address} is not let in. Change that: {program} access {host.alias} --ssh-cidr me"
    return None


def _is_locked_out(client: Any, host: Host, address: str) -> bool:
    instances, _ = read_region(client, [host.instance_id], volumes="none")
    rules = _read_rules(client, instances)
    for instance in instances:
        box = Box(instance, host)
        if not box.has_ended:
            return ec2.lets_in(_box_rules(box, rules).rules, address) is False
    return False


def _my_address(*, needed: bool) -> str | None:
    try:
        return aws.my_address()
    except BootstrapError as exc:
        if needed:
            raise
        output.warn(str(exc), code=exc.code)
        return None


def _read_rules(client: Any, instances: Sequence[Instance]) -> list[IngressRule]:
    """Return the rules of the security groups of these instances, in one region."""
    group_ids: list[str] = []
    for instance in instances:
        if instance.state not in ec2.ENDED:
            group_ids += instance.group_ids
    return ec2.find_rules(client, group_ids)


def _read_again(app: App, region: str, boxes: Sequence[BoxRules]) -> list[BoxRules]:
    """Return one region's boxes with their rules as they are now."""
    rules = _read_rules(app.aws.ec2(region), [each.box.instance for each in boxes])
    return [_box_rules(each.box, rules) for each in boxes]


def _box_rules(box: Box, rules: Iterable[IngressRule]) -> BoxRules:
    own_rules = [rule for rule in rules if rule.group_id in box.instance.group_ids]
    port = box.host.port if box.host else ssh_port(own_rules)
    return BoxRules(box, port, tuple(rule for rule in own_rules if ec2.opens(rule, port)))


def _change(
    app: App, boxes: dict[str, list[BoxRules]], cidrs: tuple[str, ...]
) -> tuple[dict[str, Changes], tuple[RegionFailure, ...]]:
    """What was changed in each region, and the regions that refused."""
    calls = Calls(app.lookup_seconds)
    try:
        return aws.change_each_region(boxes, lambda r: _replace(app.aws.ec2(r), calls, boxes[r], cidrs))
    except KeyboardInterrupt as exc:
        calls.settle()
        hint = f"Who is let in may have changed. See: {app.access.program} access"
        raise Interrupted.of(exc, hint=hint) from exc


def _replace(client: Any, calls: Calls, boxes: Sequence[BoxRules], cidrs: tuple[str, ...]) -> Changes:
    """What was changed, each group and port once: several boxes may share a group.

    The first group with rules of ours, or that shall have them, lets the CIDRs in. Our rules in others are removed.
    """
    targets = {(box.group_id, box.port) for box in boxes if box.group_id}
    ours = {(rule.group_id, box.port) for box in boxes for rule in box.rules if rule.created_by_us}
    rules = list({rule.rule_id: rule for box in boxes for rule in box.rules}.values())
    changes: Changes = {}
    for group_id, port in sorted(targets):
        changes[group_id, port] = _replace_in(client, calls, group_id, port, cidrs, rules)
    for group_id, port in sorted(ours - targets):
        changes[group_id, port] = _replace_in(client, calls, group_id, port, (), rules)
    return changes


def _replace_in(
    client: Any, calls: Calls, group_id: str, port: int, cidrs: tuple[str, ...], rules: Sequence[IngressRule]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The CIDRs that were added to and removed from one group.

    New rules come first, so that whoever is let in by old and new ones is never locked out.
    """
    missing, surplus = ec2.rule_changes(group_id, port, cidrs, rules)

    def left() -> tuple[tuple[str, ...], tuple[IngressRule, ...]]:
        return ec2.rule_changes(group_id, port, cidrs, ec2.find_rules(client, [group_id]))

    def added() -> bool | None:
        return None if left()[0] else True

    def removed() -> bool | None:
        return None if left()[1] else True

    if missing:
        name, call = f"the new rules of {group_id}", partial(ec2.authorize, client, group_id, port, missing)
        calls.make(name, call, look=added, note=note_nothing)
    if surplus:
        name, call = f"the old rules of {group_id}", partial(ec2.revoke, client, group_id, surplus)
        calls.make(name, call, look=removed, note=note_nothing)
    return missing, tuple(rule.source for rule in surplus)


def _shown(box_rules: BoxRules, address: str | None, changes: Changes | None) -> BoxAccess:
    box = box_rules.box
    ours_first = sorted(box_rules.rules, key=lambda rule: (not rule.created_by_us, rule.source))
    added: set[str] = set()
    removed: set[str] = set()
    for group_id in box.instance.group_ids:
        added_here, removed_here = (changes or {}).get((group_id, box_rules.port), ((), ()))
        added.update(added_here)
        removed.update(removed_here)
    return BoxAccess(
        instance_id=box.instance_id,
        region=box.region,
        ssh_alias=box.alias,
        ssh_port=box_rules.port,
        reachable=ec2.lets_in(box_rules.rules, address) if address else None,
        rules=tuple(AccessRule(r.source, r.group_id, r.rule_id, r.created_by_us, r.description) for r in ours_first),
        added=None if changes is None else tuple(sorted(added)),
        removed=None if changes is None else tuple(sorted(removed)),
    )

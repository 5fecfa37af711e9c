"""Show who may reach the SSH port of the boxes, and replace the rules that allow it.

Only managed rules are replaced, those that this tool created. Rules of other owners are never changed.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from .. import aws, ec2, output
from ..errors import BootstrapError
from ..invocation import PROFILE, PROGRAM
from ..models import AccessReport, AccessRule, BoxAccess, IngressRule, Instance, SecurityGroup, Volume
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
    from types_boto3_ec2 import EC2Client

    from ..app import App


@dataclass(frozen=True)
class AccessOptions:
    """The options of a change of the access."""

    #: Who may reach the boxes from now on; nothing is changed if there are none.
    cidrs: tuple[str, ...] = ()
    #: Without names: also the boxes of others.
    everyone: bool = False
    #: The user's tags of new rules.
    tags: Mapping[str, str] = field(default_factory=dict)


def _declines(_: Sequence[IngressRule]) -> bool:
    return False


def apply(
    app: App,
    names: Sequence[str],
    regions: Sequence[str],
    options: AccessOptions = AccessOptions(),
    *,
    agrees: Callable[[Sequence[IngressRule]], bool] = _declines,
) -> AccessReport:
    """Return who may reach the SSH port of the boxes named; of all boxes if none is named.

    If there are CIDRs, first replace the managed rules by rules that allow these CIDRs: those of the boxes named, else
    of the caller's boxes, else, with `everyone`, of all boxes. BootstrapError `owner-unknown` if it is unknown
    which boxes are the caller's. `agrees` returns whether to revoke also these rules, which open the port to the whole
    internet in groups of this tool, though it did not create them.
    """
    address = _my_address(app, needed="me" in options.cidrs)

    def known_address() -> str:
        return address or ""

    new_cidrs = resolve_cidrs(options.cidrs, known_address)
    find_caller = find_owner
    if new_cidrs and not names and not options.everyone:
        find_caller = get_owner
    (inventory, rules), caller = gather(
        partial(read_with, _read_with_rules, app, regions, names), partial(find_caller, app)
    )
    if names:
        check_none_ended(inventory.boxes)
    by_region = _by_region(inventory.boxes, rules)
    report = AccessReport((), address, inventory.regions, inventory.failed, inventory.denied)
    if not new_cidrs:
        _warn_of_open_ports(by_region, caller, ())
        return replace(report, boxes=_all_access(by_region, address, caller, {}))
    owners = replaced_owners(inventory.boxes, caller, named=bool(names), everyone=options.everyone)
    new = Replacement(new_cidrs, caller, bool(names) or options.everyone, owners, user_tags=options.tags)
    return _changed(app, report, by_region, new, agrees)


def _changed(
    app: App,
    report: AccessReport,
    by_region: dict[str, list[BoxRules]],
    new: Replacement,
    agrees: Callable[[Sequence[IngressRule]], bool],
) -> AccessReport:
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
        new = replace(new, adopted=_adopted(to_change, new, agrees))
        changed, refused = change_rules(app, to_change, new)
        read_again, unread = _read_again(app, by_region, changed)
        by_region |= read_again
        failed = (*failed, *refused, *unread)
    _warn_of_open_ports(by_region, new.caller, new.cidrs)
    return replace(
        report,
        boxes=_all_access(by_region, report.my_address, new.caller, changed, new.is_for),
        regions_failed=failed,
        left_out=left_out.boxes(app, others, partial(_access_command, new)),
    )


def _is_any(box: Box) -> bool:
    return True


def _adopted(
    by_region: Mapping[str, Sequence[BoxRules]], new: Replacement, agrees: Callable[[Sequence[IngressRule]], bool]
) -> frozenset[str]:
    """Return the ids of the rules that the user agrees to revoke though this tool did not create them."""
    rules: dict[str, IngressRule] = {}
    for boxes in by_region.values():
        for box_rules in boxes:
            for rule in box_rules.rules:
                if new.may_adopt(rule, box_rules.port):
                    rules[rule.rule_id] = rule
    if rules and agrees(list(rules.values())):
        return frozenset(rules)
    return frozenset()


def _warn_of_open_ports(
    by_region: Mapping[str, Sequence[BoxRules]], caller: str | None, requested: Sequence[str]
) -> None:
    """Warn once of each rule that opens an SSH port to the whole internet without being requested."""
    seen: set[str] = set()
    for boxes in by_region.values():
        for box_rules in boxes:
            for rule in box_rules.rules:
                if rule.source in ec2.WORLD and rule.source not in requested and rule.rule_id not in seen:
                    seen.add(rule.rule_id)
                    _warn_of_open_port(rule, box_rules, caller, is_changed=bool(requested))


def _warn_of_open_port(rule: IngressRule, box_rules: BoxRules, caller: str | None, *, is_changed: bool) -> None:
    """Warn of a rule that opens the SSH port to the whole internet, with the command that closes it."""
    box = box_rules.box
    name = box.alias or box.instance_id
    fix = (
        f"aws ec2 revoke-security-group-ingress{PROFILE} --region {box.region} --group-id {rule.group_id} "
        f"--security-group-rule-ids {rule.rule_id}"
    )
    if _is_replaced_by_name(rule, box_rules, caller):
        fix = f"{PROGRAM} access {name} --ssh-cidr me --region {box.region}"
        if is_changed:
            fix += " --yes"
    what = f"The whole internet ({rule.source}) reaches port {box_rules.port} of {name} by a rule of {rule.group_id}."
    output.warn(f"{what} Close it: {fix}", code="open-to-world", instance_id=box.instance_id, region=box.region)


def _is_replaced_by_name(rule: IngressRule, box_rules: BoxRules, caller: str | None) -> bool:
    """Return whether a change that names the box would revoke the rule, if the user agrees."""
    if not rule.first_port == rule.last_port == box_rules.port:
        return False
    owners = (caller, None, box_rules.box.instance.owner)
    if rule.created_by_us:
        return rule.owner in owners
    return rule.managed_group is not None and rule.managed_group.owner in owners


def _access_command(new: Replacement, instance: Instance) -> str:
    """Return the command that changes the access to this box, too."""
    words = f"{PROGRAM} access {instance.instance_id} --region {instance.region}"
    for cidr in new.cidrs:
        words += f" --ssh-cidr {cidr}"
    for key, value in new.user_tags.items():
        words += " --tag " + shlex.quote(f"{key}={value}")
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


def _is_blocked(client: EC2Client, host: Host, address: str) -> bool:
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


def _read_rules(client: EC2Client, instances: Sequence[Instance]) -> list[IngressRule]:
    """Return the rules of these instances' security groups, in one region."""
    group_ids: list[str] = []
    for instance in instances:
        if instance.state not in ec2.ENDED:
            group_ids += instance.group_ids
    return ec2.find_rules(client, group_ids)


def _read_with_rules(
    client: EC2Client, instance_ids: Sequence[str]
) -> tuple[list[Instance], list[Volume], list[IngressRule]]:
    """Return one region's instances without their volumes, and the rules as `_read_rules_and_groups` does."""
    instances, _ = read_region(client, instance_ids, volumes="none")
    return instances, [], _read_rules_and_groups(client, instances)


def _read_rules_and_groups(client: EC2Client, instances: Sequence[Instance]) -> list[IngressRule]:
    """Return the rules, those of others that open a port to the whole internet with their group if it is managed."""
    rules = _read_rules(client, instances)
    open_groups: set[str] = set()
    for rule in rules:
        if rule.source in ec2.WORLD and not rule.created_by_us:
            open_groups.add(rule.group_id)
    if not open_groups:
        return rules
    managed: dict[str, SecurityGroup] = {}
    for group in ec2.get_security_groups(client, open_groups):
        if group.created_by_us:
            managed[group.group_id] = group
    return [replace(rule, managed_group=managed.get(rule.group_id)) for rule in rules]


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
        rules = _read_rules_and_groups(app.aws.ec2(region), [box.instance for box in boxes])
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

"""Replace the rules by which boxes may be reached: those that this tool created, for owners that the change is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from .. import aws, ec2
from ..config import TAG_OWNER
from ..errors import Interrupted
from ..invocation import PROGRAM
from ..models import IngressRule, RegionFailure
from .box import Box
from .unknown import Calls, note_nothing

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

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
        """Return the security group for managed rules: the one that has any, else the box's first.

        That of its cluster is not for them: it goes with the cluster.
        """
        of_cluster: set[str] = set()
        for rule in self.rules:
            if rule.is_within_cluster:
                of_cluster.add(rule.group_id)
            elif rule.created_by_us:
                return rule.group_id
        for group_id in self.box.instance.group_ids:
            if group_id not in of_cluster:
                return group_id
        return None


@dataclass(frozen=True)
class Replacement:
    """The new CIDRs, whose rules they replace, and whose boxes they are for."""

    cidrs: tuple[str, ...]
    #: The caller, as an owner tag; None if it is unknown.
    caller: str | None
    #: Whether to change all boxes read, or only the caller's.
    all_boxes: bool
    #: The owners whose rules are replaced, None among them for rules without an owner; everyone's if there is no set.
    owners: frozenset[str | None] | None
    #: The ids of rules that this tool did not create, and that the user agreed to revoke.
    adopted: frozenset[str] = frozenset()
    #: The tags of the new rules that the user adds.
    user_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of the new rules."""
        tags = dict(self.user_tags)
        if self.caller is not None:
            tags[TAG_OWNER] = self.caller
        return tags

    def is_for(self, box: Box) -> bool:
        """Return whether the box gets the new rules."""
        return self.all_boxes or box.instance.owner == self.caller

    def may_adopt(self, rule: IngressRule, port: int) -> bool:
        """Return whether to offer to revoke the rule, though this tool did not create it.

        It opens exactly the SSH port to the whole internet, in a group that this tool created for an owner concerned.
        """
        if rule.managed_group is None or rule.created_by_us or rule.source in self.cidrs:
            return False
        if rule.source not in ec2.WORLD or not rule.first_port == rule.last_port == port:
            return False
        owner = rule.managed_group.owner
        return owner is None or self.owners is None or owner in self.owners

    def replaces(self, rule: IngressRule) -> bool:
        """Return whether the rule is revoked unless it allows one of the CIDRs."""
        if rule.rule_id in self.adopted:
            return True
        if not rule.created_by_us or rule.is_within_cluster:
            return False
        return self.owners is None or rule.owner in self.owners


def replaced_owners(
    boxes: Iterable[Box], caller: str | None, *, named: bool, everyone: bool
) -> frozenset[str | None] | None:
    """Return the owners whose rules are replaced; None if it is everyone's.

    Boxes that share a security group share its rules. So the rules of a colleague stay, unless a box of his is named.
    """
    if everyone:
        return None
    if not named:
        return frozenset({caller})
    owners = {box.instance.owner for box in boxes}
    return frozenset({caller, None, *owners})


def change_rules(
    app: App, boxes: Mapping[str, Sequence[BoxRules]], new: Replacement
) -> tuple[dict[str, Changes], tuple[RegionFailure, ...]]:
    """Replace the managed rules of each region. Return the changes, and the regions that failed."""
    calls = Calls(app.lookup_seconds)

    def change_one(region: str) -> Changes:
        return _replace(app.aws.ec2(region), calls, boxes[region], new)

    try:
        return aws.change_each_region(boxes, change_one)
    except KeyboardInterrupt as exc:
        calls.settle()
        hint = f"The rules may have changed. Show them: {PROGRAM} access"
        raise Interrupted.of(exc, hint=hint) from exc


def _replace(client: EC2Client, calls: Calls, boxes: Sequence[BoxRules], new: Replacement) -> Changes:
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
            if new.replaces(rule):
                with_managed_rules.add((rule.group_id, box_rules.port))
    rules = list(rules_by_id.values())
    changes: Changes = {}
    for group_id, port in sorted(targets):
        changes[group_id, port] = _replace_in(client, calls, (group_id, port), new, rules)
    without_cidrs = replace(new, cidrs=())
    for group_id, port in sorted(with_managed_rules - targets):
        changes[group_id, port] = _replace_in(client, calls, (group_id, port), without_cidrs, rules)
    return changes


def _replace_in(
    client: EC2Client, calls: Calls, place: tuple[str, int], new: Replacement, rules: Sequence[IngressRule]
) -> Change:
    """Replace the managed rules of one group. Return the CIDRs added and removed.

    New rules are added before old ones are revoked, so that an address which both allow is never blocked.
    """
    group_id, port = place
    missing, surplus = ec2.rule_changes(group_id, port, new.cidrs, rules, new.replaces)

    def remaining() -> tuple[tuple[str, ...], tuple[IngressRule, ...]]:
        rules_now = ec2.find_rules(client, [group_id])
        return ec2.rule_changes(group_id, port, new.cidrs, rules_now, new.replaces)

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
        tags = _user_tags(group_id, [*surplus, *rules]) | new.tags
        authorize = partial(ec2.authorize, client, group_id, port, missing, tags)
        calls.make(f"the new rules of {group_id}", authorize, look=added, note=note_nothing)
    if surplus:
        revoke = partial(ec2.revoke, client, group_id, surplus)
        calls.make(f"the old rules of {group_id}", revoke, look=removed, note=note_nothing)
    return missing, tuple(rule.source for rule in surplus)


def _user_tags(group_id: str, rules: Iterable[IngressRule]) -> dict[str, str]:
    """Return the user's tags on the first managed rule of the group: an organization may require them on new ones."""
    for rule in rules:
        if rule.group_id == group_id and rule.created_by_us:
            return dict(rule.user_tags)
    return {}

"""Who may reach the SSH port of our boxes, and the rules of ours replaced, so that it follows a person who moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import aws, ec2, output, sshconfig
from ..errors import BootstrapError, Interrupted, SshError
from ..models import AccessReport, AccessRule, BoxAccess, IngressRule, Instance, RegionFailure
from ..sshconfig import Host
from .cidrs import resolve_cidrs
from .hosts import ssh_port
from .names import check_all_found, located
from .unknown import Calls, note_nothing

if TYPE_CHECKING:
    from ..app import App

Changes = dict[tuple[str, int], tuple[tuple[str, ...], tuple[str, ...]]]
"""By group and port: the CIDRs added and removed."""


@dataclass(frozen=True)
class Box:
    """An instance, the port that its sshd listens on, and the rules of its groups that are about it."""

    instance: Instance
    port: int
    rules: tuple[IngressRule, ...]
    alias: str | None = None

    @property
    def group_id(self) -> str | None:
        """The group that holds our rules, or shall."""
        ours = [rule.group_id for rule in self.rules if rule.created_by_us]
        return next(iter([*ours, *self.instance.group_ids]), None)


def apply(app: App, names: Sequence[str], regions: Sequence[str], cidrs: Sequence[str]) -> AccessReport:
    """Who may reach the boxes named (none: all of ours), after letting in these CIDRs alone by rules of ours."""
    address = _my_address(needed="me" in cidrs)
    wanted_cidrs = resolve_cidrs(tuple(cidrs), lambda: address or "")
    wanted = located(app, names, regions) if names else {r: [] for r in regions or app.aws.regions()}
    hosts = {h.instance_id: h for h in sshconfig.hosts(sshconfig.read(app.paths.ssh_config))}
    found, failed = aws.each_region(wanted, lambda r: _read(app.aws.ec2(r), wanted[r], hosts))
    check_all_found(wanted if names else {}, (b.instance.instance_id for bs in found.values() for b in bs), failed)
    changed: dict[str, Changes] = {}
    if wanted_cidrs and any(found.values()):
        where = [r for r in found if found[r]]
        changed, refused = _change(app, {r: found[r] for r in where}, wanted_cidrs)
        again, lost = aws.each_region(changed, lambda r: _read(app.aws.ec2(r), wanted[r], hosts))
        found, failed = found | again, (*failed, *refused, *lost)
    return AccessReport(
        boxes=tuple(_shown(box, address, changed.get(r)) for r, boxes in found.items() for box in boxes),
        my_address=address,
        regions_queried=tuple(wanted),
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
        where = host.region or app.aws.region
        boxes = aws.without_waiting(
            where, lambda region: _read(app.aws.ec2(region), [host.instance_id], {host.instance_id: host})
        )
        if boxes and ec2.lets_in(boxes[0].rules, address) is False:
            program = app.access.program
            return f"Your address {address} is not let in. Change that: {program} access {host.alias} --ssh-cidr me"
    return None


def _my_address(*, needed: bool) -> str | None:
    try:
        return aws.my_address()
    except BootstrapError as exc:
        if needed:
            raise
        output.warn(str(exc))
        return None


def _read(client: Any, ids: Sequence[str], hosts: dict[str, Host]) -> list[Box]:
    """The region's boxes, of these ids if any are given, with what opens their SSH port."""
    known = ec2.get_instances(client, ids) if ids else ec2.find_instances(client)
    instances = [i for i in known if i.state not in ("shutting-down", "terminated")]
    rules = ec2.find_rules(client, (group for i in instances for group in i.group_ids))
    return [_box(i, [r for r in rules if r.group_id in i.group_ids], hosts.get(i.instance_id)) for i in instances]


def _box(instance: Instance, rules: Sequence[IngressRule], host: Host | None) -> Box:
    port = host.port if host else ssh_port(rules)
    return Box(instance, port, tuple(r for r in rules if ec2.opens(r, port)), host.alias if host else None)


def _change(
    app: App, boxes: dict[str, list[Box]], cidrs: tuple[str, ...]
) -> tuple[dict[str, Changes], tuple[RegionFailure, ...]]:
    """What was changed in each region, and the regions that refused."""
    calls = Calls(app.lookup_seconds)
    try:
        return aws.change_each_region(boxes, lambda r: _replace(app.aws.ec2(r), calls, boxes[r], cidrs))
    except KeyboardInterrupt as exc:
        calls.settle()
        hint = f"Who is let in may have changed. See: {app.access.program} access"
        raise Interrupted.of(exc, hint=hint) from exc


def _replace(client: Any, calls: Calls, boxes: Sequence[Box], cidrs: tuple[str, ...]) -> Changes:
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


def _shown(box: Box, address: str | None, changes: Changes | None) -> BoxAccess:
    mine = [(changes or {}).get((group, box.port), ((), ())) for group in box.instance.group_ids]
    return BoxAccess(
        instance_id=box.instance.instance_id,
        region=box.instance.region,
        ssh_alias=box.alias,
        ssh_port=box.port,
        reachable=ec2.lets_in(box.rules, address) if address else None,
        rules=tuple(
            AccessRule(r.source, r.group_id, r.rule_id, r.created_by_us, r.description)
            for r in sorted(box.rules, key=lambda r: (not r.created_by_us, r.source))
        ),
        added=None if changes is None else tuple(sorted({c for added, _ in mine for c in added})),
        removed=None if changes is None else tuple(sorted({c for _, removed in mine for c in removed})),
    )

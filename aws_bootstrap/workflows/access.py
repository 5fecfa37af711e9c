"""Who may reach the SSH port of our boxes, and the rules of ours replaced, so that it follows a person who moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import aws, ec2, output, sshconfig
from ..config import SSH_PORT
from ..errors import BootstrapError, SshError
from ..models import AccessReport, AccessRule, BoxAccess, IngressRule, Instance
from ..sshconfig import Host
from .names import check_all_found, located
from .plan import resolve_cidrs

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
        changed, refused = aws.change_each_region(where, lambda r: _replace(app.aws.ec2(r), found[r], wanted_cidrs))
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
        boxes = _read(app.aws.ec2(host.region or app.aws.region), [host.instance_id], {host.instance_id: host})
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


def ssh_port(rules: Iterable[IngressRule]) -> int:
    """The port that sshd listens on, as far as our own rules tell."""
    ours = [rule.first_port for rule in rules if rule.created_by_us]
    return SSH_PORT if not ours or SSH_PORT in ours else ours[0]


def _replace(client: Any, boxes: Sequence[Box], cidrs: tuple[str, ...]) -> Changes:
    """What was changed, each group and port once: several boxes may share a group."""
    targets = {(box.group_id, box.port) for box in boxes if box.group_id}
    others = {(rule.group_id, box.port) for box in boxes for rule in box.rules if rule.created_by_us} - targets
    rules = list({rule.rule_id: rule for box in boxes for rule in box.rules}.values())
    jobs = [(*target, cidrs) for target in sorted(targets)] + [(*other, ()) for other in sorted(others)]
    return {(g, port): ec2.replace_rules(client, g, port, wanted, rules) for g, port, wanted in jobs}


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

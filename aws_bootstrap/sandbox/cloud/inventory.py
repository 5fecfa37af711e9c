"""All resources of the account, in one document: for tests that compare it before and after a command."""

from __future__ import annotations

from typing import Any

from . import catalog
from .backend import Backends, SandboxBackend


def inventory(backends: Backends) -> list[dict[str, Any]]:
    """Return each instance, volume, own image, group, rule, key pair and placement group of the regions in use."""
    found: list[dict[str, Any]] = []
    for region, backend in backends.existing().items():
        found += [entry | {"region": region} for entry in _in_region(backend)]
    return found


def _in_region(backend: SandboxBackend) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for instance in backend.live_instances():
        found.append(_instance(instance))
    for volume in backend.volumes.values():
        found.append(_volume(volume))
    for image in backend.amis.values():
        if image.owner_id == catalog.ACCOUNT:
            found.append(_entry("image", image.id, image, state=image.state))
    found += _groups(backend)
    for pair in backend.key_pairs.values():
        found.append(_entry("key-pair", pair.key_name, pair))
    for group in backend.placement_groups.values():
        found.append(_entry("placement-group", group.name, group))
    return found


def _entry(resource_type: str, name: str, resource: Any, **more: Any) -> dict[str, Any]:
    """Return one entry: its type, its id, its tags, and what else is given."""
    tags = {tag["key"]: tag["value"] for tag in resource.get_tags()}
    return {"type": resource_type, "id": name, "tags": tags, **more}


def _instance(instance: Any) -> dict[str, Any]:
    return _entry("instance", instance.id, instance, state=instance.state, token=getattr(instance, "client_token", ""))


def _volume(volume: Any) -> dict[str, Any]:
    """Return the entry of a volume. A root volume is deleted with its instance."""
    attached_to, is_root = None, False
    if volume.attachment:
        instance = volume.attachment.instance
        attached_to = instance.id
        is_root = volume.attachment.device == instance.root_device_name
    return _entry("volume", volume.id, volume, state=volume.status, attached_to=attached_to, root=is_root)


def _groups(backend: SandboxBackend) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for groups in backend.groups.values():
        for group in groups.values():
            found.append(_entry("security-group", group.id, group, group_name=group.name))
            found += [_rule(rule, group.id) for rule in group.ingress_rules]
    return found


def _rule(rule: Any, group_id: str) -> dict[str, Any]:
    source = rule.cidr_ipv4 or rule.cidr_ipv6 or rule.source_group.get("GroupId")
    return _entry("rule", rule.id, rule, group=group_id, port=rule.from_port, source=source)

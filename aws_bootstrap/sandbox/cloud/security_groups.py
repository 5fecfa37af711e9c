"""Security groups that are in use, and rules that exist already, with a group or an address as their source.

https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
"""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.security_groups import SecurityGroupRule


class SandboxRule(SecurityGroupRule):
    """moto's rule, which compares the descriptions of groups; for EC2 they do not distinguish two rules."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SandboxRule) and self._what() == other._what()

    __hash__ = None  # type: ignore[assignment]

    def _what(self) -> tuple[Any, ...]:
        """Return what the rule allows."""
        source = (self.cidr_ipv4, self.cidr_ipv6, self.source_group.get("GroupId"), self.prefix_list_id)
        return self.ip_protocol, self.from_port, self.to_port, source

    @property
    def description(self) -> str | None:
        return self.ip_range.get("Description") or self.source_group.get("Description")


class SecurityGroups:
    """The part of the EC2 backend that deletes security groups. Mixed into `SandboxBackend`, whose state it uses."""

    def _delete_security_group(self, vpc_id: str | None, group_id: str) -> Any:
        """Delete a security group; raise EC2's error while an instance or a rule of another group uses it.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
        """
        if self._has_instance(group_id) or self._has_reference(group_id):
            raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
        return super()._delete_security_group(vpc_id, group_id)  # type: ignore[misc]

    def _has_instance(self, group_id: str) -> bool:
        """Return whether an instance that has not ended is in the group."""
        for instance in self.live_instances():  # type: ignore[attr-defined]
            if instance.state != "terminated" and any(group.id == group_id for group in instance.security_groups):
                return True
        return False

    def _has_reference(self, group_id: str) -> bool:
        """Return whether a rule of another group names this one. A group may name itself."""
        for groups in self.groups.values():  # type: ignore[attr-defined]
            for group in groups.values():
                for rule in (*group.ingress_rules, *group.egress_rules):
                    if rule.source_group.get("GroupId") == group_id != group.id:
                        return True
        return False

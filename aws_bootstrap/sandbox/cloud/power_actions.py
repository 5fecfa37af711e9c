"""StopInstances and StartInstances, with EC2's checks of lifecycle and state. Mixed into `SandboxEC2`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

_ENDED = frozenset({"shutting-down", "terminated"})


class PowerActions(EC2Response):
    """The actions that stop and start instances."""

    def stop_instances(self) -> ActionResult:
        """Stop instances; return their states before and after. A one-time spot request cannot be stopped.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
        """
        self.error_on_dryrun()
        instance_ids = self._get_param("InstanceIds", [])
        for instance in self.ec2_backend.get_multi_instances_by_id(instance_ids):
            if instance.lifecycle == "spot":
                raise EC2ClientError(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time Spot "
                    "Instance request. You can only stop Spot Instances associated with persistent Spot Instance "
                    "requests.",
                )
            if instance.state in _ENDED:
                raise _incorrect_state(instance.id, "stopped")
        return ActionResult({"StoppingInstances": changes(self.ec2_backend.stop_instances(instance_ids))})

    def start_instances(self) -> ActionResult:
        """Start stopped instances; return their states before and after. One that runs stays as it is.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StartInstances.html
        """
        self.error_on_dryrun()
        instance_ids = self._get_param("InstanceIds", [])
        for instance in self.ec2_backend.get_multi_instances_by_id(instance_ids):
            if instance.state in _ENDED or instance.state == "stopping":
                raise _incorrect_state(instance.id, "started")
        return ActionResult({"StartingInstances": changes(self.ec2_backend.start_instances(instance_ids))})


def changes(changed: Iterable[tuple[Any, Any]]) -> list[dict[str, Any]]:
    """Return the entries for state changes of instances, from pairs of an instance and its previous state."""
    found = []
    for instance, previous in changed:
        found.append({"InstanceId": instance.id, "CurrentState": instance.instance_state, "PreviousState": previous})
    return found


def _incorrect_state(instance_id: str, done: str) -> EC2ClientError:
    return EC2ClientError(
        "IncorrectInstanceState", f"The instance '{instance_id}' is not in a state from which it can be {done}."
    )

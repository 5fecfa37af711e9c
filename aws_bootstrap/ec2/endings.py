"""How instances ended, where EC2's state reason does not say it: their spot requests, and their serial consoles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef


@translate_aws_errors()
def spot_request_statuses(ec2: EC2Client, request_ids: Sequence[str]) -> dict[str, str]:
    """Return the status code of each spot request, such as `instance-terminated-by-user`; unknown ids are left out.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
    """
    found: dict[str, str] = {}
    by_ids: list[FilterTypeDef] = [{"Name": "spot-instance-request-id", "Values": list(request_ids)}]
    for page in ec2.get_paginator("describe_spot_instance_requests").paginate(Filters=by_ids):
        for request in page.get("SpotInstanceRequests", []):
            code = request.get("Status", {}).get("Code")
            if code:
                found[request.get("SpotInstanceRequestId", "")] = code
    return found


@translate_aws_errors()
def console_output(ec2: EC2Client, instance_id: str) -> str:
    """Return what the instance wrote to its serial console, the last 64 KB; empty if EC2 has nothing.

    EC2 keeps it for an hour after the end:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-console.html
    """
    return ec2.get_console_output(InstanceId=instance_id).get("Output", "")

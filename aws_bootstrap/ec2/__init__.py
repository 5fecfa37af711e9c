"""EC2 verbs, one file a resource. Each takes a client first, returns facts and prints nothing."""

from .images import find_images, image_names, image_owner, latest_ami, login_user
from .instances import (
    find_by_token,
    find_instances,
    for_market,
    get_instances,
    run_instance,
    run_request,
    terminate_instances,
    wait_running,
)
from .keypairs import ensure_key_pair, find_key_pairs, key_pair_for
from .network import ensure_let_in, ensure_security_group, find_network, find_security_groups, group_in, missing_cidrs
from .prices import on_demand_price, spot_prices
from .rules import find_rules, lets_in, opens, replace_rules
from .types import find_instance_types, quota_family
from .volumes import (
    EBS_DEVICE_NAME,
    EBS_MOUNT_POINT,
    attach_ebs_volume,
    claim_ebs_volume,
    create_ebs_volume,
    delete_ebs_volume,
    detach_ebs_volume,
    find_ebs_volumes_for_instance,
    find_volumes,
    keep_ebs_volume,
    validate_ebs_volume,
    wait_detached,
)

__all__ = [
    "EBS_DEVICE_NAME",
    "EBS_MOUNT_POINT",
    "attach_ebs_volume",
    "claim_ebs_volume",
    "create_ebs_volume",
    "delete_ebs_volume",
    "detach_ebs_volume",
    "ensure_key_pair",
    "ensure_let_in",
    "ensure_security_group",
    "find_by_token",
    "find_ebs_volumes_for_instance",
    "find_images",
    "find_instance_types",
    "find_instances",
    "find_key_pairs",
    "find_network",
    "find_rules",
    "find_security_groups",
    "find_volumes",
    "for_market",
    "get_instances",
    "group_in",
    "image_names",
    "image_owner",
    "keep_ebs_volume",
    "key_pair_for",
    "latest_ami",
    "lets_in",
    "login_user",
    "missing_cidrs",
    "on_demand_price",
    "opens",
    "quota_family",
    "replace_rules",
    "run_instance",
    "run_request",
    "spot_prices",
    "terminate_instances",
    "validate_ebs_volume",
    "wait_detached",
    "wait_running",
]

"""EC2 key pairs. Another person's key of the same name is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..errors import AwsError
from ..models import KeyPair, LocalKey
from . import tags

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef, KeyPairInfoTypeDef


@translate_aws_errors()
def find_key_pairs(ec2: EC2Client, name: str) -> tuple[KeyPair, ...]:
    """Return the pair of that name, and those that this tool named after it."""
    filters: list[FilterTypeDef] = [{"Name": "key-name", "Values": [name, f"{name}-*"]}]
    found = ec2.describe_key_pairs(Filters=filters, IncludePublicKey=True)["KeyPairs"]
    return tuple(_key_pair(raw) for raw in found)


def _key_pair(raw: KeyPairInfoTypeDef) -> KeyPair:
    """Return the key pair of a reply: of its public key the type and the body, without the comment."""
    words = raw.get("PublicKey", "").split()
    public_key = " ".join(words[:2])
    return KeyPair(raw["KeyName"], public_key or None)


def key_pair_for(found: tuple[KeyPair, ...], name: str, key: LocalKey) -> tuple[str, bool]:
    """Return the name of the pair that holds or will hold this key, and whether it has yet to be imported."""
    if key.public_key is None:
        return name, True
    known = {pair.name: pair.public_key for pair in found}
    own_name = f"{name}-{key.digest}"
    for candidate in (name, own_name):
        if candidate not in known:
            return candidate, True
        if known[candidate] == key.public_key:
            return candidate, False
    return own_name, True


def ensure_key_pair(
    ec2: EC2Client,
    name: str,
    key: LocalKey,
    found: tuple[KeyPair, ...],
    extra_tags: Mapping[str, str] | None = None,
) -> tuple[str, bool]:
    """Import the key unless EC2 has it. Return the name of the pair that holds it, and whether it was imported now."""
    chosen, is_missing = key_pair_for(found, name, key)
    if not is_missing:
        return chosen, False
    try:
        with translate_aws_errors():
            ec2.import_key_pair(
                KeyName=chosen,
                PublicKeyMaterial=(key.public_key or "").encode(),
                TagSpecifications=[tags.specification("key-pair", chosen, extra_tags)],
            )
    except AwsError as exc:
        if exc.aws_code != "InvalidKeyPair.Duplicate":
            raise
        # Another launch was quicker. The existing pairs decide, and the name cannot be missing again.
        existing = find_key_pairs(ec2, name)
        chosen, _ = key_pair_for(existing, name, key)
        return chosen, False
    return chosen, True

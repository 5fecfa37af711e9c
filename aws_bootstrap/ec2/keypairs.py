"""EC2 key pairs. Another person's key of the same name is left alone."""

from __future__ import annotations

from typing import Any

from ..aws import explained
from ..errors import AwsError
from ..keys import LocalKey
from ..models import KeyPair
from . import tags


@explained()
def find_key_pairs(ec2: Any, name: str) -> tuple[KeyPair, ...]:
    """The pair of that name, and those that we named after it."""
    filters = [{"Name": "key-name", "Values": [name, f"{name}-*"]}]
    found = ec2.describe_key_pairs(Filters=filters, IncludePublicKey=True)["KeyPairs"]
    return tuple(KeyPair(raw["KeyName"], " ".join(raw.get("PublicKey", "").split()[:2]) or None) for raw in found)


def key_pair_for(found: tuple[KeyPair, ...], name: str, key: LocalKey) -> tuple[str, bool]:
    """The name under which EC2 has or will have this key, and whether it has yet to be imported."""
    known = {pair.name: pair.public_key for pair in found}
    if key.public_key is None:
        return name, True
    for candidate in (name, f"{name}-{key.digest}"):
        if known.get(candidate, key.public_key) == key.public_key:
            return candidate, candidate not in known
    return f"{name}-{key.digest}", True


def ensure_key_pair(ec2: Any, name: str, key: LocalKey, found: tuple[KeyPair, ...]) -> tuple[str, bool]:
    """The name of the EC2 pair that holds this key, and whether it was imported now."""
    chosen, missing = key_pair_for(found, name, key)
    if not missing:
        return chosen, False
    try:
        with explained():
            ec2.import_key_pair(
                KeyName=chosen,
                PublicKeyMaterial=(key.public_key or "").encode(),
                TagSpecifications=[tags.specification("key-pair", chosen)],
            )
    except AwsError as exc:
        if exc.aws_code != "InvalidKeyPair.Duplicate":
            raise
        # Another launch was quicker. What is there now decides, and it cannot be missing again.
        return key_pair_for(find_key_pairs(ec2, name), name, key)[0], False
    return chosen, True

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
    """Return the pair of that name, and those that we named after it."""
    filters = [{"Name": "key-name", "Values": [name, f"{name}-*"]}]
    found = ec2.describe_key_pairs(Filters=filters, IncludePublicKey=True)["KeyPairs"]
    return tuple(_key_pair(raw) for raw in found)


def _key_pair(raw: dict[str, Any]) -> KeyPair:
    """Return the key pair of a reply: of its public key the type and the body, without the comment."""
    words = raw.get("PublicKey", "").split()
    public_key = " ".join(words[:2])
    return KeyPair(raw["KeyName"], public_key or None)


def key_pair_for(found: tuple[KeyPair, ...], name: str, key: LocalKey) -> tuple[str, bool]:
    """Return the name under which EC2 has or will have this key, and whether it has yet to be imported."""
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


def ensure_key_pair(ec2: Any, name: str, key: LocalKey, found: tuple[KeyPair, ...]) -> tuple[str, bool]:
    """Import the key unless EC2 has it. Return the name of the pair that holds it, and whether it was imported now."""
    chosen, is_missing = key_pair_for(found, name, key)
    if not is_missing:
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
        existing = find_key_pairs(ec2, name)
        chosen, _ = key_pair_for(existing, name, key)
        return chosen, False
    return chosen, True

"""Key pairs in EC2 (ec2/keypairs.py): found, named and imported."""

from __future__ import annotations

from aws_bootstrap import ec2
from aws_bootstrap.ec2 import keypairs
from aws_bootstrap.models import KeyPair, LocalKey
from aws_bootstrap.tests.stubs import refused, specified

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1ZrP6J5nJ0o1y2z3x4w5v6u7t8s9r0q1p2o3n4m5l6"


def local(body: str | None) -> LocalKey:
    return LocalKey(None, None, body)  # type: ignore[arg-type]


def test_the_pairs_of_that_name_are_asked_for_with_their_keys(client, stub):
    wanted = {"Filters": [{"Name": "key-name", "Values": ["k", "k-*"]}], "IncludePublicKey": True}
    raw = [{"KeyName": "k", "PublicKey": f"{KEY} a comment"}, {"KeyName": "k-1"}]
    stub.add_response("describe_key_pairs", {"KeyPairs": raw}, wanted)
    assert ec2.find_key_pairs(client, "k") == (KeyPair("k", KEY), KeyPair("k-1", None))


def test_which_name_a_key_has_or_will_have():
    key = local(KEY)
    other = f"k-{key.digest}"
    assert ec2.key_pair_for((), "k", local(None)) == ("k", True)
    assert ec2.key_pair_for((), "k", key) == ("k", True)
    assert ec2.key_pair_for((KeyPair("k", KEY),), "k", key) == ("k", False)
    assert ec2.key_pair_for((KeyPair("k", "another"),), "k", key) == (other, True)
    assert ec2.key_pair_for((KeyPair("k", "another"), KeyPair(other, KEY)), "k", key) == (other, False)
    assert ec2.key_pair_for((KeyPair("k", "another"), KeyPair(other, "another")), "k", key) == (other, True)


def test_a_key_is_imported_tagged_and_one_that_was_quicker_is_taken(client, stub):
    wanted = {"KeyName": "k", "PublicKeyMaterial": KEY.encode(), "TagSpecifications": specified("key-pair", Name="k")}
    stub.add_response("import_key_pair", {}, wanted)
    assert keypairs.ensure_key_pair(client, "k", local(KEY), ()) == ("k", True)
    assert keypairs.ensure_key_pair(client, "k", local(KEY), (KeyPair("k", KEY),)) == ("k", False)
    stub.add_client_error("import_key_pair", "InvalidKeyPair.Duplicate", "")
    stub.add_response("describe_key_pairs", {"KeyPairs": [{"KeyName": "k", "PublicKey": "ssh-rsa AAAA"}]})
    assert keypairs.ensure_key_pair(client, "k", local(KEY), ()) == (f"k-{local(KEY).digest}", False)
    stub.add_client_error("import_key_pair", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        keypairs.ensure_key_pair(client, "k", local(KEY), ())


def key(body="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1ZrP6J5nJ0o1y2z3x4w5v6u7t8s9r0q1p2o3n4m5l6", path=None) -> LocalKey:
    return LocalKey(path, path, body)


def test_our_key_is_imported_once(aws):
    ours = key()
    assert ec2.ensure_key_pair(aws, "k", ours, ec2.find_key_pairs(aws, "k")) == ("k", True)
    assert ec2.ensure_key_pair(aws, "k", ours, ec2.find_key_pairs(aws, "k")) == ("k", False)
    assert ec2.ensure_key_pair(aws, "k", ours, ()) == ("k", False), "another launch was quicker"


def test_another_persons_key_is_left_alone(aws):
    theirs = key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    ec2.ensure_key_pair(aws, "k", theirs, ())
    ours = key()
    name, imported = ec2.ensure_key_pair(aws, "k", ours, ec2.find_key_pairs(aws, "k"))
    assert imported
    assert name == f"k-{ours.digest}"
    assert ec2.ensure_key_pair(aws, "k", ours, ec2.find_key_pairs(aws, "k")) == (name, False)
    assert ec2.ensure_key_pair(aws, "k", theirs, ec2.find_key_pairs(aws, "k")) == ("k", False)


def test_a_pair_whose_key_ec2_does_not_tell_counts_as_anothers():
    assert ec2.key_pair_for((KeyPair("k", None),), "k", key())[0] == f"k-{key().digest}"

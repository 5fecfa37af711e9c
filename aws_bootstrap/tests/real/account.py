"""The one question before anything else: is this the sandbox, or the very account that was named?"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "AWS_BOOTSTRAP_REAL_ACCOUNT"
#: The services that the program calls, and the one that knows the account.
SERVICES = ("sts", "ec2", "service-quotas", "pricing")


class Refused(Exception):
    """This run must not begin here."""


def is_loopback(url: str) -> bool:
    """Return whether the address is this machine, judged without looking up a name."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def endpoints(region: str) -> dict[str, str]:
    """Return the address of each service, as the environment and the profile decide it. Sends nothing."""
    found: dict[str, str] = {}
    try:
        session = boto3.Session()
        for service in SERVICES:
            # With keys given, no provider of credentials is called, which might use the network.
            client = session.client(  # type: ignore[call-overload]
                service, region_name=region, aws_access_key_id="unused", aws_secret_access_key="unused"
            )
            found[service] = client.meta.endpoint_url
    except (BotoCoreError, ValueError) as exc:
        raise Refused(f"the AWS configuration cannot be used: {exc}") from exc
    return found


def check(region: str, environ: Mapping[str, str]) -> None:
    """Return if every service is on this machine, or if the credentials are of the named account. Raise Refused if not.

    The only call is GetCallerIdentity, and that only where an account is named.
    """
    expected = environ.get(VARIABLE)
    elsewhere: list[str] = []
    for service, url in endpoints(region).items():
        if not is_loopback(url):
            elsewhere.append(f"{service} at {urlsplit(url).hostname}")
    if elsewhere and not expected:
        listed = ", ".join(elsewhere)
        raise Refused(f"not on this machine: {listed}. For a real account set {VARIABLE} to its id.")
    if expected and account_id(region) != expected:
        raise Refused(f"the credentials belong to another account than {VARIABLE} names.")


def account_id(region: str) -> str:
    """Return the account of the credentials. Raise Refused if STS does not answer."""
    config = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2})
    try:
        answer = boto3.client("sts", region_name=region, config=config).get_caller_identity()
    except (BotoCoreError, ClientError) as exc:
        raise Refused(f"the account of the credentials is not known: {exc}") from exc
    return answer["Account"]

"""This machine's public address, as a service of AWS sees it."""

from __future__ import annotations

import ipaddress
import os
import re

from .errors import BootstrapError


def _without_password(url: str) -> str:
    """Return the URL without a user and password, which must not end up in a log."""
    return re.sub(r"//[^/@]*@", "//", url)


def address_proxy(url: str | None = None) -> str | None:
    """Return the proxy through which `my_address` gets its answer, without password; None without one."""
    import urllib.parse
    import urllib.request

    where = urllib.parse.urlsplit(url or _address_service())
    if not where.hostname or urllib.request.proxy_bypass(where.netloc):
        return None
    proxy = urllib.request.getproxies().get(where.scheme)
    if not proxy:
        return None
    return _without_password(proxy)


def _address_service() -> str:
    """Return the URL of the service that reports the caller's address."""
    return os.environ.get("AWS_BOOTSTRAP_CHECKIP_URL") or "https://checkip.amazonaws.com"


def my_address(url: str | None = None, timeout: float = 5.0) -> str:
    """Return the caller's public address as AWS sees it. BootstrapError where it cannot be found."""
    import urllib.request

    where = url or _address_service()
    try:
        if not where.startswith(("http://", "https://")):
            raise ValueError("not an http:// or https:// address")
        with urllib.request.urlopen(where, timeout=timeout) as reply:  # noqa: S310 (the scheme was checked)
            return str(ipaddress.ip_address(reply.read(200).decode("ascii", "replace").strip()))
    except (OSError, ValueError) as exc:
        raise BootstrapError(
            f"Could not determine this machine's public address from {_without_password(where)} ({exc}).",
            hint="Name the addresses that may reach the SSH port: --ssh-cidr 203.0.113.7/32",
            code="no-address",
        ) from exc

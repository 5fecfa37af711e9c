"""The addresses that may reach the SSH port, as options name them: CIDRs, and `me` for the caller's own address."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence


def resolve_cidrs(requested: Sequence[str], my_address: Callable[[], str]) -> tuple[str, ...]:
    """Return these CIDRs, each once, `me` replaced by the caller's address."""
    networks: list[str] = []
    for cidr in requested:
        address = cidr
        if cidr == "me":
            address = my_address()
        network = ipaddress.ip_network(address, strict=False)
        networks.append(str(network))
    return tuple(dict.fromkeys(networks))

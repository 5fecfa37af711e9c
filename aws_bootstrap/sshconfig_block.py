"""One block of this tool in an OpenSSH config: a host as text, and back. What ssh has no keyword for is a comment."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .defaults import SSH_PORT

#: The last line of a block, so that the user's global options below it go on applying to every host.
CLOSING_LINE = "Host *"


@dataclass(frozen=True)
class Host:
    """One alias and how to reach it. `region` is None in blocks that older versions wrote."""

    instance_id: str
    alias: str
    hostname: str
    user: str
    identity_file: str
    known_hosts: str
    port: int = SSH_PORT
    region: str | None = None
    #: The options of the launch in one line; None if the block does not have them.
    settings: str | None = None
    #: The id of the cluster that it is a node of; None for a box of its own.
    cluster: str | None = None
    #: The rank of a node; None if it is unknown.
    rank: int | None = None

    @property
    def node_alias(self) -> str | None:
        """Return the alias that a node has by its cluster and its rank; None for a box of its own."""
        if self.cluster is None or self.rank is None:
            return None
        return node_alias(self.cluster, self.rank)


def node_alias(cluster_id: str, rank: int) -> str:
    """Return the alias of a node of a cluster."""
    return f"aws-{cluster_id}-{rank}"


def words(body: str) -> dict[str, str]:
    """Return the block's first value of each keyword, in lower case; of each comment too."""
    found: dict[str, str] = {}
    for line in body.split("\n"):
        key, _, value = line.strip().removeprefix("# ").partition(" ")
        found.setdefault(key.lower(), value.strip().strip('"').replace("%%", "%"))
    return found


def host(instance_id: str, words: dict[str, str]) -> Host:
    """Return the host of a block with these words. Those of `Host` and `HostName` must be among them."""
    port = SSH_PORT
    if words.get("port", "").isdigit():
        port = int(words["port"])
    rank = None
    if words.get("rank", "").isdecimal():
        rank = int(words["rank"])
    return Host(
        instance_id=instance_id,
        alias=words["host"].split()[0],
        hostname=words["hostname"],
        user=words.get("user", ""),
        identity_file=words.get("identityfile", ""),
        known_hosts=words.get("userknownhostsfile", ""),
        port=port,
        region=words.get("region"),
        settings=words.get("launch"),
        cluster=words.get("cluster"),
        rank=rank,
    )


def render(host: Host) -> str:
    """Return the host's block, markers included."""
    lines: list[str] = []
    if host.region:
        lines.append(f"# region {host.region}")
    if host.cluster:
        lines.append(f"# cluster {_on_one_line(host.cluster)}")
    if host.rank is not None:
        lines.append(f"# rank {host.rank}")
    if host.settings is not None:
        lines.append(f"# launch {_on_one_line(host.settings)}".rstrip())
    lines += [
        f"HostName {host.hostname}",
        f"User {host.user}",
        f"Port {host.port}",
        f"IdentityFile {_quoted(host.identity_file)}",
        "IdentitiesOnly yes",
        "PubkeyAuthentication yes",
        "PreferredAuthentications publickey",
        # The box is reached at its public address. This also rules out a ProxyJump of the user's for every host.
        "ProxyCommand none",
        # EC2 hands addresses on to other people's instances: the box is known by its id, not by its address.
        f"HostKeyAlias {host.instance_id}",
        "CheckHostIP no",
        f"UserKnownHostsFile {_quoted(host.known_hosts)}",
        "HashKnownHosts no",
        "StrictHostKeyChecking accept-new",
        "ServerAliveInterval 30",
    ]
    body = "".join(f"    {line}\n" for line in lines)
    return (
        f"# >>> aws-bootstrap [{host.instance_id}] >>>\n"
        f"Host {host.alias}\n"
        f"{body}"
        f"{CLOSING_LINE}\n"
        f"# <<< aws-bootstrap [{host.instance_id}] <<<\n"
    )


def _on_one_line(text: str) -> str:
    """Return the text as `words` reads it back from a comment."""
    return text.replace("%", "%%").replace("\r", " ").replace("\n", " ")


def _quoted(value: str) -> str:
    """Return the value as ssh reads it: `%` begins a token, a space ends a word, `#` may begin a comment."""
    escaped = value.replace("%", "%%")
    if re.fullmatch(r"[\w@%+:,./~-]*", escaped):
        return escaped
    return f'"{escaped}"'

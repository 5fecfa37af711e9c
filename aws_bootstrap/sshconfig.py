"""Our marked blocks in an OpenSSH config: text in, text out. Only `edit` touches a file.

Every byte outside our markers belongs to the user and stays as it is. A block that lacks its end is not ours to
mend: it is left alone and reported by `broken`.

OpenSSH takes the first value it finds for each keyword, so a block goes before the first `Host` or `Match` of the
file (a `Host *` there would otherwise override it) and never before the global options above that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .config import SSH_PORT
from .errors import BootstrapError

_BEGIN = r"^# >>> aws-bootstrap \[(?P<id>[^\]\r\n]+)\] >>>[ \t]*\r?\n"
_BLOCK = re.compile(
    _BEGIN
    + r"(?P<body>(?:(?!# (?:>>>|<<<) aws-bootstrap ).*\n)*?)# <<< aws-bootstrap \[(?P=id)\] <<<[ \t]*(?:\r?\n|\Z)",
    re.MULTILINE,
)
_MARKER = re.compile(r"^# (?:>>>|<<<) aws-bootstrap \[(?P<id>[^\]\r\n]+)\]", re.MULTILINE)
_FIRST_SECTION = re.compile(r"^(?:[ \t]*#[^\n]*\n)*[ \t]*(?:Host|Match)[ \t=]", re.MULTILINE | re.IGNORECASE)


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


def hosts(text: str) -> list[Host]:
    """Our hosts in the text; a block without an alias or address is skipped."""
    found = []
    for block in _BLOCK.finditer(text):
        words = _words(block["body"])
        if "host" in words and "hostname" in words:
            found.append(_host(block["id"], words))
    return found


def find(text: str, alias_or_id: str) -> Host | None:
    """Our host of that alias or instance id."""
    return next((h for h in hosts(text) if alias_or_id in (h.alias, h.instance_id)), None)


def broken(text: str) -> list[str]:
    """Instance ids whose begin or end marker stands alone."""
    whole = [m.span() for m in _BLOCK.finditer(text)]
    alone = [m for m in _MARKER.finditer(text) if not any(a <= m.start() < b for a, b in whole)]
    return list(dict.fromkeys(m["id"] for m in alone))


def with_host(text: str, host: Host) -> str:
    """The text with this host's block added, or replaced in place."""
    eol = "\r\n" if "\r\n" in text else "\n"
    block = _render(host).replace("\n", eol)
    for old in _BLOCK.finditer(text):
        if old["id"] == host.instance_id:
            return text[: old.start()] + _like(old[0], block) + text[old.end() :]
    return _inserted(text, block, eol)


def without_host(text: str, instance_id: str) -> str:
    """The text without this host's block, as it was before `with_host`."""
    for old in _BLOCK.finditer(text):
        if old["id"] == instance_id:
            before, after = text[: old.start()], text[old.end() :]
            # A block without a line end was put below a last line that had none; see _inserted.
            return before + after if old[0].endswith("\n") else re.sub(r"\r?\n\Z", "", before)
    return text


def next_alias(text: str, prefix: str = "aws-gpu") -> str:
    """One above the highest managed `prefixN`, and one that the user has not taken for a host of his own."""
    managed = re.findall(_BEGIN + r"Host[ \t]+(\S+)", text, re.MULTILINE)  # broken blocks too: ssh still reads them
    taken = [int(m[1]) for _, alias in managed if (m := re.fullmatch(rf"{re.escape(prefix)}(\d+)", alias))]
    number = max(taken, default=0) + 1
    while re.search(
        rf"^[ \t]*Host[ \t=](?:.*[ \t])?{re.escape(prefix)}{number}(?:\s|$)", text, re.MULTILINE | re.IGNORECASE
    ):
        number += 1
    return f"{prefix}{number}"


def read(path: Path) -> str:
    """The file's text, byte for byte; empty if there is none. Raises BootstrapError if it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise _cannot("read", path, exc) from exc


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Rewrite the file through `change`: alone, whole or not at all, keeping its mode, owner and symlink."""
    real = Path(os.path.realpath(path))
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(real.parent):
            old = read(real)
            new = change(old)
            if new != old:
                _replace(real, new.encode("utf-8", "surrogateescape"))
    except OSError as exc:
        raise _cannot("write", path, exc) from exc


def add(path: Path, host: Host) -> str:
    """The alias under which the host now stands in the file: its own, or the next free one if it has none."""
    alias = host.alias

    def change(text: str) -> str:
        nonlocal alias
        known = find(text, host.instance_id)
        alias = alias or (known.alias if known else next_alias(text))
        return with_host(text, replace(host, alias=alias))

    edit(path, change)
    return alias


def remove(path: Path, instance_ids: Iterable[str]) -> dict[str, str]:
    """The aliases removed from the file, by instance id."""
    gone: dict[str, str] = {}

    def change(text: str) -> str:
        for instance_id in instance_ids:
            if host := find(text, instance_id):
                gone[instance_id] = host.alias
            text = without_host(text, instance_id)
        return text

    if any(instance_id in read(path) for instance_id in instance_ids):
        edit(path, change)
    return gone


def forget_host_keys(known_hosts: Path, instance_ids: Iterable[str]) -> None:
    """Drop the pinned host keys of these instances."""
    names = tuple(f"{instance_id} " for instance_id in instance_ids)
    if known_hosts.exists():
        edit(known_hosts, lambda text: "".join(x for x in text.splitlines(True) if not x.startswith(names)))


def check_writable(path: Path) -> None:
    """Raise BootstrapError if `edit` could not write here; changes nothing."""
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _cannot("write", path, PermissionError(f"{folder} is not writable"))
    read(path)


def _cannot(verb: str, path: Path, exc: OSError) -> BootstrapError:
    return BootstrapError(
        f"Cannot {verb} the SSH config {path}: {exc.strerror or exc}.",
        hint="Mend its permissions, or name another file: export AWS_BOOTSTRAP_SSH_CONFIG=…",
        code="ssh-config",
    )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One editor at a time. The folder itself is locked: the file is replaced, and a lock file would be litter."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # NFS homes cannot lock a folder; better unlocked than not at all
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, content: bytes) -> None:
    before = path.stat() if path.exists() else None
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as tmp:
        try:
            tmp.write(content)
            os.fchmod(tmp.fileno(), before.st_mode & 0o7777 if before else 0o600)
            if before and os.geteuid() == 0:
                os.fchown(tmp.fileno(), before.st_uid, before.st_gid)
            tmp.flush()
            os.fsync(tmp.fileno())
            os.replace(tmp.name, path)
        except BaseException:
            os.unlink(tmp.name)
            raise


def _inserted(text: str, block: str, eol: str) -> str:
    section = _FIRST_SECTION.search(text)
    if section:
        return text[: section.start()] + block + text[section.start() :]
    if text and not text.endswith("\n"):
        return text + eol + block.removesuffix(eol)
    return text + block


def _like(old: str, block: str) -> str:
    """The block, with a line end only if the old one had it."""
    return block if old.endswith("\n") else block.rstrip("\r\n")


def _words(body: str) -> dict[str, str]:
    """The block's first value of each keyword, in lower case, and its region comment."""
    found: dict[str, str] = {}
    for line in body.splitlines():
        key, _, value = line.strip().removeprefix("# ").partition(" ")
        found.setdefault(key.lower(), value.strip().strip('"').replace("%%", "%"))
    return found


def _host(instance_id: str, words: dict[str, str]) -> Host:
    port = words.get("port", "")
    return Host(
        instance_id=instance_id,
        alias=words["host"],
        hostname=words["hostname"],
        user=words.get("user", ""),
        identity_file=words.get("identityfile", ""),
        known_hosts=words.get("userknownhostsfile", ""),
        port=int(port) if port.isdigit() else SSH_PORT,
        region=words.get("region"),
    )


def _render(host: Host) -> str:
    lines = [
        f"# region {host.region}" if host.region else None,
        f"HostName {host.hostname}",
        f"User {host.user}",
        f"Port {host.port}",
        f"IdentityFile {_quoted(host.identity_file)}",
        "IdentitiesOnly yes",
        # EC2 hands addresses on to other people's instances: the box is known by its id, not by its address.
        f"HostKeyAlias {host.instance_id}",
        "CheckHostIP no",
        f"UserKnownHostsFile {_quoted(host.known_hosts)}",
        "HashKnownHosts no",
        "StrictHostKeyChecking accept-new",
        "ServerAliveInterval 30",
    ]
    body = "".join(f"    {line}\n" for line in lines if line)
    return (
        f"# >>> aws-bootstrap [{host.instance_id}] >>>\n"
        f"Host {host.alias}\n"
        f"{body}"
        f"# <<< aws-bootstrap [{host.instance_id}] <<<\n"
    )


def _quoted(value: str) -> str:
    """As ssh reads it: `%` begins a token, and a space ends a word."""
    plain = value.replace("%", "%%")
    return f'"{plain}"' if " " in plain else plain

"""Check with `ssh -G` that ssh uses the options of a managed block, with the user's whole configuration."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .. import output, ssh, sshconfig
from ..errors import BootstrapError, SshError
from ..paths import Paths
from ..sshconfig import Host

if TYPE_CHECKING:
    from ..app import App

#: The options that decide where ssh connects to and how it logs in.
_KEYWORDS = (
    "hostname",
    "user",
    "port",
    "identityfile",
    "hostkeyalias",
    "userknownhostsfile",
    "proxycommand",
    "proxyjump",
    "pubkeyauthentication",
    "preferredauthentications",
)

_PROXIES = ("proxyjump", "proxycommand")
_FIX_CONFIG = "Fix the configuration, or choose another file: export AWS_BOOTSTRAP_SSH_CONFIG=…"


def check(paths: Paths, host: Host) -> None:
    """Raise BootstrapError if ssh would not use the host's block once it is written. Changes nothing.

    Without an alias, the next free one is used.
    """
    text = sshconfig.read(paths.ssh_config)
    named = sshconfig.named(text, host)
    before = _current_options(paths, named.alias)
    overridden = _overridden(sshconfig.with_host(text, named), named)
    if overridden:
        raise _not_effective(paths, named, overridden)
    for keyword in _PROXIES:
        if before.get(keyword, "none") != "none":
            proxy = f"{keyword} {before[keyword]}"
            message = f"ssh connects to {named.alias} directly, not through {proxy} of the SSH config."
            output.warn(message, code="proxy-ignored")
            return


def ensure_effective(app: App, host: Host) -> None:
    """Move the host's block to the top unless it is effective. BootstrapError if ssh would not use it even there."""
    paths = app.paths
    text = sshconfig.read(paths.ssh_config)
    if not _overridden(text, host):
        return
    check(paths, host)
    sshconfig.add(paths.ssh_config, host)
    output.info(f"Moved the block of {host.alias} to the top of {paths.ssh_config}: options above it overrode it.")


def _current_options(paths: Paths, alias: str) -> dict[str, str]:
    """Return the options that ssh uses for the alias now. BootstrapError if ssh rejects its configuration."""
    if paths.ssh_flags and not paths.ssh_config.exists():
        return {}
    try:
        return ssh.effective_options(alias, *paths.ssh_flags)
    except SshError as exc:
        if exc.code != "ssh-config":
            raise
        raise BootstrapError(f"ssh cannot use its configuration: {exc}", hint=_FIX_CONFIG, code="ssh-config") from exc


def _overridden(text: str, host: Host) -> list[str]:
    """Return the options, `keyword value`, that ssh would use for the host instead of those of its block."""
    try:
        required = _options(sshconfig.with_host("", host), host.alias)
        actual = _options(text, host.alias)
    except OSError as exc:
        raise BootstrapError(f"Cannot write a draft of the SSH config: {exc.strerror}.", code="ssh-config") from exc
    overridden: list[str] = []
    for keyword in _KEYWORDS:
        if actual.get(keyword) != required.get(keyword):
            overridden.append(f"{keyword} {actual.get(keyword)}")
    return overridden


def _options(text: str, alias: str) -> dict[str, str]:
    """Return the options that ssh uses for the alias with that text as its config.

    A relative Include refers to the folder ~/.ssh of the account, wherever the config itself is.
    """
    with tempfile.TemporaryDirectory(prefix="aws-bootstrap-") as folder:  # 0700
        draft = Path(folder) / "ssh_config"
        draft.touch(mode=0o600)
        draft.write_bytes(text.encode("utf-8", "surrogateescape"))
        return ssh.effective_options(alias, "-F", str(draft))


def _not_effective(paths: Paths, host: Host, overridden: list[str]) -> BootstrapError:
    """Return the error for a host whose block is overridden by these options."""
    return BootstrapError(
        f"ssh would not use the block of {host.alias} in {paths.ssh_config}. Other options override it: "
        f"{', '.join(overridden)}.",
        hint=_FIX_CONFIG,
        code="ssh-config",
    )

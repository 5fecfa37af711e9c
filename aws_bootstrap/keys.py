"""The user's SSH key pair on this machine: found, checked before any money is spent, created if missing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path

from . import ssh
from .config import LaunchConfig
from .errors import BootstrapError, UsageError
from .files import ensure_private_folder, write_whole
from .models import LocalKey

#: The key types that ImportKeyPair accepts: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html
EC2_KEY_TYPES = ("ssh-ed25519", "ssh-rsa")


class LocalKeys:
    """The SSH key pairs of this machine, by OpenSSH's own programs."""

    def __init__(
        self,
        keygen: Callable[..., tuple[int, str, str]] = ssh.keygen,
        agent_keys: Callable[[], list[str]] = ssh.agent_keys,
    ) -> None:
        self._keygen = keygen
        self._agent_keys = agent_keys

    def inspect(self, config: LaunchConfig) -> LocalKey:
        """Return the key as it is, changing nothing. UsageError or BootstrapError if no box can be opened with it."""
        try:
            return self._inspected(config.public_key, config.private_key)
        except OSError as exc:
            raise UsageError(f"Cannot read the SSH key {config.key_path}: {exc.strerror}.", code="ssh-key") from exc

    def _inspected(self, public: Path, private: Path) -> LocalKey:
        if public.suffix != ".pub":
            raise _not_public(public)
        if public.exists():
            body = parse_public(_read(public), public)
            return LocalKey(public, self._identity(public, private, body), body)
        if private.exists():
            return LocalKey(public, private, self._derived(private), on_disk=False)
        return LocalKey(public, private, None, on_disk=False)

    def ensure(self, key: LocalKey) -> LocalKey:
        """Return the key, its missing files created: both as an Ed25519 pair, or the public one from the private."""
        if key.on_disk:
            return key
        try:
            ensure_private_folder(key.public_path.parent)
            if key.public_key is None:
                self._generate(key.identity_file)
            else:
                write_whole(key.public_path, f"{key.public_key}\n".encode(), mode=0o644)
        except OSError as exc:
            raise BootstrapError(
                f"Cannot write the SSH key {key.public_path}: {exc.strerror}.",
                hint="Choose another path: --key-path PATH.pub",
                code="ssh-key",
            ) from exc
        body = parse_public(_read(key.public_path), key.public_path)
        return LocalKey(key.public_path, key.identity_file, body)

    def _identity(self, public: Path, private: Path, body: str) -> Path:
        """Return the file that ssh will open the box with, after checking that it can."""
        if not private.exists():
            if not self._in_agent(body):
                raise _unusable(f"There is no private key {private} beside {public.name}, and no ssh-agent holds it.")
            return public
        code, text, complaint = self._keygen("-y", "-P", "", "-f", str(private))
        if code == 0 and " ".join(text.split()[:2]) != body:
            raise _unusable(f"{private} and {public} are not halves of one pair.")
        if code and "UNPROTECTED" in complaint:
            raise BootstrapError(
                f"ssh will refuse {private}: others can read it.",
                hint=ssh.quoted("chmod", "600", str(private)),
                code="ssh-key",
            )
        if code and not self._in_agent(body):
            raise BootstrapError(
                f"{private} has a passphrase, and no ssh-agent holds it.",
                hint=ssh.quoted("ssh-add", str(private)),
                code="ssh-key",
            )
        return private

    def _in_agent(self, body: str) -> bool:
        """Return whether an ssh-agent holds the key's private half."""
        return any(line.startswith(body) for line in self._agent_keys())

    def _derived(self, private: Path) -> str:
        """Return the public half of the private key."""
        code, text, complaint = self._keygen("-y", "-P", "", "-f", str(private))
        if code:
            reason = (complaint.strip().splitlines() or ["ssh-keygen failed"])[-1]
            derive = ssh.quoted("ssh-keygen", "-y", "-f", str(private))
            raise BootstrapError(
                f"Cannot read the private key {private}: {reason}.",
                hint=f"Write its public half by hand: {derive} > {ssh.quoted(f'{private}.pub')}",
                code="ssh-key",
            )
        return parse_public(text, private)

    def _generate(self, private: Path) -> None:
        """Create an Ed25519 pair without a passphrase."""
        code, _, complaint = self._keygen("-q", "-t", "ed25519", "-N", "", "-C", "aws-bootstrap", "-f", str(private))
        if code:
            reason = (complaint.strip().splitlines() or ["ssh-keygen failed"])[-1]
            raise BootstrapError(
                f"Cannot create the SSH key {private}: {reason}.",
                hint="Choose another path: --key-path PATH.pub",
                code="ssh-key",
            )


def parse_public(text: str, path: Path) -> str:
    """Return the type and base64 body of an OpenSSH public key of a type that EC2 accepts. UsageError otherwise."""
    if "PRIVATE KEY" in text:
        raise _not_public(path)
    words = text.split()
    if len(words) < 2 or not _is_blob(words[0], words[1]):
        raise UsageError(
            f"{path} is not an OpenSSH public key.", hint="Create one: ssh-keygen -t ed25519", code="ssh-key"
        )
    if words[0] not in EC2_KEY_TYPES:
        raise UsageError(
            f"{path} is a key of type {words[0]}; EC2 accepts Ed25519 and RSA only.",
            hint="Create one: ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519",
            code="ssh-key",
        )
    return f"{words[0]} {words[1]}"


def _is_blob(key_type: str, body: str) -> bool:
    """Return whether the base64 body begins, as RFC 4253 §6.6 has it, with its own type's name."""
    try:
        blob = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return False
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length] == key_type.encode()


def _read(path: Path) -> str:
    try:
        return path.read_bytes()[:65536].decode("utf-8", "replace")
    except OSError as exc:
        raise UsageError(f"Cannot read the SSH key {path}: {exc.strerror}.", code="ssh-key") from exc


def _not_public(path: Path) -> UsageError:
    """Return the error for a `--key-path` that is not named like a public key."""
    if path.exists() and "PRIVATE KEY" in _read(path):
        what = f"{path} is a private key, which never leaves this machine; --key-path takes the public one."
    else:
        what = f"{path} is not named like a public key, whose file ends in .pub."
    public = path.with_name(f"{path.name}.pub")
    return UsageError(what, hint=f"Name the public half: {ssh.quoted('--key-path', str(public))}", code="ssh-key")


def _unusable(message: str) -> BootstrapError:
    return BootstrapError(message, hint="Choose another pair: --key-path PATH.pub", code="ssh-key")

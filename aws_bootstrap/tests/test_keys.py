"""The user's SSH key pair, with the real ssh-keygen and ssh-agent."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import BootstrapError, UsageError
from aws_bootstrap.keys import LocalKeys
from aws_bootstrap.models import LocalKey


def keygen(path: Path, *options: str, passphrase: str = "") -> None:
    kind = options or ("-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", *kind, "-N", passphrase, "-f", str(path)], check=True)


def inspect(path: Path) -> LocalKey:
    return LocalKeys().inspect(LaunchConfig(key_path=path))


@contextlib.contextmanager
def refused(kind: type[BootstrapError], words: str) -> Iterator[pytest.ExceptionInfo[BootstrapError]]:
    """The key is refused with these words, the code of all that is wrong with a key, and a way on."""
    with pytest.raises(kind, match=words) as caught:
        yield caught
    assert caught.value.code == "ssh-key"
    assert caught.value.hint


@pytest.fixture
def private(tmp_path: Path) -> Path:
    return tmp_path / "id_test"


@pytest.fixture
def public(private: Path) -> Path:
    return private.with_name("id_test.pub")


def test_a_missing_pair_is_planned_then_made(private, public):
    planned = inspect(public)
    assert planned.public_key is None
    assert not private.exists()
    made = LocalKeys().ensure(planned)
    assert str(made.public_key).startswith("ssh-ed25519 ")
    assert private.stat().st_mode & 0o777 == 0o600
    assert public.read_text().split()[2] == "aws-bootstrap"
    assert inspect(public) == made
    assert made.on_disk
    assert LocalKeys().ensure(made) is made


def test_a_missing_public_half_is_derived(private, public):
    keygen(private)
    before = public.read_text().split()[:2]
    public.unlink()
    planned = inspect(public)
    assert str(planned.public_key).split() == before
    assert not public.exists()
    LocalKeys().ensure(planned)
    assert public.read_text().split() == before


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize("derived", [True, False], ids=["derived", "generated"])
def test_no_umask_opens_or_closes_the_files_of_a_pair(tmp_path, umask, derived):
    private, public = tmp_path / "one" / "two" / "id", tmp_path / "one" / "two" / "id.pub"
    if derived:
        private.parent.mkdir(mode=0o700, parents=True)
        keygen(private)
        public.unlink()
    before = os.umask(umask)
    try:
        LocalKeys().ensure(inspect(public))
    finally:
        os.umask(before)
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.parent.stat().st_mode & 0o777 == 0o700
    assert public.stat().st_mode & 0o777 in (0o600, 0o644)
    assert sorted(os.listdir(private.parent)) == ["id", "id.pub"]


def test_a_relative_path_leads_to_the_same_key_from_every_folder(private, public, monkeypatch):
    """The SSH config names the key, and ssh is called from any folder."""
    keygen(private)
    monkeypatch.chdir(private.parent)
    assert inspect(Path(public.name)).identity_file == private


def test_rsa_is_taken_and_ecdsa_is_not(private, public):
    keygen(private, "-t", "rsa", "-b", "2048")
    assert str(inspect(public).public_key).startswith("ssh-rsa ")
    private.unlink()
    keygen(private, "-t", "ecdsa")
    with refused(UsageError, "ecdsa"):
        inspect(public)


def test_a_private_key_given_as_public_is_refused_with_its_public_half_named(private, public):
    keygen(private)
    with refused(UsageError, "is a private key") as caught:
        inspect(private)
    assert str(public) in str(caught.value.hint)


def test_a_private_key_in_place_of_the_public_half_is_refused(private, public):
    keygen(private)
    public.write_text(private.read_text())
    with refused(UsageError, "is a private key"):
        inspect(public)


@pytest.mark.parametrize(
    "text", ["", "hello", "\udcff", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-ed25519 AAAA", "-----BEGIN"]
)
def test_a_file_that_is_no_key_is_refused(public, text):
    public.write_bytes(os.fsencode(text))
    with refused(UsageError, "not an OpenSSH public key"):
        inspect(public)


def test_a_key_with_a_stray_character_is_no_key(private, public):
    keygen(private)
    kind, body, _ = public.read_text().split(maxsplit=2)
    public.write_text(f"{kind} {body[:30]}!{body[30:]}")
    with refused(UsageError, "not an OpenSSH public key"):
        inspect(public)


def test_halves_of_two_pairs_are_refused(private, public, tmp_path):
    keygen(private)
    keygen(tmp_path / "other")
    public.write_text((tmp_path / "other.pub").read_text())
    with refused(BootstrapError, "not halves of one pair"):
        inspect(public)


def test_a_private_key_that_others_can_read_is_refused(private, public):
    keygen(private)
    private.chmod(0o644)
    with refused(BootstrapError, "others can read"):
        inspect(public)


def test_a_public_key_alone_is_refused_without_an_agent(private, public):
    keygen(private)
    private.unlink()
    with refused(BootstrapError, "no ssh-agent holds it"):
        inspect(public)


def test_a_passphrase_needs_an_agent(private, public):
    keygen(private, passphrase="secret")
    with refused(BootstrapError, "passphrase") as caught:
        inspect(public)
    assert caught.value.hint == f"ssh-add {private}"


def test_a_private_key_that_cannot_be_read_is_reported_in_ssh_keygens_last_words(private, public):
    private.write_text("no key")
    private.chmod(0o600)
    with refused(BootstrapError, "Cannot read the private key .*: .*(libcrypto|invalid format)") as caught:
        inspect(public)
    assert str(caught.value.hint).endswith(f"ssh-keygen -y -f {private} > {private}.pub")


def test_a_place_that_cannot_hold_a_key_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with refused(BootstrapError, "Cannot (write|create) the SSH key") as caught:
        LocalKeys().ensure(LocalKey(tmp_path / "file" / "id.pub", tmp_path / "file" / "id", None, on_disk=False))
    assert "--key-path" in str(caught.value.hint)


def test_a_public_half_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "id.pub").mkdir()
    with refused(BootstrapError, "Cannot write the SSH key") as caught:
        LocalKeys().ensure(LocalKey(tmp_path / "id.pub", tmp_path / "id", "ssh-ed25519 AAAA", on_disk=False))
    assert "--key-path" in str(caught.value.hint)


def test_a_key_that_cannot_be_made_is_reported_in_ssh_keygens_words():
    with refused(BootstrapError, "Cannot create the SSH key .*: Saving key .* failed") as caught:
        LocalKeys().ensure(LocalKey(Path("/proc/id.pub"), Path("/proc/id"), None, on_disk=False))
    assert "--key-path" in str(caught.value.hint)


def test_a_public_key_that_cannot_be_read_is_reported(tmp_path):
    (tmp_path / "id.pub").mkdir()
    for path in (tmp_path / "id.pub", tmp_path / f"{'x' * 300}.pub"):
        with pytest.raises(UsageError, match="Cannot read the SSH key") as caught:
            inspect(path)
        assert caught.value.code == "ssh-key"


def test_a_path_that_is_not_named_like_a_public_key_is_refused(tmp_path):
    (tmp_path / "notes").write_text("no key")
    with refused(UsageError, "not named like a public key"):
        inspect(tmp_path / "notes")
    with refused(UsageError, "not named like a public key") as caught:
        inspect(tmp_path / "mine")
    assert str(caught.value.hint).endswith("mine.pub")


@pytest.fixture
def agent(private, tmp_path) -> Iterator[Path]:
    """The socket, its name with a space, of a real ssh-agent that holds the key; SSH_AUTH_SOCK is not set."""
    keygen(private)
    socket = tmp_path / "the agent"
    started = subprocess.run(["ssh-agent", "-c", "-a", str(socket)], capture_output=True, text=True, check=True)
    pid = int(started.stdout.split("SSH_AGENT_PID ")[1].split(";")[0])
    try:
        subprocess.run(["ssh-add", "-q", str(private)], check=True, env=os.environ | {"SSH_AUTH_SOCK": str(socket)})
        yield socket
    finally:
        os.kill(pid, 15)


def test_a_key_in_the_agent_opens_the_box_by_its_public_half(private, public, monkeypatch, agent):
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", str(private)], check=True)
    assert inspect(public).identity_file == private, "the agent has what its passphrase would open"
    private.unlink()
    assert inspect(public).identity_file == public


@pytest.mark.parametrize("text", ['IdentityAgent "{}"', 'Host aws-*\n  IdentityAgent "{}"', "IdentityAgent $AGENT"])
def test_a_key_in_the_identity_agent_of_the_ssh_config_opens_the_box(app, private, public, monkeypatch, agent, text):
    """1Password and Secretive hold the private key alone, and are not named by SSH_AUTH_SOCK."""
    private.unlink()
    with refused(BootstrapError, "no ssh-agent holds it"):
        app.keys.inspect(LaunchConfig(key_path=public))
    monkeypatch.setenv("AGENT", str(agent))
    app.paths.ssh_config.write_text(text.format(agent) + "\n")
    assert app.keys.inspect(LaunchConfig(key_path=public)).identity_file == public


def test_the_identity_agent_of_the_ssh_config_wins_over_the_one_of_the_environment(
    app, private, public, monkeypatch, agent
):
    """So ssh does it: a box for a key of the other agent could not be opened."""
    private.unlink()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    for text in ("", "IdentityAgent SSH_AUTH_SOCK\n"):
        app.paths.ssh_config.write_text(text)
        assert app.keys.inspect(LaunchConfig(key_path=public)).identity_file == public
    for text in ("IdentityAgent none\n", "IdentityAgent /nowhere\n", "IdentityAgent $UNSET\n"):
        app.paths.ssh_config.write_text(text)
        with refused(BootstrapError, "no ssh-agent holds it"):
            app.keys.inspect(LaunchConfig(key_path=public))


def test_a_broken_ssh_config_does_not_hide_the_agent_of_the_environment(app, private, public, monkeypatch, agent):
    """What is wrong with it is reported by the check of the whole config."""
    private.unlink()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    app.paths.ssh_config.write_text("Nonsense\n")
    assert app.keys.inspect(LaunchConfig(key_path=public)).identity_file == public


def test_digest_is_of_the_key_itself(private, public):
    keygen(private)
    import base64
    import hashlib

    blob = base64.b64decode(public.read_text().split()[1])
    assert inspect(public).digest == hashlib.sha256(blob).hexdigest()[:8]

"""The files of a sandbox: one folder, nothing outside it.

Only its owner can read the folder (mode 0700): the access key in it grants access to the sandbox.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import BootstrapError
from ..files import ensure_private_folder

PATH_VARIABLE = "AWS_BOOTSTRAP_SANDBOX_HOME"
PROGRAM = "aws-bootstrap --sandbox"
#: Above 1024, so that a box can be reached without being root.
LOGIN_PORT = 2222

CONTROL_PATH = "/_sandbox"
_ELSEWHERE = f'Use another folder: export {PATH_VARIABLE}="$(mktemp -d)"'
_UNSET = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE")
_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True)
class Record:
    """The process of a running sandbox. `started` distinguishes it from a later process with the same pid."""

    pid: int
    port: int
    started: str


@dataclass(frozen=True)
class Home:
    """The files of one sandbox."""

    root: Path

    @classmethod
    def of(cls, root: Path | None = None) -> Home:
        """Return the sandbox in `root`, else in the folder that the environment names, else in the default one."""
        chosen = root or os.environ.get(PATH_VARIABLE) or "~/.aws-bootstrap/sandbox"
        try:
            return cls(Path(chosen).expanduser().absolute())
        except RuntimeError as exc:  # a container's user without an account
            raise BootstrapError(
                "There is no home folder for the sandbox: HOME is not set.", hint=_ELSEWHERE, code="sandbox-failed"
            ) from exc

    @property
    def boxes(self) -> Path:
        """Return the folder of the boxes' file trees."""
        return self.root / "boxes"

    @property
    def consoles(self) -> Path:
        """Return the folder of the console output of boxes that have ended."""
        return self.root / "consoles"

    @property
    def volumes(self) -> Path:
        """Return the folder of the volumes' contents."""
        return self.root / "volumes"

    @property
    def images(self) -> Path:
        """Return the folder of the copies of root disks that images have."""
        return self.root / "images"

    @property
    def state(self) -> Path:
        """Return the file of the EC2 side's state."""
        return self.root / "state.pickle"

    @property
    def record_file(self) -> Path:
        """Return the file of the running process's record."""
        return self.root / "server.json"

    @property
    def log(self) -> Path:
        """Return the log file of the process."""
        return self.root / "server.log"

    def is_sandbox(self) -> bool:
        """Return whether this is a sandbox's folder: no other may be erased."""
        return (self.root / "access-key").exists()

    def create(self) -> None:
        """Create the folder and the files used in place of ~/.aws, if they are missing.

        Raise BootstrapError for a folder that holds something else: its mode would change, and `reset` would erase it.
        """
        with folder_errors(self.root):
            self._create()

    def _create(self) -> None:
        if self.root.exists() and any(self.root.iterdir()) and not self.is_sandbox():
            raise BootstrapError(
                f"{self.root} is not empty and is not a sandbox folder.",
                hint=f"Name another folder in {PATH_VARIABLE}.",
                code="sandbox-failed",
            )
        ensure_private_folder(self.root)
        self.root.chmod(0o700)
        key = "AKIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16))
        _write_once(self.root / "access-key", f"{key} {secrets.token_hex(20)}")
        for name in ("aws-config", "aws-credentials"):
            (self.root / name).touch(mode=0o600)

    def access_key(self) -> tuple[str, str]:
        """Return the access key (id, secret) that this sandbox, and no other, accepts."""
        identifier, secret = (self.root / "access-key").read_text().split()
        return identifier, secret

    def record(self) -> Record | None:
        """Return the record of the last process, whether or not it still runs; None if there is none."""
        try:
            return Record(**json.loads(self.record_file.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write_record(self, record: Record) -> None:
        """Write the record of the running process."""
        _write_private(self.record_file, json.dumps(asdict(record)))

    def environment(self, port: int) -> dict[str, str | None]:
        """Return the variables for a sandbox that listens on `port`; None means unset."""
        identifier, secret = self.access_key()
        endpoint = f"http://127.0.0.1:{port}"
        return {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": identifier,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_CONFIG_FILE": str(self.root / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.root / "aws-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_BOOTSTRAP_CHECKIP_URL": f"{endpoint}{CONTROL_PATH}/checkip",
            "AWS_BOOTSTRAP_HOME": str(self.root),
            **_key_paths(self.root),
            "AWS_BOOTSTRAP_LAUNCH_SSH_PORT": str(LOGIN_PORT),
            "AWS_BOOTSTRAP_CLUSTER_LAUNCH_SSH_PORT": str(LOGIN_PORT),
            "AWS_BOOTSTRAP_PROGRAM": PROGRAM,
            "AWS_BOOTSTRAP_SSH_CONFIG": str(self.root / "ssh_config"),
        } | dict.fromkeys(_UNSET)


def principal_variables(home: Home, principal: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables of another principal, beside those of `Home.environment`: keys, and files of his own.

    The sandbox's own key keeps the sandbox's own files.
    """
    variables: dict[str, str | None] = {
        "AWS_ACCESS_KEY_ID": principal["access_key"],
        "AWS_SECRET_ACCESS_KEY": principal["secret_key"] or home.access_key()[1],
        "AWS_SESSION_TOKEN": principal["session_token"] or None,
    }
    if principal["access_key"] == home.access_key()[0]:
        return variables
    folder = home.root / "principals" / "-".join(filter(None, [principal["role"], principal["name"]]))
    with folder_errors(folder):
        ensure_private_folder(folder)
    files = {"AWS_BOOTSTRAP_HOME": folder, "AWS_BOOTSTRAP_CONFIG": folder / "config.toml"}
    files["AWS_BOOTSTRAP_SSH_CONFIG"] = folder / "ssh_config"
    return variables | {name: str(path) for name, path in files.items()} | _key_paths(folder)


def _key_paths(folder: Path) -> dict[str, str]:
    """Return the variables that name the public key for each command that has one."""
    variables: dict[str, str] = {}
    for command in ("LAUNCH", "CLUSTER_LAUNCH", "CLEANUP", "SETUP"):
        variables[f"AWS_BOOTSTRAP_{command}_KEY_PATH"] = str(folder / "id_ed25519.pub")
    return variables


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Raise BootstrapError in place of an OSError: it says which variable moves the sandbox."""
    try:
        yield
    except OSError as exc:
        message = f"The sandbox cannot use its folder {folder}: {exc.strerror or exc}."
        raise BootstrapError(message, hint=_ELSEWHERE, code="sandbox-failed") from exc


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def _write_once(path: Path, text: str) -> None:
    """Write a file that only its owner can read, unless it exists: of two that start at once the first wins."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        with open(handle, "w") as file:
            file.write(text)
    except OSError:  # a full disk: an empty file would be taken for a written one
        path.unlink()
        raise

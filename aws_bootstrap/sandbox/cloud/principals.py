"""The principals that call: who each access key belongs to, and what STS answers about it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html (the forms of ids and ARNs)
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from . import catalog

#: The names that IAM and STS accept, without those that would leave a folder:
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_NAME = re.compile(r"[\w+=,@-][\w+=,.@-]{0,63}", re.ASCII)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True)
class Principal:
    """A user, or with a `role` a session of it; `name` is the session's name then."""

    name: str
    access_key: str
    secret_key: str = ""
    role: str = ""
    session_token: str = ""

    @property
    def user_id(self) -> str:
        """Return the UserId of GetCallerIdentity."""
        if self.role:
            return f"{_unique_id('AROA', self.role)}:{self.name}"
        return _unique_id("AIDA", self.name)

    @property
    def arn(self) -> str:
        """Return the ARN of GetCallerIdentity."""
        if self.role:
            return f"arn:aws:sts::{catalog.ACCOUNT}:assumed-role/{self.role}/{self.name}"
        return f"arn:aws:iam::{catalog.ACCOUNT}:user/{self.name}"

    @property
    def principal_arn(self) -> str:
        """Return the ARN that policies compare: of a session it is the role's."""
        if self.role:
            return f"arn:aws:iam::{catalog.ACCOUNT}:role/{self.role}"
        return self.arn

    def context(self) -> dict[str, tuple[str, ...]]:
        """Return the condition keys of the caller. A session has no user name."""
        found: dict[str, tuple[str, ...]] = {
            "aws:principalaccount": (catalog.ACCOUNT,),
            "aws:principalarn": (self.principal_arn,),
            "aws:userid": (self.user_id,),
        }
        if not self.role:
            found["aws:username"] = (self.name,)
        return found

    def facts(self) -> dict[str, str]:
        """Return everything about the principal, for who runs the sandbox."""
        return asdict(self) | {"user_id": self.user_id, "arn": self.arn}


@dataclass(frozen=True)
class PlainCaller(Principal):
    """The one user of the plain account, as moto names him."""

    @property
    def user_id(self) -> str:
        """Return moto's UserId."""
        return "AKIAIOSFODNN7EXAMPLE"

    @property
    def arn(self) -> str:
        """Return moto's ARN."""
        return f"arn:aws:sts::{catalog.ACCOUNT}:user/{self.name}"


class Principals:
    """The principals, by access key. The sandbox's own key is the first user's.

    Every method is called with the state's lock held, or before calls come; `caller` may be called without.
    """

    def __init__(self, own_key: str) -> None:
        self._own_key = own_key
        self._by_key: dict[str, Principal] = {}
        self.enter(())

    def enter(self, people: tuple[str, ...]) -> None:
        """Have these users in the account and nobody else: the first has the sandbox's own key, the others new ones."""
        self._by_key = {self._own_key: PlainCaller("moto", self._own_key)}
        for number, name in enumerate(people):
            if number == 0:
                self._by_key[self._own_key] = Principal(name, self._own_key)
            else:
                self.get(name)

    def caller(self, access_key: str) -> Principal | None:
        """Return whose key it is; None if nobody's."""
        return self._by_key.get(access_key)

    def get(self, name: str, role: str = "") -> Principal:
        """Return the user, or the role's session of this name, created if there is none."""
        for one in self._by_key.values():
            if (one.name, one.role) == (name, role):
                return one
        return self.create(name, role)

    def create(self, name: str, role: str = "") -> Principal:
        """Return a principal with a new key: a session's is temporary and comes with a token.

        Raise ValueError for a name that IAM does not accept.
        """
        for one in (name, role or name):
            if not _NAME.fullmatch(one):
                raise ValueError(f"{one!r} is not a name of a user, role or session")
        key = "".join(secrets.choice(_LETTERS) for _ in range(16))
        token = ""
        if role:
            token = base64.b64encode(secrets.token_bytes(96)).decode()
        prefix = "ASIA" if role else "AKIA"
        created = Principal(name, prefix + key, secrets.token_hex(20), role, token)
        self._by_key[created.access_key] = created
        return created

    def saved(self) -> list[Principal]:
        """Return every principal, to be pickled."""
        return list(self._by_key.values())

    def restore(self, saved: list[Principal]) -> None:
        """Replace every principal by saved ones."""
        self._by_key = {one.access_key: one for one in saved}

    def facts(self) -> list[dict[str, Any]]:
        """Return the principals, without their secrets."""
        found: list[dict[str, Any]] = []
        for one in self._by_key.values():
            found.append({"name": one.name, "role": one.role, "arn": one.arn, "user_id": one.user_id})
        return found


def _unique_id(prefix: str, name: str) -> str:
    """Return IAM's unique id of a user or role: always the same for a name."""
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()
    return prefix + digest[:17]

"""Client tokens: the same request sent again makes nothing new and answers as before.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError


class Tokens:
    """The part of the EC2 backend that remembers tokens. Mixed into `SandboxBackend`."""

    def __init__(self) -> None:
        self.tokens: dict[tuple[str, str], tuple[Any, Any]] = {}
        """By action and token: what was requested, and what it made."""

    def once[T](self, action: str, token: str, requested: Any, make: Callable[[], T]) -> T:
        """What `make` returns, made at most once for a token. An empty token is none.

        The same token with another request is refused with `IdempotentParameterMismatch`. A request that failed
        leaves nothing behind, so it may be sent again.
        """
        if not token:
            return make()
        before = self.tokens.get((action, token))
        if before is None:
            made = make()
            self.tokens[action, token] = (requested, made)
            return made
        if before[0] != requested:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return before[1]

"""Client tokens: the same request sent again creates nothing and returns the first result.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError


class Tokens:
    """The part of the EC2 backend that stores client tokens. Mixed into `SandboxBackend`."""

    def __init__(self) -> None:
        #: By action and token: the request, and what it created.
        self.tokens: dict[tuple[str, str], tuple[Any, Any]] = {}

    def once[T](self, action: str, token: str, requested: Any, create: Callable[[], T]) -> T:
        """Return what `create` returns, called at most once for a token. An empty token is none.

        Raise `IdempotentParameterMismatch` for the same token with another request. A request that failed creates
        nothing, so it may be sent again.
        """
        if not token:
            return create()
        before = self.tokens.get((action, token))
        if before is None:
            created = create()
            self.tokens[action, token] = (requested, created)
            return created
        if before[0] != requested:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return before[1]

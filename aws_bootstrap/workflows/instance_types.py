"""The error for an instance type that no region offers."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import BootstrapError
from ..invocation import PROGRAM


def no_such_type(instance_types: Sequence[str], regions: Sequence[str]) -> BootstrapError:
    """Return the error for instance types that none of the regions offers. Its hint lists those of the first region."""
    prefix, _, _ = instance_types[0].partition(".")
    return BootstrapError(
        f"There is no instance type {' or '.join(instance_types)} in {' or '.join(regions)}.",
        hint=f"List instance types: {PROGRAM} list instance-types --prefix {prefix} --region {regions[0]}",
        code="bad-instance-type",
    )

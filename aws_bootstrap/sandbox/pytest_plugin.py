"""The pytest fixture `aws_bootstrap_sandbox`, for other people's suites (docs/sandbox.md).

One sandbox serves a whole test session; each test gets it empty, with its environment pointed at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Sandbox


@pytest.fixture(scope="session")
def _aws_bootstrap_sandbox_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    from .testing import Sandbox

    with Sandbox(tmp_path_factory.mktemp("aws-bootstrap-sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def aws_bootstrap_sandbox(_aws_bootstrap_sandbox_session: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return an empty sandbox; boto3, the AWS CLI and every subprocess of the test use it."""
    sandbox = _aws_bootstrap_sandbox_session
    sandbox.start()
    sandbox.wipe()
    for name, value in sandbox.variables.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return sandbox

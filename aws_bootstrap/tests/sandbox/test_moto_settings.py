"""moto's settings: no import order switches EC2's validation off, and importing the package changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aws_bootstrap.sandbox import cloud

CONFIGURE = "from aws_bootstrap.sandbox.cloud import moto_settings; moto_settings.configure()"
REQUIRE = "moto_settings.require()"
UNCHANGED = "assert dict(os.environ) == before"
MODULES = sorted(path.stem for path in Path(cloud.__file__).parent.glob("*.py") if path.stem != "__init__")


def python(*lines: str) -> subprocess.CompletedProcess[str]:
    """Run the lines in a new interpreter; return how it ended."""
    return subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)


def test_settings_that_come_after_moto_are_refused():
    done = python("import moto", CONFIGURE)
    assert done.returncode == 1
    assert "moto was imported before its settings were set" in done.stderr


def test_the_account_is_not_served_without_the_settings():
    done = python("from aws_bootstrap.sandbox.cloud import backend", "backend.install(None)")
    assert done.returncode == 1
    assert "call moto_settings.configure first" in done.stderr


def test_the_settings_hold_whichever_module_imports_moto_first():
    done = python(CONFIGURE, *(f"import aws_bootstrap.sandbox.cloud.{module}" for module in reversed(MODULES)), REQUIRE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["cloud.backend", "server"])
def test_an_import_changes_no_environment_variable(module):
    done = python("import os", "before = dict(os.environ)", f"import aws_bootstrap.sandbox.{module}", UNCHANGED)
    assert done.returncode == 0, done.stderr


def test_the_process_imports_no_moto_before_its_settings():
    done = python("import sys, aws_bootstrap.sandbox.server", "assert 'moto' not in sys.modules")
    assert done.returncode == 0, done.stderr

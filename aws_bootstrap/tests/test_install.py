"""What the pages say of installing: from a clone, on every machine, above another program's versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()
PAGES = (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("aws-bootstrap-skill/**/*.md"))

#: Installs uv where there is only python3, where Python is externally managed, and in an environment without pip.
UV = "python3 -m venv .uv && .uv/bin/pip install -q uv && .uv/bin/uv run "


def test_a_version_without_a_tag_is_above_the_releases_under_this_name():
    """Another program's releases: an installer would take one of those for an update."""
    major, minor, *_ = PYPROJECT["tool"]["setuptools_scm"]["fallback_version"].split(".")
    assert (int(major), int(minor)) > (0, 20)


def test_both_commands_of_the_readme_bring_uv_along():
    commands = re.findall(r"```bash\n(.*)\n```", README)[:2]
    assert commands == [f"{UV}aws-bootstrap --sandbox launch", f"{UV}pytest"]
    assert f"{UV}pytest" in " ".join((ROOT / ".github/workflows/ci.yml").read_text().split())


def test_what_debian_and_ubuntu_lack_is_named_beside_the_first_command():
    """Their Python has no ensurepip without it, so that `python3 -m venv` fails."""
    introduction = README.partition("<!-- tests -->")[0]
    assert "`sudo apt-get install python3-venv`" in introduction


def test_uv_prints_nothing_before_a_command():
    assert "compile-bytecode" not in PYPROJECT.get("tool", {}).get("uv", {})


def test_no_page_installs_what_the_registry_has_under_this_name():
    found = []
    for page in PAGES:
        for line in page.read_text().splitlines():
            if re.search(r"install .*aws-bootstrap-g4dn", line) and not re.search(r"will install|Never install", line):
                found.append((page.name, line))
    assert found == []


def test_a_machine_with_another_python_is_told_what_to_set():
    wanted = (ROOT / ".python-version").read_text().strip()
    assert f"finds no Python {wanted}" in README
    assert "export UV_PYTHON=" in README

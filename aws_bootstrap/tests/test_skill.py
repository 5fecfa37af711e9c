"""The agent skill: laid out as the Agent Skills standard says, and its reference in step with the program."""

from __future__ import annotations

import json

import pytest
from skills_ref import read_properties, validate

import reference
import schemas
from aws_bootstrap.cli import main

ROOT = reference.ROOT
PLUGIN = ROOT / "aws-bootstrap-skill"
SKILL = PLUGIN / "skills" / "aws-bootstrap"


def test_the_reference_is_fresh():
    assert reference.FILE.read_text() == reference.text(), "run: python docs/make/reference.py"


def test_every_command_and_option_is_in_the_reference():
    text = reference.FILE.read_text()
    for path, command in reference.commands(main):
        section = text.partition(f"## {' '.join(path)}\n")[2].partition("\n## ")[0]
        names = [name for option in reference.own_options(command) for name in option.opts]
        assert section, path
        assert [name for name in names if f"`{name}`" not in section] == [], path


def test_every_schema_is_in_the_reference():
    sections = {"-".join(path) for path, _ in reference.commands(main)}
    shown = sections | {f"{name}{suffix}" for name in sections for suffix in ("-dry-run", "-all")} | {"error"}
    assert set(schemas.schemas()) <= shown


def test_the_skill_is_as_the_standard_says():
    assert validate(SKILL) == []
    properties = read_properties(SKILL)
    assert properties.name == SKILL.name
    assert 100 < len(properties.description) <= 1024
    assert len((SKILL / "SKILL.md").read_text().splitlines()) <= 250, "the rest belongs into references/"


@pytest.mark.parametrize("path", [PLUGIN / ".claude-plugin" / "plugin.json", ROOT / ".claude-plugin/marketplace.json"])
def test_manifests_lead_to_the_skill(path):
    manifest = json.loads(path.read_text())
    assert manifest["name"] == SKILL.name
    assert manifest["description"]
    for plugin in manifest.get("plugins", ()):
        assert plugin["source"].startswith("./")
        assert ROOT / plugin["source"] == PLUGIN
        assert json.loads((PLUGIN / ".claude-plugin" / "plugin.json").read_text())["name"] == plugin["name"]

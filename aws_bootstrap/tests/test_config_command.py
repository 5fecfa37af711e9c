"""`config`, and what the config files do to every command: format, profile, region, warnings."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from aws_bootstrap import trust
from aws_bootstrap.paths import Paths
from aws_bootstrap.tests.configured_world import in_world
from aws_bootstrap.tests.schema_check import validate

world = pytest.fixture(in_world)


@pytest.fixture
def shown(run, world):
    """Exit code and document of a command of `config`."""

    def call(*words: str, **kwargs):
        done = run("config", *words, "-o", "json", **kwargs)
        document = json.loads(done.stdout)
        validate("error" if set(document) == {"warnings", "next", "error"} else f"config-{words[0]}", document)
        return done.exit_code, document

    return call


def origins(document) -> dict[str, tuple]:
    """Value and origin by key."""
    return {value["key"]: (value["value"], value["origin"], value["source"]) for value in document["values"]}


# --- show ------------------------------------------------------------------------------------------------


def test_each_value_is_shown_with_its_origin(shown, world, monkeypatch):
    world.has(
        user='region = "eu-west-1"\n[launch]\nttl = "8h"\non-demand = true\n[presets.train]\nmax-cost = 40\n',
        project='[launch]\ninstance-type = ["g5.xlarge"]\n',
    )
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_VOLUME_SIZE", "200")
    monkeypatch.setenv("AWS_BOOTSTRAP_STATUS_NO_INSTRUCTIONS", "1")
    monkeypatch.setenv("AWS_PROFILE", "work")
    code, document = shown("show")
    assert code == 0
    assert origins(document) == {
        "output": ("json", "option", "--output"),
        "profile": ("work", "environment", "AWS_PROFILE"),
        "region": ("eu-west-1", "user-file", f"{world.user}, line 1"),
        "launch.instance-type": (["g5.xlarge"], "project-file", f"{world.project}, line 2"),
        "launch.on-demand": (True, "user-file", f"{world.user}, line 4"),
        "launch.volume-size": ("200", "environment", "AWS_BOOTSTRAP_LAUNCH_VOLUME_SIZE"),
        "launch.ttl": ("8h", "user-file", f"{world.user}, line 3"),
        "status.instructions": ("1", "environment", "AWS_BOOTSTRAP_STATUS_NO_INSTRUCTIONS"),
        "presets.train.max-cost": (40, "user-file", f"{world.user}, line 6"),
    }
    assert document["presets"] == ["train"]
    assert [(file["scope"], file["state"]) for file in document["files"]] == [("user", "used"), ("project", "used")]


def test_a_command_is_shown_with_its_defaults_and_as_with_a_preset(shown, world, monkeypatch):
    world.has(user='[launch]\nttl = "8h"\n[presets.train]\nttl = "2h"\n')
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_TTL", "3h")
    values = origins(shown("show", "launch")[1])
    assert values["launch.ttl"] == ("3h", "environment", "AWS_BOOTSTRAP_LAUNCH_TTL")
    assert values["launch.spot"] == (True, "default", None)
    assert values["launch.wait-timeout"] == (1800, "default", None)
    assert values["launch.instance-type"] == (["g4dn.xlarge"], "default", None)
    assert "status.gpu" not in values
    assert origins(shown("show", "launch", "--preset", "train")[1])["launch.ttl"] == ("2h", "preset", "train")


def test_an_ignored_file_is_shown_as_such(shown, world):
    world.has(project="[launch]\nvolume-size = 200\n", trusted=False)
    document = shown("show")[1]
    assert document["files"][1]["state"] == "ignored"
    assert [warning["code"] for warning in document["warnings"]] == ["untrusted-config"]
    assert document["next"][0]["argv"][-2:] == ["config", "trust"]


def test_every_table_is_checked(shown, world):
    world.has(user="[status]\ngpuu = true\n")
    code, document = shown("show")
    assert (code, document["error"]["code"]) == (2, "config")
    assert "status.gpuu: there is no such key. Did you mean gpu?" in document["error"]["message"]
    world.has(user="[quota]\nfamily = 'p5'\n")
    assert "quota.family: there is no such key" in shown("show")[1]["error"]["message"]


def test_one_key_is_shown(shown, world):
    world.has(user="[launch]\nttl = '8h'\n")
    values = shown("show", "launch.ttl")[1]["values"]
    assert [(value["key"], value["value"]) for value in values] == [("launch.ttl", "8h")]


def test_a_command_that_does_not_exist_is_refused_with_the_nearest(shown):
    assert "Did you mean launch?" in shown("show", "lanch")[1]["error"]["message"]


@pytest.mark.parametrize("fmt", ["text", "table", "yaml"])
def test_the_other_formats(run, world, fmt):
    world.has(user='[launch]\nttl = "8h"\n')
    done = run("config", "-o", fmt)
    assert done.exit_code == 0
    assert "launch.ttl" in done.stdout
    assert "8h" in done.stdout
    if fmt == "yaml":
        validate("config-show", yaml.safe_load(done.stdout))


# --- init ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--project",)])
def test_a_file_is_created_with_comments_alone_and_never_again(shown, run, world, words):
    path = world.project if words else world.user
    code, document = shown("init", *words)
    assert (code, document["created"], document["path"]) == (0, True, str(path))
    before = path.read_text()
    assert all(line.startswith("#") for line in before.splitlines() if line)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    code, document = shown("init", *words)
    assert (code, document["error"]["code"], path.read_text()) == (2, "config", before)
    assert run("config", "show").stderr == "", "the user's own file is trusted"


@pytest.mark.parametrize("words", [(), ("--project",)])
def test_each_example_of_the_file_is_valid_when_uncommented(shown, run, world, words):
    path = world.project if words else world.user
    shown("init", *words)
    examples = [line.removeprefix("# ") for line in path.read_text().splitlines() if "=" in line or line[:3] == "# ["]
    path.write_text("\n".join(examples) + "\n")
    if words:
        assert run("config", "trust", "--yes").exit_code == 0
    done = run("config", "show", "-o", "json")
    assert done.exit_code == 0, done.stderr
    assert "presets.train" in done.stdout


def test_a_link_that_leads_nowhere_is_no_place_for_a_new_file(shown, world, tmp_path):
    world.user.symlink_to(tmp_path / "elsewhere")
    assert shown("init")[0] == 2
    assert not (tmp_path / "elsewhere").exists()


# --- set -------------------------------------------------------------------------------------------------

ORIGINAL = """\
# mine
region = "us-west-2"  # near

[launch]  # what I like
ttl = "8h"   # a working day
on-demand = true

[status]
gpu = true
"""


def test_a_key_is_changed_and_every_other_byte_stays(shown, world):
    world.has(user=ORIGINAL)
    code, document = shown("set", "launch.ttl", "9h")
    assert (code, document["previous"], document["value"]) == (0, "8h", "9h")
    assert world.user.read_text() == ORIGINAL.replace('"8h" ', '"9h" ')


@pytest.mark.parametrize(
    ("words", "added"),
    [
        (("launch.instance-type", "g5.xlarge", "g6.xlarge"), {"launch": {"instance-type": ["g5.xlarge", "g6.xlarge"]}}),
        (("launch.volume-size", "200"), {"launch": {"volume-size": 200}}),
        (("launch.max-price", "0.5"), {"launch": {"max-price": 0.5}}),
        (("launch.ttl", "3600"), {"launch": {"ttl": 3600}}),
        (("launch.no-setup", "yes"), {"launch": {"no-setup": True}}),
        (("launch.name", "true"), {"launch": {"name": "true"}}),
        (("launch.python-version", "3.10"), {"launch": {"python-version": "3.10"}}),
        (("presets.train.max-cost", "40"), {"presets": {"train": {"max-cost": 40}}}),
        (("quota.show.family", "p5"), {"quota": {"show": {"family": "p5"}}}),
        (("output", "json"), {"output": "json"}),
        (("launch.tag", "team=vision", "a=b"), {"launch": {"tag": ["team=vision", "a=b"]}}),
    ],
)
def test_a_value_has_the_type_of_its_option(shown, world, words, added):
    import tomllib

    assert shown("set", *words)[0] == 0
    assert tomllib.loads(world.user.read_text()) == added
    assert shown("show")[0] == 0


def test_the_other_name_of_a_switch_is_replaced(shown, world):
    world.has(user=ORIGINAL)
    assert shown("set", "launch.spot", "true")[0] == 0
    assert "on-demand" not in world.user.read_text()
    assert world.params("launch")["spot"] is True


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("launch.ttll", "8h"), "There is no key launch.ttll. Did you mean launch.ttl?"),
        (("lanch.ttl", "8h"), "There is no key lanch.ttl. Did you mean launch.ttl?"),
        (("launch", "8h"), "There is no key launch."),
        (("presets.ttl", "8h"), "There is no key presets.ttl."),
        (("launch.ttl", "8h", "9h"), "launch.ttl takes one value, not 2."),
        (("launch.ttl", "8x"), "launch.ttl: '8x' is not a duration"),
        (("launch.spot", "maybe"), "launch.spot: it must be true or false."),
        (("launch.volume-size", "many"), "launch.volume-size: it must be a whole number"),
        (("launch.yes", "true"), "yes: no config file can confirm."),
        (("launch.preset", "train"), "There is no key launch.preset."),
        (("launch.ssh-cidr", "0.0.0.0/0", "--project"), "launch.ssh-cidr: a project file may never set this key."),
        (("profile", "work", "--project"), "profile: a project file may never set this key."),
    ],
)
def test_a_key_or_value_that_is_wrong_changes_nothing(shown, world, words, sentence):
    world.has(user=ORIGINAL, project="# nothing\n")
    code, document = shown("set", *words)
    assert (code, document["error"]["code"]) == (2, "config")
    assert sentence in document["error"]["message"]
    assert (world.user.read_text(), world.project.read_text()) == (ORIGINAL, "# nothing\n")
    assert sorted(path.name for path in world.user.parent.iterdir()) == ["config.toml"], "no draft is left"


def test_an_option_alone_is_answered_with_the_key_of_its_command(shown):
    assert "There is no key ttl. Did you mean launch.ttl?" in shown("set", "ttl", "8h")[1]["error"]["message"]


def test_a_value_that_is_refused_is_in_no_line_of_the_file(shown, world):
    world.has(user=ORIGINAL)
    error = shown("set", "presets.train.ttl", "8x")[1]["error"]
    assert error["message"].startswith("presets.train.ttl: '8x' is not a duration")
    assert "launch --help" in error["hint"]


def test_a_file_that_is_no_toml_is_not_changed(shown, world):
    world.has(user="[launch\n")
    assert shown("set", "launch.ttl", "8h")[0] == 2
    assert world.user.read_text() == "[launch\n"


def test_link_and_mode_of_the_file_stay(shown, world, tmp_path):
    dotfile = tmp_path / "dotfile"
    dotfile.write_text(ORIGINAL)
    dotfile.chmod(0o644)
    world.user.symlink_to(dotfile)
    assert shown("set", "launch.ttl", "9h")[0] == 0
    assert world.user.is_symlink()
    assert '"9h"' in dotfile.read_text()
    assert stat.S_IMODE(dotfile.stat().st_mode) == 0o644


def test_a_folder_that_cannot_be_written_is_said(shown, world, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_CONFIG", "/proc/aws-bootstrap/config.toml")
    code, document = shown("set", "launch.ttl", "9h")
    assert (code, document["error"]["code"]) == (1, "config")


def test_what_the_user_sets_in_a_trusted_or_new_project_file_stays_trusted(shown, run, world):
    assert shown("set", "launch.volume-size", "200", "--project")[1]["trusted"] is True
    assert world.params("launch")["volume_size"] == 200
    world.project.write_text("[launch]\nvolume-size = 300\n")
    code, document = shown("set", "launch.no-setup", "true", "--project")
    assert (code, document["trusted"]) == (0, False)
    assert world.params("launch")["volume_size"] == 100


# --- trust -----------------------------------------------------------------------------------------------


def test_the_keys_are_shown_and_the_file_is_trusted_until_it_changes(shown, world):
    world.has(project='[launch]\nttl = "8h"\n', trusted=False)
    code, document = shown("trust", "--yes")
    assert (code, document["trusted"], document["sha256"]) == (0, True, trust.digest(world.project.read_bytes()))
    assert origins(document) == {"launch.ttl": ("8h", "project-file", str(world.project))}
    assert world.params("launch")["ttl"] == 28800
    world.project.write_text('[launch]\nttl = "9h"\n')
    assert world.params("launch")["ttl"] is None


def test_without_an_answer_nothing_is_trusted(run, world):
    world.has(project='[launch]\nttl = "8h"\n', trusted=False)
    assert run("config", "trust").exit_code == 2
    assert run("config", "trust", "-o", "json").exit_code == 2
    assert not (Paths().home / "trusted").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[launch]\nkey-path = "x"\n', "launch.key-path: a project file may never set this key."),
        ("[status]\ngpuu = true\n", "status.gpuu: there is no such key."),
        ('[presets.a]\nttl = "8x"\n', "presets.a.ttl: '8x' is not a duration"),
        ("[launch\n", "is not valid TOML"),
    ],
)
def test_a_file_with_an_error_is_not_trusted(shown, world, text, sentence):
    world.has(project=text, trusted=False)
    code, document = shown("trust", "--yes")
    assert code == 2
    assert sentence in document["error"]["message"]
    assert not (Paths().home / "trusted").exists()


def test_without_a_file_there_is_nothing_to_trust(shown):
    code, document = shown("trust", "--yes")
    assert (code, document["error"]["code"]) == (1, "not-found")


def test_what_a_file_says_cannot_change_the_terminal(run, world):
    world.has(project='[launch]\nname = "a\\u001b[2Jb"\nami-x = "\\u202e"\n', trusted=False)
    done = run("config", "trust", "--yes")
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output


@pytest.mark.parametrize(("answer", "trusted"), [("y", True), ("n", False)])
def test_a_person_sees_the_keys_and_decides(world, answer, trusted):
    """The program as a process, at a real terminal."""
    world.has(project='[launch]\nttl = "8h"\n[presets.a]\nname = "box"\n', trusted=False)
    terminal, end = pty.openpty()
    argv = [sys.executable, "-m", "aws_bootstrap", "config", "trust"]
    os.write(terminal, f"{answer}\n".encode())
    done = subprocess.run(argv, stdin=end, capture_output=True, text=True, timeout=60, cwd=world.project.parent)
    os.close(terminal)
    os.close(end)
    assert done.returncode == 0, done.stderr
    assert 'launch.ttl      "8h"' in done.stderr
    assert 'presets.a.name  "box"' in done.stderr
    assert (world.params("launch")["ttl"] == 28800) is trusted


# --- every command ---------------------------------------------------------------------------------------


def test_a_warning_comes_once_in_the_document_and_for_a_person(run, cloud, world):
    world.has(project="[status]\ngpu = true\n", trusted=False)
    done = run("status", "-r", "us-west-2", "-o", "json")
    assert [warning["code"] for warning in json.loads(done.stdout)["warnings"]] == ["untrusted-config"]
    assert done.exit_code == 0
    done = run("status", "-r", "us-west-2")
    assert done.stderr.count("is ignored: it is not trusted") == 1


def test_the_format_is_that_of_the_file_unless_something_closer_names_one(run, cloud, world, monkeypatch):
    world.has(user='output = "json"\n')
    assert json.loads(run("status", "-r", "us-west-2").stdout)["instances"] == []
    assert run("status", "-r", "us-west-2", "-o", "text").stdout[:1] != "{"
    assert run("-o", "text", "status", "-r", "us-west-2").stdout[:1] != "{"
    monkeypatch.setenv("AWS_BOOTSTRAP_OUTPUT", "text")
    assert run("status", "-r", "us-west-2").stdout[:1] != "{"


@pytest.mark.parametrize("words", [("statsu",), ("status", "--regoin", "x"), ("status", "-r", "x")])
def test_an_error_of_usage_has_the_format_of_the_file(run, world, words):
    world.has(user='output = "json"\n')
    done = run(*words)
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (2, "usage")


def test_the_project_may_choose_the_format(run, cloud, world):
    world.has(user='output = "yaml"\n', project='output = "json"\n')
    assert json.loads(run("status", "-r", "us-west-2").stdout)["instances"] == []


def test_the_keys_of_the_environment_choose_the_account(run, app, cloud, world):
    world.has(user='profile = "work"\n')
    run("status", "-r", "us-west-2")
    assert app.profile is None


def test_the_profile_is_that_of_the_file(run, app, world, monkeypatch):
    world.has(user='profile = "work"\n')
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    done = run("quota", "show", "-r", "us-west-2", "-o", "json")
    assert app.profile == "work"
    assert json.loads(done.stdout)["error"]["code"] == "no-profile"


def test_a_typed_profile_is_above_that_of_the_file(run, app, world, monkeypatch):
    world.has(user='profile = "work"\n')
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    run("quota", "show", "-r", "us-west-2", "--profile", "typed")
    assert app.profile == "typed"


@pytest.mark.parametrize(
    ("variable", "expected"), [(None, "eu-west-1"), ("AWS_REGION", "us-east-2"), ("AWS_DEFAULT_REGION", "us-east-2")]
)
def test_the_region_is_below_the_environment_and_above_the_profile(run, app, world, monkeypatch, variable, expected):
    world.has(user='region = "eu-west-1"\n')
    (Paths().home.parent / "aws-config").write_text("[default]\nregion = ap-south-1\n")
    if variable:
        monkeypatch.setenv(variable, "us-east-2")
    run("config", "show")
    assert app.aws.region == expected


def test_help_and_completion_work_beside_a_broken_file(run, world):
    world.has(user="[launch\n", project="[launch\n")
    for words in (["--help"], ["launch", "--help"], ["config", "--help"], ["completion", "bash"], ["--version"]):
        assert run(*words).exit_code == 0
    assert run("status").exit_code == 2


def test_help_shows_the_defaults_of_the_program(run, world):
    world.has(user="[launch]\nvolume-size = 222\n")
    assert "222" not in run("launch", "--help").stdout


def test_a_hint_names_the_file_that_sets_what_takes_the_effect(run, cloud, world):
    world.has(user="[launch]\nno-setup = true\n")
    done = run("launch", "--python-version", "3.13", "--dry-run")
    assert done.exit_code == 2
    assert "--python-version has no effect with --no-setup." in done.stderr
    assert "config show launch" in done.stderr


def test_what_a_file_sets_is_not_refused_as_without_effect(run, cloud, world):
    world.has(user='[launch]\nwait-timeout = "1h"\npython-version = "3.13"\n')
    assert run("launch", "--dry-run", "--no-setup", "--ami-filter", "ubuntu-noble-24.04-*").exit_code in (0, 1)
    assert world.params("launch", "--no-setup")["wait_timeout"] == 3600


def test_relaunch_repeats_the_launch_whatever_the_files_have_since(world):
    """Its words are the whole launch: what they do not name had its default."""
    from aws_bootstrap.commands.launch import launch

    world.has(user='[launch]\nttl = "8h"\nvolume-size = 222\n')
    parent = world.context("relaunch", "aws-gpu1").parent
    with launch.make_context("launch", [], parent=parent, default_map={}) as ctx:
        assert (ctx.params["ttl"], ctx.params["volume_size"]) == (None, 100)


# --- in the sandbox --------------------------------------------------------------------------------------


def test_a_box_is_launched_by_a_preset_and_launched_again_without_it(program):
    config = Path(program.sandbox.env["AWS_BOOTSTRAP_CONFIG"])
    config.write_text('[launch]\nttl = "8h"\nno-setup = true\n[presets.train]\ninstance-type = ["g5.xlarge"]\n')
    code, launched = program.json("launch", "--preset", "train")
    assert (code, launched["instance_type"], launched["setup"]) == (0, "g5.xlarge", "skipped")
    assert launched["deadline"] is not None
    assert program("terminate", launched["ssh_alias"], "--yes").exit_code == 0
    config.write_text("[launch]\non-demand = true\n")
    code, again = program.json("relaunch", launched["instance_id"], "--dry-run")
    assert (code, again["instance_type"], again["pricing"], again["ttl_seconds"]) == (0, "g5.xlarge", "spot", 28800)


def test_a_rehearsal_reads_the_users_own_file(program):
    """`--sandbox launch --preset train` rehearses the preset that the real launch has."""
    assert "AWS_BOOTSTRAP_CONFIG" not in program.sandbox.home.environment(program.sandbox.port)


def test_a_launch_that_nothing_ends_names_the_key_that_sets_a_limit(program):
    assert "config set launch.ttl 8h" in program("launch", "--dry-run").out
    code, launched = program.json("launch", "--no-setup")
    assert ["config", "set", "launch.ttl", "8h"] in [one["argv"][-4:] for one in launched["next"]]
    program.json("config", "set", "launch.ttl", "8h")
    assert "config set" not in program("launch", "--dry-run").out

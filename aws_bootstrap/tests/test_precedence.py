"""Where the value of an option comes from: option, preset, environment, project file, user file, default."""

from __future__ import annotations

from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import pytest
from click.core import ParameterSource

from aws_bootstrap.errors import UsageError
from aws_bootstrap.tests.configured_world import World, in_world

world = pytest.fixture(in_world)


# --- each pair of neighbours -----------------------------------------------------------------------------

#: From the top. Each has a value of its own, so that the result names its origin. A project can only lower a limit,
#: so the values of `ttl` fall upwards.
LEVELS = ("option", "preset", "environment", "project", "user", "default")


class Option:
    """An option with a value a level: as typed, as TOML, and as the command gets it."""

    def __init__(self, name: str, values: dict[str, str], got: dict[str, Any], variable: str = "") -> None:
        self.name = name
        self.values = values
        self.got = got
        self.variable = variable or f"AWS_BOOTSTRAP_LAUNCH_{name.upper().replace('-', '_')}"

    def __str__(self) -> str:
        return self.name


OPTIONS = [
    Option(
        "ttl",
        {"option": "1h", "preset": '"2h"', "environment": "3h", "project": '"4h"', "user": '"5h"'},
        {"option": 3600, "preset": 7200, "environment": 10800, "project": 14400, "user": 18000, "default": None},
    ),
    Option(
        "instance-type",
        {
            "option": "g5.large",
            "preset": '["g6.large", "g6.xlarge"]',
            "environment": "p4.large,p5.large",
            "project": '["g4.large"]',
            "user": '"g3.large"',
        },
        {
            "option": ("g5.large",),
            "preset": ("g6.large", "g6.xlarge"),
            "environment": ("p4.large", "p5.large"),
            "project": ("g4.large",),
            "user": ("g3.large",),
            "default": ("g4dn.xlarge",),
        },
    ),
    Option(
        "volume-size",
        {"option": "11", "preset": "12", "environment": "13", "project": "14", "user": "15"},
        {"option": 11, "preset": 12, "environment": 13, "project": 14, "user": 15, "default": 100},
    ),
    Option(
        "max-price",
        {"option": "0.1", "preset": "0.2", "environment": "0.3", "project": "0.4", "user": "1"},
        {"option": 0.1, "preset": 0.2, "environment": 0.3, "project": 0.4, "user": 1.0, "default": None},
    ),
    Option(
        "tag",
        {"option": "a=1", "preset": '["b=2"]', "environment": "c=3", "project": '["d=4"]', "user": '["e=5", "f=6"]'},
        {
            "option": (("a", "1"),),
            "preset": (("b", "2"),),
            "environment": (("c", "3"),),
            "project": (("d", "4"),),
            "user": (("e", "5"), ("f", "6")),
            "default": (),
        },
    ),
]


def launched(world: World, monkeypatch: pytest.MonkeyPatch, option: Option, levels: set[str]) -> Any:
    """The value that `launch` gets where these levels have one."""
    user = f"[launch]\n{option.name} = {option.values['user']}\n" if "user" in levels else ""
    project = f"[launch]\n{option.name} = {option.values['project']}\n" if "project" in levels else ""
    words: list[str] = []
    if "preset" in levels:
        user += f"[presets.train]\n{option.name} = {option.values['preset']}\n"
        words += ["--preset", "train"]
    if "option" in levels:
        words += [f"--{option.name}", option.values["option"]]
    world.has(user=user, project=project)
    monkeypatch.delenv(option.variable, raising=False)
    if "environment" in levels:
        monkeypatch.setenv(option.variable, option.values["environment"])
    return world.params("launch", *words)[option.name.replace("-", "_")]


@pytest.mark.parametrize(("upper", "lower"), [*pairwise(LEVELS)])
@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_each_level_is_above_the_next(world, monkeypatch, option, upper, lower):
    assert launched(world, monkeypatch, option, {upper, lower}) == option.got[upper]
    assert launched(world, monkeypatch, option, {lower}) == option.got[lower]


def test_the_highest_level_that_has_a_value_prevails_whatever_the_others_have(world, monkeypatch):
    set_levels = LEVELS[:-1]
    for count in range(len(LEVELS)):
        for levels in combinations(set_levels, count):
            highest = levels[0] if levels else "default"
            assert launched(world, monkeypatch, OPTIONS[0], set(levels)) == OPTIONS[0].got[highest], levels


# --- switches --------------------------------------------------------------------------------------------

#: What sets a switch, from the top, as (level, on-demand?).
TYPED = {(): None, ("--spot",): False, ("--on-demand",): True}
VARIABLES: dict[tuple[str, str] | None, bool | None] = {
    None: None,
    ("SPOT", "1"): False,
    ("SPOT", "0"): True,
    ("ON_DEMAND", "1"): True,
    ("ON_DEMAND", "0"): False,
}
LINES = {"": None, "spot = true": False, "spot = false": True, "on-demand = true": True, "on-demand = false": False}


@pytest.mark.parametrize(("words", "variable"), [*product(TYPED, VARIABLES)])
def test_a_switch_is_set_by_either_of_its_names_at_each_level(world, monkeypatch, words, variable):
    if variable:
        monkeypatch.setenv(f"AWS_BOOTSTRAP_LAUNCH_{variable[0]}", variable[1])
    for project, user in product(LINES, LINES):
        world.has(user=f"[launch]\n{user}\n", project=f"[launch]\n{project}\n")
        chosen = [TYPED[words], VARIABLES[variable], LINES[project], LINES[user], False]
        on_demand = next(value for value in chosen if value is not None)
        assert world.params("launch", *words)["spot"] is not on_demand, (words, variable, project, user)


@pytest.mark.parametrize("line", ["on-demand = true", "spot = false"])
@pytest.mark.parametrize(("variable", "value"), [("SPOT", "1"), ("ON_DEMAND", "0")])
def test_a_typed_preset_is_above_a_switch_of_the_environment(world, monkeypatch, line, variable, value):
    world.has(user=f"[presets.train]\n{line}\n")
    monkeypatch.setenv(f"AWS_BOOTSTRAP_LAUNCH_{variable}", value)
    assert world.params("launch", "--preset", "train")["spot"] is False
    assert world.params("launch", "--preset", "train", "--spot")["spot"] is True


@pytest.mark.parametrize(("variable", "value"), [("SPOT", "1"), ("ON_DEMAND", "0")])
def test_a_preset_of_the_environment_is_below_the_other_variables(world, monkeypatch, variable, value):
    world.has(user='[launch]\nttl = "9h"\n[presets.train]\non-demand = true\nttl = "2h"\n')
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_PRESET", "train")
    assert world.params("launch")["spot"] is False
    monkeypatch.setenv(f"AWS_BOOTSTRAP_LAUNCH_{variable}", value)
    params = world.params("launch")
    assert (params["spot"], params["ttl"]) == (True, 7200)


def test_the_source_of_a_value_is_known(world, monkeypatch):
    world.has(user='[launch]\nttl = "9h"\n[presets.train]\nvolume-size = 200\n')
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_ON_DEMAND", "1")
    with world.context("launch", "--preset", "train", "--wait") as ctx:
        sources = {name: ctx.get_parameter_source(name) for name in ("wait", "spot", "ttl", "volume_size", "name")}
    assert sources == {
        "wait": ParameterSource.COMMANDLINE,
        "spot": ParameterSource.ENVIRONMENT,
        "ttl": ParameterSource.DEFAULT_MAP,
        "volume_size": ParameterSource.DEFAULT_MAP,
        "name": ParameterSource.DEFAULT,
    }


# --- options that exclude each other ---------------------------------------------------------------------

VOLUME = "vol-0123456789abcdef0"


@pytest.mark.parametrize(
    ("user", "project", "words", "expected"),
    [
        ("[launch]\nebs-storage = 100", "", ["--ebs-volume-id", VOLUME], (None, VOLUME)),
        (f'[launch]\nebs-volume-id = "{VOLUME}"', "", ["--ebs-storage", "9"], (9, None)),
        ("[launch]\nebs-storage = 100", f'[launch]\nebs-volume-id = "{VOLUME}"', [], (None, VOLUME)),
        (f"[launch]\nebs-storage = 1\n[presets.a]\nebs-volume-id = '{VOLUME}'", "", ["--preset", "a"], (None, VOLUME)),
        (f"[presets.a]\nebs-volume-id = '{VOLUME}'", "", ["--preset", "a", "--ebs-storage", "9"], (9, None)),
    ],
)
def test_an_option_removes_what_it_excludes_from_below(world, user, project, words, expected):
    world.has(user=user, project=project)
    params = world.params("launch", *words)
    assert (params["ebs_storage"], params["ebs_volume_id"]) == expected


def test_an_option_of_the_environment_removes_what_it_excludes_of_a_file(world, monkeypatch):
    world.has(user="[launch]\nebs-storage = 100\n")
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_EBS_VOLUME_ID", VOLUME)
    params = world.params("launch")
    assert (params["ebs_storage"], params["ebs_volume_id"]) == (None, VOLUME)


# --- other tables ----------------------------------------------------------------------------------------


def test_each_command_has_its_table_and_a_group_one_for_each_command(world):
    world.has(user='[status]\ninstructions = false\n[quota.show]\nfamily = "p5"\n[launch]\nttl = "2h"\n')
    assert world.params("status")["instructions"] is False
    assert world.params("quota", "show")["family"] == "p5"
    assert world.params("quota", "history")["family"] is None


def test_an_option_that_is_required_may_come_from_a_file(world):
    world.has(user='[quota.request]\ntype = "spot"\ndesired-value = 8\n')
    params = world.params("quota", "request")
    assert (params["market"], params["desired_value"]) == ("spot", 8)


def test_a_relative_path_begins_at_the_folder_of_its_file(world):
    world.has(user='[launch]\nsetup-script = "setup.sh"\nkey-path = "~/keys/box.pub"\n')
    params = world.params("launch")
    assert params["setup_script"] == world.user.parent / "setup.sh"
    assert params["key_path"] == Path.home() / "keys" / "box.pub"


def test_a_file_is_read_from_the_current_folder_alone(world, monkeypatch):
    world.has(project="[launch]\nvolume-size = 200\n")
    below = world.project.parent / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    assert world.params("launch")["volume_size"] == 100


@pytest.mark.parametrize("variable", ["AWS_BOOTSTRAP_CONFIG", "XDG_CONFIG_HOME"])
def test_a_variable_names_another_user_file(world, monkeypatch, tmp_path, variable):
    world.has(user="[launch]\nvolume-size = 200\n")
    other = tmp_path / "other" / "aws-bootstrap" / "config.toml"
    other.parent.mkdir(parents=True)
    other.write_text("[launch]\nvolume-size = 300\n")
    monkeypatch.setenv(variable, str(other if variable == "AWS_BOOTSTRAP_CONFIG" else tmp_path / "other"))
    assert world.params("launch")["volume_size"] == 300


@pytest.mark.parametrize(("variable", "value"), [("AWS_BOOTSTRAP_CONFIG", ""), ("AWS_BOOTSTRAP_CONFIG", "/dev/null")])
def test_an_empty_name_is_no_file(world, monkeypatch, variable, value):
    world.has(user="[launch]\nvolume-size = 200\n")
    monkeypatch.setenv(variable, value)
    assert world.params("launch")["volume_size"] == 100


def test_a_relative_folder_of_the_specification_is_ignored(world, monkeypatch):
    world.has(user="[launch]\nvolume-size = 200\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert world.params("launch")["volume_size"] == 200


def test_a_preset_of_both_files_has_the_keys_of_both(world):
    world.has(user='[presets.train]\nvolume-size = 200\nttl = "2h"\n', project="[presets.train]\nvolume-size = 300\n")
    params = world.params("launch", "--preset", "train")
    assert (params["volume_size"], params["ttl"]) == (300, 7200)


def test_a_preset_that_does_not_exist_is_refused_with_the_nearest(world):
    world.has(user="[presets.train]\nvolume-size = 200\n[presets.big]\n")
    with pytest.raises(UsageError) as refused:
        world.params("launch", "--preset", "trian")
    assert str(refused.value) == "There is no preset trian. Did you mean train?"
    assert refused.value.hint == "Presets: train, big"
    assert refused.value.code == "config"


# --- what is wrong in a file -----------------------------------------------------------------------------

WRONG = {
    '[launch]\ninstance_type = "g5.xlarge"': (2, "launch.instance_type: there is no such key. Did you mean instance-"),
    '[launch]\nttll = "8h"': (2, "launch.ttll: there is no such key. Did you mean ttl?"),
    '[launch]\n\n# x\nttl = "8x"': (4, "launch.ttl: '8x' is not a duration"),
    '[launch]\nttl = "5s"': (2, "launch.ttl: '5s' is less than a minute."),
    "[launch]\nttl = true": (2, 'launch.ttl: it must be a duration, such as "8h", not True.'),
    "[launch]\nttl = 1.5": (2, "launch.ttl: it must be a duration"),
    "[launch]\npython-version = 3.10": (2, "launch.python-version: it must be a text in quotes, not 3.1."),
    '[launch]\nvolume-size = "100"': (2, "launch.volume-size: it must be a whole number"),
    "[launch]\nvolume-size = 0": (2, "launch.volume-size: 0 is not in the range"),
    "[launch]\nmax-price = nan": (2, "launch.max-price: 'nan' is not a price"),
    "[launch]\nmax-price = inf": (2, "launch.max-price: 'inf' is not a price"),
    "[launch]\nmax-price = true": (2, "launch.max-price: it must be a number"),
    "[launch]\nwait-timeout = -5": (2, "launch.wait-timeout: '-5' is not a duration"),
    "[launch]\nspot = 1": (2, "launch.spot: it must be true or false."),
    "[launch]\nspot = true\non-demand = true": (3, "launch.on-demand: it is the same option as spot."),
    "[launch]\ninstance-type = [1]": (2, "launch.instance-type: it must be a text in quotes, not 1."),
    '[launch]\ninstance-type = ["x y"]': (2, "launch.instance-type: 'x y' is not a valid instance type"),
    "[launch]\ntag = {team = 1}": (2, "launch.tag: it must be a text in quotes"),
    "[launch]\nname = 1979-05-27": (2, "launch.name: it must be a text in quotes"),
    "[launch]\nyes = true": (2, "launch.yes: no config file can confirm."),
    "[terminate]\nyes = true": (2, "terminate.yes: no config file can confirm."),
    '[launch]\npreset = "train"': (2, "launch.preset: a preset is chosen for each launch"),
    '[launch]\noutput = "json"': (2, "launch.output: there is no such key."),
    "launch = 5": (1, "launch: launch must be a table"),
    "presets = 5": (1, "presets: presets must be a table"),
    "[presets]\ntrain = 5": (2, "presets.train: train must be a table"),
    '[luanch]\nttl = "8h"': (None, "luanch: there is no such table. Did you mean launch?"),
    "[sandbox]\nx = 1": (None, "sandbox: there is no such table."),
    'outptu = "json"': (1, "outptu: there is no such key. Did you mean output?"),
    'output = "xml"': (1, "output: 'xml' is not one of"),
    "region = 5": (1, "region: it must be a text in quotes"),
    'region = "nowhere"': (1, "region: 'nowhere' is not a valid region"),
    'launch.ttl = "8x"': (1, "launch.ttl: '8x' is not a duration"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_refused_with_file_line_and_key(world, text):
    world.has(user=text)
    line, sentence = WRONG[text]
    place = f"{world.user}, line {line}" if line else str(world.user)
    with pytest.raises(UsageError) as refused:
        world.params("launch", "--preset", "train")
    assert str(refused.value).startswith(f"{place}: {sentence}")
    assert (refused.value.exit_code, refused.value.code) == (2, "config")


def test_a_command_is_not_stopped_by_a_key_of_another(world):
    """A box that costs money must end, whatever a table for launches has."""
    world.has(user='[launch]\nttll = "8h"\n')
    assert world.params("terminate", "aws-gpu1")["names"] == ("aws-gpu1",)

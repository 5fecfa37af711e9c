"""A project file that somebody else wrote: what it may set, when it is read, and what it can do to who reads it."""

from __future__ import annotations

import json
import os

import pytest

from aws_bootstrap import trust
from aws_bootstrap.commands.configured import adopt
from aws_bootstrap.errors import UsageError
from aws_bootstrap.paths import Paths
from aws_bootstrap.settings_file import MAX_BYTES
from aws_bootstrap.tests.configured_world import World, in_world

world = pytest.fixture(in_world)


def notices(world: World) -> list[tuple[str, str]]:
    """The codes and sentences of the warnings after the last command line."""
    return list(world.app.settings.notices)


# --- trust -----------------------------------------------------------------------------------------------


def test_a_file_that_is_not_trusted_is_ignored_with_a_warning(world):
    world.has(project="[launch]\nvolume-size = 200\n", trusted=False)
    assert world.params("launch")["volume_size"] == 100
    ((code, sentence),) = notices(world)
    assert code == "untrusted-config"
    assert sentence.startswith(f"{world.project} is ignored: it is not trusted, or has changed since.")
    assert "config trust" in sentence


@pytest.mark.parametrize("change", ["[launch]\nvolume-size = 201\n", "[launch]\nvolume-size = 200\n#\n", ""])
def test_a_file_that_has_changed_is_not_trusted(world, change):
    world.has(project="[launch]\nvolume-size = 200\n")
    assert world.params("launch")["volume_size"] == 200
    world.project.write_text(change)
    assert world.params("launch")["volume_size"] == 100
    assert notices(world)[0][0] == "untrusted-config"


def test_a_trusted_content_is_not_trusted_elsewhere(world, monkeypatch):
    world.has(project="[launch]\nvolume-size = 200\n")
    other = world.project.parents[1] / "other"
    other.mkdir()
    (other / "aws-bootstrap.toml").write_bytes(world.project.read_bytes())
    monkeypatch.chdir(other)
    assert world.params("launch")["volume_size"] == 100


def test_a_link_to_a_trusted_file_is_not_trusted_and_a_trusted_link_is_bound_to_its_content(world, tmp_path):
    target = tmp_path / "shared.toml"
    target.write_text("[launch]\nvolume-size = 200\n")
    trust.trust(Paths().home, str(target), target.read_bytes())
    world.project.symlink_to(target)
    assert world.params("launch")["volume_size"] == 100
    trust.trust(Paths().home, str(world.project), target.read_bytes())
    assert world.params("launch")["volume_size"] == 200
    target.write_text("[launch]\nvolume-size = 300\n")
    assert world.params("launch")["volume_size"] == 100


def test_the_record_is_private_and_names_path_and_hash(world):
    world.has(project="[launch]\n")
    (record,) = (Paths().home / "trusted").iterdir()
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(record.read_text()) == {"path": str(world.project), "sha256": trust.digest(b"[launch]\n")}


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"path": "x", "sha256": "y"}'])
def test_a_broken_record_is_no_trust(world, content):
    world.has(project="[launch]\nvolume-size = 200\n")
    (record,) = (Paths().home / "trusted").iterdir()
    record.write_bytes(content)
    assert world.params("launch")["volume_size"] == 100


def test_a_file_that_is_not_trusted_is_not_even_parsed(world):
    world.has(project='this is = = no TOML [[[\n[launch]\nkey-path = "x"\n', trusted=False)
    assert world.params("launch")["volume_size"] == 100
    assert [code for code, _ in notices(world)] == ["untrusted-config"]


# --- what lies in the folder -----------------------------------------------------------------------------


def fifo(path):
    os.mkfifo(path)


def folder(path):
    path.mkdir()


def huge(path):
    path.write_bytes(b"#" * (MAX_BYTES + 1))


def loop(path):
    path.symlink_to(path)


def device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("thing", [fifo, folder, huge, loop, device])
def test_what_is_no_file_to_read_is_ignored_with_a_warning_and_never_waited_for(world, thing):
    thing(world.project)
    assert world.params("launch")["volume_size"] == 100
    ((code, sentence),) = notices(world)
    assert (code, "is ignored: it cannot be read:" in sentence) == ("untrusted-config", True)


def test_a_file_that_nobody_may_read_is_ignored_with_a_warning(world, as_others, monkeypatch):
    project = as_others / "aws-bootstrap.toml"
    project.write_text("[launch]\nvolume-size = 200\n")
    project.chmod(0)
    monkeypatch.chdir(as_others)
    monkeypatch.setenv("AWS_BOOTSTRAP_CONFIG", "")
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        assert world.params("launch")["volume_size"] == 100
        ((_, sentence),) = notices(world)
    finally:
        os.seteuid(os.getresuid()[2])
    assert sentence.endswith("is ignored: it cannot be read: Permission denied.")


def test_a_link_that_leads_nowhere_is_no_file(world, tmp_path):
    world.project.symlink_to(tmp_path / "missing")
    assert world.params("launch")["volume_size"] == 100
    assert notices(world) == []


def test_a_deleted_folder_has_no_file(world, monkeypatch, tmp_path):
    lost = tmp_path / "lost"
    lost.mkdir()
    monkeypatch.chdir(lost)
    lost.rmdir()
    assert world.params("launch")["volume_size"] == 100


def test_the_users_own_file_in_the_current_folder_is_the_users(world, monkeypatch):
    world.project.write_text('[launch]\nssh-cidr = "203.0.113.0/24"\n')
    monkeypatch.setenv("AWS_BOOTSTRAP_CONFIG", "aws-bootstrap.toml")
    assert world.params("launch")["ssh_cidr"] == ("203.0.113.0/24",)
    assert notices(world) == []


FORMS = {
    "a byte order mark": b"\xef\xbb\xbf[launch]\nvolume-size = 200\n",
    "line ends of Windows": b"[launch]\r\nvolume-size = 200\r\n",
    "no final line end": b"[launch]\nvolume-size = 200",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_another_editor_is_read(world, form):
    world.project.write_bytes(FORMS[form])
    trust.trust(Paths().home, str(world.project), FORMS[form])
    assert world.params("launch")["volume_size"] == 200
    world.user.write_bytes(FORMS[form])
    world.project.unlink()
    assert world.params("launch")["volume_size"] == 200


BROKEN = {
    b"[launch\n": "is not valid TOML: Expected ']'",
    b"x = 1\nx = 2\n": "is not valid TOML: Cannot overwrite a value (at ",
    b"x = [" * 20000: "is not valid TOML: ",
    b'name = "\xff"\n': "is not a text in UTF-8.",
    b'\x1b]0;x = "a"\n': "is not valid TOML: Invalid ",
}


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: repr(content[:10]))
@pytest.mark.parametrize("is_project", [True, False])
def test_a_broken_file_is_refused_in_a_sentence(world, content, is_project):
    path = world.project if is_project else world.user
    path.write_bytes(content)
    trust.trust(Paths().home, str(world.project), content)
    with pytest.raises(UsageError) as refused:
        world.params("launch")
    assert str(refused.value).startswith(f"{path} {BROKEN[content]}")
    assert "\x1b" not in str(refused.value)
    assert ("another folder" if is_project else "export AWS_BOOTSTRAP_CONFIG=") in str(refused.value.hint)


# --- what no project may set -----------------------------------------------------------------------------

BANNED = {
    "prices.plot": '"prices.svg"',
    "launch.ssh-cidr": '"0.0.0.0/0"',
    "launch.setup-script": '"evil.sh"',
    "launch.key-path": '"evil.pub"',
    "launch.key-name": '"evil"',
    "launch.security-group": '"evil"',
    "launch.ami-filter": '"evil*"',
    "launch.image": '"ami-0123456789abcdef0"',
    "launch.metadata-hop-limit": "2",
    "profile": '"evil"',
    "setup.setup-script": '"evil.sh"',
    "setup.key-path": '"evil.pub"',
    "setup.format-volume": "true",
    "cleanup.key-path": '"evil.pub"',
    "cleanup.include-ebs": "true",
    "cleanup.include-kept": "true",
    "access.ssh-cidr": '"0.0.0.0/0"',
    "terminate.everyone": "true",
    "extend.never": "true",
}


@pytest.mark.parametrize("key", [*BANNED, "presets.train.ssh-cidr", "presets.train.key-path", "presets.train.image"])
def test_a_trusted_project_may_not_set_it_for_whatever_command(world, key):
    value = BANNED.get(key) or BANNED[key.replace("presets.train", "launch")]
    world.has(project=f"{key} = {value}\n")
    for words in (["launch"], ["status"], ["terminate", "aws-gpu1"]):
        with pytest.raises(UsageError) as refused:
            world.params(*words)
        assert str(refused.value) == f"{world.project}, line 1: {key}: a project file may never set this key."
        assert (refused.value.exit_code, refused.value.code) == (2, "config")


@pytest.mark.parametrize("key", [key for key in BANNED if key != "launch.image"])
def test_the_user_may_set_it(world, key):
    world.has(user=f"{key} = {BANNED[key]}\n")
    world.params("launch")
    adopt(world.app)


@pytest.mark.parametrize("is_project", [True, False])
@pytest.mark.parametrize("key", ["yes", "launch.yes", "terminate.yes", "presets.train.yes"])
def test_no_file_can_confirm(world, key, is_project):
    line = f"{key} = true\n"
    world.has(user="" if is_project else line, project=line if is_project else "")
    with pytest.raises(UsageError) as refused:
        world.params("status")
    assert f"{key}: no config file can confirm." in str(refused.value)


# --- what a project may only lower -----------------------------------------------------------------------

#: The user's value, a project's that is weaker, and one that is stricter; what the command gets of the first and last.
LIMITS = {
    "ttl": ('"8h"', '"9h"', '"7h"', 28800, 25200),
    "idle-timeout": ('"60m"', '"3601s"', "3599", 3600, 3599),
    "max-cost": ("10", "10.5", "9.5", 10, 9.5),
    "max-price": ("1.0", "1000", "0.5", 1.0, 0.5),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_project_cannot_weaken_a_limit_of_the_user(world, name):
    own, weaker, stricter, own_value, stricter_value = LIMITS[name]
    param = name.replace("-", "_")
    for value, expected in ((own, own_value), (weaker, own_value), (stricter, stricter_value)):
        world.has(user=f"[launch]\n{name} = {own}\n", project=f"[launch]\nvolume-size = 9\n{name} = {value}\n")
        params = world.params("launch")
        assert (params[param], params["volume_size"]) == (expected, 9)
        codes = [code for code, _ in notices(world)]
        assert codes == (["limit-kept"] if value == weaker else [])


@pytest.mark.parametrize("name", LIMITS)
def test_a_preset_of_a_project_cannot_either(world, name):
    own, weaker, stricter, own_value, stricter_value = LIMITS[name]
    param = name.replace("-", "_")
    for value, expected in ((weaker, own_value), (stricter, stricter_value)):
        world.has(user=f"[launch]\n{name} = {own}\n", project=f"[presets.train]\n{name} = {value}\n")
        assert world.params("launch", "--preset", "train")[param] == expected


def test_a_preset_of_the_user_may_be_weaker_than_his_default_and_bounds_that_of_the_project(world):
    user = '[launch]\nttl = "8h"\n[presets.long]\nttl = "48h"\n'
    world.has(user=user)
    assert world.params("launch", "--preset", "long")["ttl"] == 48 * 3600
    world.has(user=user, project='[presets.long]\nttl = "24h"\n')
    assert world.params("launch", "--preset", "long")["ttl"] == 24 * 3600
    world.has(user=user, project='[presets.long]\nttl = "49h"\n')
    assert world.params("launch", "--preset", "long")["ttl"] == 48 * 3600


def test_another_command_is_bound_by_the_users_limits_of_launch(world):
    world.has(user='[launch]\nidle-timeout = "60m"\n', project='[extend]\nidle-timeout = "600h"\n')
    assert world.params("extend", "aws-gpu1", "2h")["idle_timeout"] is None
    assert [code for code, _ in notices(world)] == ["limit-kept"]


def test_a_project_may_set_a_limit_where_the_user_has_none(world):
    world.has(project='[launch]\nttl = "8h"\n')
    assert world.params("launch")["ttl"] == 28800


@pytest.mark.parametrize("value", ["false", '""', '"0s"', "0", '"never"', "[]", "{}"])
def test_a_project_cannot_remove_a_limit(world, value):
    world.has(user='[launch]\nttl = "8h"\n', project=f"[launch]\nttl = {value}\n")
    with pytest.raises(UsageError):
        world.params("launch")


def test_the_warning_says_which_value_stays(world):
    world.has(user='[launch]\nttl = "8h"\n', project='# x\n[launch]\nttl = "9h"\n')
    world.params("launch")
    assert notices(world) == [
        ("limit-kept", f"{world.project}, line 3: launch.ttl = 9h is ignored: launch.ttl = 8h of your own file stays.")
    ]


# --- the user's own file ---------------------------------------------------------------------------------


def test_a_user_file_that_everybody_may_change_is_refused(world):
    world.has(user='[launch]\nttl = "8h"\n')
    world.user.chmod(0o666)
    with pytest.raises(UsageError) as refused:
        world.params("launch")
    assert str(refused.value) == f"{world.user} cannot be used: everybody may change it."


@pytest.mark.parametrize("thing", [fifo, folder, huge, loop, device])
def test_a_user_file_that_cannot_be_read_is_refused(world, thing):
    thing(world.user)
    with pytest.raises(UsageError) as refused:
        world.params("launch")
    assert str(refused.value).startswith(f"{world.user} cannot be used: ")
    assert "AWS_BOOTSTRAP_CONFIG" in str(refused.value.hint)

"""`setup --format-volume`: a data volume is formatted with permission alone, and once (workflows/data_volume.py)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from aws_bootstrap import ec2
from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.ssh import Remote, VolumeUnformatted
from aws_bootstrap.sshconfig import add, hosts, read
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume, start_box
from aws_bootstrap.tests.stubs import lose


class Boxes:
    """In place of ssh: a setup that works, and what each mount was allowed, and what tags the volume had then."""

    def __init__(self, client, *, bare: bool = True) -> None:
        self.client, self.bare = client, bare
        self.mounts: list[tuple[bool, bool]] = []
        self.mounted: list[str] = []

    def run(self, alias, command, **_):
        return Remote(0, ("@aws-bootstrap-report", "{}"))

    def mount_ebs_volume(self, alias, package, volume_id, *, format_if_empty):
        tags = self.client.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["Tags"]
        self.mounted.append(volume_id)
        self.mounts.append((format_if_empty, "aws-bootstrap-format" in {t["Key"] for t in tags}))
        if self.bare and not format_if_empty:
            raise VolumeUnformatted("/dev/nvme1n1 is empty and carries no filesystem", code="mount-failed")
        formatted, self.bare = self.bare, False
        return {"fstype": "ext4", "formatted": formatted}, ()


@pytest.fixture
def with_volume(app, cloud):
    """Our client, the instance and its new data volume, the alias aws-gpu1 for it."""
    client = cloud.ec2("us-west-2")
    instance_id = start_box(client)["InstanceId"]
    volume = ec2.create_ebs_volume(client, factories.instance(instance_id=instance_id), 8)
    add(app.paths.ssh_config, factories.host(instance_id=instance_id))
    app.ssh = Boxes(client)
    return client, volume.volume_id


def documents(done) -> dict:
    return json.loads(done.stdout)


def test_the_tag_is_gone_before_the_box_may_format(app, run, with_volume):
    done = run("setup", "aws-gpu1", "-o", "json")
    assert done.exit_code == 0
    assert app.ssh.mounts == [(True, False)]
    again = run("setup", "aws-gpu1")
    assert again.exit_code == 0
    assert "is not formatted" not in again.stderr
    assert app.ssh.mounts[1:] == [(False, False)], "a second mount has no leave"


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_removal_formats_nothing_and_the_hint_leads_on(app, run, with_volume, after):
    client, volume_id = with_volume
    lose(client, "DeleteTags", after=after)
    done = run("setup", "aws-gpu1")
    assert done.exit_code == 3
    assert app.ssh.mounts == [(False, not after)]
    assert "will not be formatted" in done.stderr
    assert "setup aws-gpu1 --format-volume" in done.stderr


def test_died_between_removal_and_mkfs_only_the_users_word_formats(app, run, cloud, with_volume):
    client, volume_id = with_volume
    assert ec2.revoke_format_permissions(client, [volume_id])
    failed = documents(run("setup", "aws-gpu1", "-o", "json"))["error"]
    assert failed["code"] == "mount-failed"
    assert "setup aws-gpu1 --format-volume" in failed["hint"]
    sent = len(cloud.calls)
    for words in (["-o", "json"], []):
        refused = run("setup", "aws-gpu1", "--format-volume", *words)
        assert refused.exit_code == 2
        assert "--yes" in refused.stderr
        assert len(cloud.calls) == sent
    assert app.ssh.mounts == [(False, False)]
    done = run("setup", "aws-gpu1", "--format-volume", "--yes", "-o", "json")
    assert done.exit_code == 0
    assert documents(done)["ebs_volume"]["mounted"] is True
    assert app.ssh.mounts[1:] == [(True, False)]


def test_the_users_word_uses_the_tag_up_as_well_or_nothing_is_formatted(app, run, cloud, with_volume):
    client, volume_id = with_volume
    cloud.deny("us-west-2", "DeleteTags")
    done = run("setup", "aws-gpu1", "--format-volume", "--yes", "-o", "json")
    assert done.exit_code == 3
    assert app.ssh.mounts == []


class AtATerminal(App):
    """A user at a terminal who says no; the questions are kept."""

    def require_answer(self, *, yes: bool) -> None:
        """Let the question be asked."""

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Decline."""
        self.asked = question
        return False


def test_the_question_names_id_and_size_and_no_is_no(app, with_volume):
    client, volume_id = with_volume
    declining = AtATerminal(paths=app.paths)
    declining.aws, declining.ssh = app.aws, app.ssh
    done = CliRunner().invoke(main, ["setup", "aws-gpu1", "--format-volume"], obj=declining)
    assert declining.asked.startswith(f"Format {volume_id}, 8 GB, the data volume of aws-gpu1?")
    assert done.exit_code == 0
    assert done.stdout == "Nothing was formatted or set up.\n"
    assert app.ssh.mounts == []


class AgreesAfterAChange(AtATerminal):
    """A user at a terminal who says yes, after something has changed in the account."""

    def __init__(self, app: App, change: Callable[[], object]) -> None:
        super().__init__(paths=app.paths)
        self.aws, self.ssh = app.aws, app.ssh
        self._change = change

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Agree."""
        super().confirm(question, yes=yes)
        self._change()
        return True


def test_the_volume_that_is_formatted_is_the_one_that_was_asked_about(app, with_volume):
    client, asked_about = with_volume
    instance_id = hosts(read(app.paths.ssh_config))[0].instance_id

    def put_another_in_its_place() -> None:
        client.delete_tags(Resources=[asked_about], Tags=[{"Key": "aws-bootstrap-instance"}])
        make_volume(client, instance_id)

    agreeing = AgreesAfterAChange(app, put_another_in_its_place)
    done = CliRunner().invoke(main, ["setup", "aws-gpu1", "--format-volume"], obj=agreeing)
    assert done.exit_code == 0, done.stderr
    assert asked_about in agreeing.asked, done.stderr
    assert app.ssh.mounted == [asked_about]
    assert app.ssh.mounts == [(True, False)]


def test_a_box_without_a_data_volume_has_none_to_format(app, run, with_volume):
    client, volume_id = with_volume
    client.delete_volume(VolumeId=volume_id)
    done = run("setup", "aws-gpu1", "--format-volume", "--yes", "-o", "json")
    assert done.exit_code == 1
    assert documents(done)["error"]["code"] == "not-found"

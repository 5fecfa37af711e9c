"""What is closed by default, so that nobody opens it by accident. `.github/SECURITY.md` lists it for users.

A promise of the whole program, so that it is no test of one module.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aws_bootstrap.address import my_address
from aws_bootstrap.aws import Aws, translate_aws_errors
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.sandbox.home import Home
from aws_bootstrap.ssh import Remote, Ssh
from aws_bootstrap.workflows.provision import set_up, tarball

ROOT = Path(__file__).parents[2]
SHARED = stat.S_IRWXG | stat.S_IRWXO
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"


@pytest.fixture
def fresh_home(tmp_path: Path) -> Path:
    """A home without ~/.ssh and without ~/.aws-bootstrap."""
    home = tmp_path / "fresh"
    home.mkdir(mode=0o700)
    return home


def variables(home: Path) -> dict[str, str | None]:
    key = str(home / ".ssh" / "id_ed25519.pub")
    return {
        "AWS_BOOTSTRAP_CONFIG": "",
        "AWS_BOOTSTRAP_HOME": str(home / ".aws-bootstrap"),
        "AWS_BOOTSTRAP_SSH_CONFIG": str(home / ".ssh" / "config"),
        "AWS_BOOTSTRAP_LAUNCH_KEY_PATH": key,
    }


def modes(folder: Path) -> dict[str, int]:
    """The permissions of everything in the folder, by its path from there."""
    return {str(p.relative_to(folder)): stat.S_IMODE(p.lstat().st_mode) for p in sorted(folder.rglob("*"))}


# --- on this machine -------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=["000", "077"])
def test_a_launch_writes_for_its_user_alone_whatever_the_umask(program, fresh_home, umask):
    launched = program("launch", "--no-setup", "-o", "json", env=variables(fresh_home), umask=umask)
    assert launched.exit_code == 0, launched.err
    box = launched.document
    assert modes(fresh_home) == {
        ".aws-bootstrap": 0o700,
        ".aws-bootstrap/known_hosts": 0o600,
        ".ssh": 0o700,
        ".ssh/config": 0o600,
        ".ssh/id_ed25519": 0o600,
        # ssh-keygen makes it 0644, less what the umask takes away: it is no secret, but nobody else may write it.
        ".ssh/id_ed25519.pub": 0o644 & ~umask,
    }
    assert_pinned(fresh_home, box["instance_id"], box["ssh_alias"])
    ended = program("terminate", box["instance_id"], "--yes", env=variables(fresh_home), umask=umask)
    assert ended.exit_code == 0
    assert modes(fresh_home)[".aws-bootstrap/known_hosts"] == 0o600
    assert modes(fresh_home)[".ssh/config"] == 0o600, "a file that is written again keeps its mode"


def assert_pinned(home: Path, instance_id: str, alias: str) -> None:
    """ssh knows the box by its id, in our file, and refuses another key than the first."""
    argv = ["ssh", "-G", "-F", str(home / ".ssh" / "config"), alias]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    options = dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)
    known_hosts = home / ".aws-bootstrap" / "known_hosts"
    assert options["hostkeyalias"] == instance_id
    assert options["userknownhostsfile"] == str(known_hosts)
    assert options["stricthostkeychecking"] == "accept-new"
    assert options["identitiesonly"] == "yes"
    assert options["forwardagent"] == options["forwardx11"] == "no"
    assert {line.split()[0] for line in known_hosts.read_text().splitlines()} == {instance_id}


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=["000", "077"])
def test_the_sandboxs_folders_are_their_users_alone(tmp_path, umask):
    script = "import sys; from pathlib import Path; from aws_bootstrap.sandbox.home import Home; "
    script += "Home(Path(sys.argv[1])).create()"
    home = tmp_path / ".aws-bootstrap" / "sandbox"
    subprocess.run([sys.executable, "-c", script, str(home)], check=True, umask=umask, cwd=ROOT)
    assert Home(home).is_sandbox()
    found = modes(tmp_path / ".aws-bootstrap") | {"": stat.S_IMODE(home.parent.stat().st_mode)}
    assert {path: f"{mode:o}" for path, mode in found.items() if mode & SHARED} == {}


# --- in the account --------------------------------------------------------------------------------------


def test_a_launch_is_closed_to_everybody_else(program):
    code, box = program.json("launch", "--no-setup", "--ebs-storage", "4", "--ssh-cidr", "203.0.113.7/32")
    assert code == 0
    client = program.sandbox.client()
    instance = client.describe_instances(InstanceIds=[box["instance_id"]])["Reservations"][0]["Instances"][0]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert "IamInstanceProfile" not in instance, "the box has no rights in the account"

    volumes = client.describe_volumes()["Volumes"]
    assert sorted(v["Size"] for v in volumes) == [4, LaunchConfig().volume_size]
    assert [v["VolumeId"] for v in volumes if not v["Encrypted"]] == []

    groups = [g["GroupId"] for g in instance["SecurityGroups"]]
    rules = client.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": groups}])
    let_in = [r for r in rules["SecurityGroupRules"] if not r["IsEgress"]]
    assert [(r["IpProtocol"], r["FromPort"], r["ToPort"], r.get("CidrIpv4")) for r in let_in] == [
        ("tcp", 2222, 2222, "203.0.113.7/32")
    ]


class Here(Ssh):
    """A box that is a home folder of this machine. What is sent to it is a script that tells the mode of our folder."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home

    def run(self, alias: str, command: str, **_: object) -> Remote:
        tell = b"stat -c %a ~/.aws-bootstrap"
        package = tarball({"mount_data_volume.sh": tell, "remote_setup.sh": tell})
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        done = subprocess.run(["bash", "-c", command], input=package, env=environment, capture_output=True, check=True)
        return Remote(0, (done.stdout.decode().strip(),))


@pytest.mark.parametrize("there", [True, False], ids=["shared", "none"])
@pytest.mark.parametrize("action", ["setup", "mount"])
def test_the_folder_on_the_box_is_its_users_alone_before_anything_is_put_there(tmp_path, action, there):
    """Also where the setup is not run (--no-setup) and the mount is the first to make it."""
    if there:
        (tmp_path / ".aws-bootstrap").mkdir()
        (tmp_path / ".aws-bootstrap").chmod(0o755)
    box = Here(tmp_path)
    if action == "setup":
        said = str(set_up(box, "aws-gpu1").message)
    else:
        mode, _ = box.mount_ebs_volume("aws-gpu1", b"", "vol-0abc", format_if_empty=False)
        said = str(mode)
    assert said.endswith("700")


def test_an_address_that_cannot_be_found_opens_nothing(program):
    failed = program("launch", "--no-setup", "-o", "json", env={"AWS_BOOTSTRAP_CHECKIP_URL": "http://127.0.0.1:9/"})
    assert failed.exit_code == 1
    assert failed.document["error"]["code"] == "no-address"
    opened = program.sandbox.log("AuthorizeSecurityGroupIngress", "CreateSecurityGroup", "RunInstances")
    assert [call for call in opened if call["parameters"].get("DryRun") != "true"] == []


# --- in messages and logs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "do"),
    [
        ("DescribeVpcs", {"error": "SignatureDoesNotMatch"}),
        ("RunInstances", {"error": "UnauthorizedOperation"}),
        ("DescribeInstances", {"error": "NoSuchThing"}),
    ],
)
def test_no_secret_is_in_messages_debug_output_or_logs(program, action, do):
    secrets = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
    program.sandbox.fault(action=action, do=do)
    command = "status" if action == "DescribeInstances" else "launch"
    done = program(command, "-r", "us-west-2", "--debug", "-o", "json", env=secrets)
    assert done.exit_code != 0
    assert "Traceback" in done.err
    home = program.sandbox.home
    key = home.root / "id_ed25519"
    private = key.read_text().splitlines()[1:-1] if key.exists() else []
    shown = done.out + done.err + home.log.read_text() + str(program.sandbox.log())
    assert [word for word in (SECRET, TOKEN, home.access_key()[1], *private) if word in shown] == []


def test_no_secret_is_in_a_warning(program):
    """A message of AWS's own, in a command that goes on: it is printed before any error is."""
    assert program("launch", "--no-setup", "-r", "us-west-2").exit_code == 0
    do = {"error": "NoSuchThing", "message": f"the token {TOKEN} is not for this"}
    program.sandbox.fault(action="DescribeSpotPriceHistory", do=do)
    done = program("status", "-r", "us-west-2", env={"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN})
    assert "Could not read the spot prices" in done.err
    assert TOKEN not in done.err
    assert "***" in done.err


def test_a_proxys_password_is_not_shown(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://ec2.invalid")
    with pytest.raises(BootstrapError) as caught, translate_aws_errors():
        Aws().ec2_once("us-west-2").describe_regions()
    assert "127.0.0.1:9" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_password_of_an_address_service_is_not_shown():
    with pytest.raises(BootstrapError, match=r"from http://127.0.0.1:9/ip \(") as caught:
        my_address("http://me:hunter2@127.0.0.1:9/ip")
    assert caught.value.code == "no-address"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/", "/etc/hostname"])
def test_an_address_is_asked_for_over_http_alone(url):
    with pytest.raises(BootstrapError, match="not an http:// or https:// address") as caught:
        my_address(url)
    assert caught.value.code == "no-address"


# --- in the code -----------------------------------------------------------------------------------------


def test_ruffs_security_rules_are_on_and_only_narrowly_off():
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == []
    whole = {pattern for pattern, rules in lint["per-file-ignores"].items() if "S" in rules}
    assert whole == {"aws_bootstrap/tests/*"}


def test_every_default_is_documented():
    page = (ROOT / ".github" / "SECURITY.md").read_text()
    for word in (
        "--ssh-cidr",
        "--metadata-hop-limit",
        "HostKeyAlias",
        "IMDSv2",
        "encrypted",
        "0700",
        "0600",
        "--debug",
        "Jupyter",
        "loopback",
        "token",
    ):
        assert word in page


def test_dependencies_are_audited_strictly_in_ci():
    assert "run: bash .ci/audit" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    command = (ROOT / ".ci" / "audit").read_text().splitlines()[-1]
    assert "pip-audit@" in command
    assert "--strict" in command
    assert "--require-hashes" in command

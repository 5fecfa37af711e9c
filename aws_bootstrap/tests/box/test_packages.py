"""The distribution's packages, by apt and by dnf: what is asked for, what counts as a failure, what is told only."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import STRICT_SUDO, FakeBox

# Says of a package that it is installed if ~/rpms names it.
RPM = '[[ $1 == -q && $# == 2 ]] && grep -qsx -- "$2" "$HOME/rpms"'
# The same by ~/debs; ~/half has what dpkg says of its packages' errors.
DPKG_QUERY = r"""case "$*" in
  '-W -f ${db:Status-Eflag} ${Package}\n') cat "$HOME/half" 2>/dev/null || echo "ok bash" ;;
  '-W -f ${Status} '*)
    if grep -qsx -- "$4" "$HOME/debs"; then echo "install ok installed"; else echo "deinstall ok config-files"; fi ;;
  *) exit 2 ;;
esac"""
# Root's work, but only where no password would be asked for: so many of its first installs fail as ~/says.
SUDO = r"""[[ $1 == -n ]] || exit 1
if [[ $* == *"install --no"* ]] && (($(grep -c 'install --no' "$HOME/calls") <= $(cat "$HOME/failures"))); then
  cat "$HOME/says"
  exit 100
fi
echo "done: ${!#}" """
# Passes no time, and ends a step that would never end.
SLEEP = '(($(grep -c ^sleep "$HOME/calls") < 12)) || kill $PPID'

APT_PACKAGES = ["build-essential", "curl", "git", "htop", "jq", "python3-dev", "tmux", "tree", "unzip"]
DNF_PACKAGES = ["gcc-c++", "git", "htop", "jq", "make", "python3-devel", "tmux", "tree", "unzip"]
TOOLS = ["ffmpeg", "git-lfs", "nvtop"]

LOCKED = "E: Could not get lock /var/lib/dpkg/lock-frontend"
SILENT = "E: Failed to fetch http://mirror/x.deb  Could not connect"


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(tmp_path / "box")


def installed(box: FakeBox, file: str, *names: str) -> None:
    """Let these packages be on the box."""
    (box.home / file).write_text("".join(f"{name}\n" for name in names))


def words(packages: list[str]) -> str:
    return " ".join(packages)


@pytest.mark.parametrize("name", ["utilities", "tools"])
def test_utilities_and_tools_without_the_functions_they_share_fail(box, name):
    """An upload that was cut off, or a full disk: nothing that was not done is told as done."""
    (box.folder / "setup.d" / "packages.sh").unlink()
    done, report = box.step(name)
    assert done.returncode != 0
    assert report == []
    assert box.calls("sudo") == []


# --- Amazon Linux ------------------------------------------------------------------------------------------------


@pytest.fixture
def amazon(box: FakeBox) -> FakeBox:
    """A box with dnf and rpm, and without apt."""
    (box.bin / "apt-get").unlink()
    box.bare_path()
    box.tool("rpm", RPM)
    box.tool("dnf", "exit 0")
    box.tool("sudo", STRICT_SUDO)
    return box


def step(box: FakeBox, name: str) -> tuple[int, list[str]]:
    done, report = box.step(name, PATH=f"{box.bin}:{box.home}/bare")
    return done.returncode, report


def dnf(packages: list[str]) -> str:
    return f"dnf -y -q --setopt=strict=0 install {words(packages)}"


def test_dnf_that_fails_is_a_failure(amazon):
    amazon.faults(("^dnf", 1, "Error: Failed to download metadata"))
    status, report = step(amazon, "utilities")
    assert status == 1
    assert report == [f"error dnf could not install: {words(DNF_PACKAGES)}"]
    assert amazon.calls("dnf") == [dnf(DNF_PACKAGES)] * 3


@pytest.mark.parametrize("left", [["jq"], ["git", "jq"]])
def test_utilities_that_dnf_leaves_out_are_a_failure(amazon, left):
    amazon.tool("dnf", f"printf '%s\\n' {words([name for name in DNF_PACKAGES if name not in left])} >~/rpms")
    assert step(amazon, "utilities") == (1, [f"error dnf did not install: {words(left)}"])


@pytest.mark.parametrize("missing", [["jq"], ["git", "jq"], DNF_PACKAGES])
def test_dnf_installs_the_utilities_that_are_missing_alone(amazon, missing):
    installed(amazon, "rpms", *(name for name in DNF_PACKAGES if name not in missing))
    amazon.tool("dnf", f"printf '%s\\n' {words(DNF_PACKAGES)} >~/rpms")
    assert step(amazon, "utilities") == (0, ["changed"])
    assert amazon.calls("dnf") == [dnf(missing)]
    assert step(amazon, "utilities") == (0, [])
    assert len(amazon.calls("dnf")) == 1


@pytest.mark.parametrize("left", [["nvtop"], ["ffmpeg", "nvtop"], TOOLS])
def test_tools_that_amazon_linux_lacks_are_reported(amazon, left):
    installed(amazon, "had", *(name for name in TOOLS if name not in left))
    amazon.tool("dnf", 'cp "$HOME/had" "$HOME/rpms"')
    status, report = step(amazon, "tools")
    told = f"warning this distribution has no {words(left)}, or dnf could not install them"
    assert (status, report) == (0, [told] if left == TOOLS else ["changed", told])
    assert amazon.calls("dnf") == [dnf(TOOLS)]


@pytest.mark.parametrize("missing", [["nvtop"], TOOLS])
def test_dnf_installs_the_tools_that_are_missing_alone(amazon, missing):
    installed(amazon, "rpms", *(name for name in TOOLS if name not in missing))
    amazon.tool("dnf", f"printf '%s\\n' {words(TOOLS)} >~/rpms")
    assert step(amazon, "tools") == (0, ["changed"])
    assert amazon.calls("dnf") == [dnf(missing)]
    assert step(amazon, "tools") == (0, [])
    assert len(amazon.calls("dnf")) == 1


def test_tools_that_dnf_cannot_have_now_are_reported(amazon):
    amazon.faults(("^dnf", 1, "Error: Failed to download metadata"))
    told = f"warning this distribution has no {words(TOOLS)}, or dnf could not install them"
    assert step(amazon, "tools") == (0, [told])


def test_a_box_without_apt_or_dnf_has_no_utilities_and_no_tools(amazon):
    (amazon.bin / "dnf").unlink()
    assert step(amazon, "utilities") == (
        0,
        ["warning neither apt-get nor dnf on this box: no utilities installed"],
    )
    assert step(amazon, "tools") == (0, [])
    assert amazon.calls("rpm") == []


# --- Debian and Ubuntu -------------------------------------------------------------------------------------------


@pytest.fixture
def debian(box: FakeBox) -> FakeBox:
    box.tool("dpkg-query", DPKG_QUERY)
    box.tool("sudo", SUDO)
    box.tool("sleep", SLEEP)
    failing(box, 0, "")
    return box


def failing(box: FakeBox, times: int, says: str) -> None:
    """Let so many installs fail with these words."""
    (box.home / "failures").write_text(str(times))
    (box.home / "says").write_text(f"{says}\n")


def apt(what: str, patience: int = 0) -> str:
    """Return the whole call of apt."""
    return (
        f"sudo -n env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -q "
        f"-o DPkg::Lock::Timeout={patience} -o Acquire::Retries=1 "
        "-o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "
        f"-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold {what}"
    )


CONFIGURE = "sudo -n dpkg --configure -a"


def install(packages: list[str], patience: int = 0) -> list[str]:
    """Return the calls of one attempt to install."""
    asked = f"install --no-install-recommends {words(packages)}"
    return [apt("update", patience), CONFIGURE, apt(asked, patience)]


def libraries(box: FakeBox, code: str, **more: str) -> subprocess.CompletedProcess[str]:
    return box.shell(code, "lib.sh", "packages.sh", **more)


@pytest.mark.parametrize(("name", "all_of"), [("utilities", APT_PACKAGES), ("tools", TOOLS)])
@pytest.mark.parametrize("first", [0, -2, -1])
def test_apt_installs_the_utilities_and_tools_that_are_missing_alone(debian, name, all_of, first):
    missing = all_of[first:]
    installed(debian, "debs", *(package for package in all_of if package not in missing))
    done, report = debian.step(name)
    assert (done.returncode, report, done.stderr) == (0, ["changed"], "")
    assert debian.calls("sudo") == install(missing), "the lists are fetched once"
    assert done.stdout.splitlines()[-1] == f"done: {missing[-1]}", "what apt said is in the log"
    looked_up = [f"apt-cache show --no-all-versions {package}" for package in missing]
    assert debian.calls("apt-cache") == (looked_up if name == "tools" else [])


@pytest.mark.parametrize(("name", "all_of"), [("utilities", APT_PACKAGES), ("tools", TOOLS)])
def test_utilities_and_tools_that_are_there_are_not_asked_for(debian, name, all_of):
    installed(debian, "debs", *all_of)
    done, report = debian.step(name)
    assert (done.returncode, report, done.stdout, done.stderr) == (0, [], "", "")
    assert not debian.calls("sudo")
    assert not debian.calls("apt-cache")


@pytest.mark.parametrize("unknown", [["nvtop"], ["git-lfs", "nvtop"]])
def test_tools_that_the_distribution_lacks_are_reported_and_the_rest_is_installed(debian, unknown):
    debian.faults((f"^apt-cache show .* ({'|'.join(unknown)})", 100, "E: No packages found"))
    done, report = debian.step("tools")
    assert done.returncode == 0
    assert report == [f"warning this distribution has no {words(unknown)}", "changed"]
    assert debian.calls("sudo") == install([name for name in TOOLS if name not in unknown])


def test_a_distribution_that_has_none_of_the_tools_is_not_asked_to_install_any(debian):
    debian.faults(("^apt-cache show", 100, "E: No packages found"))
    done, report = debian.step("tools")
    assert done.returncode == 0
    assert report == [f"warning this distribution has no {words(TOOLS)}"]
    assert debian.calls("sudo") == [apt("update")]


def test_tools_that_cannot_be_had_now_are_a_warning(debian):
    failing(debian, 9, SILENT)
    done, report = debian.step("tools")
    assert done.returncode == 0
    assert report == [
        f"warning not installed: {words(TOOLS)} (the package mirror does not answer: http://mirror/x.deb)"
    ]


def test_lists_that_cannot_be_fetched_are_no_reason_not_to_install(debian):
    debian.faults(("apt-get .* update$", 100, "E: The repository does not have a Release file"))
    assert debian.step("utilities")[1] == ["changed"]
    assert debian.step("tools")[1] == ["changed"]


@pytest.mark.parametrize(("patience", "within"), [(0, 0), (59, 59), (60, 60), (61, 60), (300, 60)])
def test_apt_waits_for_a_lock_for_a_minute_at_most(debian, patience, within):
    assert libraries(debian, "apt update", SETUP_RETRY_SECONDS=str(patience)).returncode == 0
    assert debian.calls("sudo") == [apt("update", within)]


def test_a_lock_or_a_silent_mirror_is_waited_for_with_fresh_lists_each_time(debian):
    failing(debian, 7, LOCKED)
    done = libraries(debian, "apt_install jq tree", SETUP_RETRY_SECONDS="3000")
    assert done.returncode == 0
    assert debian.calls("sudo") == install(["jq", "tree"], 60) * 8
    assert debian.calls("sleep") == [f"sleep {pause}" for pause in (2, 4, 8, 16, 32, 30, 30)]
    assert done.stdout.count(LOCKED) == 7


@pytest.mark.parametrize(
    ("says", "trouble"),
    [
        (LOCKED, "apt was locked by another process for 20 s (unattended-upgrades?)"),
        (SILENT, "the package mirror does not answer: http://mirror/x.deb"),
    ],
)
def test_utilities_are_not_waited_for_longer_than_the_patience(debian, says, trouble):
    failing(debian, 99, says)
    done = libraries(debian, 'if ! apt_install jq; then echo "$TROUBLE"; fi', SETUP_RETRY_SECONDS="20")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == trouble
    assert debian.calls("sleep") == [f"sleep {pause}" for pause in (2, 4, 8, 16)]


@pytest.mark.parametrize(("failures", "report"), [(1, "changed"), (9, "error apt-get could not install: {}")])
def test_what_waiting_does_not_mend_is_tried_twice(debian, failures, report):
    failing(debian, failures, "E: Unable to locate package jq")
    assert debian.step("utilities", SETUP_RETRY_SECONDS="3000")[1] == [report.format(words(APT_PACKAGES))]
    assert debian.calls("sleep") == ["sleep 2"]
    assert debian.calls("sudo") == install(APT_PACKAGES, 60) * 2


UBUNTU = "http://us-west-2.ec2.archive.ubuntu.com/ubuntu"


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (f"E: Failed to fetch {UBUNTU}/pool/j/jq.deb  Could not connect", f"MIRROR {UBUNTU}/pool/j/jq.deb"),
        (f"Err:1 {UBUNTU} noble InRelease\nErr:2 http://other noble InRelease", f"MIRROR {UBUNTU}"),
        (f"Err:10 {UBUNTU} noble InRelease", f"MIRROR {UBUNTU}"),
        ("E: Could not resolve 'archive.ubuntu.com'", "MIRROR archive.ubuntu.com"),
        ("  Could not connect to archive.ubuntu.com:80 (1.2.3.4)", "MIRROR archive.ubuntu.com:80"),
        (f"Err:1 {UBUNTU} noble\n{LOCKED}", "LOCKED"),
        ("E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend)", "LOCKED"),
        ("E: Unable to lock directory /var/lib/apt/lists/", "LOCKED"),
        ("dpkg: error: dpkg frontend lock was locked by another process with pid 7", "LOCKED"),
        ("E: Unable to locate package jq", "apt-get could not install: jq tree"),
        ("", "apt-get could not install: jq tree"),
    ],
)
def test_what_stops_apt_is_said_in_one_sentence(debian, said, trouble):
    (debian.home / "said").write_text(f"Reading package lists...\n{said}\n")
    done = libraries(debian, 'apt_trouble "$HOME/said" jq tree', SETUP_RETRY_SECONDS="7")
    locked = "apt was locked by another process for 7 s (unattended-upgrades?)"
    sentence = trouble.replace("MIRROR", "the package mirror does not answer:").replace("LOCKED", locked)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{sentence}\n", "")


# --- What dpkg was doing when it was cut short -------------------------------------------------------------------


@pytest.mark.parametrize("half", [["jq"], ["jq", "tree"]])
@pytest.mark.parametrize("reinstall", [0, 100])
def test_what_dpkg_was_unpacking_is_unpacked_again_before_the_rest_is_configured(debian, half, reinstall):
    (debian.home / "half").write_text("".join(f"ok bash\nreinstreq {name}\nok dash\n" for name in half))
    debian.faults(("install --reinstall", reinstall, "E: Could not connect"))
    assert debian.step("utilities")[1] == ["changed"]
    update, *attempt = install(APT_PACKAGES)
    assert debian.calls("sudo") == [update, apt(f"install --reinstall {words(half)}"), *attempt]


def test_nothing_is_installed_over_packages_that_cannot_be_configured(debian):
    debian.faults(("dpkg --configure", 1, "dpkg: error processing package linux-aws"))
    done, report = debian.step("utilities")
    assert (done.returncode, report) == (1, [f"error apt-get could not install: {words(APT_PACKAGES)}"])
    assert debian.calls("sudo") == [apt("update"), CONFIGURE]
    assert "dpkg: error processing package linux-aws\n" in done.stdout

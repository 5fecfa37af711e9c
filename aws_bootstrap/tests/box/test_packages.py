"""The distribution's packages and the heavier Python ones: what counts as a failure, and what is told only."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import FakeBox

# Says of a package that it is installed if ~/rpms names it.
RPM = '[[ -e $HOME/rpms ]] && grep -qx "$2" "$HOME/rpms"'
APT_PACKAGES = ["build-essential", "curl", "git", "htop", "jq", "python3-dev", "tmux", "tree", "unzip"]
DNF_PACKAGES = ["gcc-c++", "git", "htop", "jq", "make", "python3-devel", "tmux", "tree", "unzip"]


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(tmp_path / "box")


@pytest.fixture
def amazon(box: FakeBox) -> FakeBox:
    """A box with dnf and rpm, and without apt: this machine's own programs but those of apt are on its PATH."""
    (box.bin / "apt-get").unlink()
    bare = box.home / "bare"
    bare.mkdir()
    for program in Path("/usr/bin").iterdir():
        if not program.name.startswith(("apt", "dpkg")):
            (bare / program.name).symlink_to(program)
    box.tool("rpm", RPM)
    box.tool("dnf", "exit 0")
    box.tool("sudo", 'shift; exec "$@"')
    return box


def step(box: FakeBox, name: str) -> tuple[int, list[str]]:
    done, report = box.step(name, PATH=f"{box.bin}:{box.home}/bare")
    return done.returncode, report


def test_dnf_that_fails_is_a_failure(amazon):
    amazon.faults(("^dnf", 1, "Error: Failed to download metadata"))
    status, report = step(amazon, "utilities")
    assert status == 1 and report == [f"error dnf could not install: {' '.join(DNF_PACKAGES)}"]
    assert len(amazon.calls("dnf")) == 3


def test_a_package_that_dnf_leaves_out_is_a_failure(amazon):
    amazon.tool("dnf", f"printf '%s\\n' {' '.join(set(DNF_PACKAGES) - {'jq'})} >~/rpms")
    assert step(amazon, "utilities") == (1, ["error dnf did not install: jq"])


def test_dnf_installs_what_is_missing_alone(amazon):
    (amazon.home / "rpms").write_text("git\n")
    amazon.tool("dnf", f"printf '%s\\n' {' '.join(DNF_PACKAGES)} >~/rpms")
    assert step(amazon, "utilities") == (0, ["changed"])
    assert " git " not in amazon.calls("dnf")[0] and step(amazon, "utilities") == (0, [])


def test_tools_that_amazon_linux_lacks_are_told(amazon):
    amazon.tool("dnf", "echo git-lfs >~/rpms")
    status, report = step(amazon, "tools")
    assert (status, report) == (
        0,
        ["changed", "warning this distribution has no ffmpeg nvtop, or dnf could not install them"],
    )


# --- Debian and Ubuntu -------------------------------------------------------------------------------------------


def test_apt_is_asked_for_all_that_the_box_is_to_have(box):
    assert box.step("utilities")[1] == ["changed"]
    assert box.calls("sudo")[-1].endswith(f" install --no-install-recommends {' '.join(APT_PACKAGES)}")


def test_tools_that_the_distribution_lacks_are_told_and_the_rest_is_installed(box):
    box.faults(("^apt-cache show .* nvtop", 100, "E: No packages found"))
    done, report = box.step("tools")
    assert done.returncode == 0 and report == ["warning this distribution has no nvtop", "changed"]
    assert box.calls("sudo")[-1].endswith("--no-install-recommends ffmpeg git-lfs")


def test_tools_that_cannot_be_had_now_are_a_warning(box):
    box.faults((r"apt-get .* install", 100, "E: Failed to fetch http://mirror/x.deb  Could not connect"))
    done, report = box.step("tools")
    assert done.returncode == 0
    assert report == [
        "warning not installed: ffmpeg git-lfs nvtop (the package mirror does not answer: http://mirror/x.deb)"
    ]


def test_tools_that_are_there_are_not_asked_for(box):
    (box.home / "apt-done").touch()
    assert box.step("tools")[1] == [] and not box.calls("sudo") and not box.calls("apt-cache")


# --- Python packages ---------------------------------------------------------------------------------------------


def test_the_heavier_python_packages_warn_where_they_cannot_be_had_and_are_tried_again(box):
    box.step("venv")
    box.faults(("requirements-more.txt$", 1, "error: no route to host"))
    done, report = box.step("more-packages")
    later = f"uv pip install -r {box.folder}/requirements-more.txt"
    assert done.returncode == 0 and report == [f"warning uv could not install all of them; later: {later}"]
    box.faults()
    assert box.step("more-packages")[1] == ["changed"]
    box.forget_calls()
    assert box.step("more-packages")[1] == [] and not box.calls("uv pip")


def test_a_full_disk_is_named_with_what_failed(box):
    log = box.home / ".aws-bootstrap" / "log" / "requirements.log"
    log.parent.mkdir()
    log.write_text("error: Failed to install: No space left on device (os error 28)\n")
    box.step("venv")
    box.faults(("^uv pip install", 1, ""))
    report = box.step("requirements")[1]
    assert report == ["error uv could not install requirements.txt (the disk is full: No space left on device)"]

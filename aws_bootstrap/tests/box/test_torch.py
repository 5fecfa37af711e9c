"""Which PyTorch a box gets: the build follows toolkit and driver, is compared with the installed one, and replaced."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import TOOLS, FakeBox

TAGS = "118 121 124 126 128 129 130 132"


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    box = FakeBox(tmp_path / "box")
    box.step("venv")
    return box


def pytorch(box: FakeBox, toolkit: str = "12.8", driver: str = "13.2", **more: str) -> tuple[int, list[str]]:
    """Run the step on a box whose step gpu found these versions; its status and report."""
    state = box.home / ".aws-bootstrap" / "state"
    (state / "gpu").write_text(f"state works\ntoolkit {toolkit}\ndriver {driver}\narch sm_75\n")
    done, report = box.step("pytorch", KNOWN_CUDA_TAGS_LIST=TAGS, **more)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, report


def has_wheels(box: FakeBox, *tags: str) -> None:
    (box.home / "wheels").write_text("".join(f"{tag}\n" for tag in tags))


def rewrite(box: FakeBox, old: str, new: str, name: str = "*") -> None:
    """Change what the metadata of an installed package says."""
    for about in (box.home / "venv" / "site").glob(f"{name}-*.dist-info"):
        (about / "METADATA").write_text((about / "METADATA").read_text().replace(old, new))


def installs(box: FakeBox) -> list[str]:
    return [call for call in box.calls("uv pip install") if "--dry-run" not in call]


@pytest.mark.parametrize(
    ("toolkit", "driver", "wheels", "tag"),
    [
        ("12.8", "13.0", "cu128 cu126", "cu128"),
        ("12.8", "13.0", "cu126 cu124", "cu126"),
        ("13.0", "13.0", "cu128", "cu128"),
        ("12.5", "13.0", "cu130 cu124 cu121", "cu124"),
        ("11.8", "13.0", "cu118", "cu118"),
        ("13.2", "13.2", "cu132 cu130", "cu132"),
        # Never above what the driver supports.
        ("13.2", "12.8", "cu132 cu130 cu128", "cu128"),
        ("12.8", "12.4", "cu128 cu126 cu121", "cu121"),
        # One of them is not known.
        ("", "12.8", "cu130 cu128", "cu128"),
        ("12.6", "", "cu128 cu126", "cu126"),
    ],
)
def test_the_newest_index_that_is_above_neither_toolkit_nor_driver_and_has_wheels(box, toolkit, driver, wheels, tag):
    has_wheels(box, *wheels.split())
    status, report = pytorch(box, toolkit, driver)
    assert status == 0
    assert f"fact cuda_tag {tag}" in report
    assert f"fact torch 2.0+{tag}" in report
    assert box.calls("index ")[-1] == f"index https://download.pytorch.org/whl/{tag}"
    told = f"note CUDA {driver} is the newest that the driver supports; the toolkit is {toolkit}"
    assert (told in report) == (toolkit > driver > "")


def test_only_torch_and_torchvision_come_from_pytorch_s_index(box):
    box.tool("uv", f'{TOOLS["uv"]}\n[[ ${{!#}} != *.toml ]] || cp "${{!#}}" "$HOME/asked"')
    pytorch(box)
    asked = (box.home / "asked").read_text()
    assert 'explicit = true\n[tool.uv.sources]\ntorch = { index = "pytorch" }\ntorchvision = ' in asked
    assert 'dependencies = ["torch", "torchvision"]' in asked
    assert not [call for call in box.calls("uv pip install") if "index" in call.replace("pyproject", "")]


def test_a_second_run_asks_nobody(box):
    first = pytorch(box)[1]
    box.forget_calls()
    status, report = pytorch(box)
    assert status == 0
    assert not box.calls("uv pip")
    assert not box.calls("curl")
    assert report == [line for line in first if line.startswith("fact")]


@pytest.mark.parametrize(
    ("now", "tag"),
    [({"toolkit": "12.6"}, "cu126"), ({"toolkit": "13.2"}, "cu132"), ({"driver": "12.4"}, "cu124")],
    ids=["toolkit-older", "toolkit-newer", "driver-older"],
)
def test_a_toolkit_or_driver_that_changes_replaces_the_build(box, now, tag):
    pytorch(box)
    status, report = pytorch(box, **now)
    assert status == 0
    assert f"fact torch 2.0+{tag}" in report
    assert "note replaced torch 2.0+cu128" in report
    assert "--reinstall-package torch --reinstall-package torchvision" in installs(box)[-1]


def test_a_default_build_from_a_run_without_cuda_is_replaced_when_cuda_is_there(box):
    assert "warning no CUDA on this box: installed PyTorch's default build" in pytorch(box, "", "")[1]
    assert "fact torch 2.0+cu128" in pytorch(box)[1]


def test_a_build_that_the_user_put_in_its_place_is_compared_too(box):
    pytorch(box)
    rewrite(box, "cu128", "cu130")
    assert "fact torch 2.0+cu128" in pytorch(box)[1]


def test_a_build_without_a_tag_is_judged_by_the_cuda_in_its_files(box):
    """The package registry's wheels have none in their version."""
    pytorch(box)
    site = box.home / "venv" / "site"
    rewrite(box, "+cu128", "")
    (site / "version.py").write_text("debug = False\ncuda: Optional[str] = '12.8'\n")
    box.forget_calls()
    assert pytorch(box)[0] == 0, "it fits"
    assert not installs(box), "it fits"
    (site / "version.py").write_text("cuda = '13.0'\n")
    assert "fact torch 2.0+cu128" in pytorch(box)[1]


def test_what_was_installed_is_held_against_the_plan(box):
    box.tool("uv", TOOLS["uv"].replace('"$version$tag" >"$about', '"$version+cu118" >"$about'))
    status, report = pytorch(box)
    assert status == 1
    assert report[-1] == "error the installed PyTorch is not the planned one (cu128): 2.0+cu118 2.0+cu118 none"
    assert not (box.home / "venv" / ".aws-bootstrap" / "pytorch").exists()


@pytest.mark.parametrize("version", ["1.0", "3.0.dev1"])
def test_another_version_of_the_right_build_is_kept_and_that_is_said(box, version):
    """Older or newer than what a new box would get: who installed it had a reason."""
    pytorch(box)
    rewrite(box, "2.0+cu128", f"{version}+cu128")
    (box.home / "venv" / ".aws-bootstrap" / "pytorch").unlink()
    status, report = pytorch(box)
    assert status == 0
    assert f"fact torch {version}+cu128" in report
    assert f"note kept torch {version}+cu128, which fits; a new environment would get 2.0+cu128" in report
    assert "changed" not in report
    assert "--reinstall" not in installs(box)[-1]


def test_another_version_than_planned_that_uv_installed_is_a_warning(box):
    box.tool("uv", TOOLS["uv"].replace('"$version$tag" >"$about', '"1.5$tag" >"$about'))
    status, report = pytorch(box)
    assert status == 0
    assert "warning torch 2.0+cu128 was planned, but uv installed 1.5+cu128" in report


def test_a_torchvision_that_is_missing_is_installed_beside_the_torch_that_fits(box):
    pytorch(box)
    rewrite(box, "2.0+cu128", "1.0+cu128", "torch")
    # uv finds torch there and installs the other one alone.
    alone = TOOLS["uv"].replace("torch-*.dist-info", "torchvision-*.dist-info").replace('rm -rf "$HOME', ': "$HOME')
    box.tool("uv", alone.replace("for name in torch torchvision", "for name in torchvision"))
    [vision] = (box.home / "venv" / "site").glob("torchvision-*.dist-info")
    shutil.rmtree(vision)
    box.forget_calls()
    status, report = pytorch(box)
    assert status == 0
    assert "--reinstall" not in installs(box)[-1]
    assert "fact torch 1.0+cu128" in report
    assert report.count("changed") == 1


def test_a_torch_of_another_build_without_torchvision_is_replaced(box):
    pytorch(box)
    rewrite(box, "+cu128", "+cu118", "torch")
    [vision] = (box.home / "venv" / "site").glob("torchvision-*.dist-info")
    shutil.rmtree(vision)
    status, report = pytorch(box)
    assert status == 0
    assert "note replaced torch 2.0+cu118" in report
    assert "fact torch 2.0+cu128" in report


def test_an_install_that_was_cut_short_is_reported_as_a_change(box):
    pytorch(box)
    (box.home / "venv" / ".aws-bootstrap" / "pytorch.installing").touch()
    assert "changed" in pytorch(box)[1]


def test_a_newest_torch_whose_needs_nobody_has_is_reported(box):
    (box.home / "needs").write_text("cu128\n")
    status, report = pytorch(box)
    assert status == 0
    assert "fact torch 1.0+cu128" in report
    assert "warning torch 2.0 is the newest for cu128, but its dependencies are not available: installed 1.0" in [
        line.replace("+cu128", "") for line in report
    ]


@pytest.mark.parametrize(("toolkit", "wheels"), [("12.8", "none"), ("11.4", "cu118")])
def test_without_fitting_wheels_the_default_build_is_installed_with_a_warning(box, toolkit, wheels):
    has_wheels(box, wheels)
    status, report = pytorch(box, toolkit)
    assert status == 0
    assert installs(box)[-1].endswith("torch torchvision")
    assert any(line.startswith(f"warning no PyTorch wheels for CUDA {toolkit} and Python 3.") for line in report)
    assert not [line for line in report if "cuda_tag" in line]


@pytest.mark.parametrize("answer", ["403", "503", "000"])
def test_an_index_that_refuses_every_tag_is_no_index_without_wheels(box, answer):
    has_wheels(box, "none")
    (box.home / "http-status").write_text(answer)
    status, report = pytorch(box)
    assert status == 1
    assert not installs(box)
    assert report == [
        f"error the PyTorch wheel index refuses to answer (HTTP {answer}): https://download.pytorch.org/whl"
    ]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"--no-deps -r", "the PyTorch wheel index does not answer: https://download.pytorch.org/whl/cu128"),
        (r"--reinstall-package torchvision -r", "the package index does not answer for PyTorch's dependencies"),
    ],
)
def test_an_index_that_does_not_answer_is_named(box, pattern, says):
    box.faults((pattern, 2, "error: Failed to fetch"))
    status, report = pytorch(box)
    assert status == 1
    assert report == [f"error {says}"]


def test_packages_that_do_not_fit_each_other_are_reported(box):
    box.faults(("^uv pip check", 1, "torchvision requires torch==1.0"))
    status, report = pytorch(box)
    assert status == 0
    assert "warning packages in ~/venv conflict; show them with: uv pip check" in report


def test_a_default_build_that_replaces_another_says_so_on_the_screen(box):
    box.keep("gpu", "venv", "pytorch")
    box.setup()
    box.tool("nvcc", "echo 'Cuda compilation tools, release 12.6, V12.6.85'")
    has_wheels(box, "none")
    shown = box.setup().stdout
    assert "WARNING: no PyTorch wheels for CUDA 12.6" in shown
    assert "; replaced torch 2.0+cu128" in shown


def test_setup_json_says_what_is_installed(box):
    box.keep("gpu", "venv", "pytorch")
    box.setup()
    state = json.loads((box.home / ".aws-bootstrap" / "setup.json").read_text())
    assert (state["torch"], state["cuda_tag"], state["cuda_version"]) == ("2.0+cu128", "cu128", "12.8")

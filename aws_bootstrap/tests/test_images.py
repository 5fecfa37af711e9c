"""Whether an image fits a type: said before anything is created."""

from __future__ import annotations

import pytest

from aws_bootstrap import output
from aws_bootstrap.console import Console, OutputFormat
from aws_bootstrap.models import InstanceType, Network
from aws_bootstrap.tests import factories
from aws_bootstrap.workflows.launch import images
from aws_bootstrap.workflows.launch.places import RegionPlan


def planned(program, *types: str) -> tuple[dict, list[str]]:
    """The dry run of these types, and its warnings."""
    words: list[str] = []
    for name in types:
        words += ["--instance-type", name]
    code, plan = program.json("launch", "--dry-run", *words)
    assert code == 0, plan
    return plan, [warning["message"] for warning in plan["warnings"] if warning["code"] == "gpu-unsupported"]


def test_the_default_image_of_an_arm64_type_is_the_arm64_one(program):
    plan, warnings = planned(program, "g5g.xlarge")
    assert plan["ami_name"].startswith("Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)")
    assert warnings == [
        "PyTorch will not compute on the T4g of g5g.xlarge: PyTorch's wheels for arm64 have no kernels for it."
    ]


def test_nothing_is_said_of_a_type_that_fits(program):
    plan, warnings = planned(program, "g4dn.xlarge", "g5.xlarge", "p5.48xlarge")
    assert plan["ami_name"].startswith("Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)")
    assert warnings == []


def test_an_image_of_the_users_choice_is_not_replaced(program):
    words = ("--instance-type", "g5g.xlarge", "--ami-filter", "al2023-ami-2023*")
    code, plan = program.json("launch", "--dry-run", *words)
    assert (code, plan["ami_name"][-5:]) == (0, "arm64")


@pytest.fixture
def warned(capsys):
    """What is said of a type with this GPU and an image that supports these families."""
    output.use(Console(OutputFormat.TEXT))

    def warn(name: str, gpu: str | None, *families: str) -> str:
        image = factories.image(supported_families=families)
        plan = RegionPlan("r1", {name: InstanceType(name, 4, 1, (), gpu)}, {name: image}, Network("vpc-1"), None, ())
        images.warn_of_gpus([plan, plan])
        return capsys.readouterr().err

    return warn


def test_a_driver_that_is_not_for_the_type_is_warned_of_once(warned):
    told = warned("g3s.xlarge", "1x M60 (8192 MiB)", "G4dn", "G5")
    assert told.count("supports G4dn, G5, and not g3s.xlarge") == 1
    assert told.count("the M60 of g3s.xlarge") == 1


@pytest.mark.parametrize(
    ("name", "gpu", "families"),
    [
        ("p6-b200.48xlarge", "8x B200 (183000 MiB)", ["P6"]),
        ("p6-b200.48xlarge", "8x B200 (183000 MiB)", ["P6-B200"]),
        ("g4dn.xlarge", "1x T4 (16384 MiB)", ["G4dn"]),
        ("g4dn.xlarge", "1x T4 (16384 MiB)", []),
        ("m7i.large", None, ["G4dn"]),
    ],
)
def test_what_fits_is_not_warned_of(warned, name, gpu, families):
    assert warned(name, gpu, *families) == ""


@pytest.mark.parametrize(
    ("name", "gpu"), [("vt1.3xlarge", None), ("dl1.24xlarge", "8x Gaudi HL-205 (32768 MiB)"), ("p6e.x", "1x B (1 MiB)")]
)
def test_another_accelerator_is_warned_of(warned, name, gpu):
    assert "may not drive the GPU" in warned(name, gpu, "G4dn", "P6")

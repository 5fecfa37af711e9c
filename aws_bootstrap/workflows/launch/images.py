"""Whether an image fits an instance type: its architecture, its disk, its driver, and the wheels of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ... import ec2, output
from ...config import ARM64_AMI_FILTER, LaunchConfig
from ...errors import BootstrapError
from ...invocation import PROGRAM
from ...models import Image, InstanceType
from ..owners import get_owner
from ..provision import resources_version
from .places import RegionPlan

if TYPE_CHECKING:
    from ...app import App

#: What `--image` calls the newest image that the caller has baked.
BAKED = "baked"

_CUDA_13 = "PyTorch's wheels for CUDA 13 have no kernels for it"
_NOT_NVIDIA = "it is not an NVIDIA GPU, which the setup is for"
#: GPUs, as EC2 names them, on which the PyTorch that the setup installs does not compute, and why.
#: https://github.com/pytorch/pytorch/issues/182849 (T4G), https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/
_WITHOUT_WHEELS = {
    "T4g": "PyTorch's wheels for arm64 have no kernels for it",
    "V100": _CUDA_13,
    "M60": _CUDA_13,
    "K80": _CUDA_13,
    "Radeon Pro V520": _NOT_NVIDIA,
    "Gaudi HL-205": _NOT_NVIDIA,
}


def name_filters(config: LaunchConfig) -> tuple[str, ...]:
    """Return the name patterns of the images to look up: the default one has a counterpart for arm64."""
    if config.ami_filter == LaunchConfig().ami_filter:
        return config.ami_filter, ARM64_AMI_FILTER
    return (config.ami_filter,)


def find(app: App, region: str, config: LaunchConfig) -> list[Image]:
    """Return the available images to choose from, newest first: those of the pattern, or those that --image names.

    BootstrapError `not-found` if the region does not have what --image names.
    """
    client = app.aws.ec2(region)
    name = config.image
    if name is None:
        return ec2.find_images(client, name_filters(config))
    if name == BAKED:
        found = ec2.find_account_images(client, owner=get_owner(app))
    elif name.startswith("ami-"):
        image = ec2.find_image(client, name)
        found = [image] if image else []
    else:
        found = ec2.find_account_images(client, name=name)
    available = [image for image in found if image.state == "available"]
    if not available:
        raise _no_image(name, region, found)
    return available


def _no_image(name: str, region: str, found: Sequence[Image]) -> BootstrapError:
    """Return the error for what --image names in a region that does not have it, or where it cannot be used."""
    if found:
        image = found[0]
        return BootstrapError(
            f"The image {image.image_id} ({image.name}) in {region} is {image.state}.",
            hint=f"Show its state: {PROGRAM} image ls --region {region}",
            code="image-unavailable",
        )
    hint = f"List images that you baked: {PROGRAM} image ls"
    what = f"There is no image {name} in {region}."
    if name == BAKED:
        hint = f"Bake one of a box: {PROGRAM} bake ALIAS\nLaunch without it: {PROGRAM} launch"
        what = f"You have baked no image in {region}."
    return BootstrapError(what, hint=hint, code="not-found")


def newest_image(images: Sequence[Image], instance_type: InstanceType, config: LaunchConfig, region: str) -> Image:
    """Return the newest image that boots on the type. BootstrapError if none does, or for a root volume too small."""
    image = ec2.latest_ami(images, instance_type.architectures)
    if image is None and config.image:
        raise BootstrapError(
            f"The image {config.image} in {region} is not for {' or '.join(instance_type.architectures)}, "
            f"the architecture of {instance_type.name}.",
            hint="Pass another --instance-type, or leave out --image.",
            code="not-found",
        )
    if image is None:
        raise BootstrapError(
            f"No AMI in {region} matches '{config.ami_filter}' for {' or '.join(instance_type.architectures)}.",
            hint="Pass another --ami-filter, in quotes and with * at its end.\n"
            f"List AMIs: {PROGRAM} list amis --region {region}",
            code="not-found",
        )
    if config.volume_size < image.root_size_gb:
        raise BootstrapError(
            f"The image {image.name} needs a root volume of {image.root_size_gb} GB, "
            f"but --volume-size is {config.volume_size}.",
            hint=f"Add: --volume-size {image.root_size_gb}",
            code="bad-volume-size",
        )
    return image


def warn_of_gpus(region_plans: Iterable[RegionPlan]) -> None:
    """Warn of each type whose GPU the image's driver or PyTorch's wheels do not support, once for all regions."""
    warned: set[str] = set()
    for region_plan in region_plans:
        for name, instance_type in region_plan.types.items():
            if name in warned:
                continue
            warned.add(name)
            for message in _doubts(instance_type, region_plan.images[name]):
                output.warn(message, code="gpu-unsupported")


def warn_of_other_setup(region_plans: Iterable[RegionPlan]) -> None:
    """Warn of each image that was baked with another version of the setup's files, once for all regions."""
    current = resources_version()
    warned: set[str] = set()
    for region_plan in region_plans:
        for image in region_plan.images.values():
            if image.resources in (None, current) or image.image_id in warned:
                continue
            warned.add(image.image_id)
            message = (
                f"The image {image.name} was baked with another version of the setup, which runs what has changed."
            )
            output.warn(f"{message} To save that time, bake again.", code="image-outdated", region=region_plan.region)


def _doubts(instance_type: InstanceType, image: Image) -> list[str]:
    """Return why the GPU of the type may be of no use with this image."""
    name = instance_type.name
    doubts: list[str] = []
    if _has_accelerator(instance_type) and not _is_supported(name, image):
        families = ", ".join(image.supported_families)
        doubts.append(
            f"The image {image.name} supports {families}, and not {name}: its driver may not drive the GPU. "
            "Pass an image that does: --ami-filter PATTERN"
        )
    for gpu, reason in _WITHOUT_WHEELS.items():
        if instance_type.gpu and f" {gpu} " in instance_type.gpu:
            doubts.append(f"PyTorch will not compute on the {gpu} of {name}: {reason}.")
    return doubts


def _has_accelerator(instance_type: InstanceType) -> bool:
    """Return whether the type has a GPU or another accelerator, which needs a driver."""
    return instance_type.gpu is not None or ec2.quota_family(instance_type.name) is not None


def _is_supported(instance_type: str, image: Image) -> bool:
    """Return whether the image names the type's family among those that it supports, or names none."""
    if not image.supported_families:
        return True
    family, _, _ = instance_type.partition(".")
    for supported in image.supported_families:
        supported = supported.lower()
        if family == supported or family.startswith(f"{supported}-"):  # P6 includes p6-b200
            return True
    return False

"""Whether an image fits an instance type: its architecture, its disk, its driver, and the wheels of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ... import ec2, output
from ...config import ARM64_AMI_FILTER, LaunchConfig
from ...errors import BootstrapError
from ...invocation import PROGRAM
from ...models import Image, InstanceType
from .places import RegionPlan

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


def newest_image(images: Sequence[Image], instance_type: InstanceType, config: LaunchConfig, region: str) -> Image:
    """Return the newest image that boots on the type. BootstrapError if none does, or for a root volume too small."""
    image = ec2.latest_ami(images, instance_type.architectures)
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

"""The EC2 backend: moto's, with the mixins of this package, one for each enabled region.

This is the one place that replaces names inside moto: the classes that it instantiates by name (images, instances,
volumes, rules), the source of public addresses, the list of images, the filters that DescribeInstances knows and the
ids that can be tagged.
"""

from __future__ import annotations

from typing import Any, ClassVar

from moto.core.base_backend import BackendDict
from moto.ec2 import models as moto_ec2
from moto.ec2 import utils as moto_utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import (
    EC2Backend,
    amis,
    elastic_block_store,
    elastic_network_interfaces,
    instances,
    security_groups,
)

from . import catalog, moto_settings
from .account_network import AccountNetwork
from .images import Images, SandboxImage
from .instances import SandboxInstance
from .launches import Launches
from .placement import Placement
from .security_groups import SandboxRule, SecurityGroups
from .snapshots import SandboxModification, SandboxSnapshot, Snapshots
from .volumes import SandboxVolume, Volumes
from .world import World

PLACEHOLDER_ADDRESS = "0.0.0.0"  # noqa: S104 (nothing listens there)


class SandboxBackend(  # type: ignore[misc]
    Launches, Placement, SecurityGroups, Volumes, Images, Snapshots, AccountNetwork, EC2Backend
):
    """EC2 in one region."""

    world: ClassVar[World]  # type: ignore[misc]

    def __init__(self, region_name: str, account_id: str) -> None:
        Launches.__init__(self)
        Placement.__init__(self)
        AccountNetwork.__init__(self)
        EC2Backend.__init__(self, region_name, account_id)
        self._connect_default_vpc()
        self.own_subnets = [subnet.id for subnet in self.describe_subnets()]
        self.enter_account(self.world.account)

    def _connect_default_vpc(self) -> None:
        """Add the internet gateway of the default VPC, which moto leaves out.

        https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html#default-vpc-components
        """
        vpc = self.get_default_vpc()
        assert vpc  # noqa: S101 (moto has created it)
        gateway = self.create_internet_gateway()
        self.attach_internet_gateway(gateway.id, vpc.id)
        main = self.describe_route_tables(filters={"vpc-id": [vpc.id], "association.main": ["true"]})[0]
        self.create_route(main.id, "0.0.0.0/0", gateway_id=gateway.id)

    def _load_amis(self) -> None:
        for image in catalog.images():
            ami = SandboxImage.of(image, self)
            self.amis[ami.id] = ami

    def describe_regions(self, region_names: list[str] | None = None) -> list[Any]:
        """Return the enabled regions, or those named; raise EC2's error for a name that is not an enabled region.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
        """
        enabled = {region.name: region for region in self.regions if region.name in self.world.regions}
        unknown = [name for name in region_names or [] if name not in enabled]
        if unknown:
            raise EC2ClientError("InvalidParameterValue", f"Invalid region provided: '{', '.join(unknown)}'")
        return [enabled[name] for name in region_names or sorted(enabled)]

    def resume(self) -> None:
        """Resume the state changes that a restart of the sandbox interrupted."""
        self.resume_volumes()
        self.resume_images()
        for instance in self.live_instances():
            instance.resume()


class Backends(BackendDict[SandboxBackend]):
    """The regions' backends, each created at its first use. Only the enabled regions exist."""

    def __init__(self) -> None:
        super().__init__(SandboxBackend, "ec2", use_boto3_regions=False, additional_regions=list(catalog.REGIONS))

    @property
    def world(self) -> World:
        """Return what every backend depends on."""
        return SandboxBackend.world

    def region(self, name: str) -> SandboxBackend:
        """Return the region's backend; raise KeyError for a region that is not enabled."""
        return self[catalog.ACCOUNT][name]

    def existing(self) -> dict[str, SandboxBackend]:
        """Return the backends created so far, by region."""
        return dict(self[catalog.ACCOUNT].items())

    def find_instance(self, instance_id: str) -> SandboxInstance | None:
        """Return the instance of that id, in whatever region; None if there is none."""
        found = (backend.get_instance_by_id(instance_id) for backend in self.existing().values())
        return next((instance for instance in found if isinstance(instance, SandboxInstance)), None)


def install(world: World) -> Backends:
    """Replace moto's classes by those of this package; return the backends."""
    moto_settings.require()
    SandboxBackend.world = world
    instances.Instance = SandboxInstance  # type: ignore[misc]
    amis.Ami = SandboxImage  # type: ignore[misc]
    security_groups.SecurityGroupRule = SandboxRule  # type: ignore[misc]
    elastic_block_store.Volume = SandboxVolume  # type: ignore[misc]
    elastic_block_store.Snapshot = SandboxSnapshot  # type: ignore[misc]
    elastic_block_store.VolumeModification = SandboxModification  # type: ignore[misc]
    elastic_network_interfaces.random_public_ip = world.machines.address
    moto_utils.EC2_RESOURCE_TO_PREFIX["placement-group"] = "pg"
    moto_utils.EC2_PREFIX_TO_RESOURCE["pg"] = "placement-group"
    moto_utils.filter_dict_attribute_mapping.update(
        {
            "client-token": "client_token",
            "instance-lifecycle": "lifecycle",
            "placement-group-name": "placement.group_name",
            "root-device-name": "root_device_name",
            "spot-instance-request-id": "spot_request_id",
        }
    )
    backends = Backends()
    moto_ec2.ec2_backends = backends  # type: ignore[assignment]
    return backends

"""SSM and Pricing, as far as EC2 tools call them: public parameters of images, on-demand prices."""

from __future__ import annotations

import json
import re
from operator import attrgetter
from typing import Any

from . import catalog
from .aws_call import AwsCall
from .backend import Backends
from .http_responses import ServiceError

# https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html
_DLAMI = re.compile(
    r"/aws/service/deeplearning/ami/(x86_64|arm64)/base-oss-nvidia-driver-gpu-([a-z0-9.-]+)/latest/ami-id"
)
_SYSTEM_OF_SLUG = {
    "ubuntu-24.04": "(Ubuntu 24.04)",
    "ubuntu-22.04": "(Ubuntu 22.04)",
    "amazon-linux-2023": "(Amazon Linux 2023)",
}
_AL2023 = re.compile(r"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-(x86_64|arm64)")
# The names that the price list uses for regions:
# https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
_LOCATIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
    "eu-west-1": "EU (Ireland)",
    "eu-central-1": "EU (Frankfurt)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
}


class ParameterStore:
    """SSM: the public parameters that name the newest images."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    def handle(self, call: AwsCall) -> Any:
        """Return the body of the response to the call."""
        parameters = call.document()
        if call.action == "GetParameter":
            found = self._find(call.region, parameters["Name"])
            if found is None:
                raise ServiceError("ParameterNotFound", "")
            return {"Parameter": found}
        if call.action == "GetParameters":
            return self._find_all(call.region, parameters["Names"])
        raise ServiceError("UnknownOperationException", f"The sandbox does not implement {call.action}.")

    def _find_all(self, region: str, names: list[str]) -> dict[str, Any]:
        """Return the parameters of these names, and the names without a parameter."""
        found, invalid = [], []
        for name in dict.fromkeys(names):
            parameter = self._find(region, name)
            if parameter:
                found.append(parameter)
            else:
                invalid.append(name)
        return {"Parameters": found, "InvalidParameters": invalid}

    def _find(self, region: str, name: str) -> dict[str, Any] | None:
        """Return the parameter of this name, or None."""
        image = _newest(name)
        if image is None:
            return None
        return {
            "Name": name,
            "Type": "String",
            "Value": image.moto(region)["ami_id"],
            "Version": 1,
            "DataType": "text",
            "ARN": f"arn:aws:ssm:{region}::parameter{name}",
        }


def _newest(parameter: str) -> catalog.Image | None:
    """Return the newest image that a public parameter names."""
    if found := _DLAMI.fullmatch(parameter):
        architecture, needle = found[1], _SYSTEM_OF_SLUG.get(found[2], "nothing")
    elif found := _AL2023.fullmatch(parameter):
        architecture, needle = found[1], "al2023-ami"
    else:
        return None
    fitting = [image for image in catalog.images() if image.architecture == architecture and needle in image.name]
    return max(fitting, key=attrgetter("date"), default=None)


class Pricing:
    """Pricing: on-demand prices of the types that have one here."""

    def handle(self, call: AwsCall) -> Any:
        """Return the body of the response to the call."""
        if call.action != "GetProducts":
            raise ServiceError("UnknownOperationException", f"The sandbox does not implement {call.action}.")
        parameters = call.document()
        filters = {one["Field"]: one["Value"] for one in parameters.get("Filters", [])}
        region = filters.get("regionCode") or _region_of(filters.get("location", "")) or "us-east-1"
        priced: list[str] = []
        if _is_plain(filters):
            priced = [name for name in catalog.ON_DEMAND if _has_type(name, parameters.get("Filters", []))]
        products = [json.dumps(_product(name, region)) for name in priced]
        return {"FormatVersion": "aws_v1", "PriceList": products}


def _is_plain(filters: dict[str, str]) -> bool:
    """Return whether plain Linux on shared hardware passes the filters: nothing else is priced here."""
    plain = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
    plain["marketoption"] = "OnDemand"
    return all(filters.get(field, value) == value for field, value in plain.items())


def _has_type(instance_type: str, filters: list[dict[str, str]]) -> bool:
    """Return whether the type passes the filters for types: TERM_MATCH and EQUALS by its name, CONTAINS by a part."""
    for one in filters:
        if one["Field"] != "instanceType":
            continue
        if one["Type"] == "CONTAINS" and one["Value"] not in instance_type:
            return False
        if one["Type"] in ("TERM_MATCH", "EQUALS") and one["Value"] != instance_type:
            return False
    return True


def _region_of(location: str) -> str | None:
    """Return the region of a location, or None."""
    for region, name in _LOCATIONS.items():
        if name == location:
            return region
    return None


def _product(instance_type: str, region: str) -> dict[str, Any]:
    """Return one entry of the price list, nested as AWS does."""
    sku = instance_type.replace(".", "").upper().ljust(16, "0")
    price = f"{catalog.on_demand_price(instance_type, region):.10f}"
    dimension = {
        "unit": "Hrs",
        "description": f"${price} per On Demand Linux {instance_type} Instance Hour",
        "beginRange": "0",
        "endRange": "Inf",
        "pricePerUnit": {"USD": price},
    }
    return {
        "product": {
            "productFamily": "Compute Instance",
            "sku": sku,
            "attributes": {
                "instanceType": instance_type,
                "regionCode": region,
                "location": _LOCATIONS.get(region, region),
                "operatingSystem": "Linux",
                "tenancy": "Shared",
                "preInstalledSw": "NA",
                "capacitystatus": "Used",
                "marketoption": "OnDemand",
            },
        },
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": {"sku": sku, "priceDimensions": {f"{sku}.RATE": dimension}}}},
    }

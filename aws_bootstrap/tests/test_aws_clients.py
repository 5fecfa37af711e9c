"""Clients that cost less: one class a service, one TLS context, no s3transfer; and plain ones where that cannot be."""

from __future__ import annotations

import io
import os
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import botocore.client
import pytest
from botocore.exceptions import DataNotFoundError, SSLError
from botocore.loaders import Loader
from botocore.utils import parse_timestamp

from aws_bootstrap.aws import Aws, each_region
from aws_bootstrap.aws_clients import ClientMaker, _parsed_time, new_botocore_session
from aws_bootstrap.aws_loader import new_loader
from aws_bootstrap.tests.bench.aws_account import certificates
from aws_bootstrap.tests.bench.aws_answers import World
from aws_bootstrap.tests.bench.aws_standin import Standin, server

REGIONS = ("eu-west-1", "us-east-1", "us-west-2")


# --- classes and paginators ------------------------------------------------------------------------------


def test_clients_share_a_class_a_service_and_the_model_of_paginators(monkeypatch):
    """Clients of many regions that are made at the same time, as `status` makes them."""
    read: list[str] = []

    def note_file(path: Any, *arguments: Any, **named: Any) -> Any:
        file = io.open(path, *arguments, **named)  # noqa: UP020, SIM115 (open is replaced)
        read.append(os.path.basename(path).removesuffix(".gz"))
        return file

    monkeypatch.setattr("builtins.open", note_file)
    aws = Aws()

    def made(region: str) -> tuple[Any, Any]:
        aws.ec2(region).get_paginator("describe_volumes")
        return aws.ec2(region), aws.service_quotas(region)

    clients, _ = each_region(REGIONS, made)
    assert len({type(ec2) for ec2, _ in clients.values()}) == 1
    assert len({type(quotas) for _, quotas in clients.values()}) == 1
    assert {ec2.meta.region_name for ec2, _ in clients.values()} == set(REGIONS)
    assert read.count("paginators-1.json") == 2, "once a service"


# --- the descriptions of services ------------------------------------------------------------------------


def test_the_session_has_the_loader_that_reads_faster():
    assert type(new_botocore_session().get_component("data_loader")) is type(new_loader(None))


# `sso` and `sso-oidc` are those of botocore's own clients, for credentials.
@pytest.mark.parametrize("service", ["ec2", "pricing", "service-quotas", "sts", "sso", "sso-oidc"])
def test_it_reads_what_botocore_reads(service):
    ours, botocores = new_loader(None), Loader()
    for type_name in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        read = ours.load_service_model(service, type_name)
        assert read == botocores.load_service_model(service, type_name)
        assert type(read) is dict
    assert ours.load_data("endpoints") == botocores.load_data("endpoints")


@pytest.mark.parametrize(("service", "type_name"), [("pricing", "no-such-type-1"), ("no-such-service", "service-2")])
def test_it_misses_what_botocore_misses(service, type_name):
    for loader in (new_loader(None), Loader()):
        with pytest.raises(DataNotFoundError):
            loader.load_service_model(service, type_name)


def test_it_reads_the_folders_of_aws_data_path(tmp_path, monkeypatch):
    folder = tmp_path / "mine" / "1"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"metadata": {}}')
    monkeypatch.setenv("MINE", str(tmp_path))
    loader = new_loader(f"/no/such/folder{os.pathsep}$MINE")
    assert loader.load_service_model("mine", "service-2") == {"metadata": {}}


# --- classes ---------------------------------------------------------------------------------------------


def test_another_session_gets_classes_of_its_own():
    """Handlers of the session may add to a class."""
    assert type(Aws().service_quotas("us-west-2")) is not type(Aws().service_quotas("us-west-2"))


class OtherCreator:
    """A creator of clients as a later botocore may have it: without the method that builds a class."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._creator = botocore.client.ClientCreator.__new__(CREATOR)
        CREATOR.__init__(self._creator, *arguments, **named)

    def create_client(self, *arguments: Any, **named: Any) -> Any:
        return self._creator.create_client(*arguments, **named)


CREATOR = botocore.client.ClientCreator


def test_a_botocore_without_that_method_makes_plain_clients(monkeypatch):
    monkeypatch.setattr(botocore.client, "ClientCreator", OtherCreator)
    aws = Aws()
    first, second = aws.service_quotas("eu-west-1"), aws.service_quotas("us-east-1")
    assert type(first) is not type(second)
    assert second.meta.region_name == "us-east-1"


def test_botocore_is_left_as_it_was():
    build = CREATOR._create_client_class  # type: ignore[attr-defined]
    Aws().service_quotas("us-west-2")
    assert CREATOR._create_client_class is build  # type: ignore[attr-defined]


# --- TLS -------------------------------------------------------------------------------------------------


@pytest.fixture
def tls(monkeypatch, tmp_path):
    """EC2 over TLS on loopback, and the files of certificates that were read for it."""
    both, bundle = certificates(tmp_path)
    serving = server(Standin(World(boxes=17, regions=17, volumes=0, detach=0), delay=0.0), str(both))
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    read: list[str] = []
    load = ssl.SSLContext.load_verify_locations

    def note_file(self: ssl.SSLContext, cafile: Any = None, *more: Any) -> None:
        read.append(cafile)
        load(self, cafile, *more)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", note_file)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{serving.server_port}")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    yield SimpleNamespace(port=serving.server_port, bundle=str(bundle), read=read)
    serving.shutdown()
    serving.server_close()
    thread.join()


def test_the_certificates_are_read_once_for_all_connections(tls):
    aws = Aws()

    def count(region: str) -> int:
        return len(aws.ec2(region).describe_instances()["Reservations"])

    found, failed = each_region(REGIONS, count)
    assert (sum(found.values()), failed) == (3, ())
    assert tls.read == [tls.bundle]


def test_who_is_not_in_the_bundle_is_refused(tls, monkeypatch):
    import certifi

    monkeypatch.setenv("AWS_CA_BUNDLE", certifi.where())
    aws = Aws()
    for region in REGIONS:
        with pytest.raises(SSLError, match="certificate verify failed"):
            aws.ec2_once(region).describe_instances()
    assert tls.read == [certifi.where()]


def test_a_certificate_of_another_name_is_refused(tls, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://localhost:{tls.port}")
    with pytest.raises(SSLError, match="localhost"):
        Aws().ec2_once("us-west-2").describe_instances()


def test_a_bundle_that_is_missing_is_reported_by_each_call(tls, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    aws = Aws()
    for _ in range(2):
        with pytest.raises(SSLError, match="No such file"):
            aws.ec2_once("us-west-2").describe_instances()


def test_connections_through_a_proxy_share_the_context_too():
    aws = Aws()
    contexts: list[ssl.SSLContext] = []
    for region in REGIONS:
        client: Any = aws.service_quotas(region)
        http_session = client._endpoint.http_session
        contexts.append(http_session._manager.connection_pool_kw["ssl_context"])
        contexts.append(http_session._get_proxy_manager("http://127.0.0.1:9").connection_pool_kw["ssl_context"])
    assert len(set(map(id, contexts))) == 1


def test_a_client_without_those_attributes_keeps_its_own_context():
    maker = ClientMaker()
    for client in (SimpleNamespace(), SimpleNamespace(_endpoint=SimpleNamespace(http_session=SimpleNamespace()))):
        maker._share_tls_context(client)
    assert maker._tls_context is None


# --- times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00"])
def test_times_are_read_as_botocore_reads_them(text):
    assert _parsed_time(text) == parse_timestamp(text)


@pytest.mark.parametrize(
    "text", [1767323045.5, "1767323045", "Fri, 02 Jan 2026 03:04:05 GMT", "20260102", "2026-01-02T03:04:05"]
)
def test_other_formats_are_left_to_botocore(text):
    assert _parsed_time(text) == parse_timestamp(text)


def test_what_is_no_time_is_an_error_as_before():
    for parse in (_parsed_time, parse_timestamp):
        with pytest.raises(ValueError, match="Invalid timestamp"):
            parse("soon")


def test_clients_read_times_that_way(tls):
    (reservation,) = Aws().ec2("us-west-2").describe_instances()["Reservations"]
    assert reservation["Instances"][0]["LaunchTime"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert reservation["Instances"][0]["LaunchTime"].tzinfo is UTC, "Python's own, not dateutil's"


# --- imports ---------------------------------------------------------------------------------------------


IMPORTED = """
import sys
from aws_bootstrap.aws import Aws
Aws().service_quotas("us-west-2")
print(*sorted({"boto3", "s3transfer", "s3transfer.manager"} & set(sys.modules)))
"""

#: Has boto3 import more of s3transfer than it does.
NEEDS_MORE = """
import importlib.abc, importlib.machinery, sys

class Loader(importlib.machinery.SourceFileLoader):
    def get_data(self, path):
        more = b"from s3transfer.manager import TransferManager\\n"
        return (more if path.endswith("compat.py") else b"") + super().get_data(path)
    def get_code(self, name):
        return compile(self.get_data(self.path), self.path, "exec")

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "boto3.compat":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = Loader(name, spec.origin)
        return spec

sys.meta_path.insert(0, Finder())
"""


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_boto3_is_imported_without_s3transfer():
    assert printed(IMPORTED) == "boto3"


def test_a_program_that_needs_s3transfer_still_gets_it():
    with_s3 = "import boto3\nprint(boto3.client('s3', region_name='us-west-2').upload_file.__name__)"
    assert printed(IMPORTED + with_s3).splitlines() == ["boto3", "upload_file"]


def test_a_boto3_that_needs_more_of_s3transfer_is_imported_with_it():
    assert printed(NEEDS_MORE + IMPORTED) == "boto3 s3transfer s3transfer.manager"

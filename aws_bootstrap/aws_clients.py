"""Make boto3's clients at a lower cost: what botocore builds anew for each region is built once.

`status` makes a client and two connections in each of 17 regions. Without this module two fifths of its work would be
the certificates that each connection reads, and a quarter the 830 methods of EC2 that each client gets. Where botocore
or boto3 has changed so that one of the savings no longer fits, clients are the ones that boto3 makes.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import crt

if TYPE_CHECKING:
    import ssl

    from botocore.config import Config
    from botocore.session import Session

#: Held while a method of botocore is replaced.
_REPLACING = threading.Lock()


def import_botocore() -> None:
    """Import the module of botocore that looks for awscrt, which costs more than it is worth to most users."""
    if "botocore.compat" not in sys.modules:
        with crt.left_out():
            import botocore.compat  # noqa: F401 (imported for what it remembers)


@contextlib.contextmanager
def without_s3transfer() -> Iterator[None]:
    """Have boto3 find an s3transfer in this block that holds no more than the name that boto3 needs at once.

    It copies files of S3, and takes half the time of the import of boto3. ImportError if boto3 needs more of it.
    """
    if "s3transfer" in sys.modules:
        yield
        return
    package, manager = ModuleType("s3transfer"), ModuleType("s3transfer.manager")
    vars(manager)["TransferConfig"] = object
    sys.modules |= {package.__name__: package, manager.__name__: manager}
    try:
        yield
    finally:
        for module in (package, manager):
            sys.modules.pop(module.__name__, None)


def new_botocore_session() -> Session:
    """Return a session of botocore that reads the times in replies faster: a box has eight of them.

    It reads the descriptions of services and EC2's answers faster as well.
    """
    import botocore.session

    from .aws_loader import new_loader
    from .aws_parser import FastParserFactory

    session = botocore.session.get_session()
    session.lazy_register_component("data_loader", lambda: new_loader(session.get_config_variable("data_path")))
    session.register_component("response_parser_factory", FastParserFactory(_parsed_time))
    return session


def _parsed_time(text: Any) -> datetime:
    """Return the time that a reply names: in ISO 8601 as Python reads it, in any other format as botocore does.

    botocore's own parser, which guesses the format, takes twenty times longer.
    """
    from botocore.utils import parse_timestamp

    if isinstance(text, str):
        with contextlib.suppress(ValueError):
            time = datetime.fromisoformat(text)
            if time.tzinfo:
                return time
    parsed: datetime = parse_timestamp(text)
    return parsed


class ClientMaker:
    """Makes the clients of one session. They share a class a service, and one TLS context."""

    def __init__(self) -> None:
        #: The class of each service's clients.
        self._classes: dict[str, type] = {}
        self._tls_context: ssl.SSLContext | None = None

    def new_client(self, session: Any, service: str, region: str, config: Config) -> Any:
        """Return a new client of the session. Not for several threads at once, as sessions are not."""
        with _known_classes(self._classes):
            client = session.client(service, region_name=region, config=config)
        self._classes.setdefault(service, type(client))
        self._share_tls_context(client)
        _load_paginators(client)
        return client

    def _share_tls_context(self, client: Any) -> None:
        """Have the client's connections use the TLS context of the first client.

        botocore has no public way to that. The attributes are private to it, and found missing where they change.
        """
        try:
            http_session = client._endpoint.http_session
            pool_settings = http_session._manager.connection_pool_kw
            own_context = http_session._get_ssl_context
        except AttributeError:
            return
        if self._tls_context is None:
            self._tls_context = _reading_once(own_context())
        pool_settings["ssl_context"] = self._tls_context
        http_session._get_ssl_context = self._context  # for connections through a proxy

    def _context(self) -> ssl.SSLContext | None:
        return self._tls_context


@contextlib.contextmanager
def _known_classes(classes: dict[str, type]) -> Iterator[None]:
    """Have botocore take the class of a client from here if it is known, in this block alone.

    botocore has no public way to that. Its method is private, and not replaced where it is missing.
    """
    from botocore.client import ClientCreator

    creator: Any = ClientCreator
    build = getattr(creator, "_create_client_class", None)
    if build is None:
        yield
        return

    def known_or_new(self: Any, service: str, *model: Any) -> Any:
        if service in classes:
            return classes[service]
        return build(self, service, *model)

    with _REPLACING:
        creator._create_client_class = known_or_new
        try:
            yield
        finally:
            creator._create_client_class = build


def _reading_once(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return the context, which from now on reads each file of certificates once: every connection asks it to."""
    untyped: Any = context
    untyped.load_verify_locations = _once_each(context.load_verify_locations)
    return context


def _once_each(load: Callable[..., None]) -> Callable[..., None]:
    """Return a function that calls `load` once for the same arguments. Threads that come meanwhile wait."""
    loaded: set[Any] = set()
    lock = threading.Lock()

    def load_once(*arguments: Any, **named: Any) -> None:
        key = (arguments, tuple(sorted(named.items())))
        with lock:
            if key not in loaded:
                load(*arguments, **named)
                loaded.add(key)

    return load_once


def _load_paginators(client: Any) -> None:
    """Load the service's model of paginators: the threads of all regions would each load it, and hinder each other."""
    operation = next(iter(client.meta.method_to_api_mapping))
    client.can_paginate(operation)

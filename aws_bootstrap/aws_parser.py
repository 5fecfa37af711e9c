"""Read EC2's answers faster than botocore does.

botocore looks for each of the 70 members that an instance may have, and asks its model anew how each one is written.
Here the model is read once, for all regions, and only the elements that an answer has are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.parsers import EC2QueryParser, ResponseParserFactory

if TYPE_CHECKING:
    from botocore.model import Shape

#: Returns the value of an XML element.
_Reader = Callable[[Any], Any]

#: botocore's own parser, and the private methods of it that are replaced or called here.
_Parser: Any = EC2QueryParser
_PRIVATE = ("_parse_shape", "_handle_structure", "_member_key_name")


class FastParserFactory(ResponseParserFactory):
    """Creates the parsers of a session's clients: this module's for EC2, botocore's for other services."""

    def __init__(self, timestamp_parser: Callable[[Any], Any]) -> None:
        super().__init__()
        self.set_parser_defaults(timestamp_parser=timestamp_parser)
        #: For the clients of all regions; None where botocore has changed, so that its own parser is used.
        self._ec2: FastEC2Parser | None = None
        if all(hasattr(_Parser, method) for method in _PRIVATE):
            self._ec2 = FastEC2Parser(timestamp_parser)

    def create_parser(self, protocol_name: str) -> Any:
        """Return a parser for a protocol, such as `ec2` or `json`."""
        if protocol_name == "ec2" and self._ec2:
            return self._ec2
        return super().create_parser(protocol_name)


class FastEC2Parser(_Parser):  # type: ignore[misc]
    """Reads each element by a function that is created once."""

    def __init__(self, timestamp_parser: Callable[[Any], Any] | None = None) -> None:
        super().__init__(timestamp_parser)
        #: By the name of the shape. Two threads may create the same one.
        self._readers: dict[str, _Reader] = {}

    def _parse_shape(self, shape: Shape, node: Any) -> Any:
        if isinstance(node, list):  # botocore's form of elements with the same tag
            return super()._parse_shape(shape, node)
        return self._reader(shape)(node)

    def _reader(self, shape: Shape) -> _Reader:
        reader = self._readers.get(shape.name)
        if reader is None:
            reader = self._new_reader(shape)
            self._readers[shape.name] = reader
        return reader

    def _new_reader(self, shape: Any) -> _Reader:
        if shape.type_name == "structure":
            return self._structure_reader(shape)
        if shape.type_name == "list":
            return self._list_reader(shape)
        if shape.type_name == "string":
            return _text
        return partial(super()._parse_shape, shape)

    def _list_reader(self, shape: Any) -> _Reader:
        read_item = self._reader(shape.member)
        return lambda node: [read_item(item) for item in node]

    def _structure_reader(self, shape: Any) -> _Reader:
        members: dict[str, tuple[str, _Reader]] = {}

        def read_structure(node: Any) -> Any:
            if not members:  # not before: a structure may contain itself
                members.update(self._members(shape))
            parsed: dict[str, Any] = {}
            for element in node:
                tag = element.tag
                known = members.get(tag[tag.find("}") + 1 :])
                if known is None:
                    continue
                name, read = known
                if name in parsed:
                    return self._handle_structure(shape, node)
                parsed[name] = read(element)
            return parsed

        return read_structure

    def _members(self, shape: Any) -> dict[str, tuple[str, _Reader]]:
        """Return the names and readers of a structure's members, by the tags of their elements."""
        members: dict[str, tuple[str, _Reader]] = {}
        for name, member_shape in shape.members.items():
            tag = self._member_key_name(member_shape, name)
            members[tag] = (name, self._reader(member_shape))
        return members


def _text(node: Any) -> str:
    text: str = node.text or ""
    return text

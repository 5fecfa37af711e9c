"""The private networks of the boxes: a process in a network namespace of its own, which has a bridge for each VPC.

It runs on the standard library alone and needs no other program: it talks to the kernel by rtnetlink(7). Standard input
is a socket. After `ready` each message is a request to connect a box, `{"pid", "vpc", "address"}`: the network
namespace of that process gets the interface `ens5` with the address. The answer is `ok` or the reason why not. The
process ends when its input ends, and with it the networks.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import socket
import struct

INTERFACE = "ens5"
#: linux/rtnetlink.h, linux/netlink.h: the message that creates a link; REQUEST, ACK, EXCL and CREATE; an error.
_NEW_LINK, _FLAGS, _ERROR = 16, 0x1 | 0x4 | 0x200 | 0x400, 2
#: linux/if_link.h: the attributes of a link, and those of its driver.
_NAME, _MASTER, _LINK_INFO, _NAMESPACE_OF = 3, 10, 18, 19
_DRIVER, _DATA, _PEER = 1, 2, 1
#: netdevice(7): the flag of an interface that is up, and the requests that set an address, its mask and the flags.
_UP, _SET_ADDRESS, _SET_MASK, _SET_FLAGS = 0x1, 0x8916, 0x891C, 0x8914


def main() -> None:
    """Answer the requests until the input ends."""
    line = socket.socket(fileno=0)
    switch = Switch()
    line.send(b"ready")
    while request := line.recv(4096):
        try:
            switch.connect(**json.loads(request))
            line.send(b"ok")
        except OSError as error:
            line.send(str(error).encode())


class Switch:
    """The bridges, and the links to the boxes."""

    def __init__(self) -> None:
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._own = os.open("/proc/self/ns/net", os.O_RDONLY)
        #: By VPC.
        self._bridges: dict[str, str] = {}
        self._ports = 0

    def connect(self, pid: int, vpc: str, address: str) -> None:
        """Give the network namespace of a process an interface that is connected to the bridge of its VPC."""
        bridge = self._bridge(vpc)
        self._ports += 1
        # The peer cannot be up yet: the two ends are not connected.
        peer = _link(0, _attribute(_NAME, _text(INTERFACE)), _attribute(_NAMESPACE_OF, struct.pack("=I", pid)))
        self._create(
            _attribute(_NAME, _text(f"port{self._ports}")),
            _attribute(_MASTER, struct.pack("=I", socket.if_nametoindex(bridge))),
            _driver("veth", _attribute(_PEER, peer)),
        )
        self._set_address(pid, ipaddress.ip_interface(address))

    def _bridge(self, vpc: str) -> str:
        """Return the name of the bridge of this VPC."""
        if vpc not in self._bridges:
            name = f"vpc{len(self._bridges)}"
            self._create(_attribute(_NAME, _text(name)), _driver("bridge", b""))
            self._bridges[vpc] = name
        return self._bridges[vpc]

    def _create(self, *attributes: bytes) -> None:
        """Create a link that is up; raise OSError if the kernel refuses it."""
        body = _link(_UP, *attributes)
        self._kernel.sendto(struct.pack("=IHHII", 16 + len(body), _NEW_LINK, _FLAGS, 1, 0) + body, (0, 0))
        answer = self._kernel.recv(65536)
        _, message = struct.unpack_from("=IH", answer)
        (code,) = struct.unpack_from("=i", answer, 16)
        if message == _ERROR and code:
            raise OSError(-code, os.strerror(-code))

    def _set_address(self, pid: int, address: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> None:
        """Set the interface's address in the namespace of the process."""
        theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            os.setns(theirs, os.CLONE_NEWNET)
            with socket.socket() as control:
                fcntl.ioctl(control, _SET_ADDRESS, _address_request(address.ip.packed))
                fcntl.ioctl(control, _SET_MASK, _address_request(address.netmask.packed))
                fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH22x", INTERFACE.encode(), _UP))
        finally:
            os.setns(self._own, os.CLONE_NEWNET)
            os.close(theirs)


def _link(flags: int, *attributes: bytes) -> bytes:
    """Return the description of a link (ifinfomsg of rtnetlink(7)), with its attributes."""
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, flags, flags) + b"".join(attributes)


def _attribute(number: int, payload: bytes) -> bytes:
    """Return an attribute (rtattr of rtnetlink(7)), padded to four bytes."""
    length = 4 + len(payload)
    return struct.pack("=HH", length, number) + payload + bytes(-length % 4)


def _driver(name: str, data: bytes) -> bytes:
    return _attribute(_LINK_INFO, _attribute(_DRIVER, _text(name)) + _attribute(_DATA, data))


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _address_request(address: bytes) -> bytes:
    """Return a request about the interface's address (ifreq of netdevice(7))."""
    return struct.pack("16sHH4s16x", INTERFACE.encode(), socket.AF_INET, 0, address)


if __name__ == "__main__":
    main()

"""The interfaces of this host and their IPv4 addresses, from the kernel by netlink.

pyroute2 lists them, and is used nowhere else. It serves only as the codec of rtnetlink(7) messages: its blocking API
starts an event loop of its own and fails where one is already running. It is loaded when it is first needed (see
`load`). The start and a look once a second need one interface by its name: services/linux/netlink_socket.py finds that
without pyroute2. IPv4 only.
"""

import contextlib
import importlib
import os
import socket
import threading
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import Any

from services.ethernet import MacAddress
from services.linux.netlink_socket import ETHERNET, LARGEST_ANSWER, ask_interface, open_netlink

_UP, _LOWER_UP = 0x1, 0x10000  # IFF_UP and IFF_LOWER_UP, linux/if.h
_PERMANENT = 0x80  # IFA_F_PERMANENT, linux/if_addr.h
_loading = threading.Lock()


@dataclass(frozen=True, slots=True)
class Interface:
    """An Ethernet interface and its first IPv4 address with the prefix length."""

    name: str
    index: int
    address: IPv4Interface
    mac: MacAddress


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address of an interface. `seconds` is how long it remains valid; None for one that does not expire."""

    address: IPv4Interface
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Link:
    """The state of an interface of any kind. `mac` is None unless it is Ethernet. `carrier`: the cable works; False
    while the interface is down."""

    name: str
    index: int
    mac: MacAddress | None
    up: bool
    carrier: bool
    mtu: int
    addresses: tuple[Address, ...]

    @property
    def ethernet(self) -> bool:
        """Whether it is Ethernet; bridges and VLANs are."""
        return self.mac is not None


def load() -> None:
    """Load pyroute2, which takes a fifth of the start, so that the first call of `links` need not. Thread-safe."""
    # Its modules import each other in circles: of two threads that import it at once, one would see half a module.
    with _loading:
        importlib.import_module("pyroute2.netlink.rtnl.marshal")


def interface_address(name: str) -> Interface:
    """Look up one interface; raises LookupError, which says what is missing and what is usable."""
    with contextlib.suppress(LookupError, OSError):
        found = ask_interface(name)
        if found.mac is not None and found.address is not None:
            return Interface(name, found.number, found.address, MacAddress.from_bytes(found.mac))
    usable = ", ".join(f"{each.name} ({each.address})" for each in interfaces()) or "none"
    if name in (link.name for link in links()):
        raise LookupError(f"the interface {name} is no Ethernet interface with an IPv4 address; usable: {usable}")
    raise LookupError(f"there is no interface {name}; usable: {usable}")


def interfaces() -> list[Interface]:
    """All Ethernet interfaces (bridges and VLANs too) that have an IPv4 address, in the kernel's order."""
    return [
        Interface(link.name, link.index, link.addresses[0].address, link.mac)
        for link in links()
        if link.mac is not None and link.addresses
    ]


def links() -> list[Link]:
    """All interfaces with their IPv4 addresses, in the kernel's order."""
    load()
    from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETLINK  # noqa: PLC0415 - see load()
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: PLC0415
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: PLC0415

    question = ifaddrmsg()
    question["family"] = socket.AF_INET
    addresses: dict[int, list[Address]] = {}
    for entry in _dump(question, RTM_GETADDR):
        local = IPv4Interface(f"{entry.get_attr('IFA_LOCAL')}/{entry['prefixlen']}")
        # A permanent address does not expire, whatever its lifetime says.
        leased = not (entry.get_attr("IFA_FLAGS") or entry["flags"]) & _PERMANENT
        seconds = int(entry.get_attr("IFA_CACHEINFO")["ifa_valid"]) if leased else None
        addresses.setdefault(int(entry["index"]), []).append(Address(local, seconds))
    return [
        Link(
            name=str(link.get_attr("IFLA_IFNAME")),
            index=int(link["index"]),
            mac=MacAddress.parse(str(link.get_attr("IFLA_ADDRESS"))) if link["ifi_type"] == ETHERNET else None,
            up=bool(link["flags"] & _UP),
            carrier=bool(link["flags"] & _LOWER_UP),
            mtu=int(link.get_attr("IFLA_MTU")),
            addresses=tuple(addresses.get(int(link["index"]), ())),
        )
        for link in _dump(ifinfmsg(), RTM_GETLINK)
    ]


def _dump(question: Any, kind: int) -> list[Any]:
    """Ask for all objects of a kind. Raises OSError with the kernel's errno."""
    from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR  # noqa: PLC0415
    from pyroute2.netlink.rtnl.marshal import MarshalRtnl  # noqa: PLC0415

    question["header"]["type"] = kind
    question["header"]["flags"] = NLM_F_REQUEST | NLM_F_DUMP
    question["header"]["sequence_number"] = 1
    question.encode()
    answers: list[Any] = []
    with open_netlink() as kernel:
        kernel.send(question.data)
        while True:
            for answer in MarshalRtnl().parse(kernel.recv(LARGEST_ANSWER)):
                if answer["header"]["type"] == NLMSG_DONE:
                    return answers
                if answer["header"]["type"] == NLMSG_ERROR:
                    code = int(answer["header"]["error"].code)
                    raise OSError(code, os.strerror(code))
                answers.append(answer)

"""Next hops and pins, from the kernel's answers as pyroute2 writes them. A real kernel: tests/netns/test_wall.py."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from services.ethernet import MacAddress
from services.linux import netlink
from services.linux.netlink import NetlinkMessage
from services.linux.next_hops import PROTOCOL, Neighbour, NextHop, read_neighbours, read_route, reconcile
from tests.unit.services.linux.test_netlink import encoded, only

PC, OTHER, ROUTER = map(IPv4Address, ("10.77.0.100", "10.77.0.101", "10.77.0.254"))
OWN, FORGED = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("02:66:00:00:00:01")
AGE = {"ndm_confirmed": 1, "ndm_used": 2, "ndm_updated": 31_000, "ndm_refcnt": 0}


def neighbour(state: int, protocol: int | None = None, address: IPv4Address = PC, **fields: Any) -> NetlinkMessage:
    attributes: list[tuple[str, Any]] = [("NDA_DST", str(address)), ("NDA_CACHEINFO", AGE)]
    if state & netlink.PERMANENT or state & netlink.REACHABLE:
        attributes.append(("NDA_LLADDR", str(OWN)))
    if protocol is not None:
        attributes.append(("NDA_PROTOCOL", protocol))
    return only(encoded(ndmsg(), netlink.NEW_NEIGHBOUR, attributes, family=2, ifindex=7, state=state, **fields))


@pytest.mark.parametrize(
    ("message", "permanent", "ours"),
    [
        (neighbour(netlink.REACHABLE), False, False),
        (neighbour(netlink.REACHABLE, PROTOCOL), False, False),
        (neighbour(netlink.PERMANENT), True, False),
        (neighbour(netlink.PERMANENT, 4), True, False),
        (neighbour(netlink.PERMANENT, PROTOCOL), True, True),
    ],
)
def test_only_permanent_entries_with_our_mark_are_ours(message: NetlinkMessage, permanent: bool, ours: bool) -> None:
    assert read_neighbours([message]) == {(7, PC): Neighbour(OWN, permanent, ours, 310.0)}


def test_an_entry_that_the_kernel_would_not_use_is_none() -> None:
    incomplete, failed = 0x01, 0x20
    assert read_neighbours([neighbour(incomplete), neighbour(failed), NetlinkMessage(netlink.DONE, 1)]) == {}


def route(kind: int, attributes: list[tuple[str, Any]]) -> NextHop | None:
    return read_route(only(encoded(rtmsg(), netlink.NEW_ROUTE, attributes, family=2, dst_len=32, type=kind)))


def test_a_route_is_read() -> None:
    assert route(1, [("RTA_DST", str(PC)), ("RTA_OIF", 7)]) == NextHop(7, None)
    assert route(1, [("RTA_OIF", 7), ("RTA_GATEWAY", str(ROUTER))]) == NextHop(7, ROUTER)


def test_a_route_that_leads_to_no_machine_over_ipv4_is_none() -> None:
    local = 2
    assert route(local, [("RTA_OIF", 1)]) is None
    assert route(1, []) is None
    assert route(1, [("RTA_OIF", 7), ("RTA_VIA", {"family": 10, "addr": "fe80::1"})]) is None
    assert read_route(NetlinkMessage(netlink.ERROR, 1, (101,))) is None
    assert read_route(NetlinkMessage(netlink.NEW_ROUTE, 1)) is None


def test_the_orders_are_those_of_pyroute2() -> None:
    attributes = [("NDA_DST", str(PC)), ("NDA_LLADDR", str(OWN)), ("NDA_PROTOCOL", PROTOCOL)]
    pinned = encoded(
        ndmsg(), netlink.NEW_NEIGHBOUR, attributes, 0x505, family=2, ifindex=7, state=netlink.PERMANENT, ndm_type=0
    )
    assert netlink.pin_neighbour(7, PC, bytes(OWN), PROTOCOL) == pinned
    gone = encoded(ndmsg(), netlink.DELETE_NEIGHBOUR, attributes[:1], 0x5, family=2, ifindex=7)
    assert netlink.delete_neighbour(7, PC) == gone
    assert netlink.ask_neighbours() == encoded(ndmsg(), netlink.GET_NEIGHBOUR, request=0x301, family=2)
    asked = encoded(rtmsg(), netlink.GET_ROUTE, [("RTA_DST", str(PC))], family=2, dst_len=32)
    assert netlink.ask_route(PC) == asked


PIN = netlink.pin_neighbour(7, PC, bytes(OWN), PROTOCOL)


@pytest.mark.parametrize(
    ("present", "order"),
    [
        (None, PIN),
        (Neighbour(FORGED, permanent=False, ours=False, seconds=1), PIN),
        (Neighbour(OWN, permanent=False, ours=False, seconds=1), PIN),
        (Neighbour(FORGED, permanent=True, ours=True, seconds=1), PIN),
        (Neighbour(OWN, permanent=True, ours=True, seconds=1), None),
        (Neighbour(OWN, permanent=True, ours=False, seconds=1), None),
        (Neighbour(FORGED, permanent=True, ours=False, seconds=1), None),
    ],
)
def test_what_is_wanted_gets_pinned_unless_somebody_else_did(present: Neighbour | None, order: bytes | None) -> None:
    found = {(7, PC): present} if present else {}
    assert reconcile({(7, PC): OWN}, found) == ({(7, PC): order} if order else {})


def test_only_our_own_pins_are_removed() -> None:
    found = {
        (7, PC): Neighbour(OWN, permanent=True, ours=True, seconds=1),
        (8, PC): Neighbour(OWN, permanent=True, ours=False, seconds=1),
        (7, OTHER): Neighbour(OWN, permanent=False, ours=False, seconds=1),
    }
    assert reconcile({}, found) == {(7, PC): netlink.delete_neighbour(7, PC)}

"""The rtnetlink codec against pyroute2's: what one writes the other reads, and nonsense does no harm."""

import struct
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from services.linux import netlink

PC = IPv4Address("10.77.0.100")


def encoded(message: Any, kind: int, attributes: Any = (), request: int = 1, **fields: int) -> bytes:
    """What pyroute2 makes of these; `request` are the flags of the header."""
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = list(attributes)
    message["header"]["type"] = kind
    message["header"]["flags"] = request
    message["header"]["sequence_number"] = 1
    message.encode()
    return bytes(message.data)


def only(payload: bytes) -> netlink.NetlinkMessage:
    (message,) = netlink.decode(payload)
    return message


def test_the_questions_are_those_of_pyroute2() -> None:
    neighbour = encoded(ndmsg(), netlink.GET_NEIGHBOUR, [("NDA_DST", str(PC))], family=2, ifindex=7)
    assert netlink.ask_neighbour(7, PC) == neighbour
    for name in ("lo", "lan", "eth0", "a-name-of-15-le"):
        without_statistics = [("IFLA_IFNAME", name), ("IFLA_EXT_MASK", 8)]
        assert netlink.ask_link(name.encode()) == encoded(ifinfmsg(), netlink.GET_LINK, without_statistics)
    assert netlink.ask_addresses(7) == encoded(ifaddrmsg(), netlink.GET_ADDRESS, request=0x301, family=2, index=7)


def test_a_neighbour_is_read() -> None:
    attributes = [("NDA_DST", str(PC)), ("NDA_LLADDR", "52:54:00:aa:bb:01")]
    payload = encoded(ndmsg(), netlink.NEW_NEIGHBOUR, attributes, family=2, ifindex=7, state=4, flags=1, ndm_type=1)
    message = only(payload)
    assert message.fields == (2, 7, 4, 1, 1)
    assert message.attributes == {
        netlink.NEIGHBOUR_ADDRESS: PC.packed,
        netlink.NEIGHBOUR_MAC: bytes.fromhex("525400aabb01"),
    }


def test_an_interface_is_read() -> None:
    attributes = [("IFLA_IFNAME", "lan0"), ("IFLA_ADDRESS", "52:54:00:aa:bb:01"), ("IFLA_MTU", 1500)]
    payload = encoded(ifinfmsg(), netlink.NEW_LINK, attributes, ifi_type=1, index=7, flags=0x11043, change=2)
    message = only(payload)
    assert message.fields == (0, 1, 7, 0x11043, 2)
    assert message.attributes[netlink.LINK_MAC] == bytes.fromhex("525400aabb01")


def test_an_address_is_read() -> None:
    attributes = [("IFA_ADDRESS", "10.77.0.2"), ("IFA_LOCAL", str(PC)), ("IFA_LABEL", "lan0")]
    payload = encoded(
        ifaddrmsg(), netlink.NEW_ADDRESS, attributes, family=2, prefixlen=24, flags=0x80, scope=3, index=7
    )
    message = only(payload)
    assert message.fields == (2, 24, 0x80, 3, 7)
    assert message.attributes[netlink.LOCAL_ADDRESS] == PC.packed


def test_an_error_is_the_errno() -> None:
    payload = struct.pack("=IHHII i", 20, netlink.ERROR, 0, 9, 0, -2)
    assert only(payload) == netlink.NetlinkMessage(netlink.ERROR, 9, (2,))


def test_several_messages_of_one_datagram_are_read() -> None:
    one = netlink.ask_neighbour(7, PC)
    kinds = [message.kind for message in netlink.decode(one + struct.pack("=IHHIII", 18, 3, 2, 1, 0, 0) + one)]
    assert kinds == [netlink.GET_NEIGHBOUR, 3, netlink.GET_NEIGHBOUR]


@pytest.mark.parametrize("kind", [netlink.NEW_NEIGHBOUR, netlink.NEW_LINK, netlink.NEW_ADDRESS, netlink.ERROR])
@given(body=st.binary(max_size=80))
@example(body=bytes(12) + b"\x00\x00\x01\x00")
@example(body=bytes(12) + b"\xff\xff\x01\x00")
def test_a_message_that_is_cut_short_is_not_read_beyond_its_end(kind: int, body: bytes) -> None:
    message = only(struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body)
    assert message.kind == kind
    assert sum(map(len, message.attributes.values())) <= len(body)


@given(st.binary(max_size=200))
def test_decoding_ends_for_any_bytes(payload: bytes) -> None:
    assert len(list(netlink.decode(payload))) <= len(payload) // 16

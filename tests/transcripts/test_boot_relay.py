"""A client behind a DHCP relay: its answer goes to the relay, which passes it on."""

from ipaddress import IPv4Address

import pytest

from services.ethernet import MacAddress
from services.events import LeaseChosen
from tests.fakes.dhcp_client import DISCOVER, REQUEST, firmware, message
from tests.transcripts.wire import Wire, decide, sent

MAC = bytes.fromhex("525400aabb01")


def test_the_offer_goes_to_the_relay() -> None:
    options = [each for each in firmware(0) if each[0] != 97]
    agent = (82, b"\x01\x04eth7")
    assert (
        Wire()
        >> sent(message(DISCOVER, MAC, [*options, agent], giaddr="10.78.0.1"), "10.78.0.1:67")
        << r"""
            OFFER -> 10.78.0.1:67
            flags 8000
            siaddr 10.77.0.1
            giaddr 10.78.0.1
            sname 10.77.0.1
            file 525400aabb01/undionly.kpxe
            54 10.77.0.1
            60 PXEClient
            43 06 01 08 ff
            66 10.77.0.1\0
            67 525400aabb01/undionly.kpxe\0
            82 01 04 65 74 68 37
        """
        >> sent(message(REQUEST, MAC, [(50, bytes([10, 78, 0, 9]))], giaddr="10.78.0.1"), "10.78.0.1:67")
        << """
            silence: NOT_FOR_US
            seen: 52:54:00:aa:bb:01 at 10.78.0.9
        """
    )


OFFERED = r"""
    OFFER -> {}
    flags 8000
    siaddr 10.77.0.1
{}    sname 10.77.0.1
    file 525400aabb01/undionly.kpxe
    54 10.77.0.1
    60 PXEClient
    43 06 01 08 ff
    66 10.77.0.1\0
    67 525400aabb01/undionly.kpxe\0
    82 01 04 65 74 68 37
"""


@pytest.mark.parametrize("port", [67, 68, 1024, 40123])
def test_a_relay_is_answered_at_port_67_whatever_port_it_sends_from(port: int) -> None:
    options = [each for each in firmware(0) if each[0] != 97]
    asked = message(DISCOVER, MAC, [(82, b"\x01\x04eth7"), *options], giaddr="10.78.0.1")
    assert Wire() >> sent(asked, f"10.78.0.1:{port}") << OFFERED.format("10.78.0.1:67", "    giaddr 10.78.0.1\n")


def test_what_a_switch_adds_without_being_a_relay_comes_back_too() -> None:
    """DHCP snooping: option 82, but giaddr stays 0."""
    options = [each for each in firmware(0) if each[0] != 97]
    asked = message(DISCOVER, MAC, [*options, (82, b"\x01\x04eth7")])
    assert Wire() >> sent(asked, "0.0.0.0:68") << OFFERED.format("255.255.255.255:68", "")
    asked = message(REQUEST, MAC, [*options, (82, b"\x01\x04eth7")], ciaddr="10.77.0.134")
    assert (
        Wire()
        >> sent(asked, "10.77.0.134:68", 4011)
        << r"""
            ACK -> 10.77.0.134:68
            flags 0000
            ciaddr 10.77.0.134
            siaddr 10.77.0.1
            sname 10.77.0.1
            file 525400aabb01/undionly.kpxe
            54 10.77.0.1
            60 PXEClient
            43 06 01 08 ff
            66 10.77.0.1\0
            67 525400aabb01/undionly.kpxe\0
            82 01 04 65 74 68 37
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
        """
    )


def test_a_relay_that_stands_for_the_server_is_named_as_it() -> None:
    """RFC 5107. What the PC loads from, and asks on port 4011, stays the box: no relay passes that on."""
    options = [each for each in firmware(0) if each[0] != 97]
    wishes = (82, b"\x0b\x04" + bytes([10, 78, 0, 1]))
    offered = OFFERED.replace("54 10.77.0.1", "54 10.78.0.1").replace("01 04 65 74 68 37", "0b 04 0a 4e 00 01")
    assert (
        Wire()
        >> sent(message(DISCOVER, MAC, [*options, wishes], giaddr="10.99.0.1"), "10.99.0.1:67")
        << offered.format("10.99.0.1:67", "    giaddr 10.99.0.1\n")
        >> sent(message(DISCOVER, MAC, [*options, wishes]), "0.0.0.0:68")
        << offered.replace("54 10.78.0.1", "54 10.77.0.1").format("255.255.255.255:68", "")
    )


@pytest.mark.parametrize("leasing", [False, True])
def test_a_lease_taken_by_such_a_relay_is_the_box_s_where_it_leases(leasing: bool) -> None:
    taken = [(54, bytes([10, 78, 0, 1])), (50, bytes([10, 78, 0, 134])), (82, b"\x0b\x04" + bytes([10, 78, 0, 1]))]
    asked = message(REQUEST, MAC, taken, giaddr="10.78.0.1")
    _, events = decide(sent(asked, "10.78.0.1:67"), leasing=leasing)
    chosen = LeaseChosen(MacAddress.from_bytes(MAC), IPv4Address("10.78.0.1"), ours=leasing)
    assert chosen in events


def test_other_requests_are_refused() -> None:
    assert (
        Wire()
        >> sent(message(DISCOVER, MAC, firmware(0), giaddr="127.0.0.1"), "10.78.0.1:67")
        << "refused: MALFORMED"
        >> sent(message(DISCOVER, MAC, firmware(0), giaddr="224.0.0.1"), "10.78.0.1:67")
        << "refused: MALFORMED"
        >> sent(message(DISCOVER, MAC, firmware(0)), "10.78.0.1:67")
        << "refused: MALFORMED"
    )


def test_only_a_relay_s_own_port_says_where_a_client_is() -> None:
    """Any program of a machine can send from the other ports, and name a relay and an address as it likes."""
    taken = [(54, bytes([10, 78, 0, 2])), (50, bytes([10, 78, 0, 134]))]
    asked = message(REQUEST, MAC, taken, giaddr="10.78.0.1")
    assert (
        Wire()
        >> sent(asked, "10.78.0.1:67")
        << "silence: NOT_FOR_US\nseen: 52:54:00:aa:bb:01 at 10.78.0.134\ntakes: the lease of 10.78.0.2"
        >> sent(asked, "10.78.0.1:40123")
        << "silence: NOT_FOR_US"
    )

"""Who gets which address, state by state of RFC 2131 section 4.3; the conversations follow its figure 5."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from services.dhcp.lease import Declined, Lease, LeaseGrant, LeaseOffer, State
from services.dhcp.leasing import BLOCKED_SECONDS, OFFER_SECONDS, SUSPENDED_SECONDS
from services.dhcp.pool import AddressRange
from services.ethernet import MacAddress
from tests.unit.services.dhcp.lease_wire import (
    BOX,
    DECLINE,
    DISCOVER,
    INFORM,
    LAN,
    RELAY,
    RELEASE,
    REMOTE,
    REQUEST,
    STATIC,
    A,
    B,
    C,
    Wire,
    says,
)

US, OTHER = str(BOX), "10.77.0.2"
FIRST, SECOND, THIRD = "10.77.0.100", "10.77.0.101", "10.77.0.102"


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_a_new_client_gets_the_next_address_that_nobody_had(wire: Wire) -> None:
    wire >> says(DISCOVER, A) << f"OFFER {FIRST} after a probe"
    wire >> says(REQUEST, A, wants=FIRST, server=US) << f"ACK {FIRST}"
    wire >> says(DISCOVER, B) << f"OFFER {SECOND} after a probe"


def test_a_client_that_asks_again_is_offered_the_same_without_a_second_probe(wire: Wire) -> None:
    wire >> says(DISCOVER, A) << f"OFFER {FIRST} after a probe"
    wire >> says(DISCOVER, A) << f"OFFER {FIRST}"


def test_a_client_gets_the_address_it_asks_for_where_that_is_free(wire: Wire) -> None:
    wire >> says(DISCOVER, A, wants=THIRD) << f"OFFER {THIRD} after a probe"
    wire >> says(DISCOVER, B, wants=THIRD) << f"OFFER {FIRST} after a probe"
    wire >> says(DISCOVER, C, wants="10.77.0.9") << f"OFFER {SECOND} after a probe"


def test_one_boot_with_several_client_ids_keeps_its_address(wire: Wire) -> None:
    """Firmware, iPXE and the live system: option 61 differs, the MAC address does not."""
    wire.lease(A, SECOND)
    wire >> says(DISCOVER, A) << f"OFFER {SECOND}"


def test_a_client_gets_its_former_address_again_after_its_lease_ended(wire: Wire) -> None:
    wire.lease(A, SECOND)
    wire.wait(5000)
    wire >> says(DISCOVER, A) << f"OFFER {SECOND} after a probe"


def test_a_static_address_is_for_its_client_alone(wire: Wire) -> None:
    wire >> says(DISCOVER, STATIC, wants=FIRST) << "OFFER 10.77.0.50 after a probe"
    wire >> says(REQUEST, STATIC, wants="10.77.0.50", server=US) << "ACK 10.77.0.50"
    wire >> says(DISCOVER, A, wants="10.77.0.50") << f"OFFER {FIRST} after a probe"
    wire >> says(REQUEST, A, ciaddr="10.77.0.50") << "NAK"


def test_a_client_that_has_become_static_is_moved_to_its_address(wire: Wire) -> None:
    wire = Wire(leases=[Lease(IPv4Address(FIRST), MacAddress.from_bytes(STATIC), b"", State.LEASED, 2000.0)])
    wire >> says(REQUEST, STATIC, ciaddr=FIRST) << "NAK"
    wire >> says(DISCOVER, STATIC) << "OFFER 10.77.0.50 after a probe"
    wire >> says(DISCOVER, A, wants=FIRST) << f"OFFER {FIRST} after a probe"


def test_selecting_another_server_frees_what_was_offered(wire: Wire) -> None:
    wire >> says(DISCOVER, A) << f"OFFER {FIRST} after a probe"
    wire >> says(REQUEST, A, wants="10.77.0.200", server=OTHER) << "silence: NOT_FOR_US"
    wire >> says(DISCOVER, B, wants=FIRST) << f"OFFER {FIRST} after a probe"


def test_selecting_an_address_of_somebody_else_is_refused(wire: Wire) -> None:
    wire.lease(A, FIRST)
    wire >> says(REQUEST, B, wants=FIRST, server=US) << "NAK"
    wire >> says(REQUEST, B, wants="10.77.0.9", server=US) << "NAK"
    wire >> says(REQUEST, B, wants=US, server=US) << "NAK"


def test_an_offer_from_before_a_restart_can_still_be_taken(wire: Wire) -> None:
    wire >> says(DISCOVER, A) << f"OFFER {FIRST} after a probe"
    wire.restart()
    wire >> says(REQUEST, A, wants=FIRST, server=US) << f"ACK {FIRST}"


def test_rebooting_with_its_address_is_acknowledged_even_late(wire: Wire) -> None:
    wire.lease(A, FIRST)
    wire >> says(REQUEST, A, wants=FIRST) << f"ACK {FIRST}, renewed"
    wire.wait(5000)
    wire >> says(REQUEST, A, wants=FIRST) << f"ACK {FIRST}"


def test_rebooting_with_an_address_that_is_not_its_own_is_refused(wire: Wire) -> None:
    wire.lease(A, FIRST)
    wire >> says(REQUEST, A, wants=SECOND) << "NAK"
    wire >> says(REQUEST, B, wants=FIRST) << "NAK"


def test_rebooting_on_the_wrong_network_is_refused(wire: Wire) -> None:
    wire >> says(REQUEST, A, wants="192.168.1.7") << "NAK"
    wire >> says(REQUEST, A, wants=FIRST, giaddr=RELAY) << "NAK"


@pytest.mark.parametrize("address", [FIRST, "10.77.0.9"])
def test_rebooting_as_a_client_we_do_not_know_is_left_to_others(wire: Wire, address: str) -> None:
    wire >> says(REQUEST, A, wants=address) << "silence: NO_LEASE"


def test_renewing_and_rebinding_prolong_the_lease(wire: Wire) -> None:
    wire.lease(A, FIRST)
    for _ in range(3):
        wire.wait(900)
        wire >> says(REQUEST, A, ciaddr=FIRST) << f"ACK {FIRST}, renewed"
    assert [lease.expires for lease in wire.saved()] == [wire.now + 1000]


def test_renewing_a_lease_that_we_lost_the_record_of_works(wire: Wire) -> None:
    """The box's disk was lost: a PC that uses an address of the pool keeps it, and nobody else gets it."""
    wire >> says(REQUEST, A, ciaddr=SECOND) << f"ACK {SECOND}"
    wire >> says(DISCOVER, B, wants=SECOND) << f"OFFER {FIRST} after a probe"


def test_renewing_an_address_that_somebody_else_got_meanwhile_is_refused(wire: Wire) -> None:
    wire.lease(A, FIRST)
    wire.wait(1001)
    wire.lease(B, FIRST)
    wire >> says(REQUEST, A, ciaddr=FIRST) << "NAK"


def test_renewing_an_address_of_another_server_is_left_to_it(wire: Wire) -> None:
    wire >> says(REQUEST, A, ciaddr="10.77.0.9") << "silence: NO_LEASE"


def test_rebinding_on_the_wrong_network_is_refused(wire: Wire) -> None:
    wire >> says(REQUEST, A, ciaddr="192.168.1.7") << "NAK"


def test_a_request_for_no_address_is_malformed(wire: Wire) -> None:
    wire >> says(REQUEST, A) << "silence: MALFORMED"


def test_a_released_address_is_kept_for_its_client_while_there_are_others(wire: Wire) -> None:
    wire.lease(A, FIRST)
    wire >> says(RELEASE, B, ciaddr=FIRST, server=US) << "silence: NO_LEASE"
    wire >> says(RELEASE, A, ciaddr=FIRST, server=OTHER) << "silence: NOT_FOR_US"
    wire >> says(RELEASE, A, ciaddr=FIRST, server=US) << f"released {FIRST}"
    wire >> says(RELEASE, A, ciaddr=FIRST, server=US) << "silence: NO_LEASE"
    wire >> says(DISCOVER, B) << f"OFFER {SECOND} after a probe"
    wire >> says(DISCOVER, A) << f"OFFER {FIRST} after a probe"


def test_the_address_whose_lease_ended_first_is_given_away_first(wire: Wire) -> None:
    for mac, address in ((A, FIRST), (B, SECOND), (C, THIRD)):
        wire.lease(mac, address)
        wire.wait(10)
    wire >> says(REQUEST, A, ciaddr=FIRST) << f"ACK {FIRST}, renewed"
    stranger = bytes.fromhex("525400990001")
    wire >> says(DISCOVER, stranger) << "silence: POOL_EMPTY"
    wire.wait(1000)
    wire >> says(DISCOVER, stranger) << f"OFFER {SECOND} after a probe"


def test_a_declined_address_is_not_offered_for_a_while(wire: Wire) -> None:
    wire.lease(A, FIRST)
    wire >> says(DECLINE, B, wants=FIRST, server=US) << "silence: NO_LEASE"
    wire >> says(DECLINE, A, wants=FIRST, server=OTHER) << "silence: NOT_FOR_US"
    wire >> says(DECLINE, A, wants=FIRST, server=US) << f"declined {FIRST}"
    wire >> says(DISCOVER, A, wants=FIRST) << f"OFFER {SECOND} after a probe"
    wire >> says(DISCOVER, B, wants=FIRST) << f"OFFER {THIRD} after a probe"
    wire >> says(REQUEST, A, wants=SECOND, server=US) << f"ACK {SECOND}"
    wire.wait(BLOCKED_SECONDS + 1)
    wire >> says(DISCOVER, C, wants=FIRST) << f"OFFER {FIRST} after a probe"


def test_an_offered_address_can_be_declined(wire: Wire) -> None:
    wire >> says(DISCOVER, A) << f"OFFER {FIRST} after a probe"
    wire >> says(DECLINE, A, wants=FIRST, server=US) << f"declined {FIRST}"
    wire >> says(DISCOVER, A, wants=FIRST) << f"OFFER {SECOND} after a probe"


@pytest.mark.parametrize("giaddr", ["", RELAY])
@pytest.mark.parametrize("kind", [DECLINE, RELEASE])
def test_a_forged_decline_or_release_takes_nothing_from_a_running_pc(wire: Wire, kind: int, giaddr: str) -> None:
    address, relay = ("10.88.0.105", {"giaddr": RELAY}) if giaddr else (FIRST, {})
    wire.lease(A, address, **relay)
    forged = {"wants": address} if kind == DECLINE else {"ciaddr": address}
    wire >> says(kind, A, server=US, **forged, **relay)
    for other in (B, C):
        wire >> says(DISCOVER, other, wants=address, **relay)
        assert isinstance(wire.decision, LeaseOffer)
        assert str(wire.decision.address) != address
        wire >> says(REQUEST, other, wants=address, **relay)
        assert not isinstance(wire.decision, LeaseGrant)
    wire.wait(500)
    wire >> says(REQUEST, A, ciaddr=address)
    assert isinstance(wire.decision, LeaseGrant)
    assert str(wire.decision.lease.address) == address


def test_declines_of_made_up_clients_do_not_exhaust_the_pool() -> None:
    wire = Wire(replace(LAN, ranges=(AddressRange.parse("10.77.0.100-10.77.0.139"),)))
    for number in range(200):
        mac = number.to_bytes(6, "big")
        wire >> says(DISCOVER, mac)
        assert isinstance(wire.decision, LeaseOffer)
        wire >> says(DECLINE, mac, wants=str(wire.decision.address), server=US)
    assert isinstance(wire.decision, Declined)
    free = [wire >> says(DISCOVER, bytes([2, 0, 0, 0, 0, n])) for n in range(30)]
    assert all(isinstance(each.decision, LeaseOffer) for each in free)


def test_inform_is_answered_without_a_lease(wire: Wire) -> None:
    wire >> says(INFORM, A, ciaddr="10.77.0.9") << "ACK without a lease"
    assert wire.saved() == []


def test_an_offer_that_is_not_taken_is_free_again(wire: Wire) -> None:
    for mac, address in ((A, FIRST), (B, SECOND), (C, THIRD)):
        wire >> says(DISCOVER, mac) << f"OFFER {address} after a probe"
    stranger = bytes.fromhex("525400990001")
    wire >> says(DISCOVER, stranger) << "silence: POOL_EMPTY"
    wire.wait(OFFER_SECONDS + 1)
    wire >> says(DISCOVER, stranger) << f"OFFER {FIRST} after a probe"
    wire >> says(REQUEST, A, wants=FIRST, server=US) << "NAK"


def test_another_machine_at_an_address_blocks_it(wire: Wire) -> None:
    wire >> says(DISCOVER, A) << f"OFFER {FIRST} after a probe"
    blocked = wire.leasing.found_taken(
        MacAddress.from_bytes(A), IPv4Address(FIRST), MacAddress.from_bytes(C), sure=True, now=wire.now
    )
    assert blocked == Lease(
        IPv4Address(FIRST), MacAddress.from_bytes(C), b"", State.BLOCKED, wire.now + BLOCKED_SECONDS
    )
    assert wire.leasing.changes() == [blocked]
    wire >> says(DISCOVER, A) << f"OFFER {SECOND} after a probe"


@pytest.mark.parametrize(("sure", "other"), [(False, C), (True, B)])
def test_an_address_whose_last_holder_may_still_be_there_is_not_offered_for_a_moment(
    wire: Wire, sure: bool, other: bytes
) -> None:
    """The kernel knows an old neighbour, which may have left since; or it is the client whose lease ended."""
    wire.lease(B, FIRST)
    wire.wait(1001)
    wire >> says(DISCOVER, A, wants=FIRST) << f"OFFER {FIRST} after a probe"
    there = MacAddress.from_bytes(other)
    assert wire.leasing.found_taken(MacAddress.from_bytes(A), IPv4Address(FIRST), there, sure, wire.now) is None
    wire >> says(DISCOVER, A, wants=FIRST) << f"OFFER {SECOND} after a probe"
    wire.wait(SUSPENDED_SECONDS + OFFER_SECONDS)
    wire >> says(DISCOVER, C, wants=FIRST) << f"OFFER {FIRST} after a probe"


def test_a_relays_network_decides_the_pool(wire: Wire) -> None:
    wire.lease(A, FIRST)
    wire >> says(DISCOVER, A, giaddr=RELAY) << "OFFER 10.88.0.100 after a probe"
    wire >> says(REQUEST, A, wants="10.88.0.100", server=US, giaddr=RELAY) << "ACK 10.88.0.100"
    wire >> says(DISCOVER, A, giaddr="10.99.0.1") << "silence: NO_POOL"
    # It keeps its own address in each of the two networks.
    wire >> says(DISCOVER, A) << f"OFFER {FIRST}"


def test_a_relay_may_name_another_network_than_its_own(wire: Wire) -> None:
    """RFC 3527: giaddr is then where the answer goes, and nothing else."""
    wire >> says(DISCOVER, A, giaddr="10.77.0.254", link="10.88.0.0") << "OFFER 10.88.0.100 after a probe"
    wire >> says(DISCOVER, A, giaddr="10.99.0.1", link="10.88.0.0") << "OFFER 10.88.0.100"
    relay = {"giaddr": "10.99.0.1", "link": "10.88.0.7"}
    wire >> says(REQUEST, A, wants="10.88.0.100", server=US, **relay) << "ACK 10.88.0.100"
    wire >> says(DISCOVER, A, giaddr=RELAY, link="10.99.0.0") << "silence: NO_POOL"
    # A switch that only adds option 82 is no relay, and a client could add it too.
    wire >> says(DISCOVER, A, link="10.88.0.0") << f"OFFER {FIRST} after a probe"


def test_a_relay_may_stand_for_the_server(wire: Wire) -> None:
    """RFC 5107: the client sends the relay what it would send the server, with the relay's address in option 54."""
    relay, address = {"giaddr": RELAY, "override": RELAY}, "10.88.0.100"
    wire >> says(DISCOVER, A, **relay) << f"OFFER {address} after a probe"
    wire >> says(REQUEST, A, wants=address, server=RELAY, giaddr=RELAY) << "silence: NOT_FOR_US"
    wire >> says(REQUEST, A, wants=address, server="10.88.0.9", **relay) << "silence: NOT_FOR_US"
    wire >> says(REQUEST, A, wants=address, server=RELAY, **relay) << f"ACK {address}"
    wire >> says(REQUEST, A, ciaddr=address, **relay) << f"ACK {address}, renewed"
    wire >> says(RELEASE, A, ciaddr=address, server=RELAY, giaddr=RELAY) << "silence: NOT_FOR_US"
    wire >> says(RELEASE, A, ciaddr=address, server=RELAY, **relay) << f"released {address}"
    wire >> says(REQUEST, A, wants=address, server=US, **relay) << f"ACK {address}"
    wire >> says(DECLINE, A, wants=address, server=RELAY, giaddr=RELAY) << "silence: NOT_FOR_US"
    wire >> says(DECLINE, A, wants=address, server=RELAY, **relay) << f"declined {address}"


def test_a_request_for_another_server_behind_such_a_relay_gets_no_nak(wire: Wire) -> None:
    """Both servers have the relay's address in their offers, and both hear what the client took."""
    wire >> says(DISCOVER, A, giaddr=RELAY, override=RELAY) << "OFFER 10.88.0.100 after a probe"
    wanted = says(REQUEST, A, wants="10.88.0.50", server=RELAY, giaddr=RELAY, override=RELAY)
    wire >> wanted << "silence: NO_LEASE"
    wire >> says(REQUEST, A, wants="10.88.0.50", server=US, giaddr=RELAY, override=RELAY) << "NAK"


def test_a_client_behind_a_relay_renews_by_unicast(wire: Wire) -> None:
    wire.lease(A, "10.88.0.105", giaddr=RELAY)
    wire >> says(REQUEST, A, ciaddr="10.88.0.105") << "ACK 10.88.0.105, renewed"
    wire >> says(REQUEST, B, ciaddr="10.88.0.105") << "NAK"


def test_a_network_without_a_pool_is_not_served() -> None:
    wire = Wire(REMOTE)
    wire >> says(DISCOVER, A) << "silence: NO_POOL"


def test_a_client_has_one_lease_in_a_network(wire: Wire) -> None:
    wire.lease(A, FIRST)
    wire >> says(REQUEST, A, ciaddr=SECOND) << f"ACK {SECOND}"
    assert {str(lease.address): lease.state for lease in wire.saved()} == {
        FIRST: State.RELEASED,
        SECOND: State.LEASED,
    }


def test_a_restart_keeps_the_leases(wire: Wire) -> None:
    wire.lease(A, SECOND)
    wire.restart()
    wire >> says(DISCOVER, B, wants=SECOND) << f"OFFER {FIRST} after a probe"
    wire >> says(REQUEST, A, ciaddr=SECOND) << f"ACK {SECOND}, renewed"
    assert wire.leasing.changes() != []


def test_a_lease_outside_todays_pool_is_not_renewed() -> None:
    wire = Wire(leases=[Lease(IPv4Address("10.77.0.30"), MacAddress.from_bytes(A), b"", State.LEASED, 2000.0)])
    wire >> says(REQUEST, A, ciaddr="10.77.0.30") << "NAK"
    wire >> says(DISCOVER, A) << f"OFFER {FIRST} after a probe"

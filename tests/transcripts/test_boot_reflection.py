"""Anybody can name any relay, or forge a source address: answers go to networks that the box serves, not elsewhere."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from services.decision import Reason
from services.events import Ignored
from tests.fakes.dhcp_client import DISCOVER, REQUEST, firmware, message
from tests.transcripts.wire import Wire, decide, sent

MAC = bytes.fromhex("525400aabb01")
SERVED = (IPv4Network("10.77.0.0/24"), IPv4Network("10.78.0.0/24"))


def serves(address: IPv4Address) -> bool:
    return any(address in network for network in SERVED)


@pytest.mark.parametrize("source", ["203.0.113.9:67", "10.77.0.66:67"])
def test_no_offer_goes_to_a_relay_elsewhere(source: str) -> None:
    question = message(DISCOVER, MAC, firmware(7), giaddr="203.0.113.9")
    assert Wire(serves=serves) >> sent(question, source) << "refused: UNKNOWN_RELAY"


def test_nor_where_the_relay_names_a_network_that_is_served() -> None:
    """RFC 3527: that says where the client is; the answer would go to the relay."""
    question = message(DISCOVER, MAC, [*firmware(7), (82, bytes([5, 4, 10, 78, 0, 0]))], giaddr="203.0.113.9")
    assert Wire(serves=serves) >> sent(question, "203.0.113.9:67") << "refused: UNKNOWN_RELAY"


def test_the_refusal_names_the_relay() -> None:
    question = message(DISCOVER, MAC, firmware(7), giaddr="203.0.113.9")
    _, events = decide(sent(question, "203.0.113.9:67"), serves=serves)
    assert events == [Ignored("dhcp", "203.0.113.9", Reason.UNKNOWN_RELAY, "for 52:54:00:aa:bb:01")]


def test_port_4011_answers_nobody_elsewhere() -> None:
    question = message(REQUEST, MAC, firmware(7), ciaddr="203.0.113.9")
    assert (
        Wire(serves=serves)
        >> sent(question, "203.0.113.9:4011", 4011)
        << """
            refused: OUTSIDE_NETWORKS
            seen: 52:54:00:aa:bb:01 at 203.0.113.9
        """
    )


@pytest.mark.parametrize(("relayed", "source", "port"), [(True, "10.78.0.1:67", 67), (False, "10.78.0.9:4011", 4011)])
def test_served_networks_get_their_answers(relayed: bool, source: str, port: int) -> None:
    by_relay = message(DISCOVER, MAC, firmware(7), giaddr="10.78.0.1")
    question = by_relay if relayed else message(REQUEST, MAC, firmware(7), ciaddr="10.78.0.9")
    reply, _ = decide(sent(question, source, port), serves=serves)
    assert str(getattr(reply, "destination", reply)) == source.partition(":")[0]

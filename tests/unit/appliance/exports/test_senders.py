"""Which frames a granted address comes in, which neighbours are pinned, and what is told of the wall's records."""

from ipaddress import IPv4Address

import pytest

from appliance.exports.grants import ExportGrant
from appliance.exports.request import HEARD_SECONDS, MOST_CLAIMS
from appliance.exports.senders import Senders, believed, decide_senders, tell_claims, tell_heard
from services.ethernet import MacAddress
from services.linux.next_hops import Neighbour, NextHop

DESK, OTHER, STRANGER = map(MacAddress.parse, ("52:54:00:77:00:01", "52:54:00:77:00:02", "02:66:00:00:00:01"))
VIRTUAL, REAL = map(MacAddress.parse, ("00:00:5e:00:01:01", "02:77:00:00:00:fd"))
NEAR, FAR, FARTHER, ROUTER = map(IPv4Address, ("10.77.0.50", "10.78.0.9", "10.78.0.10", "10.77.0.254"))
HOPS = {NEAR: NextHop(7, None), FAR: NextHop(7, ROUTER), FARTHER: NextHop(7, ROUTER)}


def grant(mac: MacAddress, *addresses: IPv4Address, pinned: bool = False) -> ExportGrant:
    return ExportGrant(mac, mac.value & 0xFF, addresses, pinned=pinned)


def test_a_neighbour_comes_in_its_own_frames_and_is_pinned_when_asked() -> None:
    for pinned in (False, True):
        senders = decide_senders([grant(DESK, NEAR, pinned=pinned)], HOPS, {})
        assert senders.pairs == {(DESK, NEAR)}
        assert senders.pins == ({(7, NEAR): DESK} if pinned else {})


def test_behind_a_router_the_frames_are_the_routers_which_is_always_pinned() -> None:
    senders = decide_senders([grant(DESK, FAR), grant(OTHER, FARTHER)], HOPS, {(7, ROUTER): (VIRTUAL, REAL)})
    assert senders.pairs == {(VIRTUAL, FAR), (REAL, FAR), (VIRTUAL, FARTHER), (REAL, FARTHER)}
    assert senders.pins == {(7, ROUTER): VIRTUAL}


def test_nobody_may_use_an_address_without_a_way_or_with_two_owners() -> None:
    nowhere = IPv4Address("10.99.0.1")
    senders = decide_senders([grant(DESK, NEAR, FAR, nowhere, pinned=True), grant(OTHER, NEAR, pinned=True)], HOPS, {})
    assert senders == Senders(frozenset(), {}, frozenset({NEAR, FAR, nowhere}))


@pytest.mark.parametrize(
    ("neighbour", "heard", "believes"),
    [
        (None, set(), False),
        (Neighbour(REAL, permanent=False, ours=False, seconds=9999), set(), True),
        (Neighbour(REAL, permanent=True, ours=False, seconds=9999), set(), True),
        (Neighbour(REAL, permanent=True, ours=True, seconds=HEARD_SECONDS), set(), True),
        (Neighbour(REAL, permanent=True, ours=True, seconds=9999), {REAL}, True),
        (Neighbour(REAL, permanent=True, ours=True, seconds=9999), {VIRTUAL}, False),
        (Neighbour(REAL, permanent=True, ours=True, seconds=9999), set(), False),
    ],
)
def test_a_router_is_believed_until_nobody_was_heard_through_it(
    neighbour: Neighbour | None, heard: set[MacAddress], believes: bool
) -> None:
    assert believed(neighbour, heard) == (REAL if believes else None)


def test_what_was_heard_is_told_of_granted_pairs_only() -> None:
    senders = Senders(frozenset({(DESK, NEAR), (VIRTUAL, FAR), (REAL, FAR)}), {}, frozenset())
    heard = {(DESK, NEAR): 4.0, (OTHER, NEAR): 1.0, (VIRTUAL, FAR): 9.0, (REAL, FAR): 7.0, (DESK, FARTHER): 1.0}
    assert tell_heard(senders, heard) == {str(NEAR): 4.0, str(FAR): 7.0}
    assert tell_heard(senders, {(DESK, NEAR): HEARD_SECONDS + 1}) == {}


def test_claims_are_told_of_granted_addresses_the_latest_first() -> None:
    grants = [grant(DESK, NEAR), grant(OTHER, FAR)]
    senders = Senders(frozenset({(DESK, NEAR), (VIRTUAL, FAR)}), {}, frozenset())
    claims = {(STRANGER, NEAR): 9.0, (OTHER, NEAR): 2.0, (DESK, NEAR): 1.0, (STRANGER, FARTHER): 1.0, (REAL, FAR): 3.0}
    told = ((str(NEAR), str(OTHER)), (str(FAR), str(REAL)), (str(NEAR), str(STRANGER)))
    assert tell_claims(senders, grants, claims) == told
    many = {(MacAddress(number), NEAR): float(number) for number in range(2 * MOST_CLAIMS)}
    assert len(tell_claims(senders, grants, many)) == MOST_CLAIMS

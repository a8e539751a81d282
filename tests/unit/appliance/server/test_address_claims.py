"""A claimed address counts once the neighbour table confirms it. The real table: tests/netns."""

from ipaddress import IPv4Address, IPv4Interface

import pytest

from appliance.server.address_claims import AddressClaims
from services.ethernet import MacAddress
from services.events import AddressSeen
from services.linux.interfaces import Interface
from services.linux.neighbours import Neighbours

MAC, OTHER = MacAddress.parse("52:54:00:aa:bb:cc"), MacAddress.parse("52:54:00:aa:bb:dd")
HERE, ELSEWHERE = IPv4Address("10.0.0.5"), IPv4Address("10.9.0.5")


class Table(Neighbours):
    """A neighbour table whose entries a test writes."""

    def __init__(self) -> None:
        super().__init__([Interface("lan0", 1, IPv4Interface("10.0.0.1/24"), MacAddress(1))])
        self.entries: dict[IPv4Address, MacAddress] = {}
        self.nudged: list[IPv4Address] = []

    def mac_of(self, address: IPv4Address) -> MacAddress | None:
        return self.entries.get(address)

    def nudge(self, address: IPv4Address) -> None:
        self.nudged.append(address)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def confirmed() -> list[AddressSeen]:
    return []


def test_a_claim_waits_for_the_table(table: Table, confirmed: list[AddressSeen]) -> None:
    claims = AddressClaims(table, confirmed.append)
    claims.add(AddressSeen(MAC, HERE), 0.0)
    claims.check(0.1)
    claims.check(0.2)
    assert (confirmed, table.nudged) == ([], [HERE])
    assert claims.some.is_set()
    table.entries[HERE] = MAC
    claims.check(0.3)
    assert not claims.some.is_set()
    claims.check(0.4)
    assert confirmed == [AddressSeen(MAC, HERE)]


def test_a_forged_claim_never_counts(table: Table, confirmed: list[AddressSeen]) -> None:
    claims = AddressClaims(table, confirmed.append)
    table.entries[HERE] = OTHER
    claims.add(AddressSeen(MAC, HERE), 0.0)
    for tenth in range(700):
        claims.check(tenth / 10)
    assert confirmed == []
    assert len(table.nudged) == 60


def test_behind_a_router_a_claim_counts_for_nothing(table: Table, confirmed: list[AddressSeen]) -> None:
    claims = AddressClaims(table, confirmed.append)
    table.entries[ELSEWHERE] = MAC
    claims.add(AddressSeen(MAC, ELSEWHERE), 0.0)
    claims.check(1.0)
    assert (confirmed, table.nudged, claims.some.is_set()) == ([], [], False)


def test_a_flood_of_claims_is_bounded(table: Table, confirmed: list[AddressSeen]) -> None:
    claims = AddressClaims(table, confirmed.append)
    for number in range(6000):
        claims.add(AddressSeen(MacAddress(number), HERE), 0.0)
    claims.check(0.0)
    assert len(table.nudged) == 300, "one check does only so many lookups"
    for _ in range(100):
        claims.check(0.0)
    assert len(table.nudged) == 5000, "each claim has its turn, and there are no more than these"

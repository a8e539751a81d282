"""How many requests of one client are worked on."""

import pytest

from services.dhcp.appetite import BURST, MOST_CLIENTS, RATE, REPORT_EVERY, Appetite
from services.ethernet import MacAddress

PC = bytes.fromhex("525400aabb01")
NAME = MacAddress.from_bytes(PC)


def test_a_flood_is_cut_to_the_rate_and_counted() -> None:
    appetite, passed, reported = Appetite(), 0, 0
    for number in range(50_000):
        now = 100.0 + number / 5000
        passed += appetite.allows(PC, now)
        found = appetite.report(now)
        assert len(found) <= 1
        reported += sum(count for _, count in found)
    assert passed <= BURST + 10 * RATE + 1
    assert 0.8 < (passed + reported) / 50_000 <= 1


@pytest.mark.parametrize("relays", [1, 2, 4])
def test_honest_firmware_never_meets_the_limit(relays: int) -> None:
    """iPXE asks after 1, 2, 3… s, and the DISCOVER and the REQUEST of each boot come by every relay."""
    appetite, now = Appetite(), 100.0
    for _ in range(40):
        now += 1.0
        assert all(appetite.allows(PC, now) for _ in range(relays))
    for _ in range(10):  # firmware, iPXE, ramdisk: each has a DISCOVER, a REQUEST and a question to port 4011
        now += 4.0
        assert all(appetite.allows(PC, now) for _ in range(2 * relays + 1))
    assert appetite.report(now) == []


def test_a_room_of_pcs_shares_nothing() -> None:
    appetite = Appetite()
    for number in range(MOST_CLIENTS):
        assert all(appetite.allows(number.to_bytes(6, "big"), 100.0) for _ in range(8))


def test_reports_are_a_second_apart_and_lose_nothing() -> None:
    appetite = Appetite()
    for _ in range(BURST + 3):
        appetite.allows(PC, 100.0)
    assert appetite.report(100.0) == [(NAME, 3)]
    appetite.allows(PC, 100.0)
    assert appetite.report(100.5) == []
    assert appetite.report(100.0 + REPORT_EVERY) == [(NAME, 1)]

"""Who owns an address: signs of life, and what others claim."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.exports import ownership
from appliance.exports.ownership import ForeignClaim, Ownership, facts, read_facts
from appliance.journal.timeline import Boot
from services.ethernet import MacAddress

PC, OTHER = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("02:66:00:00:00:01")
A, B = IPv4Address("10.77.0.50"), IPv4Address("10.77.0.51")
BOOT = Boot(1, PC, 0.0, "token", "r", last_event=0.0, addresses=(A, B), root="nfs")


def test_a_pc_without_any_sign_is_silent() -> None:
    owned = Ownership()
    owned.note_confirmed(PC, A, 10.0)
    assert not owned.alive(BOOT, A, 10.0), "the neighbour table and DHCP are no sign of life"


def test_a_computing_pc_is_alive_while_its_own_pair_is_heard() -> None:
    owned = Ownership()
    owned.note_packet(PC, A, 100.0)
    owned.note_packet(OTHER, B, 100.0)
    assert owned.alive(BOOT, A, 339.0)
    assert not owned.alive(BOOT, A, 340.0)
    assert not owned.alive(BOOT, B, 101.0), "another machine's packets"
    assert owned.running(BOOT, 339.0)


def test_a_request_counts_for_a_while() -> None:
    owned = Ownership()
    owned.note_request(PC, A, 100.0)
    assert owned.alive(BOOT, A, 189.0)
    assert not owned.alive(BOOT, A, 190.0)


def test_an_older_sign_does_not_replace_a_newer_one() -> None:
    owned = Ownership()
    owned.note_packet(PC, A, 100.0)
    owned.note_packet(PC, A, 50.0)
    assert owned.alive(BOOT, A, 339.0)


def test_a_pc_that_computes_at_one_address_has_left_its_others() -> None:
    owned = Ownership()
    owned.note_request(PC, A, 100.0)
    owned.note_confirmed(PC, B, 110.0)
    assert owned.left(BOOT, 150.0) == ()
    owned.note_packet(PC, B, 180.0)
    assert owned.left(BOOT, 189.0) == (), "its firmware may still be at work there"
    assert owned.left(BOOT, 191.0) == (A,)
    assert owned.left(replace(BOOT, addresses=(B,)), 191.0) == ()
    assert owned.left(BOOT, 1000.0) == (), "a silent PC keeps them: nothing says that it has moved"


def test_an_address_that_was_just_confirmed_is_not_left() -> None:
    """The live system's own address, a moment before it mounts: NFS was last heard from the boot before."""
    owned = Ownership()
    owned.note_packet(PC, A, 100.0)
    owned.note_confirmed(PC, B, 200.0)
    assert owned.left(BOOT, 201.0) == ()


def test_claims_are_remembered_once_each() -> None:
    owned = Ownership()
    assert owned.claim(A, OTHER, PC, 0.0)
    assert not owned.claim(A, OTHER, PC, 29.0)
    assert owned.claim(A, OTHER, PC, 60.0)
    assert owned.claims(61.0) == (ForeignClaim(A, OTHER, PC, 60.0),)
    assert owned.claims(60.0 + ownership.CLAIM_SECONDS) == ()
    owned.forget(60.0 + ownership.CLAIM_SECONDS)
    assert not owned._claims


def test_the_log_tells_of_each_address_once_an_hour_and_of_some_alone() -> None:
    owned = Ownership()
    assert owned.worth_a_line(A, 0.0)
    assert not owned.worth_a_line(A, 1.0)
    told = [owned.worth_a_line(IPv4Address(number), 1.0) for number in range(1000)]
    assert sum(told) == ownership.MOST_LINES - 1
    owned.forget(ownership.CLAIM_SECONDS)
    assert owned.worth_a_line(A, ownership.CLAIM_SECONDS)


def test_made_up_claimants_push_out_nobody_else() -> None:
    owned = Ownership()
    owned.claim(B, OTHER, PC, 0.0)
    for number in range(5000):
        owned.claim(A, MacAddress(number), PC, 1.0)
    assert [each.address for each in owned.claims(2.0)] == [B, *[A] * ownership.MOST_CLAIMANTS]
    for number in range(5000):
        owned.claim(IPv4Address(number), OTHER, PC, 2.0)
    assert len(owned.claims(3.0)) == ownership.MOST_CLAIMS


def test_signs_are_bounded_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "_MOST_SIGNS", 10)
    owned = Ownership()
    for number in range(20):
        owned.note_request(MacAddress(number), A, 0.0)
    owned.note_request(PC, A, 0.0)
    assert len(owned._requests) == 10
    assert owned.alive(BOOT, A, 1.0), "the latest stay"
    owned.forget(241.0)
    assert not owned._requests


def test_what_is_written_can_be_read() -> None:
    claims = (ForeignClaim(A, OTHER, PC, 60.0), ForeignClaim(B, OTHER, PC, 61.5))
    assert read_facts(facts(claims, 1000.0)) == tuple(replace(each, at=each.at + 1000.0) for each in claims)

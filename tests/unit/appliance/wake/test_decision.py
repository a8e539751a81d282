"""What is done about requests: sent, repeated, ended, postponed. Times are seconds after NOW."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.config.wake import WakeSettings
from appliance.wake.decision import (
    EXPIRES_AFTER,
    LAST_WAIT,
    Around,
    Presence,
    decide,
    next_due,
    routed,
)
from appliance.wake.request import WakeRequest, WakeResult
from services.ethernet import MacAddress

A, B, C = (MacAddress(0x525400AABB01 + number) for number in range(3))
NOW = 1_790_000_000.0
SETTINGS = WakeSettings(per_minute=30, retry_every=60, tries=3)
ALLOWED = Around(allowed={A, B, C})
REQUEST = WakeRequest(1, A, "hand", NOW, 0, NOW)


def result(request: WakeRequest, around: Around, after: float) -> WakeResult | None:
    return decide([request], around, SETTINGS, NOW + after).ended.get(request.id)


def test_a_pc_that_had_no_packet_comes_before_one_that_gets_another() -> None:
    again = replace(REQUEST, tries=1, due=NOW - 60)
    first = WakeRequest(2, B, "hand", NOW, 0, NOW)
    later = WakeRequest(3, C, "hand", NOW, 1, NOW + 30)
    step = decide([again, later, first], ALLOWED, SETTINGS, NOW)
    assert (step.due, step.ended, step.postponed) == ([first, again], {}, {})


def test_the_whole_life_of_a_request_for_a_pc_that_stays_off() -> None:
    request, sent, at = REQUEST, [], NOW
    while (step := decide([request], ALLOWED, SETTINGS, at)) and not step.ended:
        if step.due:
            sent.append(at - NOW)
            request = replace(request, tries=request.tries + 1, due=next_due(request, SETTINGS, at))
        at += 1
    assert sent == [0, 60, 120]
    assert (at - NOW, step.ended) == (120 + LAST_WAIT, {1: WakeResult.DID_NOT_COME})


@pytest.mark.parametrize("tries", [0, 1, 3])
def test_a_pc_that_boots_has_come(tries: int) -> None:
    around = replace(ALLOWED, seen={A: Presence(NOW + 20, on=True)})
    assert result(replace(REQUEST, tries=tries), around, 30) is WakeResult.CAME
    # Whatever it starts: a PC that boots its own disk was woken, too.
    assert result(REQUEST, replace(ALLOWED, seen={A: Presence(NOW + 20, on=False)}), 30) is WakeResult.CAME


def test_a_pc_that_is_on_gets_no_packet() -> None:
    assert result(REQUEST, replace(ALLOWED, seen={A: Presence(NOW - 900, on=True)}), 0) is WakeResult.WAS_ON
    off = replace(ALLOWED, seen={A: Presence(NOW - 900, on=False)})
    assert decide([REQUEST], off, SETTINGS, NOW).due == [REQUEST], "an earlier boot says nothing"


def test_one_that_is_not_allowed_any_more() -> None:
    assert result(REQUEST, Around(allowed={B}), 1) is WakeResult.NOT_ALLOWED


def test_an_owner_who_took_the_pc_back_is_left_alone() -> None:
    around = replace(ALLOWED, respites={A: NOW + 600, B: NOW - 1})
    assert result(REQUEST, around, 1) is WakeResult.RESPITE
    nightly = replace(REQUEST, asked_by="schedule night")
    step = decide([nightly], around, SETTINGS, NOW)
    assert (step.due, step.ended, step.postponed) == ([], {}, {1: NOW + 600})
    waiting = replace(nightly, due=NOW + 600)
    assert decide([waiting], around, SETTINGS, NOW + 60).postponed == {}, "written once"
    assert decide([waiting], around, SETTINGS, NOW + 600).due == [waiting]
    assert decide([WakeRequest(2, B, "hand", NOW, 0, NOW)], around, SETTINGS, NOW).due


def test_a_window_that_is_over_ends_what_its_schedule_asked_for_and_nothing_else() -> None:
    around = replace(ALLOWED, closed={A})
    for asked_by in ("schedule night", "room 12"):
        assert result(replace(REQUEST, asked_by=asked_by), around, 1) is WakeResult.WINDOW_OVER
    for asked_by in ("hand", "drill 3"):
        assert result(replace(REQUEST, asked_by=asked_by), around, 1) is None


@pytest.mark.parametrize("tries", [0, 2])
def test_a_request_of_yesterday_wakes_nobody(tries: int) -> None:
    assert result(replace(REQUEST, tries=tries), ALLOWED, EXPIRES_AFTER + 1) is WakeResult.EXPIRED
    assert result(replace(REQUEST, tries=tries), ALLOWED, EXPIRES_AFTER - 1) is None


def test_a_clock_that_was_set_back() -> None:
    assert result(REQUEST, ALLOWED, -3600) is WakeResult.CLOCK


def test_routed_networks() -> None:
    own = [IPv4Network("10.77.0.0/24")]
    networks = [*own, IPv4Network("10.88.0.0/24"), IPv4Network("10.99.0.0/25"), IPv4Network("10.66.0.1/32")]
    everywhere = [IPv4Address("10.88.0.255"), IPv4Address("10.99.0.127")]
    assert routed([], own, networks) == everywhere, "nobody knows where it is"
    assert routed([IPv4Address("10.99.0.7")], own, networks) == everywhere[1:]
    assert routed([IPv4Address("10.77.0.7")], own, networks) == []
    assert len(routed([], own, [IPv4Network(f"10.1.{number}.0/24") for number in range(99)])) == 16

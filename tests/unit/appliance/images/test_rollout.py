"""Canaries as stories: who booted the new release, how far they came, and what follows."""

from dataclasses import replace

import pytest

from appliance.images import rollout
from appliance.images.rollout import Canary, Circumstances, Ending, Proof, Trial, goes_back, judge
from appliance.journal.timeline import STALLED_AFTER, Boot, fold
from services.ethernet import MacAddress, MacRange
from services.events import EntryStarted, Event, Reported, ScriptServed, TransferServed

OLD, NEW, OTHER = "20261122-090000-aaaaaaaa", "20261123-150102-1a2b3c4d", "20261124-090000-bbbbbbbb"
A, B, C = (MacAddress.parse(f"52:54:00:aa:bb:0{number}") for number in (1, 2, 3))
BEGAN = 100_000.0
HOUR = 3600.0
ROOM = Canary(1, NEW, OLD, "room 12", (MacRange(A, C),), Proof(HOUR), BEGAN, after=10, looked=BEGAN)
BESIDE = Circumstances(active=OLD, known=(A, B))


def boot(mac: MacAddress, at: float, *events: Event, release: str = NEW) -> Boot:
    """A boot that took the kernel of `release`, and then what `events` say, a second apart."""
    kernel = TransferServed(mac, "http", f"image/{release}/vmlinuz", 8_000_000, 1.0)
    found = Boot(int(at), mac, at, "token", OLD, last_event=at)
    for number, event in enumerate((ScriptServed(mac), kernel, *events)):
        found = fold(found, event, at + number)
    return found


def computing(mac: MacAddress, at: float, release: str = NEW) -> Boot:
    words = ("initrd", "root-mounted", "reported", "attached", "computing")
    return boot(mac, at, *(Reported(mac, stage) for stage in words), release=release)


def broken(mac: MacAddress, at: float, release: str = NEW) -> Boot:
    return boot(
        mac, at, Reported(mac, "initrd"), Reported(mac, "failed", {"reason": "no live system"}), release=release
    )


def trial(*boots: Boot, tasks: int = 0, why: str = "") -> Trial:
    return Trial(boots[0].mac, str(boots[0].mac), boots, tasks=tasks, why=why)


def look(canary: Canary, at: float, *trials: Trial, seen: Circumstances = BESIDE) -> Canary:
    """A look every minute until `at`, so that no gap is the canary's."""
    while canary.looked + 60 < at and canary.verdict is Ending.OPEN:
        canary = judge(canary, trials, seen, canary.looked + 60)
    return judge(canary, trials, seen, at) if canary.verdict is Ending.OPEN else canary


def test_it_waits_for_ever_for_its_first_pc() -> None:
    waiting = look(ROOM, BEGAN + 100 * HOUR)
    assert (waiting.verdict, waiting.until) == (Ending.OPEN, None)


def test_its_time_begins_with_the_first_pc_that_boots_it() -> None:
    begun = look(ROOM, BEGAN + 60, trial(boot(A, BEGAN + 40)), trial(boot(B, BEGAN + 30)))
    assert (begun.verdict, begun.until) == (Ending.OPEN, BEGAN + 30 + HOUR)


def test_it_is_promoted_as_soon_as_all_pcs_that_the_box_knows_compute() -> None:
    only_one = look(ROOM, BEGAN + 60, trial(computing(A, BEGAN)))
    assert only_one.verdict is Ending.OPEN
    both = look(only_one, BEGAN + 120, trial(computing(A, BEGAN)), trial(computing(B, BEGAN + 60)))
    assert (both.verdict, both.reason) == (Ending.PROMOTED, "2 of 2 PCs that booted it came to computing")
    assert (both.ended, both.mac) == (BEGAN + 120, B)


def test_a_pc_that_stays_off_holds_it_up_only_until_its_time_is_over() -> None:
    one = trial(computing(A, BEGAN))
    assert look(ROOM, BEGAN + HOUR - 1, one).verdict is Ending.OPEN
    over = look(ROOM, BEGAN + HOUR, one)
    assert (over.verdict, over.reason) == (Ending.PROMOTED, "1 of 1 PC that booted it came to computing")


def test_a_heartbeat_that_computes_is_as_good_as_a_report() -> None:
    beats = replace(trial(boot(A, BEGAN)), computes=True)
    assert look(ROOM, BEGAN + 60, beats, seen=replace(BESIDE, known=(A,))).verdict is Ending.PROMOTED


def test_a_pc_that_failed_twice_rolls_it_back_at_once() -> None:
    once = look(ROOM, BEGAN + 300, trial(broken(A, BEGAN)))
    assert once.verdict is Ending.OPEN
    twice = look(once, BEGAN + 400, trial(broken(A, BEGAN), broken(A, BEGAN + 350)), trial(computing(B, BEGAN)))
    assert twice.verdict is Ending.ROLLED_BACK
    assert twice.reason == f"1 PC failed with it: {A}: no live system"
    assert twice.mac == A


def test_a_boot_has_failed_too_when_the_pc_is_started_again_with_another_release() -> None:
    twice = trial(boot(A, BEGAN), boot(A, BEGAN + 100))
    assert look(ROOM, BEGAN + 110, twice).verdict is Ending.OPEN
    assert look(ROOM, BEGAN + 110, replace(twice, over=True)).verdict is Ending.ROLLED_BACK


def test_two_boots_that_came_to_nothing_count_though_a_third_is_under_way() -> None:
    thrice = trial(boot(A, BEGAN), boot(A, BEGAN + 100), boot(A, BEGAN + 200))
    assert look(ROOM, BEGAN + 210, thrice).verdict is Ending.ROLLED_BACK
    came_up = trial(boot(A, BEGAN), boot(A, BEGAN + 100), boot(A, BEGAN + 200, Reported(A, "reported")))
    assert look(ROOM, BEGAN + 210, came_up).verdict is Ending.OPEN


def test_a_pc_that_failed_once_and_then_computed_is_proven() -> None:
    again = trial(broken(A, BEGAN), computing(A, BEGAN + 100))
    assert look(ROOM, BEGAN + 200, again, seen=replace(BESIDE, known=(A,))).verdict is Ending.PROMOTED


def test_a_pc_that_hangs_rolls_it_back_at_the_end_of_its_time_and_the_reason_says_where() -> None:
    hangs = trial(boot(A, BEGAN), why="took the kernel and did not ask for the ramdisk")
    late = look(ROOM, BEGAN + HOUR, hangs, trial(computing(B, BEGAN)))
    assert late.verdict is Ending.ROLLED_BACK
    assert late.reason == (
        f"only 1 of 2 PCs that booted it came to computing within 60 min; {A}: took the kernel and did not ask for the"
        " ramdisk"
    )


def test_a_share_bears_some_that_fail() -> None:
    half = replace(ROOM, proof=Proof(HOUR, share=50))
    fails, works = trial(broken(A, BEGAN), broken(A, BEGAN + 100)), trial(computing(B, BEGAN))
    assert look(half, BEGAN + 300, fails, works).verdict is Ending.OPEN
    assert look(half, BEGAN + HOUR, fails, works).verdict is Ending.PROMOTED
    both = look(half, BEGAN + 300, fails, trial(broken(B, BEGAN), broken(B, BEGAN + 100)))
    assert both.verdict is Ending.ROLLED_BACK


def test_with_tasks_to_prove_it_computing_is_not_enough() -> None:
    proof = replace(ROOM, proof=Proof(24 * HOUR, tasks=1))
    seen = replace(BESIDE, known=(A,))
    assert look(proof, BEGAN + HOUR, trial(computing(A, BEGAN)), seen=seen).verdict is Ending.OPEN
    done = look(proof, BEGAN + HOUR, trial(computing(A, BEGAN), tasks=1), seen=seen)
    assert done.verdict is Ending.PROMOTED
    assert done.reason == "1 of 1 PC that booted it came to computing, and returned 1 task"
    late = look(proof, BEGAN + 24 * HOUR, trial(computing(A, BEGAN)), seen=seen)
    assert late.verdict is Ending.ROLLED_BACK


def test_who_boots_it_in_the_last_minutes_gets_a_quarter_of_an_hour() -> None:
    young = trial(boot(B, BEGAN + HOUR - 60))
    old = trial(computing(A, BEGAN))
    seen = replace(BESIDE, known=(A, B, C))
    assert look(ROOM, BEGAN + HOUR + 60, old, young, seen=seen).verdict is Ending.OPEN
    computes = trial(computing(B, BEGAN + HOUR - 60))
    assert look(ROOM, BEGAN + HOUR + 60, old, computes, seen=seen).verdict is Ending.PROMOTED
    assert look(ROOM, BEGAN + HOUR + rollout.GRACE, old, young, seen=seen).verdict is Ending.ROLLED_BACK


@pytest.mark.parametrize(
    ("seen", "verdict", "reason"),
    [
        (Circumstances(NEW), Ending.PROMOTED, "it is active already"),
        (Circumstances(OTHER), Ending.CANCELLED, f"another release was activated: {OTHER}"),
        (Circumstances(OLD, broken="it is gone"), Ending.ROLLED_BACK, "it is gone"),
        (Circumstances(OLD, allowed=False), Ending.CANCELLED, "none of its PCs may boot any more"),
    ],
)
def test_what_ends_it_whatever_its_pcs_do(seen: Circumstances, verdict: Ending, reason: str) -> None:
    ended = look(ROOM, BEGAN + 60, seen=seen)
    assert (ended.verdict, ended.reason) == (verdict, reason)


def test_time_in_which_the_box_was_off_or_in_trouble_is_not_its_time() -> None:
    pc = trial(boot(A, BEGAN))
    begun = look(ROOM, BEGAN + 60, pc)
    back = judge(begun, (pc,), BESIDE, BEGAN + 60 + 9 * HOUR)
    assert (back.verdict, back.until) == (Ending.OPEN, BEGAN + 10 * HOUR)
    twice = trial(broken(A, BEGAN), broken(A, BEGAN + 100))
    without_nfs = look(begun, BEGAN + 3 * HOUR, twice, seen=replace(BESIDE, trouble="exports are not in force"))
    assert (without_nfs.verdict, without_nfs.until) == (Ending.OPEN, BEGAN + 4 * HOUR - 60)
    set_back = judge(begun, (pc,), BESIDE, BEGAN - 5 * HOUR)
    assert (set_back.verdict, set_back.until) == (Ending.OPEN, BEGAN - 4 * HOUR - 60)


def test_the_release_of_a_boot_is_the_one_whose_files_it_took() -> None:
    assert rollout.release_of(boot(A, BEGAN, release=NEW)) == NEW
    no_kernel = fold(Boot(1, A, BEGAN, "token", NEW, last_event=BEGAN), ScriptServed(A), BEGAN)
    assert rollout.release_of(no_kernel) == ""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (boot(A, BEGAN), "its live system did not come up: it came as far as kernel"),
        (broken(A, BEGAN), "no live system"),
        (computing(A, BEGAN), ""),
        (boot(A, BEGAN, Reported(A, "reported")), ""),  # up: why it does not compute is the project's matter
        (boot(A, BEGAN, Reported(A, "off")), ""),
        (boot(A, BEGAN, EntryStarted(A, "rescue")), ""),
        (boot(A, BEGAN, Reported(A, "failed", {"reason": "state directory refused: no space"})), ""),
        (boot(A, BEGAN, Reported(A, "failed", {"reason": "the unit boinc-client.service failed"})),
         "the unit boinc-client.service failed"),
    ],
)  # fmt: skip
def test_which_boots_have_failed(found: Boot, words: str) -> None:
    assert rollout.failure(found, BEGAN + 10, ended=True) == words


def test_a_boot_that_goes_on_has_not_failed_yet() -> None:
    on_its_way = boot(A, BEGAN)
    assert rollout.failure(on_its_way, BEGAN + STALLED_AFTER, ended=False) == ""
    assert rollout.failure(on_its_way, BEGAN + STALLED_AFTER + 10, ended=False)


BEGINS = Boot(9, A, BEGAN + 900, "token", NEW, last_event=BEGAN + 900)


@pytest.mark.parametrize(
    ("earlier", "back"),
    [
        ([computing(A, 1.0, OLD), broken(A, 2.0), broken(A, 3.0)], "no live system"),
        ([computing(A, 1.0, OLD), boot(A, 2.0), boot(A, 3.0)],
         "its live system did not come up: it came as far as kernel"),
        ([computing(A, 1.0, OLD), broken(A, 2.0)], ""),  # once
        ([computing(A, 1.0, OLD), broken(A, 2.0), computing(A, 3.0)], ""),
        ([computing(A, 1.0, OLD), broken(A, 2.0, OLD), broken(A, 3.0)], ""),  # once with each
        ([broken(A, 1.0, OLD), broken(A, 2.0), broken(A, 3.0)], ""),  # it never computed before
        ([computing(A, 1.0, OTHER), broken(A, 2.0), broken(A, 3.0)], ""),  # but with another one
        ([broken(A, 2.0), broken(A, 3.0)], ""),
    ],
)  # fmt: skip
def test_a_pc_goes_back_if_it_failed_twice_and_computed_before(earlier: list[Boot], back: str) -> None:
    assert goes_back([*earlier, BEGINS], NEW, OLD, BEGAN + 900) == back

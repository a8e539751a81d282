"""Turns, medians and paired ratios."""

import json
import math

import pytest

from bench.measure import CPU, OURS, SPEED, Contest, Contestant, Result, Sample, extra, machine, rotate

RETRANSMITS = extra("retransmits", "retransmits")


def contestant(name: str, order: list[str], samples: list[Sample] | None = None) -> Contestant:
    waiting = iter(samples or [])

    def run() -> Sample:
        order.append(name)
        return next(waiting, Sample(1, 1, 1))

    return Contestant(name, run)


def result(ours: list[Sample], theirs: list[Sample]) -> Result:
    contest = Contest("work", [contestant(OURS, []), contestant("peer", [])])
    return Result(contest, {OURS: ours, "peer": theirs})


def test_the_order_of_contestants_rotates() -> None:
    order: list[str] = []
    contest = Contest("work", [contestant(name, order) for name in "abc"])
    rotate([contest], 4)
    assert "".join(order) == "abcbcacababc"


def test_contests_run_one_after_another_and_samples_are_kept_by_name() -> None:
    order: list[str] = []
    mine, yours = [Sample(n, 1, 1) for n in (1, 2)], [Sample(n, 1, 1) for n in (3, 4)]
    first = Contest("first", [contestant("a", order, mine), contestant("b", order, yours)])
    second = Contest("second", [contestant("c", order)])
    told: list[str] = []
    found = rotate([first, second], 2, told.append)
    assert "".join(order) == "abbacc"
    assert found[0].samples == {"a": mine, "b": yours}
    assert [line.partition(":")[0] for line in told[:2]] == ["first [1/2] a", "first [1/2] b"]


def test_ratios_compare_paired_runs_and_not_medians() -> None:
    # The machine was slower for both in the second repetition, and for the peer alone in the third.
    ours = [Sample(10**9, 1, cpu) for cpu in (1, 4, 2)]
    theirs = [Sample(10**9, 1, cpu) for cpu in (2, 8, 10)]
    found = result(ours, theirs)
    assert found.ratios("peer", CPU) == [2, 2, 5]
    assert found.ratio("peer", CPU) == 2
    assert found.median("peer", CPU) / found.median(OURS, CPU) == 4


def test_more_is_better_for_speed() -> None:
    found = result([Sample(300, 1, 1)], [Sample(100, 2, 1)])
    assert found.ratio("peer", SPEED) == pytest.approx(6)
    assert found.median(OURS, SPEED) == pytest.approx(0.0003)


def test_cost_is_infinite_when_nothing_was_served() -> None:
    found = result([Sample(10**9, 1, 1)], [Sample(0, 1, 0.1)])
    assert found.ratio("peer", CPU) == math.inf
    assert found.as_json()["ratios"] == {"peer": {"CPU s/GB": None, "MB/s": None}}


def test_two_that_never_fail_are_equal() -> None:
    contest = Contest("work", [contestant(OURS, []), contestant("peer", [])], [RETRANSMITS])
    none, some = Sample(1, 1, 1, {"retransmits": 0}), Sample(1, 1, 1, {"retransmits": 7})
    assert Result(contest, {OURS: [none], "peer": [none]}).ratio("peer", RETRANSMITS) == 1
    assert Result(contest, {OURS: [none], "peer": [some]}).ratio("peer", RETRANSMITS) == math.inf
    assert Result(contest, {OURS: [some], "peer": [none]}).ratio("peer", RETRANSMITS) == 0


def test_json_has_every_sample() -> None:
    found = json.loads(json.dumps(result([Sample(10**9, 2, 3, {"x": 4})], [Sample(10**9, 1, 6)]).as_json()))
    assert found["samples"][OURS] == [{"bytes": 10**9, "seconds": 2, "cpu": 3, "extra": {"x": 4}}]
    assert found["medians"] == {OURS: {"CPU s/GB": 3, "MB/s": 500}, "peer": {"CPU s/GB": 6, "MB/s": 1000}}
    assert found["ratios"] == {"peer": {"CPU s/GB": 2, "MB/s": 0.5}}


def test_without_ours_nothing_is_compared() -> None:
    contest = Contest("work", [contestant("peer", [])])
    assert Result(contest, {"peer": [Sample(1, 1, 1)]}).as_json()["ratios"] == {}


def test_the_machine_is_named() -> None:
    assert "cores, Linux " in machine()

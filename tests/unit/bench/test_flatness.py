"""When a soak counts as flat: rules that can fail."""

from dataclasses import replace

import pytest

from bench.flatness import DISK_GROWTH, GROWTH, Judgement, Vitals, judge, slope

LOADED = 600.0
BOOTS = 20_000


def samples(a_boot: float, *, warm_up: int = 0, disk: float = 4000.0) -> list[Vitals]:
    """Ten minutes of load and a quiet one: memory grows evenly, and by `warm_up` bytes within the first minute.
    `disk` is written for each boot."""
    found = []
    for at in range(0, 661, 3):
        grown = int(a_boot * BOOTS * at / LOADED) + (warm_up if at > 60 else 0)
        loaded = 0 < at <= LOADED
        descriptors, sockets = (115, 30) if loaded else (15, 7)
        written = int(disk * BOOTS * at / LOADED)
        found.append(Vitals(float(at), 50_000_000 + grown, descriptors, sockets, 7, written))
    return found


def judgement(found: list[Vitals], failures: tuple[str, ...] = (), complaints: tuple[str, ...] = ()) -> Judgement:
    return judge(found, LOADED, failures, complaints, {"boots": BOOTS})


def test_constant_memory_is_flat() -> None:
    assert judgement(samples(0.0)).flat
    assert judgement(samples(GROWTH - 1)).flat


def test_memory_that_keeps_growing_is_not_flat() -> None:
    judged = judgement(samples(GROWTH + 1))
    assert not judged.flat
    assert judged.growth == pytest.approx(GROWTH + 1, rel=0.01)
    assert "BROKEN: memory grows by 201 bytes a boot" in judged.lines[1]


def test_memory_taken_once_is_no_growth() -> None:
    assert judgement(samples(0.0, warm_up=30_000_000)).flat


def test_a_disk_that_fills_is_reported() -> None:
    assert judgement(samples(0.0, disk=DISK_GROWTH - 1)).flat
    judged = judgement(samples(0.0, disk=DISK_GROWTH + 1))
    assert not judged.flat
    assert "BROKEN: registry and log grow by 8001 bytes a boot" in judged.lines[2]


def test_descriptors_that_stay_open_are_reported() -> None:
    found = samples(0.0)
    assert not judgement([*found, replace(found[-1], at=663.0, descriptors=18)]).flat
    assert judgement([*found, replace(found[-1], at=663.0, descriptors=17)]).flat


def test_a_pc_that_did_not_boot_or_an_error_in_the_log_fails_it() -> None:
    assert not judgement(samples(0.0), failures=("round 3: silence",)).flat
    assert not judgement(samples(0.0), complaints=("a task of the server has ended",)).flat


def test_the_slope_is_of_all_samples_not_of_two() -> None:
    noisy = [(v.at, v.rss + (5_000_000 if i % 7 == 0 else 0)) for i, v in enumerate(samples(200.0))]
    assert slope(noisy) == pytest.approx(200.0 * BOOTS / LOADED, rel=0.3)

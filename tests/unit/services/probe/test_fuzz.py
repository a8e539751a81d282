"""Damaged and invented captures; tests/fuzz/pcap.py says what must hold."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import pcap
from tests.fuzz.pcap import Target

SEEDS = pcap.seeds()


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@given(seed=st.sampled_from(SEEDS), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_capture_is_still_explained(target: Target, seed: bytes, data: st.DataObject) -> None:
    changed = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    target(bytes(changed))


@given(payload=st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_arbitrary_files_do_no_harm(target: Target, payload: bytes) -> None:
    target(payload)
    target(SEEDS[0][:24] + payload)


def test_the_seeds_of_the_fuzzer_are_explained(target: Target) -> None:
    for seed in SEEDS:
        target(seed)
    target(SEEDS[0])
    assert target.read()

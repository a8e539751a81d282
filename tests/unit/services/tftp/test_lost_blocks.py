"""Who gets smaller blocks, for how long, and what a forger can do about that."""

from hypothesis import given
from hypothesis import strategies as st

from services.tftp.lost_blocks import (
    CARRIED_SECONDS,
    CONFIRMED_SECONDS,
    CONFIRMING_BLOCKS,
    LOWERED_SECONDS,
    MOST_CLIENTS,
    LostBlocks,
)

PC, OTHER = bytes([10, 77, 0, 134]), bytes([10, 77, 0, 135])
NOW = 1000.0


def lowered(client: bytes = PC, at: float = NOW) -> LostBlocks:
    """As after a client's silence."""
    lost = LostBlocks()
    lost.lost(client, 1468, at)
    return lost


def test_a_silent_client_gets_small_blocks_for_a_while() -> None:
    lost = lowered()
    assert [lost.limit(PC, largest, NOW) for largest in (1468, 8192, 512, 300)] == [512, 512, 512, 300]
    assert lost.limit(OTHER, 1468, NOW) == 1468
    assert lost.limit(PC, 1468, NOW + LOWERED_SECONDS - 1) == 512
    assert lost.limit(PC, 1468, NOW + LOWERED_SECONDS) == 1468


def test_silence_about_small_blocks_means_that_it_is_gone() -> None:
    lost = LostBlocks()
    lost.lost(PC, 512, NOW)
    assert lost.limit(PC, 1468, NOW) == 1468


def test_a_client_that_acknowledges_a_large_block_has_them_back() -> None:
    lost = lowered()
    lost.carried(PC, 512, NOW)
    assert lost.limit(PC, 1468, NOW) == 512
    lost.carried(PC, 1468, NOW)
    assert lost.limit(PC, 1468, NOW) == 1468


def test_who_has_taken_as_large_a_block_lately_is_believed_more_than_silence() -> None:
    lost = LostBlocks()
    lost.carried(PC, 1468, NOW)
    lost.lost(PC, 1468, NOW + CARRIED_SECONDS - 1)
    assert lost.limit(PC, 1468, NOW + CARRIED_SECONDS - 1) == 1468
    lost.lost(PC, 8192, NOW + 1)
    assert lost.limit(PC, 8192, NOW + 1) == 512
    lost = LostBlocks()
    lost.carried(PC, 1468, NOW)
    lost.lost(PC, 1468, NOW + CARRIED_SECONDS)
    assert lost.limit(PC, 1468, NOW + CARRIED_SECONDS) == 512, "the way has changed since"


def test_a_loader_in_small_blocks_confirms_it_for_a_day_and_not_for_longer() -> None:
    lost = lowered()
    assert not lost.served(PC, CONFIRMING_BLOCKS - 1, NOW), "a script has few blocks"
    assert not lost.served(OTHER, CONFIRMING_BLOCKS, NOW)
    assert lost.served(PC, CONFIRMING_BLOCKS, NOW + 10)
    assert not lost.served(PC, CONFIRMING_BLOCKS, NOW + 20), "said once"
    assert lost.limit(PC, 1468, NOW + 10 + CONFIRMED_SECONDS - 1) == 512
    assert not lost.served(PC, CONFIRMING_BLOCKS, NOW + 10 + CONFIRMED_SECONDS - 1)
    assert lost.limit(PC, 1468, NOW + 10 + CONFIRMED_SECONDS) == 1468
    lost = lowered()
    assert not lost.served(PC, CONFIRMING_BLOCKS, NOW + LOWERED_SECONDS)
    assert lost.limit(PC, 1468, NOW + LOWERED_SECONDS) == 1468


def test_more_silence_does_not_shorten_what_is_confirmed() -> None:
    lost = lowered()
    assert lost.served(PC, CONFIRMING_BLOCKS, NOW)
    lost.lost(PC, 1468, NOW + 1)
    assert lost.limit(PC, 1468, NOW + CONFIRMED_SECONDS - 1) == 512


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, MOST_CLIENTS * 3), st.integers(0, 1)), max_size=50))
def test_no_more_clients_are_remembered_than_that(some: list[tuple[int, int, int]]) -> None:
    lost = LostBlocks()
    for number in range(MOST_CLIENTS):
        lost.lost(number.to_bytes(4, "big"), 1468, NOW)
        lost.carried((number + 2 * MOST_CLIENTS).to_bytes(4, "big"), 1468, NOW)
    for what, number, later in some:
        client, at = number.to_bytes(4, "big"), NOW + later * LOWERED_SECONDS
        if what == 0:
            lost.lost(client, 1468, at)
        elif what == 1:
            lost.carried(client, 1468, at)
        else:
            lost.served(client, CONFIRMING_BLOCKS, at)
        assert lost.limit(client, 1468, at) in (512, 1468)
    assert len(lost._lowered) <= MOST_CLIENTS
    assert len(lost._carried) <= MOST_CLIENTS

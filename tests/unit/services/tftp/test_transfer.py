"""The transfer as a state machine: step by step, and with a reader over a link that loses, doubles and reorders."""

import heapq
import itertools
import random
import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tftp.packet import encode_options
from services.tftp.transfer import (
    FIRST_WAIT,
    LARGEST_BLOCK,
    LARGEST_WINDOW,
    LONGEST_WAIT,
    RESTART_AFTER,
    SHORTEST_WAIT,
    TRIES,
    UNPROVEN_BYTES,
    UNPROVEN_TRIES,
    BlockTransfer,
    Done,
    Failed,
    Probed,
    SendBlocks,
    SendOptions,
    Step,
    Terms,
    Wait,
    negotiate,
)
from tests.fakes.tftp_peer import Reader


def begin(size: int, **options: int) -> BlockTransfer:
    """A transfer that has sent its first packet at time 0."""
    transfer = BlockTransfer(negotiate({name: str(value) for name, value in options.items()}, size), size, 0.0)
    transfer.start(0.0)
    return transfer


@pytest.mark.parametrize(
    ("options", "granted"),
    [
        ({}, None),
        ({"multicast": "", "x": "1"}, None),
        ({"tsize": "0", "blksize": "1468", "windowsize": "4"}, {"tsize": "9", "blksize": "1468", "windowsize": "4"}),
        ({"blksize": "1432", "tsize": "0"}, {"blksize": "1432", "tsize": "9"}),
        ({"blksize": "65464"}, {"blksize": "1468"}),
        ({"blksize": "8"}, {"blksize": "8"}),
        ({"blksize": "7"}, None),
        ({"windowsize": "65535"}, {"windowsize": "64"}),
        ({"windowsize": "64", "blksize": "1468"}, {"windowsize": "44", "blksize": "1468"}),
        ({"windowsize": "0"}, None),
        ({"timeout": "255"}, {"timeout": "255"}),
        ({"timeout": "0", "tsize": "0"}, {"tsize": "9"}),
        ({"timeout": "256"}, None),
        ({"blksize": "-1", "tsize": "many", "windowsize": "4.0", "timeout": ""}, None),
        ({"blksize": "\u0661\u0662"}, None),
        ({"blksize": "9" * 400}, None),
    ],
)
def test_negotiates(options: dict[str, str], granted: dict[str, str] | None) -> None:
    terms = negotiate(options, 9)
    assert terms.granted == granted
    assert terms.block == int((granted or {}).get("blksize", "512"))
    assert terms.window == int((granted or {}).get("windowsize", "1"))


@pytest.mark.parametrize(
    ("largest", "block", "window"),
    [(1468, 1468, 44), (8968, 8968, 7), (65504, 65464, 1), (1368, 1368, 47), (-20, 8, 64)],
)
def test_blocks_and_windows_are_no_larger_than_the_path_and_the_kernel_take(
    largest: int, block: int, window: int
) -> None:
    terms = negotiate({"windowsize": "64", "blksize": "65464"}, 9, largest)
    assert (terms.block, terms.window) == (block, window)
    assert terms.granted == {"windowsize": str(window), "blksize": str(block)}


def test_the_oack_keeps_the_order_of_the_request() -> None:
    assert list(negotiate({"windowsize": "4", "tsize": "0", "blksize": "512"}, 1).granted or {}) == [
        "windowsize",
        "tsize",
        "blksize",
    ]


def test_lock_step_without_options() -> None:
    transfer = BlockTransfer(Terms(), 1024, 0.0)
    assert transfer.start(0.0) == SendBlocks(1, 1)
    assert transfer.acknowledge(1, 0.1) == SendBlocks(2, 2)
    assert transfer.acknowledge(2, 0.2) == SendBlocks(3, 3), "an empty block ends a file that divides evenly"
    assert transfer.acked_bytes == 1024
    assert transfer.acknowledge(3, 0.3) == Done()


def test_an_empty_file_is_one_empty_block() -> None:
    transfer = BlockTransfer(Terms(), 0, 0.0)
    assert transfer.start(0.0) == SendBlocks(1, 1)
    assert transfer.acknowledge(1, 0.1) == Done()


def test_windows() -> None:
    transfer = BlockTransfer(negotiate({"blksize": "1000", "windowsize": "4"}, 9_500), 9_500, 0.0)
    assert transfer.start(0.0) == SendOptions()
    assert transfer.acknowledge(0, 0.1) == SendBlocks(1, 4)
    assert transfer.acknowledge(4, 0.2) == SendBlocks(5, 8)
    assert transfer.acknowledge(8, 0.3) == SendBlocks(9, 10)
    assert transfer.acknowledge(10, 0.4) == Done()


def test_an_ack_within_the_window_resumes_there() -> None:
    transfer = begin(100_000, windowsize=8)
    transfer.acknowledge(0, 0.0)
    assert transfer.acknowledge(3, 0.1) == SendBlocks(4, 11)
    assert transfer.acknowledge(11, 0.2) == SendBlocks(12, 19)


@pytest.mark.parametrize("window", [1, 4])
def test_repeated_and_stale_acks_send_nothing(window: int) -> None:
    """The Sorcerer's Apprentice: a doubled ACK must not double the DATA."""
    transfer = begin(100_000, windowsize=window)
    transfer.acknowledge(0, 0.0)
    transfer.acknowledge(window, 0.1)
    deadline = transfer.deadline
    for number in (window, window - 1, 0, 65535, 2 * window + 1, 30_000):
        assert transfer.acknowledge(number, 0.11) == Wait()
    assert transfer.deadline == deadline, "nor does it delay the retransmission"
    assert transfer.acknowledge(2 * window, 0.2) == SendBlocks(2 * window + 1, 3 * window)


def test_acks_of_blocks_before_that_of_the_options_are_ignored() -> None:
    transfer = begin(100_000, blksize=512)
    assert transfer.acknowledge(1, 0.1) == Wait()
    assert transfer.acknowledge(0, 0.2) == SendBlocks(1, 1)
    assert transfer.acknowledge(0, 0.3) == Wait()


def test_numbers_roll_over_to_zero() -> None:
    transfer = begin(8 * 140_000, blksize=8, windowsize=64)
    step = transfer.acknowledge(0, 0.0)
    while isinstance(step, SendBlocks):
        acked = transfer.acked
        assert transfer.acknowledge(acked & 0xFFFF, 0.0) == Wait()
        step = transfer.acknowledge(step.last & 0xFFFF, 0.0)
    assert step == Done()
    assert transfer.acked == 140_001


def test_retransmits_with_backoff_and_gives_up() -> None:
    transfer = begin(100_000, windowsize=4)
    now, waits = 0.0, []
    step: Step = SendOptions()
    while not isinstance(step, Failed):
        assert step == SendOptions()
        waits.append(transfer.deadline - now)
        now = transfer.deadline
        step = transfer.expire(now)
    assert waits == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT, LONGEST_WAIT]
    assert "options" in step.why


def test_progress_resets_the_count_of_retransmissions() -> None:
    transfer = begin(100_000)
    for block in range(1, 5):
        for _ in range(TRIES if block > 1 else UNPROVEN_TRIES):
            assert transfer.expire(transfer.deadline) == SendBlocks(block, block)
        assert transfer.acknowledge(block, transfer.deadline) == SendBlocks(block + 1, block + 1)


def test_the_timer_adapts_to_the_round_trip() -> None:
    transfer = begin(1_000_000)
    now = 0.0
    for block in range(1, 40):
        now += 0.0005
        transfer.acknowledge(block, now)
    assert transfer.deadline - now == pytest.approx(SHORTEST_WAIT)
    for block in range(40, 80):
        arrives = now + 0.4
        while transfer.deadline < arrives:
            transfer.expire(transfer.deadline)
        now = arrives
        transfer.acknowledge(block, now)
    assert 0.4 < transfer.deadline - now < 1.2


def test_an_ack_of_a_retransmission_measures_nothing() -> None:
    """Karn: it may answer the first copy, and the wait would become shorter than the true round trip."""
    for transfer, number in ((begin(1_000_000), 1), (begin(1_000_000, tsize=0), 0)):
        transfer.expire(1.0)
        transfer.acknowledge(number, 1.0001)
        assert transfer.deadline - 1.0001 == pytest.approx(2 * FIRST_WAIT)


def test_the_timeout_option_bounds_the_wait() -> None:
    transfer = begin(1_000_000, timeout=2)
    now = 0.0
    for _ in range(UNPROVEN_TRIES):
        now = transfer.deadline
        transfer.expire(now)
        assert transfer.deadline - now <= 2.0


@pytest.mark.parametrize("code", [0, 8])
def test_a_size_probe_is_not_a_failure(code: int) -> None:
    assert begin(1000, tsize=0, blksize=1468, windowsize=4).abort(code, "aborted") == Probed()
    assert begin(1000, tsize=0).replace() == Probed()


def test_an_error_ends_the_transfer() -> None:
    assert begin(1000, blksize=1468).abort(8, "") == Failed("the client aborted with error 8: no message")
    assert begin(1000, tsize=0).abort(3, "disk full") == Failed("the client aborted with error 3: disk full")
    begun = begin(1000, tsize=0)
    begun.acknowledge(0, 0.1)
    assert isinstance(begun.abort(8, "too late for a probe"), Failed)
    assert begin(1000).replace() == Failed("the client sent a new request")


def test_a_repeated_request() -> None:
    assert begin(1000, tsize=0).repeat(0.1) == SendOptions()
    assert begin(1000).repeat(0.1) == SendBlocks(1, 1)
    plain = begin(1000)
    plain.acknowledge(1, 0.1)
    assert plain.repeat(0.2) == Wait()
    begun = begin(1000, tsize=0)
    begun.acknowledge(0, 0.1)
    assert begun.repeat(0.2) == Wait()
    assert not begun.is_restart(0.1 + RESTART_AFTER)
    assert begun.is_restart(0.2 + RESTART_AFTER)


@dataclass
class Link:
    """Both directions of a link. Its first packets meet `fates`, one each; then it is perfect."""

    fates: list[str]
    latency: float
    _queue: list[tuple[float, int, str, bytes]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)

    def send(self, now: float, to: str, datagram: bytes) -> None:
        """Put a packet on its way."""
        fate = self.fates.pop(0) if self.fates else "arrives"
        delays = {"arrives": [1.0], "lost": [], "doubled": [1.0, 1.5], "late": [4.0], "very late": [400.0]}[fate]
        for delay in delays:
            heapq.heappush(self._queue, (now + delay * self.latency, next(self._order), to, datagram))

    def next(self, until: float) -> tuple[float, str, bytes] | None:
        """The next packet that arrives before `until`."""
        if not self._queue or self._queue[0][0] > until:
            return None
        at, _, to, datagram = heapq.heappop(self._queue)
        return at, to, datagram


def play(content: bytes, terms: Terms, link: Link, *, client_waits: float = 1.0) -> tuple[Step, Reader, int]:
    """Run server and reader to the end; returns the last step, the reader and how many DATA packets were sent.

    A client of which no ACK arrives until the server gives up asks once more.
    """
    transfer, reader = BlockTransfer(terms, len(content), 0.0), Reader(terms.block, terms.window)
    sent, now = 0, 0.0
    heard_at, last_answer, asked_again = 0.0, b"", False

    def act(step: Step) -> None:
        nonlocal sent
        match step:
            case SendOptions():
                link.send(now, "client", encode_options(terms.granted or {}))
            case SendBlocks(first, last, beyond):
                assert last - first < terms.window
                for block in [*range(first, last + 1), *([beyond] if beyond else [])]:
                    sent += 1
                    assert sent < 100_000
                    payload = content[(block - 1) * terms.block : block * terms.block]
                    link.send(now, "client", struct.pack("!HH", 3, block & 0xFFFF) + payload)

    step = transfer.start(now)
    act(step)
    while not isinstance(step, Done | Failed | Probed):
        client_repeats = heard_at + client_waits if last_answer and not reader.done else float("inf")
        wake = min(transfer.deadline, client_repeats)
        arrival = link.next(wake)
        if arrival is None:
            now = wake
            if wake == client_repeats:
                heard_at = now
                link.send(now, "server", last_answer)
                continue
            step = transfer.expire(now)
        elif arrival[1] == "client":
            now, heard_at = arrival[0], arrival[0]
            if answer := reader.answer(arrival[2]):
                last_answer = answer
                link.send(now, "server", answer)
            continue
        else:
            now = arrival[0]
            step = transfer.acknowledge(int.from_bytes(arrival[2][2:4], "big"), now)
        if isinstance(step, Failed) and not transfer.acked and not reader.done and not asked_again:
            asked_again = True
            transfer, reader, last_answer = (
                BlockTransfer(terms, len(content), now),
                Reader(terms.block, terms.window),
                b"",
            )
            step = transfer.start(now)
        act(step)
    return step, reader, sent


FATES = st.lists(st.sampled_from(["arrives", "arrives", "lost", "doubled", "late", "very late"]), max_size=60).filter(
    # A link that loses all that is sent to a reader who was never heard is dead.
    lambda fates: fates[: 2 * (1 + UNPROVEN_TRIES)] != ["lost"] * 2 * (1 + UNPROVEN_TRIES)
)


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(0, 4000),
    block=st.integers(8, 600),
    window=st.sampled_from([1, 2, 4, 16, 64]),
    asked=st.booleans(),
    fates=FATES,
    latency=st.sampled_from([0.0002, 0.01, 0.3]),
)
def test_the_file_arrives_whatever_the_link_does(
    size: int, block: int, window: int, asked: bool, fates: list[str], latency: float
) -> None:
    content = random.Random(size).randbytes(size)
    options = {"blksize": str(block), "windowsize": str(window)} if asked else {}
    terms = negotiate(options, size)
    step, reader, _ = play(content, terms, Link(fates, latency))
    # A reader that has everything leaves after its last ACK; if that one is lost, the sender cannot know.
    assert bytes(reader.content) == content
    assert reader.done
    assert step == Done() or isinstance(step, Failed)


@settings(max_examples=50, deadline=None)
@given(window=st.sampled_from([1, 4, 64]), count=st.integers(0, 40))
def test_duplicate_packets_do_not_multiply(window: int, count: int) -> None:
    """When the link doubles everything, each block is still sent just once, apart from the one that shows the gap."""
    content = bytes(512 * count + 1)
    terms = negotiate({"windowsize": str(window)}, len(content))
    step, reader, sent = play(content, terms, Link(["doubled"] * 10_000, 0.001))
    assert step == Done()
    assert bytes(reader.content) == content
    assert sent == count + 1 + (window == 64 and count + 1 > UNPROVEN_BYTES // 512)


def test_a_dead_link_ends_in_failure() -> None:
    step, reader, sent = play(b"x" * 5000, Terms(), Link(["lost"] * 10_000, 0.001))
    assert isinstance(step, Failed)
    assert sent == 2 * (1 + UNPROVEN_TRIES)
    assert not reader.content


def test_one_lost_packet_costs_milliseconds() -> None:
    """With a fixed timer of one second, a loss of one in a thousand costs seconds (reference measurements)."""
    fates = ["arrives"] * 200
    fates[100] = "lost"
    transfer_time = 0.0
    content = bytes(512 * 300)

    class Timed(Link):
        def next(self, until: float) -> tuple[float, str, bytes] | None:
            nonlocal transfer_time
            arrival = super().next(until)
            transfer_time = arrival[0] if arrival else transfer_time
            return arrival

    step, reader, _ = play(content, Terms(), Timed(fates, 0.0002))
    assert step == Done()
    assert bytes(reader.content) == content
    assert transfer_time < 300 * 2 * 0.0002 + 2 * SHORTEST_WAIT


@given(st.dictionaries(st.sampled_from(["blksize", "tsize", "timeout", "windowsize", "other"]), st.text()))
def test_takes_any_option_value(options: dict[str, str]) -> None:
    terms = negotiate(options, 10)
    assert 8 <= terms.block <= LARGEST_BLOCK
    assert 1 <= terms.window <= LARGEST_WINDOW
    assert set(terms.granted or {}) <= set(options) - {"other"}


@pytest.mark.parametrize("block", [8, 512, 1468, 8192])
@pytest.mark.parametrize("window", [1, 4, 16, 64])
def test_a_client_that_acknowledged_no_data_gets_little(block: int, window: int) -> None:
    """A request and the ACK of block 0 can both be forged."""
    transfer, sent, now = begin(1_000_000, largest=9000, blksize=block, windowsize=window), 0, 0.0
    step = transfer.acknowledge(0, now)
    while not isinstance(step, Failed):
        assert isinstance(step, SendBlocks)
        sent += (step.last - step.first + 1 + bool(step.beyond)) * transfer.terms.block
        now = transfer.deadline
        step = transfer.expire(now)
    assert sent <= max(UNPROVEN_BYTES, 2 * block) + UNPROVEN_TRIES * 2 * block
    assert now < 15


def test_the_first_window_is_cut_short_by_a_gap_and_the_next_is_whole() -> None:
    transfer = begin(1_000_000, blksize=1468, windowsize=16)
    assert transfer.acknowledge(0, 0.1) == SendBlocks(1, 3, 5)
    assert transfer.acknowledge(3, 0.2) == SendBlocks(4, 19)
    assert transfer.acknowledge(19, 0.3) == SendBlocks(20, 35)


def test_a_window_that_is_small_enough_is_whole_at_once() -> None:
    """EDK2 asks for four blocks."""
    transfer = begin(1_000_000, blksize=1468, windowsize=4)
    assert transfer.acknowledge(0, 0.1) == SendBlocks(1, 4)
    assert transfer.expire(2.0) == SendBlocks(1, 1, 5), "the client acknowledges what it has"
    assert transfer.acknowledge(4, 2.1) == SendBlocks(5, 8)


def test_a_small_file_needs_no_gap() -> None:
    transfer = begin(3000, blksize=1468, windowsize=64)
    assert transfer.acknowledge(0, 0.1) == SendBlocks(1, 3)
    assert transfer.expire(2.0) == SendBlocks(1, 1, 3)
    assert transfer.acknowledge(3, 2.1) == Done()

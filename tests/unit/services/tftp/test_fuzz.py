"""Any datagrams in any order: to a real server on loopback (tests/fuzz/tftp.py), and to the pure transfer."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tftp.transfer import (
    LARGEST_WINDOW,
    TRIES,
    BlockTransfer,
    Done,
    Failed,
    Probed,
    SendBlocks,
    SendOptions,
    Wait,
    negotiate,
)
from tests.fakes.tftp_peer import ack, rrq
from tests.fuzz import tftp
from tests.fuzz.pieces import join
from tests.fuzz.tftp import MOST_PIECES, Target

NAMES = st.one_of(
    st.sampled_from(["file", "small", "//file", "..\\secret", "image/r1/vmlinuz", "grub/grub.cfg", "no such file", ""]),
    st.lists(st.sampled_from(["..", ".", "525400aabbcc", "image", "r1", "\\", "/", "file", "secret"]), max_size=6).map(
        "/".join
    ),
    st.binary(max_size=40),
)
OPTIONS = st.dictionaries(
    st.sampled_from(["blksize", "tsize", "windowsize", "timeout", "BLKSIZE", "multicast", "blksize2"]),
    st.one_of(st.integers(-2, 70000), st.sampled_from(["", "1e3", "0x10", "9" * 400, "٣"])),
    max_size=4,
)
DATAGRAMS = st.one_of(
    st.builds(
        lambda name, mode, options: rrq(name, mode, **options), NAMES, st.sampled_from(["octet", "mail"]), OPTIONS
    ),
    st.integers(0, 12).map(ack),
    st.integers(0, 65535).map(ack),
    st.sampled_from(
        [b"\0\5\0\0gone\0", b"\0\5\0\x08size\0", b"\0\2file\0octet\0", b"\0\6tsize\x005\0", b"\0\3\0\1data"]
    ),
    st.binary(max_size=600),
)
BURSTS = st.lists(st.tuples(st.integers(0, 255), DATAGRAMS), max_size=MOST_PIECES)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@given(burst=BURSTS)
@settings(max_examples=120, deadline=None)
def test_no_burst_harms_the_server(target: Target, burst: list[tuple[int, bytes]]) -> None:
    target(join(burst))


def test_the_fuzzers_seeds_pass(target: Target) -> None:
    for seed in tftp.seeds():
        target(seed)


def test_a_client_that_repeats_its_request_has_one_session(target: Target) -> None:
    """From one port; MOST_SESSIONS_A_CLIENT bounds those from many ports."""
    for options in ({"blksize": 600}, {"tsize": 0}, {}):
        target(join([(0, rrq("file", "octet", **options))] * MOST_PIECES))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ack", "ack", "ack", "expire", "repeat", "error"]),
        st.one_of(st.integers(0, 12), st.integers(0, 65535)),
        st.floats(0, 10),
    ),
    max_size=60,
)


@given(
    size=st.integers(0, 6000),
    options=st.dictionaries(
        st.sampled_from(["blksize", "windowsize", "tsize", "timeout"]), st.integers(0, 2000).map(str), max_size=4
    ),
    steps=STEPS,
)
@settings(max_examples=300, deadline=None)
def test_a_transfer_stays_within_its_file_whatever_it_is_told(
    size: int, options: dict[str, str], steps: list[tuple[str, int, float]]
) -> None:
    transfer = BlockTransfer(negotiate(options, size), size, 0.0)
    now, step = 0.0, transfer.start(0.0)
    for kind, number, wait in [*steps, *[("expire", 0, 6.0)] * (TRIES + 2)]:
        match step:
            case SendBlocks(first, last):
                assert transfer.acked < first <= last <= transfer.blocks
                assert last - first < LARGEST_WINDOW
            case SendOptions():
                assert transfer.terms.granted
            case Done():
                assert transfer.acked == transfer.blocks
        if isinstance(step, Done | Failed | Probed):
            return
        assert isinstance(step, Wait | SendBlocks | SendOptions)
        assert 0 <= transfer.acked_bytes <= size
        now += wait
        if kind == "ack":
            step = transfer.acknowledge(number, now)
        elif kind == "repeat":
            step = transfer.repeat(now)
        elif kind == "error":
            step = transfer.abort(number, "")
        else:
            step = transfer.expire(now)
    pytest.fail("the transfer did not end, though the client was silent for so long")

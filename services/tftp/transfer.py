"""One TFTP read transfer as a state machine: PURE (RFC 1350, 2347, 2348, 2349, 7440; timer after RFC 6298).

It is told what arrived and when, and says which blocks to send next, by number; the caller reads the file, makes the
packets and owns the socket. Block numbers start at 1 and have no limit here; only on the wire do they roll over past
65535 to 0.

The mode is ignored: netascii is served as bytes. Boot files are binary, a translation would spoil them, and firmware
that says netascii expects its file untouched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

DEFAULT_BLOCK = 512
SMALLEST_BLOCK = 8
HEADERS = 32  # bytes of IPv4, UDP and TFTP: a block that does not fit into the MTU with them would be fragmented
LARGEST_BLOCK = 1500 - HEADERS  # what Ethernet takes; for paths of unknown MTU
LARGEST_BLOCK_OF_ALL = 65464  # RFC 2348
LARGEST_WINDOW = 64
LARGEST_WINDOW_BYTES = 65507  # with TFTP's headers: the most that the kernel cuts into packets in one call

FIRST_WAIT = 1.0  # seconds before the first retransmission until a round trip was measured (RFC 6298, 2.1)
SHORTEST_WAIT = 0.025  # a LAN answers in 0.2 ms, firmware that writes to flash in 20 ms
LONGEST_WAIT = 5.0
TRIES = 10  # retransmissions without progress until the client counts as gone: 21 s on a LAN
UNPROVEN_TRIES = 3  # the same for a client that has acknowledged no DATA: 12 s
RESTART_AFTER = 2.0  # seconds without progress after which a repeated request is a new power-on, not a stray copy

UNPROVEN_BYTES = 6000
"""Bytes of DATA, at most, in the first packets to a client, until it has acknowledged one of them.

Anybody can send a request in another machine's name, and the ACK of block 0 too: it is the same for everybody. So the
first window is cut short, and a later block follows, as if packets in between were lost: the client then acknowledges
at once what it has (RFC 7440, section 4), and its windows are whole from there on. EDK2's window of 4 blocks fits.
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed. `granted` is the content of the OACK (None: no OACK), `longest_wait` the longest wait before
    a retransmission, in seconds."""

    block: int = DEFAULT_BLOCK
    window: int = 1
    longest_wait: float = LONGEST_WAIT
    granted: Mapping[str, str] | None = None


@lru_cache(maxsize=64)
def blocks_per_chunk(block: int) -> int:
    """Blocks of `block` bytes between two round-trip measurements: about 512 KiB worth, 512 at most.

    In between, every window that is acknowledged whole is like the one before, which the caller can exploit.
    """
    return min(512, 1 << max(0, ((768 << 10) // block).bit_length() - 1))


def negotiate(options: Mapping[str, str], size: int, largest: int = LARGEST_BLOCK) -> Terms:
    """Grant the options asked for (lower-case names) as far as they make sense.

    `size` is the file's, in bytes; `largest` is the largest block that the path to the client takes unfragmented. A
    value that is not a number or out of range is left out of the OACK, as RFC 2347 allows: it never fails a boot.
    """
    granted: dict[str, str] = {}
    block, window, longest_wait = DEFAULT_BLOCK, 1, LONGEST_WAIT
    largest = max(SMALLEST_BLOCK, min(largest, LARGEST_BLOCK_OF_ALL))
    for name, text in options.items():
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            continue
        value = int(text)
        if name == "blksize" and value >= SMALLEST_BLOCK:
            block = min(value, largest)
            granted[name] = str(block)
        elif name == "tsize":
            granted[name] = str(size)
        elif name == "timeout" and 1 <= value <= 255:
            # The client's interval is only an upper bound here: waiting whole seconds helps nobody on a LAN, where a
            # loss shows within milliseconds.
            longest_wait = min(LONGEST_WAIT, float(value))
            granted[name] = text
        elif name == "windowsize" and value >= 1:
            window = min(value, LARGEST_WINDOW)
            granted[name] = str(window)
    if window > 1:
        window = max(1, min(window, LARGEST_WINDOW_BYTES // (block + 4)))
        granted["windowsize"] = str(window)
    return Terms(block, window, longest_wait, granted or None)


class Wait(NamedTuple):
    """Do nothing until the deadline or the next packet."""


class SendOptions(NamedTuple):
    """Send the OACK of the terms."""


class SendBlocks(NamedTuple):
    """Send the blocks `first` to `last`, both included, in order, instead of any that are still unsent; then the block
    `beyond`, which lies further on, if it is not 0."""

    first: int
    last: int
    beyond: int = 0


class Done(NamedTuple):
    """The last block was acknowledged."""


class Probed(NamedTuple):
    """The client only wanted to know the size of the file and left: not a failure."""


class Failed(NamedTuple):
    """The transfer ended before its last block."""

    why: str


Step = Wait | SendOptions | SendBlocks | Done | Probed | Failed


class BlockTransfer:
    """The sender's side of one transfer. All times are monotonic seconds, given by the caller.

    Every method that takes something from the client returns the next `Step`, and so does `expire`, to be called when
    `deadline` has passed.
    """

    __slots__ = (
        "_deviation",
        "_negotiating",
        "_progressed_at",
        "_round_trip",
        "_sent",
        "_timed",
        "_tries",
        "_unsure",
        "acked",
        "blocks",
        "deadline",
        "size",
        "terms",
        "wait",
    )

    def __init__(self, terms: Terms, size: int, now: float) -> None:
        self.terms = terms
        self.size = size
        self.blocks = size // terms.block + 1  # the last one is short, or empty where the size divides evenly
        self.acked = 0
        self.deadline = now
        self._negotiating = terms.granted is not None
        self._sent = 0  # the highest block ever sent
        self._timed: tuple[int, float] | None = None  # a block sent once, and when, to measure a round trip
        self._round_trip: float | None = None
        self._deviation = 0.0
        self._unsure = True  # whether nothing was measured since the last loss: then the next window is timed
        self.wait = min(FIRST_WAIT, terms.longest_wait)
        self._tries = 0
        self._progressed_at = now

    @property
    def acked_bytes(self) -> int:
        """How many bytes of the file the client has."""
        return min(self.acked * self.terms.block, self.size)

    @property
    def outstanding(self) -> tuple[int, int]:
        """The first and the last block of the window that is waiting for its ACK."""
        return self.acked + 1, min(self.acked + self.terms.window, self.blocks)

    @property
    def steady(self) -> bool:
        """Whether the next ACK, if nothing goes wrong, is that of a whole window that is not timed.

        Then the caller need not call `acknowledge` for each window: it may answer each such ACK with the next window,
        and call `skip` later. This holds up to the first window with a block divisible by `blocks_per_chunk`, and never
        for a short window, or before the first ACK of DATA.
        """
        if not self.acked or self._negotiating or self._unsure or self._timed is not None:
            return False
        return self._sent == self.acked + self.terms.window

    def skip(self, acked: int, now: float) -> None:
        """Take note that whole windows were acknowledged up to block `acked`, the last of them at `now`."""
        if acked > self.acked:
            self.acked = acked
            self._sent = acked + self.terms.window
            self._timed = (self._sent, now) if self._is_timed(self._sent) else None
            self._tries = 0
            self._progressed_at = now
            self.deadline = now + self.wait

    def start(self, now: float) -> Step:
        """Answer the request: with the OACK, or with the first block if there were no options."""
        if self._negotiating:
            self._timed = (0, now)
            return self._send_options(now)
        return self._send_window(now)

    def acknowledge(self, number: int, now: float) -> Step:
        """Take the ACK of block `number` modulo 65536.

        A repeated or stale ACK changes nothing: answering it would double every later packet (the Sorcerer's
        Apprentice). An ACK from the middle of the window means that the rest was lost: go on from there (RFC 7440).
        """
        if self._negotiating:
            if number != 0:
                return Wait()
            self._negotiating = False
            self._advance(0, now)
            return self._send_window(now)
        step = (number - self.acked) & 0xFFFF
        if not 1 <= step <= self._sent - self.acked:
            return Wait()
        self._advance(self.acked + step, now)
        return Done() if self.acked == self.blocks else self._send_window(now)

    def expire(self, now: float) -> Step:
        """Retransmit what was not acknowledged in time, or give up."""
        self._tries += 1
        tries = TRIES if self.acked else UNPROVEN_TRIES
        if self._tries > tries:
            where = "the options" if self._negotiating else f"block {self.acked + 1} of {self.blocks}"
            return Failed(f"the client stopped answering at {where} ({tries} retransmissions)")
        self.wait = min(self.wait * 2, self.terms.longest_wait)
        if not self.acked:
            # There are few tries, and an ACK of the options that came fast says little about the client's disk.
            self.wait = min(max(self.wait, FIRST_WAIT * 2 ** (self._tries - 1)), self.terms.longest_wait)
        self._timed = None  # Karn: an ACK no longer tells which copy it answers
        self._unsure = True
        return self._send_options(now) if self._negotiating else self._send_window(now)

    def repeat(self, now: float) -> Step:
        """Take a copy of the request; it is answered again only while the client has acknowledged nothing."""
        if self._negotiating:
            self._timed = None
            return self._send_options(now)
        if self.acked == 0 and self.terms.granted is None:
            return self._send_window(now)
        return Wait()

    def abort(self, code: int, message: str) -> Step:
        """Take the client's ERROR.

        EDK2 asks for tsize, reads it from the OACK and aborts with code 8; Intel's boot ROMs do so with code 0.
        """
        return self._leave(code in (0, 8), f"the client aborted with error {code}: {message or 'no message'}")

    def replace(self) -> Step:
        """Take a new request from the same address and port: this transfer is over."""
        return self._leave(True, "the client sent a new request")

    def is_restart(self, now: float) -> bool:
        """Whether a repeated request can only mean that the client was switched off and on again."""
        return now - self._progressed_at > RESTART_AFTER

    def _advance(self, acked: int, now: float) -> None:
        self.acked = acked
        self._tries = 0
        self._progressed_at = now
        if self._timed is not None and acked >= self._timed[0]:
            self._measure(now - self._timed[1])
            self._timed = None

    def _measure(self, sample: float) -> None:
        if self._round_trip is None:
            self._round_trip, self._deviation = sample, sample / 2
        else:
            self._deviation += (abs(self._round_trip - sample) - self._deviation) / 4
            self._round_trip += (sample - self._round_trip) / 8
        self._unsure = False
        wait = self._round_trip + 4 * self._deviation
        self.wait = min(max(wait, SHORTEST_WAIT), self.terms.longest_wait)

    def _leave(self, politely: bool, why: str) -> Step:
        sized = self.terms.granted is not None and "tsize" in self.terms.granted
        return Probed() if politely and sized and self._negotiating else Failed(why)

    def _send_options(self, now: float) -> SendOptions:
        self.deadline = now + self.wait
        return SendOptions()

    def _send_window(self, now: float) -> SendBlocks:
        first, last = self.outstanding
        beyond = 0
        if not self.acked:
            last, beyond = self._unproven(last)
        # Only a last block that is sent for the first time gives a true round trip.
        self._timed = (last, now) if last > self._sent and self._is_timed(last) else None
        self._sent = max(self._sent, last)
        self.deadline = now + self.wait
        return SendBlocks(first, last, beyond)

    def _unproven(self, last: int) -> tuple[int, int]:
        """Of the first window, which ends with `last`: the end of what is sent, and the block beyond."""
        most = min(last, max(2, UNPROVEN_BYTES // self.terms.block))
        if not self._tries or last == 1:
            return (last, 0) if most == last else (most - 1, most + 1)
        # Whatever the client has of that, it acknowledges after these two.
        return 1, min(most + 1, self.blocks)

    def _is_timed(self, last: int) -> bool:
        # One round trip per chunk is enough, unless there was a loss since.
        apart = blocks_per_chunk(self.terms.block)
        return self._unsure or last // apart != self.acked // apart

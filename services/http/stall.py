"""How long a client that takes a file is waited for. PURE: bytes that arrived and seconds are arguments."""

STALLED_AFTER = 60.0  # seconds in which a client has to take LEAST bytes, or the rest if that is less
LEAST = 1 << 20

# iPXE under UEFI starts the kernel without acknowledging the last segments it took (Debian 12's iPXE of 2019: 9.6 kB
# of 15 MB): a tail of this many bytes, unacknowledged for this many seconds after all was sent, has arrived.
TAIL = 65536
TAIL_QUIET = 1.0


class StallClock:
    """With one client, for one body of `size` bytes."""

    def __init__(self, size: int, now: float) -> None:
        self._size = size
        self._sent = 0
        self._moved = now
        self._goal = min(LEAST, size)
        self._until = now + STALLED_AFTER

    def ended(self, sent: int, now: float) -> bool:
        """Whether the client is too slow, now that `sent` bytes arrived; to be asked with each reading of them.

        A single byte now and then does not count: such a client would keep its connection for ever.
        """
        if sent > self._sent:
            self._sent, self._moved = sent, now
        if sent >= self._goal:
            self._goal, self._until = min(sent + LEAST, self._size), now + STALLED_AFTER
        return now >= self._until

    def arrived(self, now: float) -> bool:
        """Whether all arrived, once all was sent."""
        quiet = now - self._moved > TAIL_QUIET
        return self._sent >= self._size or (quiet and 0 < self._sent >= self._size - TAIL)

"""When a client that downloads a file is too slow, and when it has the whole file. PURE: bytes that have arrived and
seconds are arguments."""

STALLED_AFTER = 60.0  # seconds in which a client must take LEAST bytes, or the rest if that is less
LEAST = 1 << 20

# iPXE under UEFI starts the kernel without acknowledging the last segments it took (Debian 12's iPXE of 2019: 9.6 kB
# of 15 MB). So when everything was sent, and no more than TAIL bytes are unacknowledged, and nothing was acknowledged
# for TAIL_QUIET seconds, the file counts as arrived.
TAIL = 65536
TAIL_QUIET = 1.0


class StallClock:
    """For one client that downloads one body of `size` bytes."""

    def __init__(self, size: int, now: float) -> None:
        self._size = size
        self._sent = 0
        self._last_progress = now
        self._goal = min(LEAST, size)
        self._until = now + STALLED_AFTER

    def ended(self, sent: int, now: float) -> bool:
        """Whether the client is too slow, now that `sent` bytes have arrived; to be called with every new count.

        A byte now and then is not enough: such a client would keep its connection forever.
        """
        if sent > self._sent:
            self._sent, self._last_progress = sent, now
        if sent >= self._goal:
            self._goal, self._until = min(sent + LEAST, self._size), now + STALLED_AFTER
        return now >= self._until

    def arrived(self, now: float) -> bool:
        """Whether everything has arrived; to be called once everything was sent."""
        quiet = now - self._last_progress > TAIL_QUIET
        return self._sent >= self._size or (quiet and 0 < self._sent >= self._size - TAIL)

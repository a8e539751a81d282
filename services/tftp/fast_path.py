"""The fast path: an expected ACK is answered with a prepared window. Nine out of ten packets take it.

It sends the same packets as the regular path (sessions.py, transfer.py); a test holds the two equal. Everything
unexpected takes the regular path: a request, an ERROR, a stale ACK or one from the middle of a window, the end of a
chunk or of the file.
"""

from collections.abc import Mapping, Sequence

from services.linux.udp_batches import Batches
from services.tftp.session import Session


def answer(
    batches: Batches, count: int, sessions: Mapping[bytes, Session], now: float
) -> tuple[list[int], list[tuple[Session, int]]]:
    """Answer the expected ACKs among the `count` datagrams received at `now` (monotonic seconds).

    Returns the numbers of the other datagrams, in order, and the sessions whose window could not be sent, with the
    errno.
    """
    windows: list[bytes] = []
    others: list[int] = []
    find = sessions.get
    for peer, head in batches.heads(count):
        session = find(peer)
        if session is not None:
            ack, window, following, _ = session.prepared
            if ack == head:
                session.prepared = following
                session.acked_at = now
                windows.append(window)
                continue
            # So that its later datagrams do not overtake this one.
            session.leave_fast_path()
        others.append(len(windows) + len(others))
    if not windows:
        return others, []
    numbers: Sequence[int] = range(count)
    if others:
        numbers = sorted(set(numbers).difference(others))
    unsent = batches.answer(numbers, windows)
    return others, [(sessions[batches.datagram(numbers[place])[0]], error) for place, error in unsent]

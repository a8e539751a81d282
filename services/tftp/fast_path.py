"""The short way: the ACK that was expected, answered by the window that lies ready. Nine packets of ten take it.

It does what the plain way does (transfers.py, transfer.py), with the same packets on the wire; a test holds them equal.
What is not expected goes the plain way: a request, an ERROR, a stale ACK or one from the midst of a window, the end of
a chunk or of the file.
"""

from collections.abc import Mapping, Sequence

from services.linux.udp_batches import Batches
from services.tftp.session import Session


def answer(
    batches: Batches, count: int, sessions: Mapping[bytes, Session], now: float
) -> tuple[list[int], list[tuple[Session, int]]]:
    """Answer what can be answered of the `count` datagrams received at `now` (monotonic seconds).

    Returns the numbers of the others, in order, and the sessions whose window could not be sent, with the errno.
    """
    windows: list[bytes] = []
    others: list[int] = []
    find = sessions.get
    for peer, head in batches.heads(count):
        session = find(peer)
        if session is not None:
            ack, window, ahead, _ = session.ahead
            if ack == head:
                session.ahead = ahead
                session.heard = now
                windows.append(window)
                continue
            # So that its later datagrams stay behind this one.
            session.leave()
        others.append(len(windows) + len(others))
    if not windows:
        return others, []
    numbers: Sequence[int] = range(count)
    if others:
        numbers = sorted(set(numbers).difference(others))
    unsent = batches.answer(numbers, windows)
    return others, [(sessions[batches.datagram(numbers[place])[0]], error) for place, error in unsent]

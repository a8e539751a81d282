"""Files out of the page cache into sockets, in a thread of their own.

A slice of a file is half a millisecond of the kernel's work, in which Python's lock is free: TFTP and DHCP, which live
in the event loop, get their turn in the middle of it, on another processor or, since the thread asks for less than its
share, on the same one. Why: docs/adr/0008-http-data-plane.md.
"""

import asyncio
import contextlib
import heapq
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from services.http.transfer import COPY, FileTransfer, Phase

_NICE = 19  # with 10, TFTP waited up to five times as long as without HTTP; what is left suffices for a gigabit
# Seconds in which full sockets are left to empty, for each of them and at most. The kernel calls a socket writable as
# soon as a third of its buffer is free; a little later many have their turn at one wake-up. At 10 Gbit/s the least lets
# 300 kB onto the wire, and the more sockets share it, the longer the buffer of each lasts.
_GATHER_EACH, _GATHER_MOST = 0.00025, 0.0025

log = logging.getLogger(__name__)


class FileSender:
    """All transfers under way of one server; to be made in its loop, and closed there.

    A transfer is the thread's from `send` until its `ended` is called, in the loop, or it is cancelled. So long its
    connection and its file must stay open, and nothing else be written to the connection.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transfers: dict[int, FileTransfer] = {}  # by the descriptor of the connection
        self._fresh: deque[FileTransfer] = deque()
        self._news: deque[tuple[FileTransfer, Callable[[Any], None], object]] = deque()
        self._unfinished: dict[FileTransfer, None] = {}  # their sockets may take more, without another edge
        self._full: set[FileTransfer] = set()  # whose sockets are waited for
        self._due: list[
            tuple[float, int, FileTransfer]
        ] = []  # a heap; what a transfer's `due` contradicts is no more true
        self._writable = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._told = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._buffer = memoryview(bytearray(COPY))
        self._closing = False
        self._writable.register(self._wake, select.EPOLLIN)
        self._loop.add_reader(self._told, self._tell)
        # Held by the thread while it uses a connection's number: none must be closed, and its number be another's,
        # meanwhile. Who cancels waits for it; `heard` does not, since what it ends the thread no longer writes to.
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="http-outlet", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread. What is still under way never ends."""
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._loop.remove_reader(self._told)
        self._writable.close()
        os.close(self._wake)
        os.close(self._told)

    def send(self, transfer: FileTransfer) -> None:
        """Take a transfer over."""
        self._fresh.append(transfer)
        os.eventfd_write(self._wake, 1)

    def cancel(self, transfer: FileTransfer) -> None:
        """Give a transfer back; its `ended` is not called any more."""
        transfer.over = True
        with self._busy:
            self._forget(transfer)

    def check_acknowledged(self, transfer: FileTransfer) -> None:
        """Its client said something, which may acknowledge all that was sent: nobody has to wait for the next look."""
        if transfer.has_arrived() and self._forget(transfer):
            transfer.over = True
            transfer.ended(None)

    def _tell(self) -> None:
        """In the loop: pass on what the thread has found."""
        os.eventfd_read(self._told)
        while self._news:
            transfer, call, argument = self._news.popleft()
            if not transfer.over:
                transfer.over = call == transfer.ended
                call(argument)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # a sandbox may forbid it; it is only a favour
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._closing:
            wait = self._wait()
            unfinished, self._unfinished = self._unfinished, {}
            if self._full and wait != 0.0:
                # Not time.sleep: it asks for a point of time, which under libfaketime (tests/netns) never comes.
                select.select((), (), (), min(_GATHER_EACH * len(self._full), _GATHER_MOST))
            for number, _ in self._writable.poll(wait):
                if number == self._wake:
                    self._take_over()
                elif (transfer := self._transfers.get(number)) is not None:
                    self._advance(transfer)
            for transfer in unfinished:
                self._advance(transfer)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                due, _, transfer = heapq.heappop(self._due)
                if due == transfer.due and self._transfers.get(transfer.number) is transfer:
                    self._look(transfer, now)

    def _wait(self) -> float | None:
        """Seconds until something is due; None: nothing is."""
        if self._unfinished:
            return 0.0
        return max(self._due[0][0] - time.monotonic(), 0.0) if self._due else None

    def _take_over(self) -> None:
        os.eventfd_read(self._wake)
        while self._fresh:
            transfer = self._fresh.popleft()
            with self._busy:
                if transfer.over:
                    continue
                transfer.begin(time.monotonic())
                self._transfers[transfer.number] = transfer
            self._remind(transfer)
            self._advance(transfer)

    def _advance(self, transfer: FileTransfer) -> None:
        with self._busy:
            if self._transfers.get(transfer.number) is not transfer:
                return
            phase = transfer.phase
            try:
                if transfer.advance(self._buffer):
                    self._unfinished[transfer] = None
                elif transfer not in self._full and transfer.phase in (Phase.PAGES, Phase.COPIES):
                    # Edge-triggered, which spares the kernel a second look at each socket that it reported.
                    self._writable.register(transfer.number, select.EPOLLOUT | select.EPOLLET)
                    self._full.add(transfer)
            except Exception as error:
                self._end(transfer, error)
                return
        if transfer.phase is not phase:
            # At once, also for what left just now: `heard` may have come before the phase said so.
            self._look(transfer, time.monotonic())

    def _look(self, transfer: FileTransfer, now: float) -> None:
        try:
            sent = transfer.look(now)
        except Exception as error:
            with self._busy:
                self._end(transfer, error)
            return
        if transfer.phase is Phase.ARRIVED:
            with self._busy:
                self._end(transfer, None)
            return
        if sent is not None:
            self._say(transfer, transfer.progressed, sent)
        self._remind(transfer)
        if transfer.phase in (Phase.PAGES, Phase.COPIES):
            # It may go on now. Or it goes on anyway: but sendfile may stop short of a full socket, and no edge comes.
            self._unfinished[transfer] = None

    def _remind(self, transfer: FileTransfer) -> None:
        heapq.heappush(self._due, (transfer.due, id(transfer), transfer))

    def _end(self, transfer: FileTransfer, error: Exception | None) -> None:
        if not self._forget(transfer):
            return
        if error is not None and not isinstance(error, OSError):
            log.error("http: a fault of the program; only this transfer ends", exc_info=error)
            error = ConnectionAbortedError("a fault of the program")
        self._say(transfer, transfer.ended, error)

    def _say(self, transfer: FileTransfer, call: Callable[[Any], None], argument: object) -> None:
        self._news.append((transfer, call, argument))
        os.eventfd_write(self._told, 1)

    def _forget(self, transfer: FileTransfer) -> bool:
        """Whether it was not forgotten before: of the loop and the thread only one ends it."""
        if self._transfers.get(transfer.number) is not transfer or self._transfers.pop(transfer.number, None) is None:
            return False
        if transfer in self._full:
            self._full.discard(transfer)
            self._writable.unregister(transfer.number)
        return True

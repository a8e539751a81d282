"""Sends files from the page cache into sockets, in a thread of its own.

Sending one slice of a file keeps the kernel busy for half a millisecond, and Python's lock is free meanwhile. So TFTP
and DHCP, which run in the event loop, need not wait for the slice to end: they run on another processor or, since the
thread has a lower priority, on the same one. Why: docs/adr/0008-http-data-plane.md. How one file is sent:
services/http/transfer.py.
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

from services.http.transfer import LARGEST_PIECE, FileTransfer, Phase

_NICE = 19  # with 10, TFTP waited up to five times as long as without HTTP; 19 is still enough for a gigabit
# Seconds for which full sockets are left to drain: for each of them, and at most. The kernel calls a socket writable as
# soon as a third of its buffer is free; a little later, one wake-up serves many. At 10 Gbit/s the shortest wait puts
# 300 kB on the wire, and the more sockets share it, the longer the buffer of each lasts.
_DRAIN_EACH, _DRAIN_MOST = 0.00025, 0.0025

log = logging.getLogger(__name__)


class FileSender:
    """All transfers under way of one server. Create and close it in the server's event loop.

    A transfer belongs to the thread from `send` until it is cancelled, or its `ended` is called, in the loop. Until
    then its connection and its file must stay open, and nothing else may be written to the connection.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transfers: dict[int, FileTransfer] = {}  # by the descriptor of the connection
        self._new: deque[FileTransfer] = deque()  # not yet seen by the thread
        self._calls: deque[tuple[FileTransfer, Callable[[Any], None], object]] = deque()  # to be made in the loop
        self._unfinished: dict[FileTransfer, None] = {}  # their sockets may take more, and no edge will say so
        self._full: set[FileTransfer] = set()  # their sockets are registered with `_writable`
        # A heap. An entry counts only if it agrees with its transfer's `due`.
        self._due: list[tuple[float, int, FileTransfer]] = []
        self._writable = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._called = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._buffer = memoryview(bytearray(LARGEST_PIECE))
        self._closing = False
        self._writable.register(self._wake, select.EPOLLIN)
        self._loop.add_reader(self._called, self._make_calls)
        # Held by the thread while it uses a connection's descriptor, so that the connection is not closed meanwhile and
        # its number given to another. `cancel` waits for it. `check_acknowledged` does not: the thread no longer writes
        # to a connection to which all has been written.
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="http-files", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread. A transfer that is still under way never ends."""
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._loop.remove_reader(self._called)
        self._writable.close()
        os.close(self._wake)
        os.close(self._called)

    def send(self, transfer: FileTransfer) -> None:
        """Start a transfer."""
        self._new.append(transfer)
        os.eventfd_write(self._wake, 1)

    def cancel(self, transfer: FileTransfer) -> None:
        """Stop a transfer; its `ended` will not be called."""
        transfer.over = True
        with self._busy:
            self._remove(transfer)

    def check_acknowledged(self, transfer: FileTransfer) -> None:
        """End a transfer if all of it has arrived. To be called when its client sends something: that often
        acknowledges the rest, and the thread would look only later."""
        if transfer.has_arrived() and self._remove(transfer):
            transfer.over = True
            transfer.ended(None)

    def _make_calls(self) -> None:
        """In the loop: make the calls that the thread asked for."""
        os.eventfd_read(self._called)
        while self._calls:
            transfer, call, argument = self._calls.popleft()
            if not transfer.over:
                transfer.over = call == transfer.ended
                call(argument)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # a sandbox may forbid it, and it is not essential
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._closing:
            wait = self._wait()
            unfinished, self._unfinished = self._unfinished, {}
            if self._full and wait != 0.0:
                # Not time.sleep: it waits for a point in time, which under libfaketime (tests/netns) never comes.
                select.select((), (), (), min(_DRAIN_EACH * len(self._full), _DRAIN_MOST))
            for number, _ in self._writable.poll(wait):
                if number == self._wake:
                    self._start_new()
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
        """Seconds until something is due; None if nothing is."""
        if self._unfinished:
            return 0.0
        return max(self._due[0][0] - time.monotonic(), 0.0) if self._due else None

    def _start_new(self) -> None:
        os.eventfd_read(self._wake)
        while self._new:
            transfer = self._new.popleft()
            with self._busy:
                if transfer.over:
                    continue
                transfer.begin(time.monotonic())
                self._transfers[transfer.number] = transfer
            self._schedule_look(transfer)
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
                    # Edge-triggered: the kernel need not check again each socket that it reported.
                    self._writable.register(transfer.number, select.EPOLLOUT | select.EPOLLET)
                    self._full.add(transfer)
            except Exception as error:
                self._end(transfer, error)
                return
        if transfer.phase is not phase:
            # At once, even for what was just written: `check_acknowledged` may have come before the phase changed.
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
            self._call(transfer, transfer.progressed, sent)
        self._schedule_look(transfer)
        if transfer.phase in (Phase.PAGES, Phase.COPIES):
            # Its copies may be sent now. Or sendfile stopped before the socket was full: then no edge comes.
            self._unfinished[transfer] = None

    def _schedule_look(self, transfer: FileTransfer) -> None:
        heapq.heappush(self._due, (transfer.due, id(transfer), transfer))

    def _end(self, transfer: FileTransfer, error: Exception | None) -> None:
        if not self._remove(transfer):
            return
        if error is not None and not isinstance(error, OSError):
            log.error("http: internal error; only this transfer ends", exc_info=error)
            error = ConnectionAbortedError("internal error")
        self._call(transfer, transfer.ended, error)

    def _call(self, transfer: FileTransfer, call: Callable[[Any], None], argument: object) -> None:
        """Have a call made in the loop."""
        self._calls.append((transfer, call, argument))
        os.eventfd_write(self._called, 1)

    def _remove(self, transfer: FileTransfer) -> bool:
        """Return whether it was still there: either the loop or the thread ends a transfer, never both."""
        if self._transfers.get(transfer.number) is not transfer or self._transfers.pop(transfer.number, None) is None:
            return False
        if transfer in self._full:
            self._full.discard(transfer)
            self._writable.unregister(transfer.number)
        return True

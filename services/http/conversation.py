"""One HTTP connection as a state machine: which request is next, when it is answered, how the connection ends. PURE.

Bytes come in, and `advance` says what to do next. It knows nothing of sockets and deadlines
(services/http/connections.py), and does not decide what a request gets (services/http/routing.py).
"""

from collections.abc import Callable
from enum import Enum, auto
from ipaddress import IPv4Address
from typing import Self

from services.decision import Ignore
from services.http import answers
from services.http.messages import Request, RequestReader, Response, encode

OnInput = Callable[[], None]
"""To be called when the client sends anything while its answer is on the way: that may acknowledge the answer."""

Serve = Callable[[], Response | OnInput]
"""To be called when a request is whole. Returns the answer or, if that takes longer, what to call when the client sends
something meanwhile."""

MOST_THROWN_AWAY = 64 << 10
"""Bytes that a client may go on sending after its answer was sent and our half is closed."""


class ConnectionState(Enum):
    """Where a connection stands, and what may follow.

    HEAD       We wait for the headers of the next request.
               -> BODY       when they are complete, and the client is admitted.
               -> CLOSED     for a stranger or nonsense (reset), when the client hangs up, or when its time is up.
    BODY       The client is admitted. We wait for the rest of its request; most requests have no body.
               -> ANSWERING  when the request is complete, or its body is too long, or what is around its body.
               -> CLOSED     for nonsense (reset), when the client hangs up, or when its time is up.
    ANSWERING  The answer is being prepared, or a file is being sent, for as long as that takes. Nothing is read, so
               further requests wait. Such a connection is never closed to make room for others.
               -> WRITING    when a short answer is ready.
               -> HEAD, LINGERING or CLOSED, as from WRITING, when a file has arrived.
               -> CLOSED     when the file could not be sent (reset).
    WRITING    A short answer is being written, as fast as the client takes it. Nothing is read.
               -> HEAD       when all is written, and another request may follow.
               -> LINGERING  when all is written, and the client is still sending its request.
               -> CLOSED     when all is written otherwise, when the client is gone, or when its time is up (reset).
    LINGERING  All is written and our half is closed. What the client still sends is thrown away: closing now would
               reset the connection, and the client might never see its answer.
               -> CLOSED     when the client hangs up, when its time is up, or after MOST_THROWN_AWAY bytes.
    CLOSED     Nothing follows.
    """

    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    WRITING = auto()
    LINGERING = auto()
    CLOSED = auto()


class NextStep(Enum):
    """What to do next."""

    READ = auto()  # wait for bytes, feed them to `reader`, and call `advance` again
    ASK_FOR_BODY = auto()  # send messages.CONTINUE, and call `advance` again
    SERVE = auto()  # call `serve`, and send the answer
    RESET = auto()  # close the connection so that the client sees an error


# As names: looking a member up in its class takes four times as long in Python 3.11, and each request does so often.
HEAD, BODY, ANSWERING, WRITING, LINGERING, CLOSED = ConnectionState
READ, ASK_FOR_BODY, SERVE, RESET = NextStep


class Conversation:
    """The conversation with the client at `address`.

    In HEAD and BODY, call `advance`, and do what it says. In WRITING, send `unsent`. When that is done, or a file sent
    in ANSWERING has arrived, call `finish`. In LINGERING, call `throw_away` with what still comes.
    """

    def __init__(self, address: IPv4Address) -> None:
        self.address = address
        self.state = HEAD
        self.reader = RequestReader()
        self.serve: Serve = _nothing_to_serve
        """In BODY: what answers the request."""
        self.on_input: OnInput = ignore_input
        """In ANSWERING: what to call when the client sends anything."""
        self.unsent = b""
        """In WRITING: the rest of the answer."""
        self._thrown_away = 0  # bytes
        self.last = False
        """Whether no request may follow the one under way, since the server is stopping."""

    def advance(self, begin: Callable[[Self, Request], Serve | Ignore]) -> NextStep:
        """Say what to do next, in HEAD or BODY.

        Calls `begin` when the headers of a request are complete: it returns what serves the request, or Ignore for a
        stranger, who must not get a single byte.
        """
        if self.reader.requests:
            request = self.reader.requests[0]
            if self.state is HEAD:
                serve = begin(self, request)
                if isinstance(serve, Ignore):
                    return RESET
                self.state, self.serve = BODY, serve
                if not request.whole and request.fields.get("expect", "").lower() == "100-continue":
                    return ASK_FOR_BODY
            if request.whole:
                self.state = ANSWERING
                return SERVE
            if self.reader.too_long:
                self.state, self.serve = ANSWERING, _too_long
                return SERVE
        # Nonsense: nobody can tell whether its sender may have an answer.
        return RESET if self.reader.broken else READ

    def answer(self, answer: Response, now: float) -> None:
        """Answer the request under way: on to WRITING. `now` is in seconds since 1970."""
        self.unsent = self.encoded(answer, now)
        self.state = WRITING

    def encoded(self, answer: Response, now: float) -> bytes:
        """The bytes of an answer to the request under way. They say whether the connection is closed after it."""
        if self.reader.requests[0].method == "HEAD":
            size = len(answer.body) if answer.size is None else answer.size
            answer = Response(answer.status, answer.fields, size=size)
        return encode(answer, now, keep_alive=self._keeps_alive())

    def finish(self) -> None:
        """The answer has been sent: on to HEAD, LINGERING or CLOSED."""
        keeps_alive = self._keeps_alive()
        request = self.reader.requests.popleft()
        self.serve, self.on_input = _nothing_to_serve, ignore_input  # they hold the request and its body
        if keeps_alive:
            self.state = HEAD
        elif request.complete:
            self.close()
        else:
            self.state = LINGERING
            self.reader.close()

    def throw_away(self, count: int) -> bool:
        """In LINGERING: the client has sent `count` bytes. Returns whether that is all one waits for."""
        self._thrown_away += count
        return self._thrown_away > MOST_THROWN_AWAY

    def half_answered(self) -> bool:
        """Whether the client has a part of an answer. If its time is up then, the connection must be reset, so that the
        part does not look like the whole."""
        return self.state is WRITING

    def close(self) -> None:
        """The connection is closed: on to CLOSED."""
        self.state = CLOSED
        self.reader.close()
        self.serve, self.on_input = _nothing_to_serve, ignore_input

    def _keeps_alive(self) -> bool:
        """Whether another request can follow the one under way."""
        reader = self.reader
        request = reader.requests[0]
        if self.last or not request.keep_alive or not request.complete:
            return False
        return not reader.broken or len(reader.requests) > 1


def ignore_input() -> None:
    """An OnInput for an answer that is not sent yet: it does not matter what the client sends."""


def _too_long() -> Response:
    return answers.text(431, "the request is too long\n")


def _nothing_to_serve() -> Response | OnInput:
    raise AssertionError("advance() comes first")

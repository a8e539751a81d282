"""What is said on one HTTP connection, and in which order: the state machine behind services/http/connections.py. PURE.

It reads requests from bytes, says what to do next and what an answer's bytes are. Sockets, deadlines, and the answers
themselves are the caller's.
"""

from collections.abc import Callable
from enum import Enum, auto
from ipaddress import IPv4Address
from typing import Self

from services.decision import Ignore
from services.http.messages import Request, RequestReader, Response, encode

OnInput = Callable[[], None]
"""Called when the client sends anything while its answer is on the way: that may acknowledge the answer."""

Serve = Callable[[], Response | OnInput]
"""Called when a request is whole. Returns the answer; or, where the caller sends it later or by itself, what to call
when the client sends something meanwhile."""


class State(Enum):
    """Where a connection stands.

    HEAD       The headers of the next request are awaited; nothing is known of it yet.
               Headers complete, client admitted: BODY. Stranger, nonsense, end of input, time is up: CLOSED.
    BODY       The client is admitted, the rest of its request is awaited (most requests have no body).
               Request whole, or its body longer than allowed: ANSWERING. Nonsense, end of input, time is up: CLOSED.
    ANSWERING  The answer is being prepared, or a file is being sent. Nothing is read, so a client that sends on has to
               wait. This may take long, and the connection is never closed to make room for others.
               A short answer is ready: WRITING. A file has arrived: as after WRITING. The client is gone: CLOSED.
    WRITING    A short answer goes out, as fast as the client takes it.
               All written: HEAD, if another request may follow; LINGERING, if the client is still sending its body;
               else CLOSED. The client is gone, time is up: CLOSED.
    LINGERING  The last answer has been written, and the client knows that no more will come. What it still sends is
               thrown away: to close now would reset the connection, and it might never see its answer.
               End of input, time is up: CLOSED.
    CLOSED     Nothing happens any more.
    """

    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    WRITING = auto()
    LINGERING = auto()
    CLOSED = auto()


class Step(Enum):
    """What the caller has to do next."""

    READ = auto()  # wait for bytes, and feed them to `reader`
    CONTINUE = auto()  # send messages.CONTINUE; the client waits for it before it sends its body
    SERVE = auto()  # call `serve`, and send what it returns
    CLOSE = auto()
    RESET = auto()  # close it so that the client cannot take what it has for the whole


class Conversation:
    """The conversation with the client at `address`, in one of the states above.

    In HEAD and BODY feed what comes to `reader`, then do as `advance` says, until it says READ. In WRITING send
    `unsent`, and call `finish` when all is sent; call that also when a file has arrived that was sent while ANSWERING.
    What comes in LINGERING may be fed too; it is thrown away.
    """

    def __init__(self, address: IPv4Address) -> None:
        self.address = address
        self.state = State.HEAD
        self.reader = RequestReader()
        self.serve: Serve = _nothing_to_serve
        """In BODY: answers the request."""
        self.on_input: OnInput = ignore_input
        """In ANSWERING."""
        self.unsent = b""
        """In WRITING: the rest of the answer."""
        self.last = False
        """Whether the server is stopping: no request follows the one under way."""

    def advance(self, begin: Callable[[Self, Request], Serve | Ignore]) -> Step:
        """What to do next, in HEAD or BODY.

        `begin` is called when the headers of a request are complete: it returns what serves the request, or Ignore for
        a client that must not get a single byte.
        """
        if self.reader.requests:
            request = self.reader.requests[0]
            if self.state is State.HEAD:
                serve = begin(self, request)
                if isinstance(serve, Ignore):
                    return Step.RESET
                self.state, self.serve = State.BODY, serve
                if not request.whole and request.fields.get("expect", "").lower() == "100-continue":
                    return Step.CONTINUE
            if request.whole:
                self.state = State.ANSWERING
                return Step.SERVE
        # Nobody can tell whether whoever sends nonsense may have an answer.
        return Step.RESET if self.reader.broken else Step.READ

    def answer(self, answer: Response, now: float) -> None:
        """Answer the request under way with this; `now` in seconds since 1970."""
        self.unsent = self.encoded(answer, now)
        self.state = State.WRITING

    def encoded(self, answer: Response, now: float) -> bytes:
        """The bytes of an answer to the request under way; they say whether the connection is closed after it."""
        if self.reader.requests[0].method == "HEAD":
            size = len(answer.body) if answer.size is None else answer.size
            answer = Response(answer.status, answer.fields, size=size)
        return encode(answer, now, keep_alive=self._keeps_alive())

    def finish(self) -> None:
        """The answer is sent: on to HEAD, LINGERING or CLOSED."""
        keeps_alive = self._keeps_alive()
        request = self.reader.requests.popleft()
        self.serve, self.on_input = _nothing_to_serve, ignore_input  # they hold the request and its body
        if keeps_alive:
            self.state = State.HEAD
        elif request.complete:
            self.close()
        else:
            self.state = State.LINGERING
            self.reader.close()

    def expire(self) -> Step:
        """How to end it when its time is up: half an answer must not look like a whole one."""
        return Step.RESET if self.state is State.WRITING else Step.CLOSE

    def close(self) -> None:
        """Nothing happens any more."""
        self.state = State.CLOSED
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
    """The client sent something, and nobody has to know."""


def _nothing_to_serve() -> Response | OnInput:
    raise AssertionError("advance() comes first")

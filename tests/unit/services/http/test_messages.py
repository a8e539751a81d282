"""Requests from bytes, in any pieces, and answers to bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.http.messages import LONGEST_BODY, LONGEST_HEAD, MOST_FIELDS, Request, RequestReader, Response, encode
from tests.unit.services.http.conftest import get

POST = get("/r", "Content-Length: 5", method="POST") + "stage"
STREAM = (get("/a", "Range: bytes=5-9") + POST + get("/b", "Connection: close", method="HEAD")).encode()


def read(*pieces: bytes) -> RequestReader:
    reader = RequestReader()
    for piece in pieces:
        reader.feed(piece)
    return reader


def shown(request: Request) -> tuple[object, ...]:
    return request.method, request.path, request.fields, request.keep_alive, bytes(request.body), request.complete


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(STREAM)]
    reader = read(*(STREAM[start:stop] for start, stop in pairwise(bounds)))
    assert [shown(request) for request in reader.requests] == [
        ("GET", "/a", {"host": "box", "range": "bytes=5-9"}, True, b"", True),
        ("POST", "/r", {"host": "box", "content-length": "5"}, True, b"stage", True),
        ("HEAD", "/b", {"host": "box", "connection": "close"}, False, b"", True),
    ]
    assert not reader.broken


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        get("/", "Content-Length: 1", "Transfer-Encoding: chunked", method="POST").encode(),
        get("/", "Folded: a\r\n b").encode(),
        get("/", *(f"X{number}: a" for number in range(MOST_FIELDS))).encode(),
        b"GET /" + b"a" * LONGEST_HEAD,
        b"GET / HTTP/1.1\r\nX: " + b"a" * LONGEST_HEAD,
    ],
)
def test_nonsense_breaks_the_reader_for_good(said: bytes) -> None:
    reader = read(said[:5], said[5:])
    assert reader.broken
    reader.feed(get("/a").encode())
    assert not reader.requests


def test_a_complete_request_before_nonsense_can_be_answered() -> None:
    reader = read(get("/a").encode(), b"\0")
    assert reader.broken
    assert [request.path for request in reader.requests] == ["/a"]


def test_headers_in_small_pieces_are_bounded_too() -> None:
    reader = RequestReader()
    reader.feed(b"GET /")
    for _ in range(LONGEST_HEAD):
        assert not reader.broken
        reader.feed(b"a")
        if reader.broken:
            break
    assert reader.broken


def test_many_requests_at_once_do_not_count_as_long_headers() -> None:
    """The headers of the last are not complete, and the piece is longer than headers may be."""
    one = get("/a").encode()
    reader = read(one * (LONGEST_HEAD // len(one) + 1) + one[:-1])
    assert not reader.broken
    reader.feed(one[-1:])
    assert all(request.complete for request in reader.requests)


def test_only_the_beginning_of_a_long_body_is_kept() -> None:
    reader = read(get("/r", f"Content-Length: {2 * LONGEST_BODY}", method="POST").encode(), bytes(LONGEST_BODY))
    (request,) = reader.requests
    assert not request.whole
    reader.feed(bytes(LONGEST_BODY - 1))
    assert request.whole
    assert not request.complete
    assert len(request.body) == LONGEST_BODY + 1


def test_an_answer() -> None:
    assert encode(Response(206, {"Content-Range": "bytes 0-1/5"}, b"ab"), 0.9, keep_alive=True) == (
        b"HTTP/1.1 206 Partial Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: netboot-appliance\r\n"
        b"Connection: keep-alive\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nab"
    )
    assert encode(Response(204, {}), 86400.0, keep_alive=False) == (
        b"HTTP/1.1 204 No Content\r\nDate: Fri, 02 Jan 1970 00:00:00 GMT\r\nServer: netboot-appliance\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert b"\r\nContent-Length: 7\r\n\r\n" in encode(Response(200, {}, size=7), 0.0, keep_alive=True)

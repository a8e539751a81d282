"""Batches and windows on real sockets."""

import ctypes
import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from services.linux.udp_batches import (
    Batches,
    Messages,
    Unavailable,
    WindowSender,
    address_of,
    path_mtu,
    peer_of,
    sender_beside,
)

LOOPBACK = IPv4Address("127.0.0.1")


def udp() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bound.bind(("127.0.0.1", 0))
    return bound


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """The server's, and two peers'."""
    opened = [udp() for _ in range(3)]
    yield opened
    for each in opened:
        each.close()


def peer(of: socket.socket) -> bytes:
    address, port = of.getsockname()
    return peer_of(IPv4Address(address), port)


def received(by: socket.socket) -> list[bytes]:
    got = []
    while True:
        try:
            got.append(by.recv(70000))
        except BlockingIOError:
            return got


def test_a_peer_is_in_the_form_of_the_kernel(sockets: list[socket.socket]) -> None:
    server, one, _ = sockets
    batches = Batches(server, server, 100, 4)
    one.sendto(b"hello", server.getsockname())
    assert batches.receive() == 1
    assert batches.datagram(0) == (peer(one), b"hello")
    assert address_of(peer(one)) == one.getsockname()


def test_receives_batches(sockets: list[socket.socket]) -> None:
    server, one, two = sockets
    batches = Batches(server, server, 10, 4)
    sent = [(one, b"abcd"), (two, b"abcdefghijkl"), (one, b"abc"), (one, b""), (two, b"later")]
    for by, data in sent:
        by.sendto(data, server.getsockname())
    assert batches.receive() == 4
    assert [batches.datagram(number)[1] for number in range(3)] == [b"abcd", b"abcdefghij", b"abc"]
    assert list(batches.heads(4)) == [
        (peer(one), b"abcd"),
        (peer(two), b"abcd"),
        (peer(one), bytes(4)),
        (peer(one), bytes(4)),
    ]
    assert batches.receive() == 1
    assert list(batches.heads(1)) == [(peer(two), b"late")]
    with pytest.raises(BlockingIOError):
        batches.receive()


def test_sends_batches_of_packets_and_windows(sockets: list[socket.socket]) -> None:
    server, one, two = sockets
    batches = Batches(server, server, 100, 4)
    laid = bytearray(b"aaabbbcccd")
    packets, windows = Messages(laid, [(0, 3), (3, 3)]), Messages(laid, [(0, 6), (3, 7)], 3)
    to = [peer(one), peer(two), peer(one)]
    assert batches.send(to, [packets.each[1], windows.each[1], packets.each[0]]) == []
    assert received(one) == [b"bbb", b"aaa"]
    assert received(two) == [b"bbb", b"ccc", b"d"]


def test_a_piece_beyond_the_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        Messages(bytearray(10), [(8, 3)])


def test_failed_datagrams_are_reported_with_their_errno(sockets: list[socket.socket]) -> None:
    server, one, _ = sockets
    batches = Batches(server, server, 100, 8)
    messages = Messages(bytearray(b"abc"), [(0, 3)])
    nowhere = peer_of(LOOPBACK, 0)
    assert batches.send([peer(one), nowhere, peer(one), nowhere], messages.each * 4) == [
        (1, errno.EINVAL),
        (3, errno.EINVAL),
    ]
    assert received(one) == [b"abc", b"abc"]


def test_answers_go_to_the_senders(sockets: list[socket.socket]) -> None:
    server, one, two = sockets
    batches = Batches(server, server, 100, 8)
    messages = Messages(bytearray(b"abc"), [(0, 1), (1, 1), (2, 1)])
    for sender in (one, two, one, two):
        sender.sendto(b"question", server.getsockname())
    assert batches.receive() == 4
    assert batches.answer(range(3), messages.each) == []
    assert (received(one), received(two)) == ([b"a", b"c"], [b"b"])
    assert batches.answer([1, 2, 3], messages.each) == []
    assert (received(one), received(two)) == ([b"b"], [b"a", b"c"])


def test_a_full_socket_ends_the_batch(sockets: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    server, one, _ = sockets
    batches = Batches(server, server, 100, 8)
    messages = Messages(bytearray(b"abc"), [(0, 3)])
    sendmmsg, calls = batches._sendmmsg, []

    def full_after_two(fd: int, at: int, count: int, flags: int) -> Any:
        calls.append(count)
        if len(calls) == 1:
            return sendmmsg(fd, at, 2, flags)
        ctypes.set_errno(errno.EAGAIN)
        return -1

    monkeypatch.setattr(batches, "_sendmmsg", full_after_two)
    assert batches.send([peer(one)] * 4, messages.each * 4) == [(2, errno.EAGAIN), (3, errno.EAGAIN)]
    assert calls == [4, 2]


def test_a_missing_system_call_is_named(sockets: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        def __init__(self, *_: object, **__: object) -> None:
            pass

    monkeypatch.setattr(ctypes, "CDLL", Old)
    with pytest.raises(Unavailable, match="recvmmsg"):
        Batches(sockets[0], sockets[0], 100, 4)


@pytest.mark.parametrize("cuts", [True, False])
def test_sends_a_window(sockets: list[socket.socket], cuts: bool) -> None:
    server, one, _ = sockets
    sender = WindowSender(server)
    sender.takes_windows &= cuts
    assert sender.send(peer(one), [b"aaabbb", memoryview(b"cccd")], 3) == 4
    assert sender.send(peer(one), [b"alone"]) == 1
    assert received(one) == [b"aaa", b"bbb", b"ccc", b"d", b"alone"]


class Scripted(socket.socket):
    """Sends, or fails as the test says."""

    errors: list[int]
    window_error = 0

    def sendto(self, *arguments: Any) -> int:
        number = self.errors.pop(0) if self.errors else 0
        if number:
            raise OSError(number, "scripted")
        return super().sendto(*arguments)

    def sendmsg(self, *arguments: Any) -> int:
        if self.window_error:
            raise OSError(self.window_error, "scripted")
        return super().sendmsg(*arguments)


@pytest.mark.parametrize(
    ("window_error", "errors", "done", "got"),
    [
        (errno.EAGAIN, [], 0, []),
        (errno.ENOBUFS, [], 3, []),
        (errno.EINVAL, [], 3, [b"aa", b"bb", b"c"]),
        (errno.EIO, [0, errno.EAGAIN], 1, [b"aa"]),
        (errno.EMSGSIZE, [0, errno.ENOBUFS], 3, [b"aa", b"c"]),
    ],
)
def test_a_window_that_fails(window_error: int, errors: list[int], done: int, got: list[bytes]) -> None:
    """It is kept when the socket is full, lost when the queue is, and sent packet by packet when it cannot be cut."""
    with Scripted(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as server, udp() as one:
        server.window_error, server.errors = window_error, errors
        sender = WindowSender(server)
        assert sender.send(peer(one), [b"aabbc"], 2) == done
        assert received(one) == got
        assert sender.takes_windows is (window_error != errno.EIO)


def test_the_sender_beside_sends_from_the_same_port_and_receives_nothing(sockets: list[socket.socket]) -> None:
    server, one, _ = sockets
    with sender_beside(server) as sender:
        sender.sendto(b"from beside", one.getsockname())
        assert one.recvfrom(100) == (b"from beside", server.getsockname())
        one.sendto(b"answer", server.getsockname())
        assert received(server) == [b"answer"]
        assert received(sender) == []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as third:
            third.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                third.bind(server.getsockname())


def test_the_mtu_of_a_path() -> None:
    mtu = int(Path("/sys/class/net/lo/mtu").read_text())
    assert path_mtu(peer_of(LOOPBACK, 69)) == min(mtu, 65535)

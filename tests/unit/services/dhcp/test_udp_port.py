"""Datagrams one by one and in batches, on real sockets."""

import ctypes
import socket
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

import pytest

from services.dhcp.message import Peer
from services.dhcp.udp_port import MOST, BatchedUdpPort, UdpPort
from services.linux.udp_batches import Unavailable

BOX = IPv4Address("127.0.0.1")
LONGEST = 100
PATIENCE = 10.0


def udp() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    bound.bind((str(BOX), 0))
    return bound


@pytest.fixture(params=[UdpPort, BatchedUdpPort])
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[UdpPort, Peer]]:
    """Either way, on a socket with this name."""
    server = udp()
    wire = request.param(server, BOX, LONGEST)
    yield wire, server.getsockname()
    wire.close()


@pytest.fixture
def client() -> Iterator[socket.socket]:
    made = udp()
    yield made
    made.close()


def heard(by: socket.socket, count: int) -> list[tuple[bytes, Peer]]:
    """So many datagrams, and no more; in the order of their bytes, for the kernel keeps none between processors."""
    got: list[tuple[bytes, Peer]] = []
    by.settimeout(PATIENCE)
    while len(got) < count:
        got.append(by.recvfrom(70000))
    by.setblocking(False)
    with pytest.raises(BlockingIOError):
        by.recv(70000)
    return sorted(got)


def received(wire: UdpPort, count: int) -> list[tuple[bytes, Peer]]:
    """The same by the server; no turn takes more than MOST."""
    got: list[tuple[bytes, Peer]] = []
    deadline = time.monotonic() + PATIENCE
    while len(got) < count and time.monotonic() < deadline:
        turn = wire.receive()
        assert len(turn) <= MOST
        got += turn
    assert wire.receive() == []
    return sorted(got)


def test_what_came_and_from_whom(opened: tuple[UdpPort, Peer], client: socket.socket) -> None:
    wire, name = opened
    assert wire.receive() == []
    other = udp()
    sent = [(client, b"one"), (other, b"another"), (client, b""), (client, b"x" * LONGEST), (other, b"y" * 3000)]
    for by, datagram in sent:
        by.sendto(datagram, name)
    came = [(datagram[:LONGEST], by.getsockname()) for by, datagram in sent]
    assert received(wire, len(sent)) == sorted(came)
    client.sendto(b"later", name)
    assert received(wire, 1) == [(b"later", client.getsockname())]
    other.close()


def test_a_turn_is_bounded(opened: tuple[UdpPort, Peer], client: socket.socket) -> None:
    wire, name = opened
    for number in range(MOST + 10):
        client.sendto(str(number).encode(), name)
    assert sorted(int(datagram) for datagram, _ in received(wire, MOST + 10)) == list(range(MOST + 10))


@pytest.mark.parametrize("count", [1, 2, 64, 65, 150])
def test_answers_come_from_where_was_asked(opened: tuple[UdpPort, Peer], client: socket.socket, count: int) -> None:
    wire, name = opened
    other = udp()
    wire.send(b"alone", client.getsockname())
    answers = [
        (bytes([number]) * (300 + number), (client, other)[number % 3 == 0].getsockname()) for number in range(count)
    ]
    wire.send_all(answers)
    to_client = [(datagram, name) for datagram, to in answers if to == client.getsockname()]
    to_other = [(datagram, name) for datagram, to in answers if to == other.getsockname()]
    assert heard(client, 1 + len(to_client)) == sorted([(b"alone", name), *to_client])
    assert heard(other, len(to_other)) == sorted(to_other)
    other.close()


def test_one_that_cannot_be_sent_costs_no_other(opened: tuple[UdpPort, Peer], client: socket.socket) -> None:
    wire, _ = opened
    to = client.getsockname()
    nowhere = ("127.0.0.1", 0)
    with pytest.raises(OSError):
        wire.send(b"to port 0", nowhere)
    wire.send_all([(b"a", nowhere), (b"b", to), (b"c", nowhere), (b"d", nowhere), (b"e" * 2000, to), (b"f", to)])
    assert [datagram for datagram, _ in heard(client, 3)] == [b"b", b"e" * 2000, b"f"]
    assert wire.receive() == []


def test_the_sender_hears_nothing(client: socket.socket) -> None:
    server = udp()
    wire = BatchedUdpPort(server, BOX, LONGEST)
    for number in range(20):
        client.sendto(bytes([number]), server.getsockname())
    assert len(received(wire, 20)) == 20
    with pytest.raises(OSError):
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            second.bind(server.getsockname())
        finally:
            second.close()
    wire.close()


@pytest.mark.parametrize("missing", ["recvmmsg", "sendmmsg"])
def test_says_what_this_machine_lacks(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    class Poor:
        def __getattr__(self, name: str) -> Callable[..., int]:
            if name == missing:
                raise AttributeError(name)
            return lambda *_: 0

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Poor())
    server = udp()
    with pytest.raises(Unavailable, match="no recvmmsg and sendmmsg"):
        BatchedUdpPort(server, BOX, LONGEST)
    server.close()

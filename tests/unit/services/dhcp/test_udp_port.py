"""Datagrams one at a time and in batches, on real sockets."""

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
TIMEOUT = 60.0


def udp() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    bound.bind((str(BOX), 0))
    return bound


@pytest.fixture(params=[UdpPort, BatchedUdpPort])
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[UdpPort, Peer]]:
    """A port of either class, and the address of its socket."""
    server = udp()
    port = request.param(server, BOX, LONGEST)
    yield port, server.getsockname()
    port.close()


@pytest.fixture
def client() -> Iterator[socket.socket]:
    made = udp()
    yield made
    made.close()


def received_by(client: socket.socket, count: int) -> list[tuple[bytes, Peer]]:
    """Exactly so many datagrams, sorted, because the kernel keeps no order between processors."""
    got: list[tuple[bytes, Peer]] = []
    client.settimeout(TIMEOUT)
    while len(got) < count:
        got.append(client.recvfrom(70000))
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(70000)
    return sorted(got)


def received(port: UdpPort, count: int) -> list[tuple[bytes, Peer]]:
    """The same of the server; no call returns more than MOST."""
    got: list[tuple[bytes, Peer]] = []
    deadline = time.monotonic() + TIMEOUT
    while len(got) < count and time.monotonic() < deadline:
        batch = port.receive()
        assert len(batch) <= MOST
        got += batch
    assert port.receive() == []
    return sorted(got)


def test_datagrams_are_received_with_their_sender(opened: tuple[UdpPort, Peer], client: socket.socket) -> None:
    port, name = opened
    assert port.receive() == []
    other = udp()
    sent = [(client, b"one"), (other, b"another"), (client, b""), (client, b"x" * LONGEST), (other, b"y" * 3000)]
    for by, datagram in sent:
        by.sendto(datagram, name)
    came = [(datagram[:LONGEST], by.getsockname()) for by, datagram in sent]
    assert received(port, len(sent)) == sorted(came)
    client.sendto(b"later", name)
    assert received(port, 1) == [(b"later", client.getsockname())]
    other.close()


def test_a_call_returns_a_bounded_number(opened: tuple[UdpPort, Peer], client: socket.socket) -> None:
    port, name = opened
    for number in range(MOST + 10):
        client.sendto(str(number).encode(), name)
    assert sorted(int(datagram) for datagram, _ in received(port, MOST + 10)) == list(range(MOST + 10))


@pytest.mark.parametrize("count", [1, 2, 64, 65, 150])
def test_answers_come_from_the_address_that_was_asked(
    opened: tuple[UdpPort, Peer], client: socket.socket, count: int
) -> None:
    port, name = opened
    other = udp()
    port.send(b"alone", client.getsockname())
    answers = [
        (bytes([number]) * (300 + number), (client, other)[number % 3 == 0].getsockname()) for number in range(count)
    ]
    port.send_all(answers)
    to_client = [(datagram, name) for datagram, to in answers if to == client.getsockname()]
    to_other = [(datagram, name) for datagram, to in answers if to == other.getsockname()]
    assert received_by(client, 1 + len(to_client)) == sorted([(b"alone", name), *to_client])
    assert received_by(other, len(to_other)) == sorted(to_other)
    other.close()


def test_an_answer_that_cannot_be_sent_does_not_stop_the_others(
    opened: tuple[UdpPort, Peer], client: socket.socket
) -> None:
    port, _ = opened
    to = client.getsockname()
    nowhere = ("127.0.0.1", 0)
    with pytest.raises(OSError):
        port.send(b"to port 0", nowhere)
    answers = [(b"a", nowhere), (b"b", to), (b"c", nowhere), (b"e" * 2000, to), (b"d", nowhere), (b"f", to)]
    unsent = port.send_all(answers)
    assert unsent == dict.fromkeys([0, 2, 4], unsent[0])
    assert "Invalid argument" in unsent[0]
    assert [datagram for datagram, _ in received_by(client, 3)] == [b"b", b"e" * 2000, b"f"]
    assert port.receive() == []


def test_the_sending_socket_receives_nothing(client: socket.socket) -> None:
    server = udp()
    port = BatchedUdpPort(server, BOX, LONGEST)
    for number in range(20):
        client.sendto(bytes([number]), server.getsockname())
    assert len(received(port, 20)) == 20
    with pytest.raises(OSError):
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            second.bind(server.getsockname())
        finally:
            second.close()
    port.close()


@pytest.mark.parametrize("missing", ["recvmmsg", "sendmmsg"])
def test_the_error_says_what_this_machine_lacks(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
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

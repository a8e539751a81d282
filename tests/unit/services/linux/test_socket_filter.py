"""Which datagrams a filter passes, as the kernel decides it on loopback."""

import random
import socket
from collections.abc import Iterator

import pytest

from services.decision import Ignore
from services.dhcp import packet as dhcp_packet
from services.dhcp import udp_port as dhcp_port
from services.linux import socket_filter
from services.linux.socket_filter import Field
from services.tftp import packet as tftp_packet
from services.tftp import ports as tftp_ports
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.fakes.tftp_peer import ack, rrq

MAC = bytes.fromhex("525400123456")


class FilteredPair:
    """A pair of sockets; the receiver has a filter."""

    def __init__(self, steps: list[socket_filter.Step]) -> None:
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.receiver.bind(("127.0.0.1", 0))
        socket_filter.attach(self.receiver, steps)
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.connect(self.receiver.getsockname())

    def passes(self, datagram: bytes) -> bool:
        """Whether it is received: on loopback a datagram has arrived when `send` returns."""
        self.sender.send(datagram)
        try:
            assert self.receiver.recv(65536) == datagram
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self.receiver.close()
        self.sender.close()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[FilteredPair]:
    pair = FilteredPair(socket_filter.datagrams(request.param))
    yield pair
    pair.close()


FIELDS = [Field(1, 1, (7,)), Field(2, 2, (0x0102, 0x8000)), Field(4, 4, (0xFFFFFFFF, 3, 2))]


@pytest.mark.parametrize("pair", [FIELDS], indirect=True)
@pytest.mark.parametrize(
    ("datagram", "passes"),
    [
        ("0007 0102 ffffffff", True),
        ("ff07 8000 00000003", True),
        ("0007 0102 00000002 and more", True),
        ("0007 0102 00000001", False),
        ("0007 0103 00000003", False),
        ("0008 0102 00000003", False),
        ("0007 0102 000000", False),
        ("0007", False),
        ("", False),
    ],
)
def test_each_field_must_be_present_and_right(pair: FilteredPair, datagram: str, passes: bool) -> None:
    data = bytes.fromhex(datagram.removesuffix(" and more")) + b"x" * 100 * datagram.endswith("more")
    assert pair.passes(data) is passes


@pytest.mark.parametrize("pair", [[]], indirect=True)
def test_without_fields_everything_passes(pair: FilteredPair) -> None:
    assert pair.passes(b"")
    assert pair.passes(b"any")


REQUESTS = [rrq("file", blksize=512), b"\0\2file\0octet\0", ack(65535), b"\0\5\0\0why\0"]
DISCOVERS = [message(DISCOVER, MAC, firmware(number)) for number in (0, 7, 16)]


@pytest.mark.parametrize("server", ["tftp", "dhcp"])
def test_the_filter_passes_what_the_server_understands(server: str) -> None:
    """Of requests with a few bytes changed, none that the decoder can read is lost; most of the noise is."""
    steps = {"tftp": tftp_ports.ACCEPTED, "dhcp": dhcp_port.HEARD}[server]
    decode = {"tftp": tftp_packet.decode, "dhcp": dhcp_packet.decode}[server]
    chance = random.Random(69)
    pair = FilteredPair(steps)
    seeds = {"tftp": REQUESTS, "dhcp": DISCOVERS}[server]
    for seed in seeds * 200:
        data = bytearray(seed)
        for _ in range(chance.randrange(4)):
            data[chance.choice([0, 1, 2, 236, chance.randrange(len(data))]) % len(data)] ^= chance.randrange(256)
        assert pair.passes(bytes(data)) or isinstance(decode(bytes(data)), Ignore)
    assert all(pair.passes(seed) for seed in seeds)
    assert sum(pair.passes(chance.randbytes(300)) for _ in range(1000)) < 5
    pair.close()

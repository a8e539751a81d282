"""What a socket with a filter hears is what the program says, asked of the kernel by datagrams on loopback."""

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


class Sifted:
    """A pair of sockets; the one that hears has a filter."""

    def __init__(self, steps: list[socket_filter.Step]) -> None:
        self.heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.heard.bind(("127.0.0.1", 0))
        socket_filter.attach(self.heard, steps)
        self.says = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.says.connect(self.heard.getsockname())

    def passes(self, datagram: bytes) -> bool:
        """Whether it is heard: on loopback a sent datagram is there when `send` returns."""
        self.says.send(datagram)
        try:
            assert self.heard.recv(65536) == datagram
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self.heard.close()
        self.says.close()


@pytest.fixture
def sift(request: pytest.FixtureRequest) -> Iterator[Sifted]:
    sifted = Sifted(socket_filter.datagrams(request.param))
    yield sifted
    sifted.close()


FIELDS = [Field(1, 1, (7,)), Field(2, 2, (0x0102, 0x8000)), Field(4, 4, (0xFFFFFFFF, 3, 2))]


@pytest.mark.parametrize("sift", [FIELDS], indirect=True)
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
def test_each_field_has_to_be_there_and_right(sift: Sifted, datagram: str, passes: bool) -> None:
    data = bytes.fromhex(datagram.removesuffix(" and more")) + b"x" * 100 * datagram.endswith("more")
    assert sift.passes(data) is passes


@pytest.mark.parametrize("sift", [[]], indirect=True)
def test_without_fields_everything_passes(sift: Sifted) -> None:
    assert sift.passes(b"")
    assert sift.passes(b"any")


REQUESTS = [rrq("file", blksize=512), b"\0\2file\0octet\0", ack(65535), b"\0\5\0\0why\0"]
DISCOVERS = [message(DISCOVER, MAC, firmware(number)) for number in (0, 7, 16)]


@pytest.mark.parametrize("server", ["tftp", "dhcp"])
def test_what_a_server_understands_it_hears(server: str) -> None:
    """Of requests with a few bytes changed, none is lost that the decoder would have read; most of the noise is."""
    steps = {"tftp": tftp_ports.ACCEPTED, "dhcp": dhcp_port.HEARD}[server]
    decode = {"tftp": tftp_packet.decode, "dhcp": dhcp_packet.decode}[server]
    chance = random.Random(69)
    sifted = Sifted(steps)
    seeds = {"tftp": REQUESTS, "dhcp": DISCOVERS}[server]
    for seed in seeds * 200:
        data = bytearray(seed)
        for _ in range(chance.randrange(4)):
            data[chance.choice([0, 1, 2, 236, chance.randrange(len(data))]) % len(data)] ^= chance.randrange(256)
        assert sifted.passes(bytes(data)) or isinstance(decode(bytes(data)), Ignore)
    assert all(sifted.passes(seed) for seed in seeds)
    assert sum(sifted.passes(chance.randbytes(300)) for _ in range(1000)) < 5
    sifted.close()

"""TFTP clients for tests: a reader that follows RFC 1350 and 7440 (PURE), and a socket to send and receive packets.

The reader is written from the RFCs and shares no code with the server.
"""

import asyncio
import socket
import struct
from dataclasses import dataclass, field


def rrq(name: str | bytes, mode: str = "octet", **options: object) -> bytes:
    """A read request with its options in the order given."""
    encoded = name if isinstance(name, bytes) else name.encode()
    words = [encoded, mode.encode()]
    for option, value in options.items():
        words += [option.encode(), str(value).encode()]
    return b"\0\1" + b"".join(word + b"\0" for word in words)


def ack(block: int) -> bytes:
    """An ACK."""
    return struct.pack("!HH", 4, block & 0xFFFF)


def oack(datagram: bytes) -> dict[str, str]:
    """The options of an OACK."""
    assert datagram[:2] == b"\0\6", datagram
    words = datagram[2:].split(b"\0")
    assert words.pop() == b""
    return {words[i].decode(): words[i + 1].decode() for i in range(0, len(words), 2)}


def data(datagram: bytes) -> tuple[int, bytes]:
    """Block number and content of a DATA packet."""
    opcode, block = struct.unpack_from("!HH", datagram)
    assert opcode == 3, datagram[:40]
    return block, datagram[4:]


def error(datagram: bytes) -> tuple[int, str]:
    """Code and message of an ERROR packet."""
    opcode, code = struct.unpack_from("!HH", datagram)
    assert opcode == 5, datagram[:40]
    assert datagram[-1] == 0
    return code, datagram[4:-1].decode()


@dataclass
class Reader:
    """Takes DATA in order and acknowledges whole windows and gaps; `answer` returns the packet to send, or None. A
    smaller `block` may be granted than was asked for."""

    block: int = 512
    window: int = 1
    content: bytearray = field(default_factory=bytearray)
    received: int = 0
    done: bool = False
    _since_ack: int = 0
    _gap_acked: bool = False

    def answer(self, datagram: bytes) -> bytes | None:
        """Take an OACK or DATA packet."""
        if datagram[:2] == b"\0\6":
            self.block = int(oack(datagram).get("blksize", self.block))
            return ack(0) if self.received == 0 else None
        number, payload = data(datagram)
        if number != (self.received + 1) & 0xFFFF or self.done:
            behind = (self.received - number) & 0xFFFF < 0x8000
            if behind and self.received and number == self.received & 0xFFFF:
                return ack(self.received)  # the sender did not get our ACK
            if not behind and not self._gap_acked:
                self._gap_acked = True
                self._since_ack = 0
                return ack(self.received)
            return None
        self.received += 1
        self.content += payload
        self._since_ack += 1
        self._gap_acked = False
        self.done = len(payload) < self.block
        if self.done or self._since_ack == self.window:
            self._since_ack = 0
            return ack(self.received)
        return None


class UdpPeer:
    """A client socket that talks to a server on loopback."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.server = ("127.0.0.1", port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((source, 0))
        self.address: tuple[str, int] = self.socket.getsockname()

    def __enter__(self) -> "UdpPeer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, datagram: bytes) -> None:
        """Send to the server."""
        self.socket.sendto(datagram, self.server)

    async def receive(self, seconds: float = 30.0) -> bytes:
        """The next packet, which must come from the server's own port."""
        try:  # the event loop costs more than the packets when thousands of clients wait
            datagram, sender = self.socket.recvfrom(65536)
        except BlockingIOError:
            async with asyncio.timeout(seconds):
                datagram, sender = await asyncio.get_running_loop().sock_recvfrom(self.socket, 65536)
        assert sender == self.server
        return datagram

    async def ask(self, datagram: bytes) -> bytes:
        """Send and receive one packet."""
        self.send(datagram)
        return await self.receive()

    @property
    def quiet(self) -> bool:
        """Whether nothing has arrived: on loopback a packet has arrived when `sendto` returns."""
        try:
            self.socket.recv(65536)
        except BlockingIOError:
            return True
        return False

    async def fetch(self, request: bytes, reader: Reader) -> bytes:
        """Read a whole file."""
        self.send(request)
        while not reader.done:
            if answer := reader.answer(await self.receive()):
                self.send(answer)
        return bytes(reader.content)

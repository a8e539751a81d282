"""A thousand PCs on one cable: each has a MAC address and an IPv4 address of its own, and the kernel's own TCP and UDP.

One namespace has all their addresses on one interface. nftables writes each PC's own MAC address into outgoing frames
and ARP answers, and accepts frames for any of them: to all others on the bridge they are separate machines, and the
box's neighbour table learns them by ARP as it would in a room.
"""

import asyncio
import contextlib
import resource
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import Answer
from tests.netns.inside import inside
from tests.room.namespaces import Namespace, Network, run

PREFIX_LENGTH = 16
BOX = IPv4Address("10.80.0.1")
SITE = IPv4Address("10.80.0.2")
"""The site's DHCP server, which the PCs name. It does not exist: the storm is about the box."""

FIRST_ADDRESS = IPv4Address("10.80.1.0")
FIRST_MAC = MacAddress.parse("52:54:00:80:00:00")
ALLOWED = "52:54:00:80:00:00/32"
MOST = 8000

_CABLE = MacAddress.parse("02:80:00:00:00:ff")
_HEAR_ROOM = 1 << 22
# What Debian 12's iPXE announces (a capture). A Linux client would grow its window to many MB, and a thousand of them
# would fill the TCP memory of the kernel, which here is the server's too.
_IPXE_WINDOW = 1 << 18
_RCVBUFFORCE = 33  # SO_RCVBUFFORCE, asm-generic/socket.h
_IPV4, _ARP = 0x0800, 0x0806  # ETH_P_IP, ETH_P_ARP, linux/if_ether.h
_BROADCAST = b"\xff" * 6
_UDP = struct.Struct("!HHHH")
_IP = struct.Struct("!BBHHHBBH4s4s")
_REQUEST = struct.Struct("!HHBBH6s4s6s4s")

# A frame from an address that is not in the map passes unchanged.
_RULES = """\
table netdev crowd {{
  map macs {{
    type ipv4_addr : ether_addr
    elements = {{ {elements} }}
  }}
  chain out {{
    type filter hook egress device "lan0" priority 0
    arp saddr ether set arp saddr ip map @macs
    ether saddr set arp saddr ip map @macs
    ether saddr set ip saddr map @macs
  }}
  chain in {{
    type filter hook ingress device "lan0" priority 0
    meta pkttype other meta pkttype set host
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One PC's address on the cable."""

    mac: MacAddress
    address: IPv4Address


class Crowd:
    """The PCs of one namespace. Inside `with`, an event loop can use their sockets."""

    def __init__(self, network: Network, pcs: int) -> None:
        """Plug in `pcs` of them, at most MOST; takes a second for 1,000."""
        if not 1 <= pcs <= MOST:
            raise ValueError(f"{pcs} PCs: it must be 1 to {MOST}")
        self.places = [Place(MacAddress(FIRST_MAC.value + n), FIRST_ADDRESS + n) for n in range(pcs)]
        self.host = network.host("crowd", "", _CABLE)
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        _raise_file_limit(pcs)
        with TemporaryDirectory() as directory:
            _address(self.host, self.places, Path(directory))
        with inside(self.host):
            self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._wire.bind(("lan0", 0))
            self._ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _HEAR_ROOM)
            self._ear.bind(("", 68))

    def __enter__(self) -> "Crowd":
        asyncio.get_running_loop().add_reader(self._ear, self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.get_running_loop().remove_reader(self._ear)

    def close(self) -> None:
        """Close the sockets; the namespace belongs to the network."""
        self._wire.close()
        self._ear.close()

    def broadcast(self, place: Place, payload: bytes) -> None:
        """Send a DHCP client's broadcast, from a PC that uses no address yet."""
        self.forge(place.mac, (IPv4Address(0), 68), (IPv4Address("255.255.255.255"), 67), payload)

    def forge(
        self, mac: MacAddress, source: tuple[IPv4Address, int], target: tuple[IPv4Address, int], payload: bytes
    ) -> None:
        """Send a UDP datagram with made-up sender. Where the address is a PC's, the frame has that PC's MAC address."""
        udp = _UDP.pack(source[1], target[1], 8 + len(payload), 0) + payload
        addresses = source[0].packed, target[0].packed
        header = _IP.pack(0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0, *addresses)
        header = header[:10] + _checksum(header).to_bytes(2, "big") + header[12:]
        self._frame(mac, _IPV4, header + udp)

    def ask_for_box(self, place: Place) -> None:
        """Ask by ARP for the box, as a PC does before its first packet to it; so the box learns the PC."""
        who = bytes(place.mac), place.address.packed, bytes(6), BOX.packed
        self._frame(place.mac, _ARP, _REQUEST.pack(1, _IPV4, 6, 4, 1, *who))

    @contextlib.contextmanager
    def awaiting(self, xid: int) -> Iterator["asyncio.Future[Answer]"]:
        """The box's first answer to this transaction on port 68."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[xid] = future
        try:
            yield future
        finally:
            del self._answers[xid]

    def udp(self, place: Place, port: int = 0) -> socket.socket:
        """A non-blocking UDP socket at a PC's address."""
        return self._bound(place, socket.SOCK_DGRAM, port)

    def tcp(self, place: Place) -> socket.socket:
        """The same for TCP, not connected."""
        tcp = self._bound(place, socket.SOCK_STREAM, 0)
        tcp.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _IPXE_WINDOW)
        return tcp

    async def connected(self, place: Place) -> socket.socket:
        """A connection to the box's HTTP server; raises OSError, or TimeoutError after ten seconds."""
        self.ask_for_box(place)
        tcp = self.tcp(place)
        try:
            async with asyncio.timeout(10):
                await asyncio.get_running_loop().sock_connect(tcp, (str(BOX), 80))
        except BaseException:
            tcp.close()
            raise
        return tcp

    def _bound(self, place: Place, kind: int, port: int) -> socket.socket:
        with inside(self.host):
            bound = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        try:
            bound.bind((str(place.address), port))
        except OSError:
            bound.close()
            raise
        return bound

    def _frame(self, mac: MacAddress, kind: int, payload: bytes) -> None:
        self._wire.send(_BROADCAST + bytes(mac) + kind.to_bytes(2, "big") + payload)

    def _hear(self) -> None:
        while True:
            try:
                datagram = self._ear.recv(4096)
            except BlockingIOError:
                return
            waiting = self._answers.get(int.from_bytes(datagram[4:8], "big"))
            if waiting is not None and not waiting.done():
                waiting.set_result(Answer.parse(datagram))


def _address(host: Namespace, places: Sequence[Place], directory: Path) -> None:
    batch, rules = directory / "addresses", directory / "rules"
    batch.write_text("".join(f"address add {place.address}/{PREFIX_LENGTH} dev lan0\n" for place in places))
    run(["ip", "-n", host.name, "-batch", str(batch)])
    elements = ", ".join(f"{place.address} : {place.mac}" for place in places)
    rules.write_text(_RULES.format(elements=elements))
    host.run(["nft", "-f", str(rules)])


def _raise_file_limit(pcs: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 4 * pcs + 100:
        raise ValueError(f"{pcs} PCs need {4 * pcs + 100} open files, and this process may have {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _checksum(header: bytes) -> int:
    """The Internet checksum (RFC 1071) of a header of even length whose checksum field is zero."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF

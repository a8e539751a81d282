"""From a capture file (pcap, pcapng) to the packets of each client. scapy reads the file, this module Ethernet to TCP.

It skips ARP, IPv6, fragments after the first, and everything that is not DHCP, TFTP or the start of an HTTP message. It
does not reassemble TCP: a request or response counts where a segment begins with it.
"""

import logging
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from services.decision import Ignore
from services.dhcp.message import BOOT_SERVER_PORT, CLIENT_PORT, SERVER_PORT, Option
from services.ethernet import MacAddress
from services.probe import codec
from services.probe.message import NOWHERE, DhcpPacket, HttpRequest, Packet, Reset, TftpRequest

MAX_PACKETS = 2_000_000
"""Packets read from one file; a boot has some thousand."""

MAX_BYTES = 4 << 30
"""Bytes of all packets: a small compressed file may hold more than anybody has time for."""

_NOT_A_CAPTURE = (
    *(Scapy_Exception, EOFError, struct.error, zlib.error),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError),
)
"""What scapy raises for files that are none: its readers do not check what they read."""

_ETHERNET, _RAW, _COOKED, _COOKED_2 = 1, (12, 14, 101, 228), 113, 276
_IPV4, _VLANS = b"\x08\x00", (b"\x81\x00", b"\x88\xa8")
_DHCP_PORTS = (SERVER_PORT, CLIENT_PORT)
_TFTP = 69
_RST = 4


class CaptureError(Exception):
    """The file cannot be read as a capture; the message says why."""


@dataclass(frozen=True, slots=True)
class _Frame:
    at: float
    link_source: MacAddress | None
    source: IPv4Address
    destination: IPv4Address
    tcp_flags: int | None
    source_port: int
    port: int
    payload: bytes


def read(path: Path) -> dict[MacAddress, list[Packet]]:
    """Return each client's packets in order, by MAC address in order of appearance; raises CaptureError."""
    clients = _Clients()
    try:
        for count, frame in enumerate(_frames(path)):
            if count >= MAX_PACKETS:
                raise CaptureError(f"{path} has more than {MAX_PACKETS:,} packets: cut it to one boot")
            clients.take(frame)
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror or error}") from error
    except _NOT_A_CAPTURE as error:
        raise CaptureError(f"{path} is not a pcap or pcapng file: {error}") from error
    return {mac: packets for mac, packets in clients.packets.items() if packets}


@dataclass
class _Clients:
    """Whose packet is whose: packets by client, the addresses of clients, and the flows that they opened."""

    packets: dict[MacAddress, list[Packet]] = field(default_factory=dict)
    _owners: dict[IPv4Address, MacAddress] = field(default_factory=dict)
    _tftp: dict[tuple[IPv4Address, int], IPv4Address] = field(default_factory=dict)
    _http: set[tuple[IPv4Address, int, IPv4Address, int]] = field(default_factory=set)

    def take(self, frame: _Frame) -> None:
        if frame.tcp_flags is not None:
            self._take_tcp(frame)
        elif {frame.source_port, frame.port} & {*_DHCP_PORTS, BOOT_SERVER_PORT}:
            self._take_dhcp(frame)
        else:
            self._take_tftp(frame)

    def _take_dhcp(self, frame: _Frame) -> None:
        message = codec.decode_dhcp(frame.payload)
        if isinstance(message, Ignore):
            return
        server, client = (frame.destination, frame.source) if not message.reply else (frame.source, frame.destination)
        server_port = frame.source_port if message.reply else frame.port
        client_port = frame.port if message.reply else frame.source_port
        # Between a relay and a server both ports are 67, and the address is the relay's.
        own = None if client_port == SERVER_PORT else client
        addresses = (message.yiaddr, message.ciaddr, message.address(Option.REQUESTED_ADDRESS), own)
        for address in addresses:
            if address is not None and address != NOWHERE and not address.is_reserved and not address.is_multicast:
                self._owners[address] = message.mac
        self._add(message.mac, Packet(frame.at, not message.reply, server, server_port, client_port, message))

    def _take_tftp(self, frame: _Frame) -> None:
        content = codec.decode_tftp(frame.payload)
        if isinstance(content, Ignore):
            return
        if frame.port == _TFTP and isinstance(content, TftpRequest):
            self._tftp[frame.source, frame.source_port] = frame.destination
        if (server := self._tftp.get((frame.source, frame.source_port))) is not None and server == frame.destination:
            client, outgoing, port, client_port = frame.source, True, frame.port, frame.source_port
        elif (server := self._tftp.get((frame.destination, frame.port))) is not None and server == frame.source:
            client, outgoing, port, client_port = frame.destination, False, frame.source_port, frame.port
        else:
            return
        self._add(self._owner(client, frame, outgoing), Packet(frame.at, outgoing, server, port, client_port, content))

    def _take_tcp(self, frame: _Frame) -> None:
        content = codec.decode_http(frame.payload)
        back = (frame.destination, frame.port, frame.source, frame.source_port)
        if isinstance(content, HttpRequest):
            flow = (frame.source, frame.source_port, frame.destination, frame.port)
            self._http.add(flow)
            packet = Packet(frame.at, True, frame.destination, frame.port, frame.source_port, content)
            self._add(self._owner(frame.source, frame, True), packet)
            return
        owner = self._owners.get(frame.destination)
        refused = frame.source_port == 80 and owner is not None and back not in self._http
        if frame.tcp_flags is not None and frame.tcp_flags & _RST and (back in self._http or refused):
            answer = Packet(frame.at, False, frame.source, frame.source_port, frame.port, Reset())
            self._add(self._owner(frame.destination, frame, False), answer)
        elif back in self._http and not isinstance(content, Ignore):
            answer = Packet(frame.at, False, frame.source, frame.source_port, frame.port, content)
            self._add(self._owner(frame.destination, frame, False), answer)

    def _owner(self, client: IPv4Address, frame: _Frame, outgoing: bool) -> MacAddress | None:
        """Whose address it is: known from DHCP, or for a frame from that client from its link address."""
        if client not in self._owners and outgoing and frame.link_source is not None:
            self._owners[client] = frame.link_source
        return self._owners.get(client)

    def _add(self, mac: MacAddress | None, packet: Packet) -> None:
        if mac is not None:
            self.packets.setdefault(mac, []).append(packet)


def configures(packets: list[Packet]) -> bool:
    """Whether a client asks for an address, and does not only fetch web pages."""
    return any(isinstance(packet.content, DhcpPacket) for packet in packets)


def boots(packets: list[Packet]) -> bool:
    """Whether a client's packets have to do with network boot at all, and not only with any host's DHCP or web."""
    for packet in packets:
        content = packet.content
        if isinstance(content, TftpRequest):
            return True
        if isinstance(content, DhcpPacket) and not content.reply and "Client" in content.vendor_class[:10]:
            return True
    return False


def _frames(path: Path) -> Iterator[_Frame]:
    # scapy is given an open file: when it opens one itself and cannot read it, it leaves the descriptor open.
    with path.open("rb") as file:
        # It would print warnings of its own.
        logging.getLogger("scapy").setLevel(logging.CRITICAL)
        reader = RawPcapReader(file)
        rest = MAX_BYTES
        for data, metadata in reader:
            rest -= len(data)
            if rest < 0:
                raise CaptureError(f"{path} has more than {MAX_BYTES:,} bytes of packets: cut it to one boot")
            if isinstance(reader, RawPcapNgReader):
                link = int(metadata.linktype)
                at = ((metadata.tshigh or 0) << 32 | (metadata.tslow or 0)) / float(metadata.tsresol or 1_000_000)
            else:
                link = int(reader.linktype)
                at = metadata.sec + metadata.usec / (1e9 if reader.nano else 1e6)
            if frame := _parse(at, link, data):
                yield frame


def _parse(at: float, link: int, data: bytes) -> _Frame | None:
    """Read one frame up to UDP or TCP; None for everything else."""
    source: MacAddress | None = None
    if link == _ETHERNET:
        kind, packet = data[12:14], data[14:]
        source = _mac(data[6:12])
        while kind in _VLANS:
            kind, packet = packet[2:4], packet[4:]
    elif link == _COOKED:
        kind, packet = data[14:16], data[16:]
        source = _mac(data[6:12]) if data[4:6] == b"\0\6" else None
    elif link == _COOKED_2:
        kind, packet = data[0:2], data[20:]
        source = _mac(data[12:18]) if data[11:12] == b"\6" else None
    elif link in _RAW:
        kind, packet = _IPV4, data
    else:
        raise CaptureError(f"link type {link} is not Ethernet, Linux cooked or raw IP: capture with tcpdump -i eth0")
    if kind != _IPV4 or len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    fragment = int.from_bytes(packet[6:8], "big") & 0x1FFF
    inner = packet[(packet[0] & 15) * 4 : max(int.from_bytes(packet[2:4], "big"), 20)]
    if fragment or packet[9] not in (6, 17) or len(inner) < (8 if packet[9] == 17 else 20):
        return None
    tcp = packet[9] == 6
    source_port, port = struct.unpack_from("!HH", inner)
    addresses = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    payload = inner[(inner[12] >> 4) * 4 :] if tcp else inner[8:]
    return _Frame(at, source, *addresses, inner[13] if tcp else None, source_port, port, payload)


def _mac(data: bytes) -> MacAddress | None:
    return MacAddress.from_bytes(data) if len(data) == 6 else None

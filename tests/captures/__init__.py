"""Packets of real firmware, and their reader."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

FOLDER = Path(__file__).parent
_UDP = 17


@dataclass(frozen=True)
class Datagram:
    """One UDP datagram of a capture."""

    source: IPv4Address
    source_port: int
    destination: IPv4Address
    port: int
    payload: bytes


def datagrams(name: str, *ports: int) -> list[Datagram]:
    """The UDP datagrams of a capture in their order; with `ports`, only those sent to one of them."""
    data = (FOLDER / name).read_bytes()
    assert data[:4] == b"\xd4\xc3\xb2\xa1", "a little-endian pcap with microseconds"
    found = []
    at = 24
    while at < len(data):
        _, _, length, _ = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16 : at + 16 + length]
        at += 16 + length
        if frame[12:14] != b"\x08\x00" or frame[23] != _UDP:
            continue
        packet = frame[14:]
        udp = packet[(packet[0] & 15) * 4 :]
        source_port, port, size = struct.unpack_from("!HHH", udp)
        addresses = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
        if not ports or port in ports:
            found.append(Datagram(addresses[0], source_port, addresses[1], port, udp[8:size]))
    return found


def all_captures() -> list[str]:
    """The names of all captures."""
    return sorted(path.name for path in FOLDER.glob("*.pcap"))

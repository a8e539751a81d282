"""What went over a PC's wire, read from a recording. scapy stops here."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import PcapReader

from services.ethernet import MacAddress


@dataclass(frozen=True)
class Frame:
    """One Ethernet frame. `dhcp` is the message type and `client` BOOTP's chaddr, where it is a DHCP message."""

    source: MacAddress
    destination: MacAddress
    is_arp: bool
    to: IPv4Address | None
    dhcp: int | None
    client: MacAddress | None
    summary: str


def frames(recording: Path) -> Iterator[Frame]:
    """The frames of a pcap file, in order."""
    with PcapReader(str(recording)) as reader:
        for packet in reader:
            options = dict(option[:2] for option in packet[DHCP].options if len(option) >= 2) if DHCP in packet else {}
            yield Frame(
                source=MacAddress.parse(packet[Ether].src),
                destination=MacAddress.parse(packet[Ether].dst),
                is_arp=ARP in packet,
                to=IPv4Address(packet[IP].dst) if IP in packet else None,
                dhcp=options.get("message-type"),
                client=MacAddress.from_bytes(packet[BOOTP].chaddr[:6]) if BOOTP in packet else None,
                summary=packet.summary(),
            )

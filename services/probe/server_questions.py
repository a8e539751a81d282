"""Questions to the DHCP servers of a segment, and reading what they offer: as datagrams, without sockets.

Each question has a random MAC address and xid, so that no server mistakes it for one of its PCs. No lease is taken.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.decision import Ignore
from services.dhcp.message import MessageType
from services.ethernet import MacAddress
from services.probe.codec import decode_dhcp, encode_dhcp
from services.probe.firmware import Agent, requests
from services.probe.message import DhcpPacket

# Option 55 of a plain client: what the doctor wants to know of the answers.
_PLAIN = ((55, bytes((1, 3, 6, 15, 43, 54, 60, 66, 67))),)


@dataclass(frozen=True, slots=True)
class HeardServer:
    """An answer, the address it came from, and which kind of client we had asked as."""

    source: IPv4Address
    asked_as: Agent
    offer: DhcpPacket


Questions = Mapping[int, tuple[Agent, MacAddress]]
"""What was asked, by xid: as which kind of client, and with which MAC address."""


def make_questions(*agents: Agent) -> Questions:
    """One question as each kind of client."""
    return {secrets.randbits(32): (agent, random_mac()) for agent in agents}


def discovers(questions: Questions) -> list[bytes]:
    """The questions as DHCP messages."""
    return [
        encode_dhcp(
            MessageType.DISCOVER,
            mac,
            _PLAIN if agent is Agent.SYSTEM else requests(agent, mac, uefi=True),
            xid=xid,
        )
        for xid, (agent, mac) in questions.items()
    ]


def read_packet(packet: bytes, questions: Questions) -> HeardServer | None:
    """Read an IP packet to port 68; None when it answers none of the questions, judged by xid and MAC address."""
    start = (packet[0] & 15) * 4 + 8 if packet else 0
    return read_datagram(packet[start:], IPv4Address(packet[12:16].rjust(4, b"\0")), questions)


def read_datagram(datagram: bytes, source: IPv4Address, questions: Questions) -> HeardServer | None:
    """Read a datagram to port 68, like `read_packet`."""
    offer = decode_dhcp(datagram)
    if isinstance(offer, Ignore) or not offer.reply or offer.kind != MessageType.OFFER:
        return None
    agent, mac = questions.get(offer.xid, (None, None))
    if agent is None or offer.mac != mac:
        return None
    return HeardServer(source, agent, offer)


def random_mac() -> MacAddress:
    """A MAC address that no machine was made with: locally administered, unicast."""
    return MacAddress.from_bytes(bytes([0x02]) + secrets.token_bytes(5))

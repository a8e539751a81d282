"""Who answers DHCP on a segment: asks as a plain client, as UEFI firmware and as iPXE, and listens.

Works on a packet socket, beside whatever client or server has the ports 68 and 67 of this host, which hear nothing of
it. Takes no lease. Servers on this host itself hear it only if they are meant to. Needs CAP_NET_RAW.
"""

import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from services.decision import Ignore
from services.dhcp.message import BOOT_SERVER_PORT, MessageType
from services.ethernet import MacAddress
from services.probe import packet_socket
from services.probe.codec import decode_dhcp, encode_broadcast, encode_dhcp
from services.probe.firmware import Agent, requests
from services.probe.message import NOWHERE, DhcpPacket
from services.probe.raw_socket import open_mouth

MOST_ANSWERS = 200
"""More than any sane segment gives; a flood ends the listening."""

_IPV4 = 0x0800  # ETH_P_IP, linux/if_ether.h
_EVERYBODY = b"\xff" * 6
_ROOM = 4096
_PLAIN = ((55, bytes((1, 3, 6, 15, 43, 54, 60, 66, 67))),)


class Port4011(StrEnum):
    """What is on port 4011 of a host."""

    ANSWERS = "answers"
    NOBODY = "nobody"
    SILENT = "silent"
    """Something is there but said nothing to us, or the way to it is closed."""


@dataclass(frozen=True, slots=True)
class HeardServer:
    """An answer, the address it came from, and as whom we had asked."""

    source: IPv4Address
    asked_as: Agent
    offer: DhcpPacket


Questions = Mapping[int, tuple[Agent, MacAddress]]
"""What was asked, by xid: as whom, and with which MAC address."""


def survey(interface: str, seconds: float, own: IPv4Address | None = None) -> list[HeardServer]:
    """Ask by `interface` and return the offers that come within `seconds`; raises OSError. Blocks.

    With `own`, this host's address there, the servers of this host are asked as well.
    """
    questions = make_questions(Agent.SYSTEM, Agent.UEFI, Agent.IPXE)
    with packet_socket.listen(interface) as wire:
        for discover in discovers(questions):
            datagram = encode_broadcast(discover, own or NOWHERE)
            if own is None:
                wire.sendto(datagram, (interface, _IPV4, 0, 0, _EVERYBODY))
            else:
                with open_mouth(interface) as mouth:
                    mouth.sendto(datagram, ("255.255.255.255", 0))
        heard: list[HeardServer] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and len(heard) < MOST_ANSWERS:
            wire.settimeout(left)
            try:
                packet = wire.recv(_ROOM)
            except TimeoutError:
                break
            answer = read(packet, questions)
            if answer is not None:
                heard.append(answer)
    return heard


def make_questions(*agents: Agent) -> Questions:
    """One question for each of them, with a MAC address that nobody has."""
    return {secrets.randbits(32): (agent, _random_mac()) for agent in agents}


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


def read(packet: bytes, questions: Questions) -> HeardServer | None:
    """Read an IP packet to port 68; None when it answers none of the questions, which are known by xid and MAC."""
    start = (packet[0] & 15) * 4 + 8 if packet else 0
    return read_datagram(packet[start:], IPv4Address(packet[12:16].rjust(4, b"\0")), questions)


def read_datagram(datagram: bytes, source: IPv4Address, questions: Questions) -> HeardServer | None:
    """Read a datagram to port 68, like `read`."""
    offer = decode_dhcp(datagram)
    if isinstance(offer, Ignore) or not offer.reply or offer.kind != MessageType.OFFER:
        return None
    agent, mac = questions.get(offer.xid, (None, None))
    if agent is None or offer.mac != mac:
        return None
    return HeardServer(source, agent, offer)


def ask_boot_server(server: IPv4Address, own: IPv4Address, seconds: float) -> Port4011:
    """Ask port 4011 of `server` from the address `own`, as UEFI firmware that has its lease. Blocks."""
    mac = _random_mac()
    options = requests(Agent.UEFI, mac, uefi=True)
    question = encode_dhcp(MessageType.REQUEST, mac, options, xid=secrets.randbits(32), ciaddr=own)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as udp:
        udp.settimeout(seconds)
        try:
            udp.bind((str(own), 0))
            # Connected, so that the kernel passes on that the port is closed.
            udp.connect((str(server), BOOT_SERVER_PORT))
            udp.send(question)
            udp.recv(_ROOM)
        except ConnectionRefusedError:
            return Port4011.NOBODY
        except OSError:
            return Port4011.SILENT
    return Port4011.ANSWERS


def _random_mac() -> MacAddress:
    # Locally administered, unicast: no machine was made with it.
    return MacAddress.from_bytes(bytes([0x02]) + secrets.token_bytes(5))

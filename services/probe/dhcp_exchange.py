"""The DHCP of a network boot, as firmware does it: DISCOVER, the offers, and the question to port 4011 (PXE 2.1).

It takes no lease: it sends no REQUEST to a DHCP server. firmware.py decides what to make of the offers. Blocks;
needs CAP_NET_RAW.
"""

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address

from services.decision import Ignore
from services.dhcp.message import BOOT_SERVER_PORT, CLIENT_PORT, SERVER_PORT, MessageType
from services.ethernet import MacAddress
from services.linux.interfaces import Interface
from services.probe import codec
from services.probe.client_sockets import open_packet_socket, open_raw_socket, open_udp_socket
from services.probe.firmware import Agent, Choice, choose, requests
from services.probe.message import NOWHERE, DhcpPacket, Note, Unreachable
from services.probe.record import ProbeRecord

OFFERS_SECONDS = 4.0
"""How long offers are collected, as EDK2 does; a DHCP server that pings an address first takes 3 s."""

ANSWER_SECONDS = 2.0
TRIES = 2

_BROADCAST = IPv4Address("255.255.255.255")

OwnAnswer = Callable[[bool, int], str]
"""What port 4011 of this host answers: the boot file, or "". Arguments: whether iPXE asks, and the architecture."""


class DhcpExchange:
    """The DHCP messages of the PC `mac` by one interface, added to `record`; `uefi`: it is not a BIOS."""

    def __init__(
        self, interface: Interface, mac: MacAddress, record: ProbeRecord, own_answer: OwnAnswer, *, uefi: bool
    ) -> None:
        self._interface = interface
        self._address = interface.address.ip
        self._mac = mac
        self._record = record
        self._own_answer = own_answer
        self._uefi = uefi

    def run(self, agent: Agent) -> tuple[IPv4Address, str]:
        """The boot server and the boot file that an agent gets; the file is empty when there is nothing to load."""
        options = requests(agent, self._mac, uefi=self._uefi)
        choice = choose(agent, self._discover(agent, options))
        if choice.boot is None or choice.problem or choice.lease is None:
            return NOWHERE, ""
        self._note(Note("no REQUEST to the DHCP server follows: this probe takes no lease"))
        if choice.ask is None:
            return choice.server, choice.file
        return self._ask_boot_server(agent, choice, choice.ask, options)

    def _discover(self, agent: Agent, options: tuple[tuple[int, bytes], ...]) -> list[DhcpPacket]:
        xid = int.from_bytes(os.urandom(4), "big")
        offers: list[DhcpPacket] = []
        with open_packet_socket(self._interface.name) as receiver, open_raw_socket(self._interface.name) as sender:
            for attempt in range(TRIES):
                secs = round(attempt * OFFERS_SECONDS)
                payload = codec.encode_dhcp(MessageType.DISCOVER, self._mac, options, xid=xid, secs=secs)
                sender.sendto(codec.encode_broadcast(payload, self._address), (str(_BROADCAST), 0))
                self._record.said(_decoded(payload), _BROADCAST, SERVER_PORT, CLIENT_PORT)
                self._collect(receiver, xid, offers)
                choice = choose(agent, offers)
                if choice.lease is not None and choice.boot is not None:
                    break
        return offers

    def _collect(self, receiver: socket.socket, xid: int, offers: list[DhcpPacket]) -> None:
        """Add the offers that come within OFFERS_SECONDS."""
        until = time.monotonic() + OFFERS_SECONDS
        while (left := until - time.monotonic()) > 0:
            receiver.settimeout(left)
            try:
                data = receiver.recv(4096)
            except TimeoutError:
                return
            if len(data) < 28 or data[0] >> 4 != 4 or data[9] != socket.IPPROTO_UDP:
                continue
            udp = data[(data[0] & 15) * 4 :]
            if len(udp) < 8 or struct.unpack_from("!HH", udp) != (SERVER_PORT, CLIENT_PORT):
                continue
            message = codec.decode_dhcp(udp[8:])
            if isinstance(message, Ignore) or (message.reply, message.xid, message.mac) != (True, xid, self._mac):
                continue
            if message.kind == MessageType.OFFER:
                offers.append(message)
                self._record.heard(message, IPv4Address(data[12:16]), SERVER_PORT, CLIENT_PORT)

    def _ask_boot_server(
        self, agent: Agent, choice: Choice, server: IPv4Address, options: tuple[tuple[int, bytes], ...]
    ) -> tuple[IPv4Address, str]:
        """Ask port 4011 of `server` for the boot file."""
        if _is_ours(server):
            # The kernel sends a packet to one of its own addresses over `lo`; the server hears its interface only.
            words = f"port 4011 of {server} is on this host itself: its answer can only be seen from another host"
            self._note(Note(words, boot_server_unasked=True))
            if choice.boot and choice.boot.boot_file:
                return choice.boot.boot_server, choice.boot.boot_file
            return server, self._own_answer(agent is Agent.IPXE, 7 if self._uefi else 0)
        # The address that the DHCP server offered, as firmware has it by now; it is not this host's, and so no claim.
        address = choice.lease.yiaddr if choice.lease else self._address
        xid = int.from_bytes(os.urandom(4), "big")
        payload = codec.encode_dhcp(MessageType.REQUEST, self._mac, options, xid=xid, ciaddr=address)
        wanted_port = CLIENT_PORT if agent is Agent.IPXE else BOOT_SERVER_PORT
        with closing(open_udp_socket(self._address, wanted_port, ANSWER_SECONDS)) as udp:
            udp.connect((str(server), BOOT_SERVER_PORT))
            port = int(udp.getsockname()[1])
            for _ in range(TRIES):
                self._record.said(_decoded(payload), server, BOOT_SERVER_PORT, port)
                try:
                    udp.send(payload)
                    answer = codec.decode_dhcp(udp.recv(4096))
                except TimeoutError:
                    continue
                except ConnectionRefusedError:
                    self._record.heard(Unreachable(), server, BOOT_SERVER_PORT, port)
                    break
                if isinstance(answer, DhcpPacket) and answer.reply and answer.xid == xid:
                    self._record.heard(answer, server, BOOT_SERVER_PORT, port)
                    return answer.boot_server, answer.boot_file
        return NOWHERE, ""

    def _note(self, note: Note) -> None:
        self._record.said(note, self._address, 0)


def _decoded(payload: bytes) -> DhcpPacket:
    """Our own message, as everybody reads it."""
    message = codec.decode_dhcp(payload)
    assert isinstance(message, DhcpPacket)
    return message


def _is_ours(address: IPv4Address) -> bool:
    """Whether an address is one of this host's own."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        try:
            udp.bind((str(address), 0))
        except OSError:
            return False
    return True

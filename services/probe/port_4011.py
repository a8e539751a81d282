"""What is on port 4011 of a host, where firmware asks a boot server for its boot file (PXE 2.1)."""

import secrets
import socket
from enum import StrEnum
from ipaddress import IPv4Address

from services.dhcp.message import BOOT_SERVER_PORT, MessageType
from services.probe.codec import encode_dhcp
from services.probe.firmware import Agent, requests
from services.probe.server_questions import random_mac

_LARGEST_ANSWER = 4096


class Port4011(StrEnum):
    """What is on port 4011 of a host."""

    ANSWERS = "answers"
    NOBODY = "nobody"
    SILENT = "silent"
    """Something is there but said nothing to us, or the way to it is closed."""


def ask_boot_server(server: IPv4Address, own: IPv4Address, seconds: float) -> Port4011:
    """Ask port 4011 of `server` from the address `own`, as UEFI firmware that has its lease. Blocks."""
    mac = random_mac()
    options = requests(Agent.UEFI, mac, uefi=True)
    question = encode_dhcp(MessageType.REQUEST, mac, options, xid=secrets.randbits(32), ciaddr=own)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as udp:
        udp.settimeout(seconds)
        try:
            udp.bind((str(own), 0))
            # Connected, so that the kernel passes on that the port is closed.
            udp.connect((str(server), BOOT_SERVER_PORT))
            udp.send(question)
            udp.recv(_LARGEST_ANSWER)
        except ConnectionRefusedError:
            return Port4011.NOBODY
        except OSError:
            return Port4011.SILENT
    return Port4011.ANSWERS

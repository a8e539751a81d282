"""Which DHCP servers answer on a segment: asks as a plain client, as UEFI firmware and as iPXE, and listens.

Works on a packet socket, beside any client or server that has ports 68 and 67 of this host, which do not hear it.
No lease is taken. Servers on this host itself hear it only on request. Blocks; needs CAP_NET_RAW.
"""

import time
from ipaddress import IPv4Address

from services.probe.client_sockets import open_packet_socket, open_raw_socket
from services.probe.codec import encode_broadcast
from services.probe.firmware import Agent
from services.probe.message import NOWHERE
from services.probe.server_questions import HeardServer, discovers, make_questions, read_packet

MOST_ANSWERS = 200
"""More than any sane segment gives; a flood ends the wait."""

_IPV4 = 0x0800  # ETH_P_IP, linux/if_ether.h
_EVERYBODY = b"\xff" * 6
_LARGEST_ANSWER = 4096


def find_servers(interface: str, seconds: float, own: IPv4Address | None = None) -> list[HeardServer]:
    """Ask by `interface` and return the offers that come within `seconds`; raises OSError.

    With `own`, this host's address there, the servers of this host are asked as well.
    """
    questions = make_questions(Agent.SYSTEM, Agent.UEFI, Agent.IPXE)
    with open_packet_socket(interface) as packets:
        for discover in discovers(questions):
            datagram = encode_broadcast(discover, own or NOWHERE)
            if own is None:
                packets.sendto(datagram, (interface, _IPV4, 0, 0, _EVERYBODY))
            else:
                with open_raw_socket(interface) as sender:
                    sender.sendto(datagram, ("255.255.255.255", 0))
        found: list[HeardServer] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and len(found) < MOST_ANSWERS:
            packets.settimeout(left)
            try:
                packet = packets.recv(_LARGEST_ANSWER)
            except TimeoutError:
                break
            answer = read_packet(packet, questions)
            if answer is not None:
                found.append(answer)
    return found

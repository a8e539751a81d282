"""Which DHCP servers answer on a segment, asked from port 68 (RFC 2131, section 4.1), with no privilege but that port.

For the server itself, which may not open packet sockets; with CAP_NET_RAW find_servers_raw.py hears more. Takes no
lease. Does not hear a server that answers by unicast although the broadcast flag asks for a broadcast.
"""

import asyncio
import socket
from ipaddress import IPv4Address

from services.dhcp.message import CLIENT_PORT, SERVER_PORT
from services.linux.sockets import BindError
from services.probe.firmware import Agent
from services.probe.message import NOWHERE
from services.probe.server_questions import HeardServer, discovers, make_questions, read_datagram

_REPEAT_AFTER = 1.5  # seconds: a switch port may just have come up
_LINGER = 0.5  # seconds after the first address: other servers answer about then
_LARGEST_ANSWER = 4096


async def find_servers(interface: str, seconds: float) -> list[HeardServer]:
    """Ask as a plain client and as UEFI firmware; return what is offered within `seconds`, or until shortly after the
    first address was offered.

    Raises BindError when a program keeps port 68 for itself, OSError when nothing can be sent.
    """
    loop = asyncio.get_running_loop()
    questions = make_questions(Agent.SYSTEM, Agent.UEFI)
    found: list[HeardServer] = []
    until = loop.time() + seconds

    def ask() -> None:
        for datagram in discovers(questions):
            udp.sendto(datagram, ("255.255.255.255", SERVER_PORT))

    with _client_socket(interface) as udp:
        ask()
        repeat = loop.call_later(_REPEAT_AFTER, ask)
        try:
            async with asyncio.timeout_at(until) as limit:
                while True:
                    datagram, (source, _) = await loop.sock_recvfrom(udp, _LARGEST_ANSWER)
                    answer = read_datagram(datagram, IPv4Address(source), questions)
                    if answer is None:
                        continue
                    if answer.offer.yiaddr != NOWHERE and all(each.offer.yiaddr == NOWHERE for each in found):
                        limit.reschedule(min(until, loop.time() + _LINGER))
                    found.append(answer)
        except TimeoutError:
            return found
        finally:
            repeat.cancel()


def _client_socket(interface: str) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # Beside this host's DHCP client on another interface: those of ISC, busybox and systemd share the port as well.
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        udp.bind(("", CLIENT_PORT))
    except OSError as error:
        udp.close()
        raise BindError("udp", IPv4Address(0), CLIENT_PORT, error) from error
    return udp

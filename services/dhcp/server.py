"""The proxyDHCP sockets of one interface, ports 67 and 4011: receive, ask proxy.py, send, report.

Beside a DHCP server on the same host, which has port 67, it hears 4011 alone (PXE 2.1). Knows nothing of who may boot
what: `allowed` and `plan` say so. Never leases an address.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address

import structlog

from services.decision import BootPlan, Ignore, Reason
from services.dhcp import packet, proxy
from services.dhcp.message import BOOT_SERVER_PORT, SERVER_PORT, Arrival, Message, MessageType, Reply
from services.dhcp.proxy import BootRequest
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Event, Ignored, Offered
from services.sockets import BindError, bind_udp

BATCH = 32
"""Datagrams read per wakeup of the loop, so that a flood cannot starve the other services."""

_IP_PKTINFO = 8  # linux/in.h; Python's socket module has it from 3.14 on
_PKTINFO = struct.Struct("=I4s4s")

_log = structlog.get_logger()


class ProxyDhcp:
    """Answers network boot requests that arrive by `interface`, as the server `address`.

    The callables run in the event loop for each datagram: `allowed` says whether a MAC address may boot at all, `plan`
    what it boots, `emit` takes the events. Whatever one datagram raises ends only itself. Without `broadcasts` port 67
    is left to another server.
    """

    def __init__(
        self,
        interface: str,
        address: IPv4Address,
        *,
        allowed: Callable[[MacAddress], bool],
        plan: Callable[[BootRequest], BootPlan | Ignore],
        emit: Callable[[Event], None],
        broadcasts: bool = True,
    ) -> None:
        self._broadcasts = broadcasts
        self._interface = interface
        self._address = address
        self._allowed = allowed
        self._plan = plan
        self._emit = emit
        self._sockets: list[socket.socket] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Bind the ports and serve in the running event loop; raises BindError, and then no port is bound."""
        self._loop = asyncio.get_running_loop()
        try:
            # Port 67 hears broadcasts only on the wildcard address. Port 4011 must not: what is sent to it and not to
            # our own address was meant for another boot server.
            if self._broadcasts:
                self._listen(proxy.NOWHERE, SERVER_PORT)
            self._listen(self._address, BOOT_SERVER_PORT)
        except BindError:
            self.close()
            raise

    def close(self) -> None:
        """Stop answering and free the ports. May be called twice."""
        while self._sockets:
            udp = self._sockets.pop()
            if self._loop is not None:
                self._loop.remove_reader(udp)
            udp.close()

    def _listen(self, address: IPv4Address, port: int) -> None:
        assert self._loop is not None
        udp = bind_udp(address, port, self._interface)
        self._sockets.append(udp)
        if port == SERVER_PORT:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._loop.add_reader(udp, partial(self._receive, udp, port))

    def _receive(self, udp: socket.socket, port: int) -> None:
        for _ in range(BATCH):
            try:
                datagram, (source, source_port) = udp.recvfrom(packet.MAX_DATAGRAM + 1)
            except BlockingIOError:
                return
            try:
                self._handle(datagram, Arrival(IPv4Address(source), source_port, port), udp)
            except Exception:
                _log.exception("dhcp datagram failed", interface=self._interface, port=port, source=source)

    def _handle(self, datagram: bytes, arrival: Arrival, udp: socket.socket) -> None:
        mac = packet.peek(datagram)
        if isinstance(mac, Ignore):
            if packet.looks_like_boot(datagram, arrival.port):
                self._ignore(str(arrival.source), mac.reason)
            return
        if not self._allowed(mac):
            if packet.looks_like_boot(datagram, arrival.port):
                self._ignore(str(mac), Reason.NOT_ALLOWED)
            return
        message = packet.decode(datagram)
        if isinstance(message, Ignore):
            if message.reason is Reason.MALFORMED:
                self._ignore(str(mac), message.reason)
            return
        used = proxy.address_used(message, arrival)
        if not isinstance(used, Ignore):
            self._emit(AddressSeen(mac, used))
        self._answer(message, arrival, udp)

    def _answer(self, message: Message, arrival: Arrival, udp: socket.socket) -> None:
        request = proxy.classify(message, arrival)
        if isinstance(request, Ignore):
            # Everyone's ordinary DHCP traffic passes here: only what was meant as a boot request is worth a line.
            if request.reason not in (Reason.NOT_FOR_US, Reason.NOT_NETBOOT):
                self._ignore(str(message.mac), request.reason, _describe(message, arrival))
            return
        # Where the DISCOVER is not heard, the question for the boot file is the first that is heard of the client.
        if message.message_type == MessageType.DISCOVER or not self._broadcasts:
            self._emit(Discovered(request.mac, request.architecture, request.ipxe, message.xid, message.secs))
        plan = self._plan(request)
        if isinstance(plan, Ignore):
            self._ignore(str(message.mac), plan.reason, _describe(message, arrival))
            return
        reply = proxy.respond(message, plan, self._address, arrival)
        if isinstance(reply, Ignore):
            self._ignore(str(message.mac), reply.reason, _describe(message, arrival))
            return
        if self._send(udp, reply):
            self._emit(Offered(message.mac, plan.boot_file, arrival.port))

    def _send(self, udp: socket.socket, reply: Reply) -> bool:
        datagram = packet.encode(reply)
        # The socket of port 67 is bound to no address: say which of the interface's addresses the answer comes from.
        source = _PKTINFO.pack(0, self._address.packed, bytes(4))
        destination = (str(reply.destination), reply.destination_port)
        try:
            udp.sendmsg([datagram], [(socket.IPPROTO_IP, _IP_PKTINFO, source)], 0, destination)
        except OSError as error:
            _log.warning(
                "dhcp answer not sent",
                interface=self._interface,
                mac=str(reply.mac),
                destination="{}:{}".format(*destination),
                error=str(error),
            )
            return False
        return True

    def _ignore(self, client: str, reason: Reason, detail: str = "") -> None:
        self._emit(Ignored("dhcp", client, reason, detail))


def _describe(message: Message, arrival: Arrival) -> str:
    numbers = ", ".join(map(str, message.architectures)) or "none"
    return f"class {message.vendor_class!r}, architecture {numbers}, from {arrival.source}:{arrival.source_port}"

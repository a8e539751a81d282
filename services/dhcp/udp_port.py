"""A UDP port on which the box receives DHCP: bound on one interface, filtered, read and written.

`open_port` opens it. `UdpPort` takes and sends datagrams one at a time by the standard library; `BatchedUdpPort` takes
and sends many in one system call (recvmmsg(2) and sendmmsg(2) by ctypes), where this machine has what that needs.
Answers come from the box's own address, answers to broadcasts too. Apart from the filter, nothing here looks into
datagrams.
"""

import contextlib
import ctypes
import errno
import logging
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

from services.dhcp import packet
from services.dhcp.message import SERVER_PORT, Peer
from services.linux import socket_filter
from services.linux.sockets import bind_udp
from services.linux.udp_batches import MESSAGE, VECTOR, Unavailable, address_of, batch_system_calls, peer_of

MOST = 256
"""Datagrams taken at a time at most. With 32, a room of 1,000 PCs waited 6 s for its offers while the other services
had their turns."""

RECEIVE_BUFFER = 4 << 20
"""Bytes of the kernel's queue, as far as it allows: some 3,000 DISCOVERs, a campus that is switched on together."""

# BOOTREQUEST and the magic cookie pass; whatever else is wrong with a request may have to be reported.
HEARD = socket_filter.datagrams([socket_filter.Field(0, 1, (1,)), socket_filter.Field(236, 4, (0x63825363,))])

_TOO_LONG = packet.MAX_DATAGRAM + 1  # bytes read of a datagram: one more than allowed shows that it is too long
_BROADCAST = ("255.255.255.255", 68)
_SENT_AT_ONCE = 64
"""Answers sent in one system call."""
_LONGEST_ANSWER = 1472
"""Bytes: what one Ethernet frame holds. A longer answer is sent by itself."""
_PEERS = 1024
"""Peers whose socket addresses are kept: a network has a relay or two, and all other clients are 0.0.0.0."""

_IP_PKTINFO = 8  # linux/in.h; Python's socket module has it from 3.14 on
_PKTINFO = struct.Struct("=I4s4s")
_NAME = struct.Struct("16s")  # struct sockaddr_in
_NAME_LENGTH, _BYTES = 2, 14  # where these stand in a mmsghdr, in words of four bytes

log = logging.getLogger(__name__)


class UdpPort:
    """One bound socket, a datagram at a time."""

    def __init__(self, udp: socket.socket, address: IPv4Address, longest: int) -> None:
        """`address` is the box's own; bytes beyond `longest` in a datagram are cut off."""
        self._udp = udp
        self._longest = longest
        # The socket of port 67 is bound to no address: say which of the interface's addresses the answer comes from.
        self._source = [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, address.packed, bytes(4)))]

    def fileno(self) -> int:
        """The descriptor that an event loop watches."""
        return self._udp.fileno()

    def receive(self, most: int = MOST) -> list[tuple[bytes, Peer]]:
        """The datagrams that have arrived, at most `most`, which is MOST or fewer. Raises OSError."""
        found: list[tuple[bytes, Peer]] = []
        with contextlib.suppress(BlockingIOError):
            for _ in range(most):
                found.append(self._udp.recvfrom(self._longest))
        return found

    def send(self, datagram: bytes, destination: Peer) -> None:
        """Send one. Raises OSError."""
        self._udp.sendmsg([datagram], self._source, 0, destination)

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> dict[int, str]:
        """Send several. Returns which could not be sent, by their places, and why."""
        unsent: dict[int, str] = {}
        for place, answer in enumerate(answers):
            try:
                self.send(*answer)
            except OSError as error:
                unsent[place] = str(error)
        return unsent

    def close(self) -> None:
        """Close the socket."""
        self._udp.close()


class BatchedUdpPort(UdpPort):
    """Many datagrams in one system call, each way. Buffers and headers are laid out once."""

    def __init__(self, udp: socket.socket, address: IPv4Address, longest: int) -> None:
        """Raises Unavailable, and OSError when the second socket, which sends, cannot be opened."""
        super().__init__(udp, address, longest)
        self._recvmmsg, self._sendmmsg = batch_system_calls()
        self._received, self._sent = _Headers(MOST, longest), _Headers(_SENT_AT_ONCE, _LONGEST_ANSWER)
        self._peers: dict[bytes, Peer] = {}
        self._names: dict[Peer, bytes] = {}
        self._sender = _open_sender(udp, address)
        # With room for no datagram the calls do nothing, but a kernel or a sandbox that lacks them says so.
        if self._receive(0) < 0 or self._send(0, 0) < 0:
            self._sender.close()
            raise Unavailable(f"recvmmsg and sendmmsg: {errno.errorcode[ctypes.get_errno()]}")

    def receive(self, most: int = MOST) -> list[tuple[bytes, Peer]]:
        """The datagrams that have arrived, at most `most`, which is MOST or fewer. Raises OSError."""
        count = self._receive(most)
        if count < 0:
            number = ctypes.get_errno()
            if number == errno.EAGAIN:
                return []
            raise OSError(number, errno.errorcode.get(number, ""))
        return self.taken(count)

    def taken(self, count: int) -> list[tuple[bytes, Peer]]:
        """The first `count` datagrams in the buffers."""
        received, known = self._received, self._peers
        data = received.data
        names = _NAME.iter_unpack(received.names[: count * _NAME.size])
        return [
            (data[at : at + length], known.get(name) or self._peer_named(name))
            for at, length, (name,) in zip(received.starts, received.lengths[:count].tolist(), names, strict=False)
        ]

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> dict[int, str]:
        """Send several. Returns which could not be sent, by their places, and why."""
        sent, known = self._sent, self._names
        unsent: dict[int, str] = {}
        for first in range(0, len(answers), _SENT_AT_ONCE):
            number, places = 0, []
            for place, (datagram, destination) in enumerate(answers[first : first + _SENT_AT_ONCE], first):
                length = len(datagram)
                if length > _LONGEST_ANSWER:
                    if why := super().send_all([(datagram, destination)]):
                        unsent[place] = why[0]
                    continue
                places.append(place)
                at = sent.starts[number]
                sent.data[at : at + length] = datagram
                sent.room[2 * number + 1] = length
                if destination == _BROADCAST:
                    sent.name_lengths[number] = 0
                else:
                    sent.name_lengths[number] = _NAME.size
                    name = known.get(destination) or self._name_of(destination)
                    sent.names[number * _NAME.size : (number + 1) * _NAME.size] = name
                number += 1
            for each, error in self._send_laid_out(number).items():
                unsent[places[each]] = os.strerror(error)
        return unsent

    def close(self) -> None:
        """Close both sockets."""
        super().close()
        self._sender.close()

    def _send_laid_out(self, count: int) -> dict[int, int]:
        done = 0
        unsent: dict[int, int] = {}
        while done < count:
            sent = self._send(done, count - done)
            if sent < 0:
                error = ctypes.get_errno()
                if error == errno.EAGAIN:
                    return unsent | dict.fromkeys(range(done, count), error)
                unsent[done] = error
                sent = 1  # skip the first one, which cannot be sent
            done += sent
        return unsent

    def _receive(self, most: int) -> int:
        return self._recvmmsg(self._udp.fileno(), self._received.at, most, socket.MSG_DONTWAIT, None)

    def _send(self, first: int, count: int) -> int:
        at = self._sent.at + first * MESSAGE.size
        return self._sendmmsg(self._sender.fileno(), at, count, socket.MSG_DONTWAIT)

    def _peer_named(self, name: bytes) -> Peer:
        if len(self._peers) >= _PEERS:
            self._peers.clear()
        found = self._peers[name] = address_of(name)
        return found

    def _name_of(self, peer: Peer) -> bytes:
        if len(self._names) >= _PEERS:
            self._names.clear()
        found = self._names[peer] = peer_of(IPv4Address(peer[0]), peer[1])
        return found


class _Headers:
    """Room for `most` datagrams of `longest` bytes, each with its socket address, and the headers that point there."""

    def __init__(self, most: int, longest: int) -> None:
        self.data, self.names = mmap.mmap(-1, most * longest), mmap.mmap(-1, most * _NAME.size)
        self.starts = range(0, most * longest, longest)
        data, names = (ctypes.addressof(ctypes.c_char.from_buffer(each)) for each in (self.data, self.names))
        headers = mmap.mmap(-1, most * (MESSAGE.size + VECTOR.size))
        self.at = ctypes.addressof(ctypes.c_char.from_buffer(headers))
        vectors = self.at + most * MESSAGE.size
        headers[:] = b"".join(
            MESSAGE.pack(names + i * _NAME.size, _NAME.size, vectors + i * VECTOR.size, 1, 0, 0, 0, 0)
            for i in range(most)
        ) + b"".join(VECTOR.pack(data + start, longest) for start in self.starts)
        view = memoryview(headers)
        words = view[: most * MESSAGE.size].cast("I")
        self.lengths, self.name_lengths = words[_BYTES::16], words[_NAME_LENGTH::16]
        self.room = view[most * MESSAGE.size :].cast("Q")


def open_port(interface: str, at: IPv4Address, port: int, source: IPv4Address) -> UdpPort:
    """Bind `port` at the address `at`, 0.0.0.0 for broadcasts; answers come from `source`. Raises BindError."""
    udp = bind_udp(at, port, interface)
    socket_filter.attach(udp, HEARD)
    if port == SERVER_PORT:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    try:
        return BatchedUdpPort(udp, source, _TOO_LONG)
    except (Unavailable, OSError) as why:
        log.info("dhcp takes and sends datagrams one at a time", extra={"interface": interface, "why": str(why)})
        return UdpPort(udp, source, _TOO_LONG)


def _open_sender(udp: socket.socket, address: IPv4Address) -> socket.socket:
    """A second socket on the port and the interface of `udp`, at the box's own address, which only sends.

    `services.linux.udp_batches.sender_beside` says what that saves. It is connected to the address where nearly all
    answers go, so that the kernel has the route at hand; nothing ever comes from there.
    """
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    device = udp.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
    try:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # Both sockets must allow the shared port at the moment of binding; afterwards nobody else can take it.
        for each in (udp, sender):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sender.bind((str(address), udp.getsockname()[1]))
            sender.connect(_BROADCAST)
        finally:
            for each in (udp, sender):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        sender.close()
        raise
    return sender

"""How DHCP datagrams come and go: one at a time by the standard library, or many in one system call.

`UdpPort` does the first. `BatchedUdpPort` does the second (recvmmsg(2) and sendmmsg(2) by ctypes), where this machine
has what it needs. Answers leave by the box's own address, answers to broadcasts too. Nothing here knows what they say.
"""

import contextlib
import ctypes
import errno
import mmap
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

from services.dhcp.message import Peer
from services.linux.udp_batches import MESSAGE, VECTOR, Unavailable, address_of, many_at_once, peer_of

MOST = 256
"""Datagrams that one call takes, so that a flood cannot starve the other services. With 32, a room of 1,000 PCs waited
6 s for its offers while the others had their turns."""

_EVERYONE = ("255.255.255.255", 68)
_LEAVING = 64
"""Answers in one call."""
_LONGEST_ANSWER = 1472
"""Bytes: what one Ethernet frame holds. What is longer leaves by itself."""
_PEERS = 1024
"""Senders whose names are kept: a room has a relay or two, and all others are 0.0.0.0."""

_IP_PKTINFO = 8  # linux/in.h; Python's socket module has it from 3.14 on
_PKTINFO = struct.Struct("=I4s4s")
_NAME = struct.Struct("16s")  # struct sockaddr_in
_NAME_LENGTH, _BYTES = 2, 14  # of a mmsghdr, in words of four bytes


class UdpPort:
    """One bound socket, a datagram at a time."""

    def __init__(self, udp: socket.socket, address: IPv4Address, longest: int) -> None:
        """`address` is the box's own; bytes beyond `longest` in a datagram are cut off."""
        self._udp = udp
        self._longest = longest
        # The socket of port 67 is bound to no address: say which of the interface's addresses the answer comes from.
        self._source = [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, address.packed, bytes(4)))]

    def fileno(self) -> int:
        """What an event loop watches."""
        return self._udp.fileno()

    def receive(self) -> list[tuple[bytes, Peer]]:
        """What has arrived, at most MOST. Raises OSError."""
        found: list[tuple[bytes, Peer]] = []
        with contextlib.suppress(BlockingIOError):
            for _ in range(MOST):
                found.append(self._udp.recvfrom(self._longest))
        return found

    def send(self, datagram: bytes, destination: Peer) -> None:
        """Send one. Raises OSError."""
        self._udp.sendmsg([datagram], self._source, 0, destination)

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> None:
        """Send what may as well be lost on its way."""
        for answer in answers:
            with contextlib.suppress(OSError):
                self.send(*answer)

    def close(self) -> None:
        """Close the socket."""
        self._udp.close()


class BatchedUdpPort(UdpPort):
    """Many in one call, each way. Buffers and headers are laid out once."""

    def __init__(self, udp: socket.socket, address: IPv4Address, longest: int) -> None:
        """Raises Unavailable, and OSError when the sender's socket cannot be had."""
        super().__init__(udp, address, longest)
        self._recvmmsg, self._sendmmsg = many_at_once()
        self._arrived, self._leaving = _Headers(MOST, longest), _Headers(_LEAVING, _LONGEST_ANSWER)
        self._names: dict[bytes, Peer] = {}
        self._peers: dict[Peer, bytes] = {}
        self._sender = _sender(udp, address)
        # With no room for a datagram they do nothing, but a kernel or a sandbox without them says so.
        if self._receive(0) < 0 or self._send(0, 0) < 0:
            self._sender.close()
            raise Unavailable(f"recvmmsg and sendmmsg: {errno.errorcode[ctypes.get_errno()]}")

    def receive(self) -> list[tuple[bytes, Peer]]:
        """What has arrived, at most MOST. Raises OSError."""
        count = self._receive(MOST)
        if count < 0:
            number = ctypes.get_errno()
            if number == errno.EAGAIN:
                return []
            raise OSError(number, errno.errorcode.get(number, ""))
        return self.taken(count)

    def taken(self, count: int) -> list[tuple[bytes, Peer]]:
        """The first datagrams in the buffers."""
        arrived, known = self._arrived, self._names
        data = arrived.data
        names = _NAME.iter_unpack(arrived.names[: count * _NAME.size])
        return [
            (data[at : at + length], known.get(name) or self._named(name))
            for at, length, (name,) in zip(arrived.starts, arrived.lengths[:count].tolist(), names, strict=False)
        ]

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> None:
        """Send what may as well be lost on its way."""
        leaving, known = self._leaving, self._peers
        for first in range(0, len(answers), _LEAVING):
            number = 0
            for datagram, destination in answers[first : first + _LEAVING]:
                length = len(datagram)
                if length > _LONGEST_ANSWER:
                    with contextlib.suppress(OSError):
                        self.send(datagram, destination)
                    continue
                at = leaving.starts[number]
                leaving.data[at : at + length] = datagram
                leaving.room[2 * number + 1] = length
                if destination == _EVERYONE:
                    leaving.name_lengths[number] = 0
                else:
                    leaving.name_lengths[number] = _NAME.size
                    name = known.get(destination) or self._raw(destination)
                    leaving.names[number * _NAME.size : (number + 1) * _NAME.size] = name
                number += 1
            self._send_laid_out(number)

    def close(self) -> None:
        """Close both sockets."""
        super().close()
        self._sender.close()

    def _send_laid_out(self, count: int) -> None:
        done = 0
        while done < count:
            sent = self._send(done, count - done)
            if sent < 0:
                if ctypes.get_errno() == errno.EAGAIN:
                    return
                sent = 1  # the first of them is what cannot be sent
            done += sent

    def _receive(self, most: int) -> int:
        return self._recvmmsg(self._udp.fileno(), self._arrived.at, most, socket.MSG_DONTWAIT, None)

    def _send(self, first: int, count: int) -> int:
        at = self._leaving.at + first * MESSAGE.size
        return self._sendmmsg(self._sender.fileno(), at, count, socket.MSG_DONTWAIT)

    def _named(self, name: bytes) -> Peer:
        if len(self._names) >= _PEERS:
            self._names.clear()
        found = self._names[name] = address_of(name)
        return found

    def _raw(self, peer: Peer) -> bytes:
        if len(self._peers) >= _PEERS:
            self._peers.clear()
        found = self._peers[peer] = peer_of(IPv4Address(peer[0]), peer[1])
        return found


class _Headers:
    """Room for `most` datagrams of `longest` bytes, each with its name, and the headers that point there."""

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


def _sender(udp: socket.socket, address: IPv4Address) -> socket.socket:
    """A second socket on the port and the interface of `udp`, at the box's own address, which only sends.

    `services.linux.udp_batches.sender_beside` says what that saves. It is connected to the address where nearly all
    answers go, so that the kernel has the route at hand; nothing ever comes from there.
    """
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    device = udp.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
    try:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # Both must allow it, at this moment; afterwards the port is nobody else's again.
        for each in (udp, sender):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sender.bind((str(address), udp.getsockname()[1]))
            sender.connect(_EVERYONE)
        finally:
            for each in (udp, sender):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        sender.close()
        raise
    return sender

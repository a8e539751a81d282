"""UDP datagrams in batches on one IPv4 socket, and windows of packets for one peer in one call.

`Batches` receives and sends many datagrams per system call (recvmmsg(2) and sendmmsg(2) by ctypes; Python has
neither). `WindowSender` sends to one peer at a time with the standard library, a window in one call where the kernel
cuts it up (UDP_SEGMENT, "GSO", Linux 4.18). A peer is its `sockaddr_in` in raw bytes: the form that the kernel gives
and takes, and a key for dictionaries. It knows nothing of protocols.
"""

import ctypes
import errno
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address

_PEER = struct.Struct("=H2s4s8x")
_PORT = struct.Struct("!H")
_FAMILY = int(socket.AF_INET)
_SEGMENT = 103  # UDP_SEGMENT in linux/udp.h
_U16 = struct.Struct("=H")
_IP_MTU = 14  # linux/in.h
_DISCARD_PORT = 9
MESSAGE = struct.Struct("@PI4xPNPNi4xI4x")
"""struct mmsghdr: name, its length; vector, its length; control data, their length; flags; bytes received."""

VECTOR = struct.Struct("@PN")
"""struct iovec: address and length."""

_CONTROL = struct.Struct("@NiiH6x")
_HEAD = 4
_DONT_WAIT = int(socket.MSG_DONTWAIT)
_CONTROL_LENGTH = 18  # without the padding at its end
UNCUT = {errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP}
"""Errors after which the packets of a window may still go out one by one: the network device computes no checksums, or
the MTU of the route is smaller than a segment."""

Buffer = bytes | memoryview

log = logging.getLogger(__name__)


class Unavailable(Exception):  # noqa: N818 - what this machine lacks, in words for people
    """This kernel or C library has no batches; the message says what is missing."""


def batch_system_calls() -> tuple[Callable[..., int], Callable[..., int]]:
    """recvmmsg(2) and sendmmsg(2), whose errno ctypes.get_errno returns; raises Unavailable."""
    if MESSAGE.size != 64 or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise Unavailable("not a 64-bit system")
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        receive, send = libc.recvmmsg, libc.sendmmsg
    except AttributeError:
        raise Unavailable("the C library has no recvmmsg and sendmmsg") from None
    send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    receive.argtypes = (*send.argtypes, ctypes.c_void_p)
    return receive, send


def peer_of(address: IPv4Address, port: int) -> bytes:
    """The raw form of a peer."""
    return _PEER.pack(_FAMILY, _PORT.pack(port), address.packed)


def address_of(peer: bytes) -> tuple[str, int]:
    """The form that the socket module takes."""
    _, port, address = _PEER.unpack(peer)
    return socket.inet_ntoa(address), _PORT.unpack(port)[0]


def path_mtu(peer: bytes) -> int:
    """The MTU of the route to `peer` in bytes, as far as the kernel knows it; raises OSError without a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        probe.connect((address_of(peer)[0], _DISCARD_PORT))
        return probe.getsockopt(socket.IPPROTO_IP, _IP_MTU)


def sender_beside(udp: socket.socket) -> socket.socket:
    """A second socket on the address and port of the bound `udp`, which only sends and receives nothing.

    Sending from a socket that an event loop watches costs more: whenever a datagram has left, the kernel checks whether
    somebody waits for room, and takes the loop's locks for that. And a connected socket has a cheap counter for IP's
    identification field. Together that is a tenth of the cost of sending. Connected to itself it receives from nobody
    else, and can still send to anybody. Raises OSError.
    """
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # Both sockets must allow it while the second one binds; afterwards nobody else gets the port again.
        for each in (udp, sender):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.bind(udp.getsockname())
        sender.connect(udp.getsockname())
        for each in (udp, sender):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        sender.close()
        raise
    return sender


class WindowSender:
    """Sends on one socket, to one peer at a time. `takes_windows`: the kernel cuts windows up itself."""

    def __init__(self, udp: socket.socket) -> None:
        self._socket = udp
        self.takes_windows = True
        try:
            udp.getsockopt(socket.IPPROTO_UDP, _SEGMENT)
        except OSError:
            self.takes_windows = False

    def send(self, peer: bytes, window: Sequence[Buffer], segment: int = 0) -> int:
        """Send packets of `segment` bytes, which lie in `window` one after another; the last may be shorter.

        Without `segment`, all of it is one packet. Returns how many were sent or lost; when that is not all, the socket
        is full. A packet that cannot be sent at all counts as lost. No packet may lie in two buffers.
        """
        address = address_of(peer)
        data = sum(map(len, window))
        segment = segment or data
        if self.takes_windows and data > segment:
            control = [(socket.IPPROTO_UDP, _SEGMENT, _U16.pack(segment))]
            try:
                self._socket.sendmsg(window, control, 0, address)
                return -(-data // segment)
            except BlockingIOError:
                return 0
            except OSError as error:
                if error.errno not in UNCUT:
                    _log_lost(address, error)
                    return -(-data // segment)
                if error.errno == errno.EIO:
                    self.takes_windows = False
                    log.info("windows go out packet by packet: the network device cannot cut them (%s)", error.strerror)
        done = 0
        for buffer in window:
            view = memoryview(buffer)
            for start in range(0, len(view), segment):
                try:
                    self._socket.sendto(view[start : start + segment], address)
                except BlockingIOError:
                    return done
                except OSError as error:
                    _log_lost(address, error)
                done += 1
        return done


def _log_lost(address: tuple[str, int], error: OSError) -> None:
    # ENOBUFS: the device queue is full while the socket claims to have room, so waiting would spin. Other errors come
    # from ICMP, a firewall, or a peer with port 0.
    if error.errno not in (errno.ENOBUFS, errno.ECONNREFUSED):
        log.debug("cannot send to %s: %s", address[0], error)


class Messages:
    """Packets or windows in one buffer, ready to be sent to any peer any number of times.

    `each` has one `struct mmsghdr` without a name for each of `pieces` (offset and length in bytes). They hold memory
    addresses: keep this object as long as they are used. `segment` is the length of a packet where the pieces are
    windows, else 0.
    """

    __slots__ = ("_at", "_buffer", "each")

    def __init__(self, buffer: bytearray, pieces: Sequence[tuple[int, int]], segment: int = 0) -> None:
        if any(offset + data > len(buffer) for offset, data in pieces):
            raise ValueError("a piece goes beyond the buffer")
        self._buffer = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        base = ctypes.addressof(self._buffer)
        control = _CONTROL.pack(_CONTROL_LENGTH, socket.IPPROTO_UDP, _SEGMENT, segment)
        vectors = b"".join(VECTOR.pack(base + offset, data) for offset, data in pieces)
        self._at = ctypes.create_string_buffer(control + vectors)
        at = ctypes.addressof(self._at)
        options = (at, len(control)) if segment else (0, 0)
        first = at + len(control)
        self.each = [
            MESSAGE.pack(0, _PEER.size, first + number * VECTOR.size, 1, *options, 0, 0)
            for number in range(len(pieces))
        ]


class Batches:
    """Datagrams of one non-blocking socket, up to `most` per call. Buffers and headers are laid out once."""

    def __init__(self, udp: socket.socket, sender: socket.socket, longest: int, most: int) -> None:
        """Bytes beyond `longest` in a datagram are cut off. `sender` may be `udp` again. Raises Unavailable."""
        self._recvmmsg, self._sendmmsg = batch_system_calls()
        self.most = most
        self._fd, self._sender = udp.fileno(), sender.fileno()
        # A record is the peer and its datagram.
        self._record = struct.Struct(f"={_PEER.size}s{_HEAD}s{longest - _HEAD}x")
        self._records = ctypes.create_string_buffer(most * self._record.size)
        self._arrived = ctypes.create_string_buffer(most * (MESSAGE.size + VECTOR.size))
        self._leaving = ctypes.create_string_buffer(most * (MESSAGE.size + _PEER.size))
        self._arrived_at, self._leaving_at = ctypes.addressof(self._arrived), ctypes.addressof(self._leaving)
        self._lay_out()
        # For no datagrams at all they do nothing, but a kernel or a sandbox without them says so.
        if self._recvmmsg(self._fd, self._arrived_at, 0, _DONT_WAIT, None) < 0 or (
            self._sendmmsg(self._sender, self._leaving_at, 0, _DONT_WAIT) < 0
        ):
            raise Unavailable(f"recvmmsg and sendmmsg: {os.strerror(ctypes.get_errno())}")

    def _lay_out(self) -> None:
        most, record = self.most, self._record.size
        records, vectors = ctypes.addressof(self._records), self._arrived_at + self.most * MESSAGE.size
        starts = [records + number * record for number in range(most)]
        self._arrived.raw = b"".join(
            MESSAGE.pack(start, _PEER.size, vectors + number * VECTOR.size, 1, 0, 0, 0, 0)
            for number, start in enumerate(starts)
        ) + b"".join(VECTOR.pack(start + _PEER.size, record - _PEER.size) for start in starts)
        self._content = memoryview(self._records).cast("B")
        words = memoryview(self._arrived).cast("B").cast("I")
        self._lengths = words[14 : most * 16 : 16]
        leaving = memoryview(self._leaving).cast("B")
        self._headers, self._peers = leaving[: most * MESSAGE.size], leaving[most * MESSAGE.size :]
        self._names = self._headers.cast("Q")[::8]
        first = self._leaving_at + most * MESSAGE.size
        own = struct.pack(f"@{most}Q", *(first + number * _PEER.size for number in range(most)))
        self._own_names = memoryview(own).cast("Q")
        self._senders = memoryview(struct.pack(f"@{most}Q", *starts)).cast("Q")

    def receive(self) -> int:
        """Receive what has arrived; returns how many. Raises BlockingIOError when there is nothing, and OSError."""
        count: int = self._recvmmsg(self._fd, self._arrived_at, self.most, _DONT_WAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return count

    def heads(self, count: int) -> Iterator[tuple[bytes, bytes]]:
        """Peer and first four bytes of each datagram of the latest `receive`; of a shorter one, four zeros."""
        lengths = self._lengths[:count].tolist()
        if min(lengths) < _HEAD:
            for number, length in enumerate(lengths):
                if length < _HEAD:
                    start = number * self._record.size + _PEER.size
                    self._content[start : start + _HEAD] = bytes(_HEAD)
        return self._record.iter_unpack(self._content[: count * self._record.size])

    def datagram(self, number: int) -> tuple[bytes, bytes]:
        """Peer and content of one datagram of the latest `receive`."""
        start = number * self._record.size
        content = start + _PEER.size
        return bytes(self._content[start:content]), bytes(self._content[content : content + self._lengths[number]])

    def send(self, peers: Sequence[bytes], messages: Sequence[bytes]) -> list[tuple[int, int]]:
        """Send each of `messages` (see Messages) to its peer; at most `most`. Returns which failed, with their errno.

        After EAGAIN the socket is full, and no more are tried: those that follow are in the list too.
        """
        count = len(peers)
        self._headers[: count * MESSAGE.size] = b"".join(messages)
        self._names[:count] = self._own_names[:count]
        self._peers[: count * _PEER.size] = b"".join(peers)
        return self._leave(count)

    def answer(self, numbers: Sequence[int], messages: Sequence[bytes]) -> list[tuple[int, int]]:
        """Like `send`, each to the sender of the datagram with its number in the latest `receive`. `numbers` ascend."""
        count = len(numbers)
        self._headers[: count * MESSAGE.size] = b"".join(messages)
        if numbers[-1] == count - 1:  # every sender gets an answer
            self._names[:count] = self._senders[:count]
        else:
            for place, number in enumerate(numbers):
                self._names[place] = self._senders[number]
        return self._leave(count)

    def _leave(self, count: int) -> list[tuple[int, int]]:
        failed: list[tuple[int, int]] = []
        done = 0
        while done < count:
            sent: int = self._sendmmsg(self._sender, self._leaving_at + done * MESSAGE.size, count - done, _DONT_WAIT)
            if sent < 0:
                number = ctypes.get_errno()
                if number == errno.EAGAIN:
                    return failed + [(each, number) for each in range(done, count)]
                failed.append((done, number))
                sent = 1
            done += sent
        return failed

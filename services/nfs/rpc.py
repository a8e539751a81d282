"""A client of ONC RPC over TCP, just enough to see whether an NFS server answers: RFC 5531, 1833, 1813.

Here are NULL and the portmapper's GETPORT and DUMP; services/nfs/mount.py reads a file. Every call blocks for at most
`seconds`.
"""

import errno
import re
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

PORTMAPPER, NFS, MOUNT = 100000, 100003, 100005
BESIDE_NFS = frozenset((NFS, MOUNT, 100011, 100021, 100024, 100227))
"""NFS and what comes with it: mountd, rquotad, the lock manager, statd, and the protocol for access lists."""

PORTMAPPER_PORT, NFS_PORT = 111, 2049

LARGEST_ANSWER = 1 << 16
"""In bytes; answers to our calls are shorter than 100."""

_CALL = struct.Struct("!IIIIII")
_NOBODY = struct.pack("!IIII", 0, 0, 0, 0)
# AUTH_SYS (RFC 5531 section 8.2 and appendix A) as root of a host without a name; servers squash it.
_ROOT = struct.pack("!IIIIIIIII", 1, 20, 0, 0, 0, 0, 0, 0, 0)
_PRIVILEGED = range(1023, 600, -1)
_LAST_FRAGMENT = 1 << 31
_GETPORT, _DUMP = 3, 4
_VERSION_OF_DUMP = 4
_UNIVERSAL = re.compile(rb"[0-9a-fA-F.:]+\.([0-9]{1,3})\.([0-9]{1,3})")
_TRANSPORTS = {b"tcp": "tcp", b"tcp6": "tcp", b"udp": "udp", b"udp6": "udp"}
_TCP = 6
_REFUSALS = {
    1: "it does not serve this program",
    2: "it does not speak this version",
    3: "it does not know this procedure",
    4: "it could not read the call",
    5: "it has an internal error",
}


class RpcError(Exception):
    """The server did not answer as it should; the message says what happened."""


def null(address: IPv4Address, port: int, program: int, version: int, seconds: float = 2.0) -> None:
    """Call the procedure that does nothing; raises RpcError unless the program answers to this version."""
    call(address, port, program, version, 0, b"", seconds)


def port_of(address: IPv4Address, program: int, version: int, seconds: float = 2.0) -> int:
    """Ask the portmapper for the TCP port of a program; raises RpcError, also if the program is not registered."""
    question = struct.pack("!IIII", program, version, _TCP, 0)
    answer = call(address, PORTMAPPER_PORT, PORTMAPPER, 2, _GETPORT, question, seconds)
    if len(answer) < 4:
        raise RpcError("the portmapper's answer is cut short")
    port: int = struct.unpack("!I", answer[:4])[0]
    if not 0 < port < 65536:
        raise RpcError("it is not registered with the portmapper")
    return port


def registered(address: IPv4Address, seconds: float = 2.0) -> list[tuple[int, str, int]]:
    """Ask the portmapper for all programs: number, "tcp" or "udp", and port, over IPv4 and IPv6; raises RpcError."""
    answer = call(address, PORTMAPPER_PORT, PORTMAPPER, _VERSION_OF_DUMP, _DUMP, b"", seconds)
    return list(read_dump(answer))


def read_dump(answer: bytes) -> Iterator[tuple[int, str, int]]:
    """The programs in an answer to DUMP (RFC 1833 section 2.1); those on local sockets are left out. Raises
    RpcError."""
    at = 0

    def word() -> int:
        nonlocal at
        at += 4
        return int(struct.unpack_from("!I", answer, at - 4)[0])

    def text() -> bytes:
        nonlocal at
        length = word()
        if length > len(answer) - at:
            raise RpcError("the portmapper's answer is cut short")
        at += (length + 3) & ~3
        return answer[at - ((length + 3) & ~3) :][:length]

    try:
        while word():
            program, _, transport, where, _ = word(), word(), text(), text(), text()
            port = _UNIVERSAL.fullmatch(where)
            if transport in _TRANSPORTS and port:
                yield program, _TRANSPORTS[transport], (int(port[1]) << 8 | int(port[2])) & 0xFFFF
    except struct.error:
        raise RpcError("the portmapper's answer is cut short") from None


def call(
    address: IPv4Address,
    port: int,
    program: int,
    version: int,
    procedure: int,
    arguments: bytes,
    seconds: float,
    *,
    as_root: bool = False,
) -> bytes:
    """Call a procedure and return its results; raises RpcError. `as_root`: with root's credentials and from a port
    below 1024, as the kernel of a PC calls."""
    xid = secrets.randbits(32)
    call = _CALL.pack(xid, 0, 2, program, version, procedure) + (_ROOT if as_root else _NOBODY) + arguments
    deadline = time.monotonic() + seconds
    try:
        with _connect(address, port, seconds, privileged=as_root) as tcp:
            tcp.sendall(struct.pack("!I", _LAST_FRAGMENT | len(call)) + call)
            return read_reply(_receive(tcp, deadline), xid)
    except TimeoutError:
        raise RpcError(f"port {port} of {address} did not answer within {seconds:.0f} s") from None
    except OSError as error:
        raise RpcError(f"port {port} of {address}: {error.strerror or error}") from None


def _connect(address: IPv4Address, port: int, seconds: float, *, privileged: bool) -> socket.socket:
    for own in _PRIVILEGED if privileged else (0,):
        try:
            return socket.create_connection((str(address), port), timeout=seconds, source_address=("", own))
        except OSError as error:
            # The kernel remembers a connection for a minute after its end.
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                raise
    raise RpcError("no port below 1024 is free")


def read_reply(data: bytes, xid: int) -> bytes:
    """Return the results in a reply message (RFC 5531 section 9); raises RpcError."""
    if len(data) < 12:
        raise RpcError("the answer is cut short")
    answered, kind, state = struct.unpack_from("!III", data)
    if (answered, kind) != (xid, 1):
        raise RpcError("the answer does not belong to our call")
    if state != 0:
        raise RpcError("it refuses the call (wrong RPC version, or it wants other credentials)")
    if len(data) < 24:
        raise RpcError("the answer is cut short")
    length = struct.unpack_from("!I", data, 16)[0]
    at = 20 + ((length + 3) & ~3)
    accepted = data[at : at + 4]
    if len(accepted) < 4:
        raise RpcError("the answer is cut short")
    if status := int.from_bytes(accepted, "big"):
        raise RpcError(_REFUSALS.get(status, f"it answers with status {status}"))
    return data[at + 4 :]


def _receive(tcp: socket.socket, deadline: float) -> bytes:
    """All fragments of one record (RFC 5531 section 11)."""
    record = b""
    while True:
        mark = int.from_bytes(_exactly(tcp, 4, deadline), "big")
        length = mark & ~_LAST_FRAGMENT
        if len(record) + length > LARGEST_ANSWER:
            raise RpcError("the answer is too long")
        record += _exactly(tcp, length, deadline)
        if mark & _LAST_FRAGMENT:
            return record


def _exactly(tcp: socket.socket, count: int, deadline: float) -> bytes:
    data = b""
    while len(data) < count:
        # A server that sends a byte a second must not hold us up longer than a silent one.
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        tcp.settimeout(left)
        chunk = tcp.recv(count - len(data))
        if not chunk:
            raise RpcError("it closed the connection instead of answering")
        data += chunk
    return data

"""Mounts by NFSv3 and reads the beginning of a file, as the kernel of a PC does for its live root: RFC 1813.

Mounts nothing on this host: asks the server over TCP, from a port below 1024, which takes root. Blocks.
"""

import struct
import time
from collections.abc import Sequence
from ipaddress import IPv4Address

from services.nfs.rpc import MOUNT, NFS, NFS_PORT, RpcError, call, port_of

_VERSION = 3
_MNT, _LOOKUP, _READ = 1, 3, 6
_ATTRIBUTES = 84  # bytes of fattr3
_LATER = 10008  # NFS3ERR_JUKEBOX
_TRIES = 6
_PAUSE = 0.3
_REFUSALS = {
    1: "not permitted",
    2: "no such file or directory",
    5: "its disk has an error",
    13: "access denied",
    20: "not a directory",
    70: "the file handle is stale",
    10001: "the file handle is not valid",
    10004: "not supported",
    10006: "it has an internal error",
    _LATER: "it is busy and says: later",
}


def read_beginning(
    address: IPv4Address, directory: str, names: Sequence[str], count: int, seconds: float = 2.0
) -> bytes:
    """Mount `directory`, look up the file at `names` below it, and read its first `count` bytes. Raises RpcError:
    what the server refused, and why."""
    port = port_of(address, MOUNT, _VERSION, seconds)
    mounted = call(address, port, MOUNT, _VERSION, _MNT, _opaque(directory.encode()), seconds, as_root=True)
    handle, _ = _take(_checked(mounted, f"the mount of {directory}"))
    for name in names:
        found = _nfs(address, _LOOKUP, _opaque(handle) + _opaque(name.encode()), f"the look at {name}", seconds)
        handle, _ = _take(found)
    read = _nfs(address, _READ, _opaque(handle) + struct.pack("!QI", 0, count), f"the read of {names[-1]}", seconds)
    after = read[4 + (_ATTRIBUTES if int.from_bytes(read[:4], "big") else 0) :]
    return _take(after[8:])[0]


def _nfs(address: IPv4Address, procedure: int, arguments: bytes, what: str, seconds: float) -> bytes:
    for _ in range(_TRIES):
        answer = call(address, NFS_PORT, NFS, _VERSION, procedure, arguments, seconds, as_root=True)
        if answer[:4] != _LATER.to_bytes(4, "big"):
            break
        time.sleep(_PAUSE)
    return _checked(answer, what)


def _checked(answer: bytes, what: str) -> bytes:
    """The results after a status that is none of the errors."""
    if len(answer) < 4:
        raise RpcError("the answer is cut short")
    if status := int.from_bytes(answer[:4], "big"):
        raise RpcError(f"{what} was refused: {_REFUSALS.get(status, f'status {status}')}")
    return answer[4:]


def _opaque(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data + bytes(-len(data) % 4)


def _take(data: bytes) -> tuple[bytes, bytes]:
    """Variable-length data at the front, and what follows it."""
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < 4 + length:
        raise RpcError("the answer is cut short")
    return data[4 : 4 + length], data[4 + length + -length % 4 :]

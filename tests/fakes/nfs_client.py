"""An NFS client that speaks to the server by itself, with any file handle it likes: what a program on a PC can do.

NFSv3 (RFC 1813) and NFSv4.0 (RFC 7530), only what an intruder needs: mount, look up, list, read, make a directory. Runs
as a program, so that it can be in another host's network namespace: one JSON request per line of input, one JSON answer
per line of output (see `main`); a refusal is the answer {"refused": what}.

    python -m tests.fakes.nfs_client 10.77.0.1 4
"""

import errno
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

_LAST = 1 << 31
_TCP = 6
_CONNECT_SECONDS, _ANSWER_SECONDS = 8, 20


class RefusedError(Exception):
    """The server answered with an error, as text."""


def opaque(data: bytes) -> bytes:
    """Variable-length data in XDR (RFC 4506 section 4.10)."""
    return struct.pack("!I", len(data)) + data + bytes(-len(data) % 4)


class Answer:
    """Reads XDR from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, size: int = 4) -> int:
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "big")

    def opaque(self, length: int | None = None) -> bytes:
        length = self.number() if length is None else length
        found = self.data[self.at : self.at + length]
        self.at += length + -length % 4
        return found


def call(address: str, port: int, program: int, version: int, procedure: int, arguments: bytes) -> Answer:
    """One call with AUTH_SYS (RFC 5531), over a connection of its own from whatever port the kernel gives."""
    # Credentials of the user 731; the server squashes them anyway.
    credentials = struct.pack("!I", 0) + opaque(b"pc") + struct.pack("!III", 731, 731, 0)
    header = struct.pack("!IIIIII", 7, 0, 2, program, version, procedure)
    message = header + struct.pack("!I", 1) + opaque(credentials) + struct.pack("!II", 0, 0) + arguments
    with _connect(address, port) as tcp:
        tcp.settimeout(_ANSWER_SECONDS)
        tcp.sendall(struct.pack("!I", _LAST | len(message)) + message)
        record, last = b"", False
        while not last:
            mark = int.from_bytes(_exactly(tcp, 4), "big")
            last = bool(mark & _LAST)
            record += _exactly(tcp, mark & ~_LAST)
    answer = Answer(record)
    answer.number(), answer.number()
    if answer.number():
        raise RefusedError("the call is rejected")
    answer.number(), answer.opaque()
    if status := answer.number():
        raise RefusedError(f"RPC status {status}")
    return answer


def _connect(address: str, port: int) -> socket.socket:
    if os.geteuid() != 0 or "--low-port" not in sys.argv:
        return socket.create_connection((address, port), _CONNECT_SECONDS)
    for own in range(1023, 600, -1):
        try:
            return socket.create_connection((address, port), _CONNECT_SECONDS, ("", own))
        except OSError as error:
            # Of the connection before, which the kernel remembers for a minute.
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                raise
    raise RefusedError("no port below 1024 is free")


def _exactly(tcp: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (chunk := tcp.recv(count - len(data))):
            raise RefusedError("the server closed the connection")
        data += chunk
    return data


_KERNEL_FSID = {0: 8, 1: 4, 2: 12, 3: 8, 4: 8, 5: 8, 6: 16, 7: 24}
"""Bytes of the file system's id in a handle of the kernel's server, by its type: fs/nfsd/nfsfh.h, key_len."""


def forged(handle: str, inode: int, generation: int) -> str:
    """A handle in hex that names another inode of the same file system, for ext4 behind NFS-Ganesha or the kernel's
    server, as the kernel encodes it (FILEID_INO32_GEN)."""
    data = bytes.fromhex(handle)
    end = struct.pack("<II", inode, generation)
    if data[0] != 1:
        return (data[:-8] + end).hex()
    # The kernel's: version, authentication, type of the file system's id, type of the file's id.
    return (data[:3] + b"\x01" + data[4 : 4 + _KERNEL_FSID[data[2]]] + end).hex()


class Nfs3:
    """NFS version 3, and the mount protocol beside it."""

    def __init__(self, address: str) -> None:
        self._address = address

    def root(self, path: str) -> bytes:
        port = call(self._address, 111, 100000, 2, 3, struct.pack("!IIII", 100005, 3, _TCP, 0)).number()
        answer = call(self._address, port, 100005, 3, 1, opaque(path.encode()))
        if status := answer.number():
            raise RefusedError(f"mount status {status}")
        return answer.opaque()

    def lookup(self, handle: bytes, names: Sequence[str]) -> bytes:
        for name in names:
            handle = self._call(3, opaque(handle) + opaque(name.encode())).opaque()
        return handle

    def list(self, handle: bytes) -> list[str]:
        answer = self._call(16, opaque(handle) + struct.pack("!QQI", 0, 0, 16384))
        if answer.number():
            answer.opaque(84)
        answer.opaque(8)
        found = []
        while answer.number():
            answer.number(8)
            found.append(answer.opaque().decode())
            answer.number(8)
        return found

    def read(self, handle: bytes) -> bytes:
        answer = self._call(6, opaque(handle) + struct.pack("!QI", 0, 65536))
        if answer.number():
            answer.opaque(84)
        answer.number(), answer.number()
        return answer.opaque()

    def make(self, handle: bytes, name: str) -> None:
        self._call(9, opaque(handle) + opaque(name.encode()) + struct.pack("!IIIIII", 1, 0o777, 0, 0, 0, 0))

    def _call(self, procedure: int, arguments: bytes) -> Answer:
        answer = call(self._address, 2049, 100003, 3, procedure, arguments)
        if status := answer.number():
            raise RefusedError(f"NFS3 status {status}")
        return answer


class Nfs4:
    """NFS version 4.0, without a client id: reading needs none."""

    _PUTFH, _PUTROOTFH, _LOOKUP, _GETFH, _READDIR, _READ, _CREATE = 22, 24, 15, 10, 26, 25, 6

    def __init__(self, address: str) -> None:
        self._address = address

    def root(self, path: str) -> bytes:
        names = [name for name in path.split("/") if name]
        return self._compound([(self._PUTROOTFH, b""), *map(self._name, names), (self._GETFH, b"")]).opaque()

    def lookup(self, handle: bytes, names: Sequence[str]) -> bytes:
        return self._compound([self._put(handle), *map(self._name, names), (self._GETFH, b"")]).opaque()

    def list(self, handle: bytes) -> list[str]:
        # Attribute 11 is rdattr_error: an entry that may not be looked at does not end the list.
        arguments = struct.pack("!QQIIII", 0, 0, 8192, 32768, 1, 1 << 11)
        answer = self._compound([self._put(handle), (self._READDIR, arguments)])
        answer.opaque(8)
        found = []
        while answer.number():
            answer.number(8)
            found.append(answer.opaque().decode())
            for _ in range(answer.number()):
                answer.number()
            answer.opaque()
        return found

    def read(self, handle: bytes) -> bytes:
        # The anonymous state id: RFC 7530 section 9.1.4.3.
        answer = self._compound([self._put(handle), (self._READ, bytes(16) + struct.pack("!QI", 0, 65536))])
        answer.number()
        return answer.opaque()

    def make(self, handle: bytes, name: str) -> None:
        arguments = struct.pack("!I", 2) + opaque(name.encode()) + struct.pack("!II", 0, 0)
        self._compound([self._put(handle), (self._CREATE, arguments)])

    def _put(self, handle: bytes) -> tuple[int, bytes]:
        return self._PUTFH, opaque(handle)

    def _name(self, name: str) -> tuple[int, bytes]:
        return self._LOOKUP, opaque(name.encode())

    def _compound(self, operations: Sequence[tuple[int, bytes]]) -> Answer:
        """The answer, at the result of the last operation; those before it must have none."""
        body = b"".join(struct.pack("!I", number) + arguments for number, arguments in operations)
        answer = call(self._address, 2049, 100003, 4, 1, struct.pack("!III", 0, 0, len(operations)) + body)
        status = answer.number()
        answer.opaque()
        for _ in range(answer.number()):
            answer.number()
            if failed := answer.number():
                raise RefusedError(f"NFS4 status {failed}")
        if status:
            raise RefusedError(f"NFS4 status {status}")
        return answer


def _patiently(method: Callable[..., Any], where: str | bytes, rest: Sequence[Any], left: int = 100) -> Any:
    """Ask again while the server says "later": NFS3ERR_JUKEBOX, NFS4ERR_DELAY and NFS4ERR_GRACE."""
    try:
        answer = method(where, *rest)
    except RefusedError as error:
        if not left or not str(error).endswith((" 10008", " 10013")):
            raise
    else:
        return answer
    time.sleep(0.5)
    return _patiently(method, where, rest, left - 1)


def main() -> None:
    """Requests are [method, handle in hex or path, further arguments]; answers are what the method returns."""
    client = {"3": Nfs3, "4": Nfs4}[sys.argv[2]](sys.argv[1])
    for line in sys.stdin:
        method, where, *rest = json.loads(line)
        try:
            answer: Any = _patiently(getattr(client, method), where if method == "root" else bytes.fromhex(where), rest)
            if isinstance(answer, bytes):
                answer = answer.decode(errors="replace") if method == "read" else answer.hex()
        except (RefusedError, OSError) as error:
            answer = {"refused": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""The client that asks for the live root: what it calls, and what it says of each refusal."""

import struct
from ipaddress import IPv4Address
from typing import Any

import pytest

from services.nfs import mount
from services.nfs.mount import read_beginning
from services.nfs.rpc import MOUNT, NFS, RpcError

SERVER = IPv4Address("10.0.0.1")
NAMES = ("r1", "live", "filesystem.squashfs")


def words(*numbers: int) -> bytes:
    return struct.pack(f"!{len(numbers)}I", *numbers)


def opaque(data: bytes) -> bytes:
    return words(len(data)) + data + bytes(-len(data) % 4)


MOUNTED = words(0) + opaque(b"root") + words(1, 1)
FOUND = words(0) + opaque(b"handl") + words(0, 0)
READ = words(0, 1) + bytes(84) + words(4, 0) + opaque(b"hsqs")


class Server:
    """Answers by program and procedure; keeps the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: bytes) -> None:
        self.answers = {"mnt": MOUNTED, "lookup": FOUND, "read": READ} | answers
        self.calls: list[tuple[str, bytes]] = []
        monkeypatch.setattr(mount, "call", self.call)
        monkeypatch.setattr(mount, "port_of", lambda *_: 20048)
        monkeypatch.setattr(mount, "_PAUSE", 0.0)

    def call(
        self,
        address: IPv4Address,
        port: int,
        program: int,
        version: int,
        procedure: int,
        arguments: bytes,
        *rest: Any,
        as_root: bool,
    ) -> bytes:
        assert (address, version, as_root) == (SERVER, 3, True)
        name = {(MOUNT, 1): "mnt", (NFS, 3): "lookup", (NFS, 6): "read"}[program, procedure]
        assert port == (20048 if name == "mnt" else 2049)
        self.calls.append((name, arguments))
        return self.answers[name]


def test_it_mounts_looks_up_each_name_and_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    assert read_beginning(SERVER, "/srv/images", NAMES, 4) == b"hsqs"
    assert server.calls == [
        ("mnt", opaque(b"/srv/images")),
        ("lookup", opaque(b"root") + opaque(b"r1")),
        ("lookup", opaque(b"handl") + opaque(b"live")),
        ("lookup", opaque(b"handl") + opaque(b"filesystem.squashfs")),
        ("read", opaque(b"handl") + struct.pack("!QI", 0, 4)),
    ]


@pytest.mark.parametrize(
    ("which", "answer", "said"),
    [
        ("mnt", words(13), "the mount of /srv/images was refused: access denied"),
        ("mnt", words(2), "the mount of /srv/images was refused: no such file or directory"),
        ("lookup", words(70, 0), "the look at r1 was refused: the file handle is stale"),
        ("lookup", words(10008, 0), "the look at r1 was refused: it is busy and says: later"),
        ("read", words(5, 0), "the read of filesystem.squashfs was refused: its disk has an error"),
        ("read", words(77, 0), "the read of filesystem.squashfs was refused: status 77"),
        ("mnt", b"", "the answer is cut short"),
        ("mnt", words(0, 64), "the answer is cut short"),
        ("read", words(0, 1), "the answer is cut short"),
        ("read", words(0, 0, 4, 0, 9), "the answer is cut short"),
    ],
)
def test_a_refusal_is_told_in_words(monkeypatch: pytest.MonkeyPatch, which: str, answer: bytes, said: str) -> None:
    Server(monkeypatch, **{which: answer})
    with pytest.raises(RpcError, match=f"^{said}$"):
        read_beginning(SERVER, "/srv/images", NAMES, 4)

"""A conversation with the TFTP server without its sockets: `wire >> what a client sends << what it gets`.

The responder and the sessions are the server's own, on a clock that stands still until the test lets time pass; only
the sender is replaced. Answers are written out by a reader that shares no code with the server, and all DATA is
compared with the file.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from textwrap import dedent
from typing import Self

from appliance.allowlist import Allowlist, Entry
from appliance.boot import policy
from services.decision import Ignore, Reason
from services.ethernet import MacAddress, MacRange
from services.events import Event, Ignored, TransferFailed, TransferProgressed, TransferServed
from services.linux.udp_batches import Buffer, WindowSender, address_of, peer_of
from services.menus.menu import Dialect
from services.tftp.content_cache import ContentCache
from services.tftp.due_sessions import TICK
from services.tftp.files import Files
from services.tftp.responder import Responder
from services.tftp.sessions import Sessions
from services.tftp.transfer import LARGEST_BLOCK
from tests.fakes.tftp_peer import data, error, oack

MAC = MacAddress.parse("52:54:00:aa:bb:01")
PC = "10.77.0.134:2070"
NEIGHBOURS = {"10.77.0.134": MAC, "10.77.0.66": MacAddress.parse("52:54:00:66:66:66")}
FILES = {
    "loader.efi": random.Random(1).randbytes(1200),
    "even.efi": random.Random(2).randbytes(1024),
    "big.img": random.Random(3).randbytes(20_000),
    "lines.txt": b"a\nb\r\nc\r\0",
}


@dataclass(frozen=True)
class Sent:
    """A datagram from another peer than the PC's usual one."""

    datagram: bytes
    source: str


class RecordingSender(WindowSender):
    """Keeps each packet with its peer instead of sending it."""

    def __init__(self) -> None:
        self.takes_windows = True
        self.packets: list[tuple[bytes, bytes]] = []
        self.sent_bytes = 0

    def send(self, peer: bytes, window: Sequence[Buffer], segment: int = 0) -> int:
        """Cut the window into packets."""
        content = b"".join(window)
        self.sent_bytes += len(content)
        segment = segment or len(content)
        pieces = [content[at : at + segment] for at in range(0, len(content), segment)]
        self.packets += [(peer, piece) for piece in pieces]
        return len(pieces)


@dataclass
class Transcript:
    """The lines of an answer, with what is needed to check DATA: the block size and the file of the transfer."""

    block: int = 512
    content: bytes = b""
    lines: list[str] = field(default_factory=list)

    def write(self, datagram: bytes, to: str) -> None:
        """Add one packet to the transcript; DATA that continues the line before extends it."""
        match datagram[1]:
            case 3:
                self._write_data(*data(datagram), to)
            case 5:
                code, message = error(datagram)
                self.lines.append(f"{to}ERROR {code} {message}")
            case _:
                options = oack(datagram)
                self.block = int(options.get("blksize", 512))
                self.lines.append(f"{to}OACK " + " ".join(f"{name}={value}" for name, value in options.items()))

    def _write_data(self, number: int, payload: bytes, to: str) -> None:
        assert payload == self.content[(number - 1) * self.block : number * self.block]
        size = f"{len(payload)} bytes"
        begun, _, rest = self.lines[-1].removeprefix(f"{to}DATA ").partition(": ") if self.lines else ("", "", "")
        first, _, last = begun.partition("-")
        if rest == size and (last or first) == str(number - 1):
            self.lines[-1] = f"{to}DATA {first}-{number}: {size}"
        else:
            self.lines.append(f"{to}DATA {number}: {size}")


class TftpWire:
    """`>>` takes a datagram of the PC, a `Sent`, or seconds that pass; `<<` compares everything that was sent or
    emitted since. Lines that came while time passed begin with the seconds since then."""

    def __init__(self, folder: Path) -> None:
        for name, content in FILES.items():
            (folder / "root").mkdir(exist_ok=True)
            (folder / "root" / name).write_bytes(content)
        (folder / "secret").write_bytes(b"secret")
        self._now = 1000.0
        self.active = True
        """Whether there is an image."""
        self._pending: str | None = None
        self._transcript = Transcript()
        self._sender = RecordingSender()
        cache = ContentCache()
        self.sessions = Sessions(
            cache,
            clock=lambda: self._now,
            emit=self._record,
            ended=lambda _: None,
            await_room=lambda: None,
            await_tick=lambda: None,
        )
        self.responder = Responder(
            Files(folder / "root", folder / "images", self._script, self._autoexec),
            self.sessions,
            cache,
            admit=self._admit,
            sender_for=lambda _: self._sender,
            own_ports=False,
            send_error=lambda peer, datagram: self._sender.send(peer, [datagram]),
            largest_block=lambda _: LARGEST_BLOCK,
            emit=self._record,
            clock=lambda: self._now,
        )

    def __rshift__(self, happens: bytes | Sent | float) -> Self:
        assert self._pending is None, f"nobody expected:\n{self._pending}"
        self._transcript.lines = []
        match happens:
            case bytes():
                self._receive(happens, PC)
            case Sent(datagram, source):
                self._receive(datagram, source)
            case _:
                self._pass(happens)
        self._pending = "\n".join(self._transcript.lines) or "silence"
        return self

    def __lshift__(self, expected: str) -> Self:
        assert self._pending == dedent(expected).strip()
        self._pending = None
        return self

    def __bool__(self) -> bool:
        assert self._pending is None, f"nobody expected:\n{self._pending}"
        return True

    def flooded(self, datagrams: Sequence[Sent], seconds: float) -> int:
        """Let these arrive within so many seconds; returns how many bytes are sent meanwhile."""
        begun, before = self._now, self._sender.sent_bytes
        waiting = iter(datagrams)
        apart = seconds / max(1, len(datagrams))
        while (passed := self._now - begun) < seconds:
            for _ in range(int((passed + TICK) / apart) - int(passed / apart)):
                each = next(waiting, None)
                if each is not None:
                    host, _, port = each.source.partition(":")
                    peer = peer_of(IPv4Address(host), int(port))
                    self.sessions.guard(peer, self.responder.answer, each.datagram, peer)
            self._now += TICK
            self.sessions.tick()
            self._write_packets()
        return self._sender.sent_bytes - before

    def _receive(self, datagram: bytes, source: str) -> None:
        host, _, port = source.partition(":")
        peer = peer_of(IPv4Address(host), int(port))
        self.sessions.guard(peer, self.responder.answer, datagram, peer)
        self.sessions.flush()
        self._write_packets()

    def _pass(self, seconds: float) -> None:
        begun, until = self._now, self._now + seconds
        while self._now < until:
            self._now += TICK
            before = len(self._transcript.lines)
            self.sessions.tick()
            self._write_packets()
            new = self._transcript.lines[before:]
            self._transcript.lines[before:] = [f"{self._now - begun:.2g} s: {line}" for line in new]

    def _write_packets(self) -> None:
        packets, self._sender.packets = self._sender.packets, []
        for peer, packet in packets:
            host, port = address_of(peer)
            self._transcript.write(packet, "" if f"{host}:{port}" == PC else f"{host}:{port} gets ")

    def _record(self, event: Event) -> None:
        self._write_packets()
        match event:
            case Ignored(_, client, reason, detail):
                line = f"ignored {client}: {reason.name} {detail}".rstrip()
            case TransferProgressed(_, _, path, 0, size):
                self._transcript.content = FILES.get(path, b"")
                line = f"begins {path}, {size} bytes"
            case TransferProgressed(_, _, path, acked, size):
                line = f"{path}: {acked} of {size} bytes"
            case TransferServed(_, _, path, size):
                line = f"served {path}, {size} bytes"
            case TransferFailed(_, _, path, acked, why):
                line = f"failed {path} after {acked} bytes: {why}"
            case _:
                raise AssertionError(event)
        self._transcript.lines.append(line)

    def _admit(self, claimed: MacAddress | None, address: IPv4Address) -> MacAddress | Ignore:
        return policy.admit(
            claimed,
            NEIGHBOURS.get(str(address)),
            peer=address,
            on_link=True,
            allowlist=Allowlist.of([Entry(MacRange(MAC, MAC))]),
            networks=[IPv4Network("10.77.0.0/24")],
        )

    def _autoexec(self, mac: MacAddress) -> str | Ignore:
        return f"begin of {mac}\n" if self.active else Ignore(Reason.NO_IMAGE)

    def _script(self, dialect: Dialect, mac: MacAddress, address: IPv4Address) -> str:
        return f"{dialect} for {mac} at {address}\n"

"""What all boot firmware has in common: DISCOVER, gather offers, REQUEST, perhaps ask port 4011, load a file. PURE.

By the PXE specification 2.1, section 2.2, and RFC 2131. `deadline` is when `expire` has to be called. What one kind of
firmware does differently is in its own module. What a loaded program does is not modelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import DISCOVER, NOWHERE, REQUEST, Answer, message
from tests.fakes.dhcp_client import firmware as pxe_options

EVERYONE = "255.255.255.255"
NEVER = float("inf")
BROADCAST = 0x8000

Options = Sequence[tuple[int, bytes]]


@dataclass(frozen=True)
class ClientMessage:
    """A datagram that the firmware sends."""

    payload: bytes
    host: str = EVERYONE
    port: int = 67
    source: str = NOWHERE
    source_port: int = 68


@dataclass(frozen=True)
class ServerAnswer:
    """A DHCP answer, and the address and port that it came from."""

    answer: Answer
    server: str
    port: int

    @property
    def is_lease(self) -> bool:
        """Whether it gives an address."""
        return self.answer.yiaddr != NOWHERE

    @property
    def vendor_class(self) -> str:
        """Option 60."""
        return self.answer.options.get(60, b"").decode("latin-1")

    @property
    def vendor_options(self) -> dict[int, bytes]:
        """The sub-options of option 43."""
        found: dict[int, bytes] = {}
        data = self.answer.options.get(43, b"")
        while data and data[0] != 0xFF:
            found[data[0]] = data[2 : 2 + data[1]]
            data = data[2 + data[1] :]
        return found

    @property
    def file(self) -> str:
        """Option 67, or the header's file."""
        return self.answer.options.get(67, b"").rstrip(b"\0").decode() or self.answer.file

    @property
    def boot_server(self) -> str:
        """The header's siaddr, or option 54."""
        return self.server if self.answer.siaddr == NOWHERE else self.answer.siaddr


@dataclass(frozen=True)
class Load:
    """What the firmware loads: a path by TFTP with these options, or a URL. `sized`: it asks for the size first."""

    server: str
    name: str
    options: dict[str, int] = field(default_factory=dict)
    sized: bool = False


class Firmware:
    """The firmware of one machine, which may be switched on any number of times."""

    timeouts: tuple[float, ...] = (4, 8, 16, 32)
    """Seconds after each DISCOVER (PXE 2.1, section 2.2.3: the same four)."""
    request_timeouts: tuple[float, ...] = (4, 8, 16)
    ask_timeouts: tuple[float, ...] = (4, 8, 16)
    ask_port = 68
    file_options: dict[str, int] = {}  # noqa: RUF012 - never changed
    sized = False
    eager = False
    """Whether it takes an offer as soon as it has all it needs; most firmware waits for the end of the timeout."""

    def __init__(self, mac: MacAddress, xid: int = 0x1000) -> None:
        self.mac = mac
        self.xid = xid
        self.deadline = NEVER
        self.address = ""
        self.outcome: Load | str | None = None
        """What it loads, or why it does not boot from the network; None: not decided yet."""

    def options(self) -> Options:
        """The options that it sends after the message type."""
        return pxe_options(0)

    def choose(self, now: float) -> tuple[ServerAnswer, ServerAnswer] | None:
        """The offer whose lease it takes, and the offer that it boots from; None: it has none."""
        raise NotImplementedError

    def ask(self, boot: ServerAnswer) -> str:
        """The server that it asks on port 4011 after the offer `boot`; "" when it has all it needs."""
        raise NotImplementedError

    def power_on(self, now: float) -> list[ClientMessage]:
        """Start."""
        self.xid += 1
        self.began, self.address, self.outcome = now, "", None
        self.offers: list[ServerAnswer] = []
        self._state, self._tries = "discover", 0
        return self._discover(now)

    def hear(self, received: ServerAnswer, now: float) -> list[ClientMessage]:
        """Take an answer."""
        answer = received.answer
        if (answer.xid, answer.mac) != (self.xid, bytes(self.mac)):
            return []
        match self._state, answer.kind:
            case "discover", "OFFER":
                self.offers.append(received)
                chosen = self.choose(now) if self.eager else None
                return self._take(chosen, now) if chosen else []
            case "request", "ACK" if received.server == self._lease.server:
                self.address = answer.yiaddr
                server = self.ask(self._boot)
                if not server:
                    return self._load(self._boot)
                self._state, self._tries, self._asked = "ask", 0, server
                return self._again(now)
            case "ask", "ACK" if received.port == 4011:
                return self._load(received)
        return []

    def expire(self, now: float) -> list[ClientMessage]:
        """The deadline has passed."""
        if self._state == "discover":
            chosen = self.choose(now)
            if chosen:
                return self._take(chosen, now)
            return self._discover(now) if self._tries < len(self.timeouts) else self._fail("no boot offer")
        timeouts = self.request_timeouts if self._state == "request" else self.ask_timeouts
        return self._again(now) if self._tries < len(timeouts) else self._fail(f"no answer to its {self._state}")

    def request_options(self) -> Options:
        """The options of its REQUEST."""
        return self.options()

    def ask_options(self, boot: ServerAnswer) -> Options:
        """The options that it sends to port 4011."""
        return self.options()

    def _discover(self, now: float) -> list[ClientMessage]:
        self.deadline = now + self.timeouts[self._tries]
        self._tries += 1
        self.discovered = now
        return [ClientMessage(self._message(DISCOVER, self.options(), now, BROADCAST))]

    def _take(self, chosen: tuple[ServerAnswer, ServerAnswer], now: float) -> list[ClientMessage]:
        self._lease, self._boot = chosen
        self._state, self._tries = "request", 0
        return self._again(now)

    def _again(self, now: float) -> list[ClientMessage]:
        """Send the message of the current state, for the first time or again."""
        timeouts = self.request_timeouts if self._state == "request" else self.ask_timeouts
        self.deadline = now + timeouts[self._tries]
        self._tries += 1
        if self._state == "request":
            lease = self._lease.answer
            wanted = [(54, lease.options[54]), (50, bytes(map(int, lease.yiaddr.split("."))))]
            return [ClientMessage(self._message(REQUEST, [*self.request_options(), *wanted], now, BROADCAST))]
        asked = self._message(REQUEST, self.ask_options(self._boot), now, ciaddr=self.address)
        return [ClientMessage(asked, self._asked, 4011, self.address, self.ask_port)]

    def _message(self, kind: int, options: Options, now: float, flags: int = 0, ciaddr: str = NOWHERE) -> bytes:
        secs = int(now - self.began)
        return message(kind, bytes(self.mac), options, xid=self.xid, secs=secs, flags=flags, ciaddr=ciaddr)

    def _load(self, boot: ServerAnswer) -> list[ClientMessage]:
        if not boot.file:
            return self._fail("no boot file")
        self.outcome = Load(boot.boot_server, boot.file, self.file_options, self.sized)
        self._state, self.deadline = "done", NEVER
        return []

    def _fail(self, why: str) -> list[ClientMessage]:
        self.outcome = why
        self._state, self.deadline = "done", NEVER
        return []

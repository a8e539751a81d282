"""The conversation of one client in words, step by step: what was said, and what the client does next. PURE.

Takes its packets in order, and sorts them into attempts to boot. verdict.py says whether it boots.
"""

from dataclasses import dataclass, replace

from services.dhcp.message import BOOT_SERVER_PORT, MessageType, Option
from services.foreign_text import printable
from services.probe.attempt import NAK, BootAttempt
from services.probe.firmware import Agent, recognise
from services.probe.message import (
    NOWHERE,
    Broken,
    Checked,
    DhcpPacket,
    Fetched,
    HttpRequest,
    HttpResponse,
    Note,
    Packet,
    Refused,
    Reset,
    TftpError,
    TftpOptions,
    TftpRequest,
    Unreachable,
)
from services.probe.transfers import Download, HttpDownload, TftpDownload, begin_http

_KINDS: dict[int, str] = {**{int(kind): kind.name for kind in MessageType}, 4: "DECLINE", NAK: "NAK", 7: "RELEASE"}


@dataclass(frozen=True, slots=True)
class Step:
    """One line: seconds since the first packet; `>>` from the client, `<<` to it or `--` for a remark; what happened.
    `then` is what the client does next."""

    at: float
    direction: str
    words: str
    then: str = ""


class Timeline:
    """The attempts and steps so far. `began` is the time of the first packet."""

    def __init__(self, began: float) -> None:
        self.attempts: list[BootAttempt] = []
        self.steps: list[Step] = []
        self._began = began
        self._tftp: dict[tuple[object, ...], TftpDownload] = {}
        self._http: dict[tuple[object, ...], HttpDownload] = {}
        self._sizes: dict[str, int] = {}

    def take(self, packet: Packet) -> None:
        """Take the next packet."""
        match packet.content:
            case DhcpPacket() as message:
                self._take_dhcp(packet, message)
            case TftpRequest() as request:
                self._take_tftp_request(packet, request)
            case HttpRequest() as request:
                self._explain_offers()
                download = begin_http(request, packet)
                self._http[packet.server, packet.port, packet.client_port] = download
                self._attempt().downloads.append(download)
                self._say(packet, f"HTTP {request.method} {request.target} from {packet.server}")
            case HttpResponse() | Reset() as answer:
                self._take_http_answer(packet, answer)
            case Unreachable() if packet.port == BOOT_SERVER_PORT:
                self._attempt().nobody_at = packet.server
                self._say(packet, f"{packet.server} says that nobody listens on UDP port 4011")
            case Note(words, boot_server_unasked):
                self._explain_offers()
                if boot_server_unasked:
                    self._attempt().boot_server_unasked = True
                self._remark(packet.at, words)
            case Fetched() | Broken() | Refused() | Checked():
                self._take_result(packet)
            case _:
                self._take_tftp(packet)

    def finish(self) -> None:
        """Say what is left to say: nothing more comes."""
        self._explain_offers()
        for download in self._tftp.values():
            if download.end in ("silence", "cut"):
                self._close(download)

    def _take_dhcp(self, packet: Packet, message: DhcpPacket) -> None:
        attempt = self._attempt_of(packet, message)
        if not message.reply:
            self._explain_offers()
        attempt.take_dhcp(message, packet.port, packet.server)
        self._say(packet, _dhcp_words(packet, message, attempt))
        if message.reply and packet.port == BOOT_SERVER_PORT and attempt.boot_file:
            self._then(_load_words(attempt))

    def _attempt_of(self, packet: Packet, message: DhcpPacket) -> BootAttempt:
        current = self.attempts[-1] if self.attempts else None
        if message.reply or packet.port == BOOT_SERVER_PORT:
            # iPXE asks port 4011 with another xid than that of its DISCOVER.
            return self._attempt(message)
        agent = recognise(message)
        if current is None or current.agent is not agent or current.xid != message.xid:
            self._explain_offers()
            self.attempts.append(BootAttempt(agent, message.xid))
        return self.attempts[-1]

    def _attempt(self, message: DhcpPacket | None = None) -> BootAttempt:
        """The latest attempt, or the one that a reply belongs to."""
        if message is not None and message.reply:
            for attempt in reversed(self.attempts):
                if attempt.xid == message.xid:
                    return attempt
        if not self.attempts:
            # The capture began in the middle of a boot.
            agent = recognise(message) if message is not None and not message.reply else Agent.OTHER
            self.attempts.append(BootAttempt(agent, message.xid if message else 0))
        return self.attempts[-1]

    def _explain_offers(self) -> None:
        """When a round of offers is over, say what the client makes of them."""
        attempt = self.attempts[-1] if self.attempts else None
        if attempt is None or attempt.judged_offers == len(attempt.offers) or attempt.agent is Agent.SYSTEM:
            return
        attempt.judged_offers = len(attempt.offers)
        choice = attempt.choice
        then = "has nothing to boot"
        if choice.ask:
            then = f"asks {choice.ask} on port 4011 for its boot file"
        elif choice.file and not choice.problem:
            then = _load_words(attempt)
        if choice.lease is None:
            self._then(f"{attempt.agent.words} has no lease yet, and asks again")
        else:
            self._then(f"{attempt.agent.words} takes its lease from {choice.lease.server}, and {then}")
        for remark in (*choice.remarks, *((choice.problem,) if choice.problem else ())):
            if remark not in attempt.remarked:
                attempt.remarked.append(remark)
                self._remark(self.steps[-1].at + self._began, remark)

    def _take_tftp_request(self, packet: Packet, request: TftpRequest) -> None:
        self._explain_offers()
        key = (packet.server, packet.client_port)
        same_port = self._tftp.get(key)
        wanted = " ".join(f"{name} {value}" for name, value in request.options.items())
        self._say(packet, f"TFTP read {request.name} from {packet.server}" + (f" ({wanted})" if wanted else ""))
        latest = self._attempt().downloads[-1] if self._attempt().downloads else None
        for earlier in (same_port, latest):
            if isinstance(earlier, TftpDownload) and earlier.server == packet.server and earlier.repeats(request):
                earlier.tries += 1
                earlier.at = packet.at
                self._tftp.pop(key, None)
                self._tftp[key] = earlier
                return
        download = TftpDownload("TFTP", request.name, packet.server, packet.at, options=dict(request.options))
        self._tftp[key] = download
        self._attempt().downloads.append(download)

    def _take_tftp(self, packet: Packet) -> None:
        download = self._tftp.get((packet.server, packet.client_port))
        if download is None:
            return
        was_over = download.end not in ("silence", "cut")
        download.take(packet, self._sizes.get(download.name))
        if isinstance(packet.content, TftpOptions):
            if download.size is not None:
                self._sizes[download.name] = download.size
            granted = " ".join(f"{name} {value}" for name, value in packet.content.options.items())
            self._say(packet, f"TFTP {packet.server} grants {granted}")
        elif isinstance(packet.content, TftpError):
            words = f" ({packet.content.message})" if packet.content.message else ""
            meaning = ": it only wanted the size" if download.end == "size" else ""
            self._say(packet, f"TFTP ERROR {packet.content.code}{words}{meaning}")
        elif isinstance(packet.content, Unreachable):
            self._say(packet, f"{packet.server} says that nobody listens on its TFTP port")
        elif not was_over and download.end == "whole":
            self._close(download)

    def _close(self, download: Download) -> None:
        """Say how a TFTP transfer ended, at the time of its last packet."""
        if download.end == "whole":
            self._remark(download.at, f"TFTP {download.name}: complete" + _sized(download.size), "<<")
        else:
            self._remark(download.at, f"TFTP {download.name}: {download.why}" + _asked(download))

    def _take_http_answer(self, packet: Packet, answer: HttpResponse | Reset) -> None:
        download = self._http.get((packet.server, packet.port, packet.client_port))
        if download is None or download.end != "silence":
            if isinstance(answer, Reset) and download is None:
                refused = HttpDownload("HTTP", f"port {packet.port}", packet.server, packet.at)
                refused.end, refused.why = "refused", "nobody listens on that port"
                self._attempt().downloads.append(refused)
                self._say(packet, f"{packet.server} refuses the connection to port {packet.port}")
            return
        download.take(answer)
        if isinstance(answer, Reset):
            self._say(packet, f"{packet.server} resets the connection without an answer")
        else:
            self._say(packet, f"HTTP {answer.status} from {packet.server}" + _sized(answer.length))

    def _take_result(self, packet: Packet) -> None:
        attempt = self._attempt()
        name = packet.content.name if isinstance(packet.content, Fetched | Broken | Refused | Checked) else ""
        download = next((d for d in reversed(attempt.downloads) if d.name == name), None)
        self._tftp = {key: each for key, each in self._tftp.items() if each is not download}
        match packet.content:
            case Fetched(_, size, digest, expected):
                good = not expected or digest == expected
                same = "" if not expected else ", as it should be" if good else f" instead of {expected[:16]}…"
                self._say(packet, f"{name}: {size:,} bytes, sha256 {digest[:16]}…{same}")
                if download is not None:
                    download.size = size
                    download.end, download.why = ("whole", "") if good else ("error", "its sha256 is wrong")
            case Broken(_, why):
                self._say(packet, f"{name}: {why}")
                if download is not None:
                    download.end, download.why = "silence", why
            case Refused(_, how) as refused:
                attempt.checks.append(refused)
                if download is not None:
                    attempt.downloads.remove(download)
                self._say(packet, how)
            case Checked(_, good, words) as check:
                attempt.checks.append(check)
                self._remark(packet.at, f"{name} on this disk: {words}" + ("" if good else " (not as it should be)"))
            case _:
                pass

    def _say(self, packet: Packet, words: str) -> None:
        self._add(packet.at, ">>" if packet.outgoing else "<<", words)

    def _remark(self, at: float, words: str, direction: str = "--") -> None:
        self._add(at, direction, words)

    def _add(self, at: float, direction: str, words: str) -> None:
        self.steps.append(Step(at - self._began, direction, printable(words)))

    def _then(self, words: str) -> None:
        self.steps[-1] = replace(self.steps[-1], then=printable(words))


def _load_words(attempt: BootAttempt) -> str:
    by = "" if "://" in attempt.boot_file else f" from {attempt.boot_server} by TFTP"
    return f"loads {attempt.boot_file}{by}"


def _dhcp_words(packet: Packet, message: DhcpPacket, attempt: BootAttempt) -> str:
    kind = _KINDS.get(message.kind, f"DHCP type {message.kind}")
    if packet.port == BOOT_SERVER_PORT:
        if not message.reply:
            return f"{kind} to {packet.server} port 4011: which boot file?"
        return f"{kind} from {packet.server} port 4011: {_boot_words(message)}"
    if message.reply:
        server = message.server if message.server != NOWHERE else packet.server
        address = f"address {message.yiaddr}" if message.yiaddr != NOWHERE else "no address"
        return f"{kind} from {server}: {address}, {_boot_words(message)}"
    if message.kind == MessageType.REQUEST:
        wanted = message.address(Option.REQUESTED_ADDRESS) or message.ciaddr
        offered_by = f" offered by {message.server}" if message.server != NOWHERE else ""
        return f"REQUEST from {attempt.agent.words}: address {wanted}{offered_by}"
    number = message.options.get(Option.ARCHITECTURE, b"")[:2]
    details = [message.vendor_class or "no class"]
    details += [f"architecture {int.from_bytes(number, 'big')}"] if number else []
    details += [f"secs {message.secs}"] if message.secs else []
    return f"{kind} from {attempt.agent.words} ({', '.join(details)})"


def _boot_words(message: DhcpPacket) -> str:
    words = [f"boot file {message.boot_file}" if message.boot_file else "no boot file"]
    words += [f"server {message.siaddr}"] if message.siaddr != NOWHERE and message.boot_file else []
    words += [f"class {message.vendor_class}"] if message.vendor_class else []
    vendor = message.options.get(Option.VENDOR_OPTIONS, b"")
    words += [f"option 43 {vendor.hex(' ')}"] if vendor else []
    return ", ".join(words)


def _sized(size: int | None) -> str:
    return "" if size is None else f", {size:,} bytes"


def _asked(download: Download) -> str:
    return f", asked {download.tries} times" if download.tries > 1 else ""

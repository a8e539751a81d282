"""proxyDHCP against dnsmasq, and how its cost grows with the number of allowed ranges.

The figure that counts is that of PCs never seen before: a room that is switched on. Copies, which the box answers from
memory, stand beside it.

Each server has a host and a cable of its own, since both answer the same broadcast; all are up at once. The peer is
dnsmasq's proxy mode without logging (`quiet-dhcp`), in two forms: with one wildcard that allows everybody, its cheapest
configuration, and with a line per range, which it searches linearly.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from appliance.allowlist import Entry
from appliance.firmware import table
from appliance.firmware.knowledge import FirmwareKnowledge
from appliance.registry.database import Registry
from bench.measure import Contest, Contestant, Figure, Sample, extra
from bench.servers import Ours, Server
from bench.site import BOX, LAN, WORK, Site, compiled, load
from services.ethernet import MacAddress, MacRange
from tests.room.processes import Process, RoomError

CLIENTS = 500
RANGES = 10_000
CURVE = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
"""Numbers of allowed ranges for which the cost of a reply is measured."""

FRESH = "proxyDHCP, PCs never seen before"
COPIES = "proxyDHCP, copies answered from memory"

_SECONDS = 1.2
"""Seconds of one run: longer than a client waits for a lost answer, so that losses show."""
_STRANGERS = 20_000
_FLOOD = 10_000_000
"""DISCOVERs a second: more than any load generator reaches, so as many as it can."""
_FILE = "%m/snponly.efi"
_FIRST, _EACH = 0x520000000000, 0x8000
"""The first MAC address of the first range, and the size of each range; each begins 65536 after the one before."""
_TIMEOUT = 60.0
_BIOS, _UEFI = 0, 7  # option 93, RFC 4578

CPU = Figure("CPU us/reply", lambda sample: _microseconds_each(sample, "replies"))
REPLIES = extra("replies_s", "replies/s", lower_is_better=False)
P99 = extra("p99_ms", "p99 ms")
RETRANSMITS = extra("retransmits", "retransmits")
CPU_FOREIGN = Figure("CPU us/datagram", lambda sample: _microseconds_each(sample, "taken"))
TAKEN = extra("taken_s", "datagrams/s", lower_is_better=False)

_ANSWERED = (CPU, REPLIES, P99, RETRANSMITS)


class OursWithRanges(Ours):
    """Ours with many allowed ranges. The load generator's clients have booted before: otherwise clients that never get
    past DISCOVER would be offered one reply profile after another (appliance/firmware/rules.py)."""

    def __init__(self, site: Site, ranges: int, before: Path | None = None) -> None:
        super().__init__(site, allow=(), before=before)
        self.ranges = ranges

    def prepare(self) -> None:
        """As usual, then write ranges and clients directly into the registry."""
        super().prepare()
        firsts = (_FIRST | number << 16 for number in range(self.ranges))
        spans = (MacRange(MacAddress(first), MacAddress(first + _EACH - 1)) for first in firsts)
        with Registry(self.data / "registry" / "registry.sqlite3") as registry:
            registry.allow(Entry(span) for span in spans)
            with registry.transaction():
                for number in range(CLIENTS):
                    mac = MacAddress(_FIRST | number * 7919 % self.ranges << 16 | number // self.ranges)
                    table.write(registry, mac, (_booted(mac, _BIOS), _booted(mac, _UEFI)))


class DnsmasqProxy(Server):
    """dnsmasq as a pure proxyDHCP server, answering the same PCs. `ranges`: a line for each; 0: one wildcard."""

    def __init__(self, site: Site, ranges: int = 0) -> None:
        self.name = f"dnsmasq, {ranges:,} dhcp-host lines" if ranges else "dnsmasq"
        super().__init__(site, BOX, ())
        self.ranges = ranges

    def prepare(self) -> None:
        """The file of hosts. Its wildcard is a byte, so a line allows 65536 addresses where ours has 32768."""
        lines = (f"52:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}:*:*,set:allowed\n" for n in range(self.ranges))
        (self.directory / "hosts").write_text("".join(lines))

    def start(self) -> None:
        """Start it and return when it has read its hosts."""
        super().start()
        process: Process | None = self.process
        assert process is not None
        process.wait_for_log(f"read {self.directory}/hosts" if self.ranges else "sockets bound", 30)

    def command(self) -> list[str]:
        """Foreground, no DNS, one boot file for each of the two firmwares."""
        allowed = f"--dhcp-hostsfile={self.directory}/hosts" if self.ranges else "--dhcp-mac=set:allowed,52:*:*:*:*:*"
        return [
            "dnsmasq",
            *("--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--log-facility=-", "--quiet-dhcp"),
            *("--interface=lan0", "--bind-interfaces", "--user=root", "--pid-file="),
            *(f"--dhcp-range={LAN.network_address},proxy", allowed, "--dhcp-ignore=tag:!allowed"),
            *("--pxe-service=x86PC,boot,undionly", "--pxe-service=x86-64_EFI,boot,snponly.efi"),
        ]


class Segment:
    """A server with a host and a cable of its own, and a crowd of PCs on it, which have no addresses."""

    def __init__(self, site: Site, server: Server, *, file: str = "") -> None:
        """`file`: what each answer to UEFI must name; `%m` is the client's MAC address."""
        self.site = site
        self.server = server
        self.file = file
        self._next_fresh = 0

    def run(
        self, *arguments: str, ranges: int = RANGES, architecture: int = _UEFI, seconds: float = _SECONDS
    ) -> Sample:
        """One run of the load generator. Extra: what it prints, `taken` and `taken_s`: datagrams that the server
        read."""
        command = [str(compiled("dhcp_load")), "--interface", "lan0", "--server", str(self.server.address)]
        command += ["--ranges", str(ranges), "--architecture", str(architecture), "--seconds", str(seconds)]
        command += ["--file", self.file] if self.file and architecture == _UEFI else []

        def one() -> Sample:
            before = self._datagrams_read()
            found = load(self.site.clients, [*command, *arguments])
            taken = self._datagrams_read() - before
            figures = {key: float(value) for key, value in found.items() if key != "complaint"}
            figures |= {"taken": taken, "taken_s": taken / figures["seconds"]}
            self._next_fresh += int(figures["fresh"])
            return Sample(0, figures["seconds"], 0, figures)

        return self.server.measured(one)

    def run_fresh(self) -> Sample:
        """One run with clients never seen before."""
        return self.run("--macs", str(CLIENTS), "--fresh", str(CLIENTS + self._next_fresh))

    def _datagrams_read(self) -> int:
        """UDP datagrams read by programs on the server's host so far (InDatagrams, RFC 4113)."""
        assert self.server.process is not None
        lines = Path(f"/proc/{self.server.process.pid}/net/snmp").read_text(encoding="ascii").splitlines()
        names, values = (line.split() for line in lines if line.startswith("Udp:"))
        return int(values[names.index("InDatagrams")])


def _cable(site: Site) -> None:
    """One veth pair instead of the bridge, so that the network costs both sides as little as possible. The PCs have no
    address."""
    for namespace in (site.host, site.clients):
        namespace.ip("link", "delete", "lan0")
    site.host.ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", site.clients.name)
    site.clients.ip("link", "set", "lan0", "up")
    site.host.ip("link", "set", "lan0", "up")
    site.host.ip("address", "add", f"{BOX}/{LAN.prefixlen}", "dev", "lan0")


@contextmanager
def segments(number: int = RANGES, before: Path | None = None) -> Iterator[list[Segment]]:
    """Ours, both forms of dnsmasq, and the box of the checkout `before`, up at once, each with `number` allowed ranges;
    each has seen its clients."""
    with ExitStack() as stack:
        found = []
        for name in ("ours", "one", "many", *(["before"] if before else [])):
            site = stack.enter_context(Site(WORK / f"dhcp-{name}"))
            _cable(site)
            server: Server
            match name:
                case "ours":
                    server = OursWithRanges(site, number)
                case "before":
                    server = OursWithRanges(site, number, before)
                case "one":
                    server = DnsmasqProxy(site)
                case _:
                    server = DnsmasqProxy(site, number)
            stack.callback(server.stop)
            server.start()
            found.append(Segment(site, server, file=_FILE if name in ("ours", "before") else ""))
            found[-1].run(ranges=number)
        yield found


def contests(found: Sequence[Segment]) -> list[Contest]:
    """PCs that ask again and again, UEFI and BIOS; the same among strangers; strangers alone; PCs never seen before.

    The last are measured last, because the box remembers them.
    """
    ours, one, many, *before = found
    known = ("--macs", str(CLIENTS))
    among = (*known, "--strangers", str(_STRANGERS))
    alone = ("--macs", "0", "--strangers", str(_FLOOD))
    title = f"{COPIES}, {CLIENTS} outstanding, {RANGES:,} ranges"
    return [
        Contest(f"{title}, UEFI", [_of(each, *known) for each in (ours, *before, one, many)], _ANSWERED),
        Contest(f"{title}, BIOS", [_of(each, *known, architecture=_BIOS) for each in (ours, *before, one)], _ANSWERED),
        Contest(
            f"{title}, and {_STRANGERS:,} strangers a second",
            [_of(each, *among) for each in (ours, *before)],
            _ANSWERED,
        ),
        Contest(
            "strangers alone, as fast as they come",
            [_of(each, *alone) for each in (ours, *before, one)],
            (CPU_FOREIGN, TAKEN),
        ),
        Contest(FRESH, [Contestant(e.server.name, e.run_fresh) for e in (ours, *before, one)], _ANSWERED),
    ]


def curve(numbers: Sequence[int] = CURVE) -> list[Mapping[str, float]]:
    """What so many allowed ranges cost: seconds from the start of the process until it listens (`start_s`) and until
    its first answer (`answers_s`), resident MB (`rss_mb`), CPU us per reply, replies/s."""
    return [_point(number) for number in numbers]


def _point(number: int) -> Mapping[str, float]:
    with Site(WORK / "dhcp-curve") as site:
        _cable(site)
        server = OursWithRanges(site, number)
        try:
            server.start()
            assert server.process is not None
            process = psutil.Process(server.process.pid)
            start = time.time() - process.create_time()
            segment = Segment(site, server, file=_FILE)
            deadline = time.monotonic() + _TIMEOUT
            while not segment.run("--macs", "1", ranges=number, seconds=0.1).extra["replies"]:
                if time.monotonic() > deadline:
                    raise RoomError(f"with {number:,} allowed ranges nobody had an answer within {_TIMEOUT:.0f} s")
            answers = time.time() - process.create_time()
            segment.run(ranges=number, seconds=0.3)  # from here on all clients are known
            sample = segment.run(ranges=number)
            memory = process.memory_info().rss / 1e6
        finally:
            server.stop()
    figures = {"cpu_us_reply": CPU.of(sample), "replies_s": REPLIES.of(sample)}
    return {"ranges": number, "start_s": start, "answers_s": answers, "rss_mb": memory, **figures}


def _booted(mac: MacAddress, architecture: int) -> FirmwareKnowledge:
    """What the box knows about firmware that took the usual offer (services/dhcp/fingerprint.py)."""
    name = f"{str(mac)[:8]} PXEClient:Arch:{architecture:05}:UNDI:003000 {architecture}"
    return FirmwareKnowledge(name, worked=True, at=time.time())


def _microseconds_each(sample: Sample, key: str) -> float:
    count = sample.extra[key]
    return sample.cpu / count * 1e6 if count else float("inf")


def _of(segment: Segment, *arguments: str, architecture: int = _UEFI) -> Contestant:
    return Contestant(segment.server.name, lambda: segment.run(*arguments, architecture=architecture))

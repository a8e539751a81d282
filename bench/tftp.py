"""TFTP against tftpd-hpa, atftpd and dnsmasq: lock-step and windows, with loss, over a wire with an MTU of 1500, and
many clients at once.

All servers are up at once with the same file in the page cache. Each client has an address of its own, checks every
byte and retransmits like firmware. Most runs take a fixed time, so that slow servers do not take longer: counting
starts when all transfers are open, and unfinished ones end with an ERROR. The contest of 500 requests at once shows
what it costs to open and close a transfer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.measure import BEFORE, CPU, OURS, SPEED, Contest, Contestant, Figure, Sample, extra
from bench.servers import FIRST_MAC, Atftpd, Dnsmasq, Ours, OursBeside, Server, Servers, Tftpd
from bench.site import FAR, FILE, NEAR, SMALL_FILE, Site, compiled, load

CURVE = (1, 10, 100, 1_000, 5_000)
"""Numbers of clients for which the cost of lock-step transfers is measured."""

TRANSFER_P99 = Figure(
    "transfer p99 ms", lambda sample: sample.extra["transfer_p99_ms"] if sample.extra["fetched"] else float("inf")
)
BLOCK_P50 = extra("block_p50_us", "block p50 us")
RETRANSMITS = extra("retransmits", "retransmits", compared=False)
FAILURES = Figure("failures", lambda sample: sample.extra["failures"] + sample.extra["unfinished"], compared=False)
SERVED = extra("opened", "clients served", compared=False)
CPU_TRANSFER = Figure("CPU ms/transfer", lambda sample: sample.cpu / max(1, sample.extra["fetched"]) * 1e3)
WALL = Figure("seconds", lambda sample: sample.seconds)

SECONDS = 1.0
"""Of a run with a fixed time."""
_WARMUP = 1.2
"""Seconds within which all transfers should be open."""


@dataclass(frozen=True)
class Work:
    """What the clients do. `fetches`: per client, 0 for as many as fit into `seconds` after all have started. `far`:
    they are behind the wire. `loss`: datagrams per thousand lost there, each way."""

    clients: int
    windowsize: int = 1
    blksize: int = 1468
    fetches: int = 0
    seconds: float = SECONDS
    far: bool = False
    loss: int = 0
    file: str = FILE

    def __str__(self) -> str:
        window = f"windowsize {self.windowsize}" if self.windowsize > 1 else "lock-step"
        clients = f"{self.clients:,} client{'s' if self.clients > 1 else ''}"
        loss = f", {self.loss / 10:g} % loss" if self.loss else ""
        return f"TFTP {window}, {clients}{loss}{', MTU 1500' if self.far else ''}"


LOCK_STEP = tuple(Work(clients) for clients in (1, 100, 500))
WINDOWS = (Work(20, 4), Work(100, 4), Work(100, 16), Work(100, 64))
WIRE = (Work(100, far=True), Work(100, 16, far=True))
LOSS = tuple(Work(5, 16, seconds=2.5, far=True, loss=loss) for loss in (1, 10))
"""Few clients, so that timers and not the speed of the wire decide how long a transfer takes."""
STAMPEDE = Work(500, fetches=1, seconds=15, file=SMALL_FILE)
"""A room that is switched on: 500 requests in one burst, each for 100 kB."""


@contextmanager
def servers(site: Site, before: Path | None = None) -> Iterator[Sequence[Server]]:
    """Ours and the peers, up at once, and the box of the checkout `before`."""
    earlier = [OursBeside(site, before)] if before else []
    with Servers([Ours(site), *earlier, Tftpd(site), Atftpd(site), Dnsmasq(site)]) as found:
        yield found


def contests(found: Sequence[Server], seconds: float = SECONDS) -> list[Contest]:
    """All but the curve. Only ours and atftpd know windowsize."""
    windowed = [server for server in found if server.name in (OURS, BEFORE, Atftpd.name)]
    timed = [contest(found, replace(work, seconds=seconds), (CPU, SPEED, BLOCK_P50)) for work in LOCK_STEP]
    timed += [contest(windowed, replace(work, seconds=seconds)) for work in WINDOWS]
    timed += [contest(windowed if work.windowsize > 1 else found, replace(work, seconds=seconds)) for work in WIRE]
    lossy = [contest(windowed, work, (SPEED, CPU, TRANSFER_P99)) for work in LOSS]
    stampede = contest(
        found, STAMPEDE, (FAILURES, RETRANSMITS, WALL, CPU_TRANSFER), "TFTP 500 simultaneous requests, 100 kB"
    )
    return [*timed, *lossy, stampede]


def curve(found: Sequence[Server], seconds: float = SECONDS) -> dict[int, Contest]:
    """Lock-step for each number of clients in CURVE; longer for many, which take longer to start."""
    return {n: contest(found, Work(n, seconds=seconds * (2 if n > 1000 else 1)), (CPU, SPEED, SERVED)) for n in CURVE}


def fallbacks(found: Sequence[Server]) -> dict[str, bool]:
    """For each server, whether it falls back to lock-step when a windowsize is requested."""
    return {server.name: run(server, Work(1, 16, seconds=0.2)).extra["fallbacks"] > 0 for server in found}


def contest(found: Sequence[Server], work: Work, figures: Sequence[Figure] = (CPU, SPEED), title: str = "") -> Contest:
    """The same work for each server."""

    def contestant(server: Server) -> Contestant:
        return Contestant(server.name, lambda: run(server, work))

    return Contest(title or str(work), [contestant(server) for server in found], figures)


def run(server: Server, work: Work) -> Sample:
    """One run. Extra: what the load generator prints, such as `retransmits`, `transfer_p99_ms`, `block_p50_us`."""
    return server.measured(lambda: _sample(server, work)) if work.fetches else _steady(server, work)


def _steady(server: Server, work: Work) -> Sample:
    """A run with a fixed time: processor time from when all transfers are open until the end."""
    cpu: dict[str, float] = {}
    sample = _sample(server, work, lambda mark: cpu.update({mark: server.cpu_seconds()}))
    return replace(sample, cpu=cpu["done"] - cpu["warm"])


def _sample(server: Server, work: Work, at_mark: Callable[[str], None] = lambda mark: None) -> Sample:
    where = server.site.clients if work.far else server.site.host
    losing: AbstractContextManager[None] = server.site.loss(work.loss) if work.loss else nullcontext()
    with losing:
        found = load(where, command(server, work), seconds=work.seconds + 30, at_mark=at_mark)
    return Sample(int(found["bytes"]), found["seconds"], 0, _figures(found))


def command(server: Server, work: Work) -> list[str]:
    """The load generator's command line."""
    source = (FAR if work.far else NEAR).network_address + 256
    local = server.site.root / work.file
    return [
        str(compiled("tftp_load")),
        *("--server", str(server.address), "--remote", server.file(work.file), "--local", str(local)),
        *("--source", str(source), "--mac", f"{FIRST_MAC:012x}", "--clients", str(work.clients)),
        *("--blksize", str(work.blksize), "--windowsize", str(work.windowsize)),
        *("--fetches", str(work.fetches), "--seconds", str(work.seconds)),
        *(() if work.fetches else ("--warmup", str(_WARMUP))),
    ]


def _figures(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items() if name not in ("bytes", "seconds", "first_error")}

"""TFTP's latency alone, and while HTTP saturates the server.

20 lock-step TFTP clients with a pause between blocks, then the same beside 20 HTTP clients that discard what they get,
so that the server's core is the bottleneck. The figure is the growth of the time from an ACK to its next block. For
comparison the same with dnsmasq and nginx side by side on that core. The TFTP clients have real-time priority: they
wait for the server, and not for the HTTP clients, with which they share a core. On a machine that others use too, a
single run's 99th percentile is often a disturbance from outside, with HTTP or without. So both are measured twice, and
the better of the two counts for each.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.http import Side
from bench.measure import OURS, Contest, Contestant, Figure, Sample, extra
from bench.servers import FIRST_MAC, Dnsmasq, Server
from bench.site import FILE, LOAD_CORE, NEAR, compiled, load
from image.release import INITRD
from tests.room.processes import Process, RoomError, tail, wait_until

CLIENTS = 20

GROWTH = Figure("p99 together/alone", lambda sample: sample.extra["p99_together_us"] / sample.extra["p99_alone_us"])
ALONE = extra("p99_alone_us", "p99 alone us")
TOGETHER = extra("p99_together_us", "p99 together us")
HTTP_SPEED = extra("http_mb_s", "HTTP MB/s", lower_is_better=False)
FAILURES = extra("failures", "failures")

_SECONDS = 4.0
"""In one second a single stall of the machine by ten milliseconds would be the 99th percentile."""

_LEAD = 0.3
"""Seconds that HTTP runs before and after."""
_TIMEOUT = 30.0
_PAUSE = 2000
"""Minimum microseconds from one ACK of a client to its next."""
_FIRST_CLIENT = NEAR.network_address + (1 << 16)
_FIRST_MAC = FIRST_MAC + (1 << 16)


def latency(server: Server) -> dict[str, Any]:
    """One run of the TFTP clients on this server. `block_p99_us`: from an ACK to its next block."""
    command = [
        *("chrt", "--rr", "1", str(compiled("tftp_load")), "--server", str(server.address)),
        *("--remote", server.file(FILE), "--local", str(server.site.root / FILE)),
        *("--source", str(_FIRST_CLIENT), "--mac", f"{_FIRST_MAC:012x}", "--clients", str(CLIENTS)),
        *("--seconds", str(_SECONDS), "--pace", str(_PAUSE)),
    ]
    return load(server.site.host, command)


@dataclass(frozen=True)
class Pair:
    """The servers of TFTP and of HTTP: one process, or two."""

    name: str
    tftp: Server
    http: Side

    @property
    def servers(self) -> tuple[Server, ...]:
        """Each once."""
        return (self.tftp,) if self.tftp is self.http.server else (self.tftp, self.http.server)

    def run(self) -> Sample:
        """TFTP alone and with HTTP, twice. Bytes, seconds and CPU are of the second time with both; the latencies are
        the better of two; retransmits and failures of all are in extra."""
        alone, together = list[dict[str, Any]](), list[dict[str, Any]]()
        for _ in range(2):
            alone.append(latency(self.tftp))
            before = self._cpu()
            http = self._start_http()
            together.append(latency(self.tftp))
            served = self._finish(http)
            cpu = self._cpu() - before
        best, both = _best(alone), _best(together)
        tftp = (*alone, *together)
        figures = {
            "p99_alone_us": float(best["block_p99_us"]),
            "p99_together_us": float(both["block_p99_us"]),
            "p50_alone_us": float(best["block_p50_us"]),
            "p50_together_us": float(both["block_p50_us"]),
            "retransmits": sum(float(each["retransmits"]) for each in tftp),
            "failures": sum(float(each["failures"]) for each in (*tftp, served)),
            "http_mb_s": float(served["bytes"]) / float(served["seconds"]) / 1e6,
        }
        return Sample(int(together[-1]["bytes"]) + int(served["bytes"]), served["seconds"], cpu, figures)

    def _cpu(self) -> float:
        return sum(server.cpu_seconds() for server in self.servers)

    def _start_http(self) -> Process:
        log = self.http.server.directory / "http_load"
        log.unlink(missing_ok=True)
        seconds = str(_SECONDS + 2 * _LEAD)
        command = self.http.command(INITRD, CLIENTS, 1_000_000, "--seconds", seconds, "--discard")
        pinned = ["taskset", "-c", str(LOAD_CORE), *command]
        process = self.http.server.site.host.start("http_load", pinned, log)
        time.sleep(_LEAD)
        process.require()
        return process

    def _finish(self, process: Process) -> dict[str, Any]:
        """The output of the HTTP clients, once they have ended."""
        wait_until(lambda: not process.running, _TIMEOUT, f"the HTTP clients of {self.name} to end", 0.02)
        try:
            found = json.loads(process.log.read_text(encoding="utf-8"))
        except ValueError:
            raise RoomError(f"the HTTP clients of {self.name} said: {tail(process.log)}") from None
        assert isinstance(found, dict)
        return found


def _best(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return min(runs, key=lambda found: float(found["block_p99_us"]))


@contextmanager
def pairs(sides: Sequence[Side]) -> Iterator[list[Pair]]:
    """Ours, and dnsmasq with the nginx of `sides` (bench.http), all up."""
    ours, nginx, _ = sides
    dnsmasq = Dnsmasq(ours.server.site)
    try:
        dnsmasq.start()
        yield [Pair(OURS, ours.server, ours), Pair("dnsmasq and nginx", dnsmasq, nginx)]
    finally:
        dnsmasq.stop()


def contests(found: Sequence[Pair]) -> list[Contest]:
    """The one comparison."""
    title = f"TFTP, {CLIENTS} lock-step clients, while {CLIENTS} HTTP clients take all they can"
    figures = (GROWTH, ALONE, TOGETHER, HTTP_SPEED, FAILURES)
    return [Contest(title, [Contestant(pair.name, pair.run) for pair in found], figures)]

"""`python -m bench.page_load`: clients of the page. `ask` fetches paths, `flood` takes all connections that it can get.

Prints one JSON object. Run in the namespace of the servers' host: each flooding client has an address of its own there.
"""

import argparse
import asyncio
import json
import math
import ssl
import sys
import time
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address
from statistics import median

from bench.site import NEAR

_FIRST = NEAR.network_address + (1 << 20)
_ASKING = NEAR.network_address + (1 << 19)
_RETRY = 1.0
"""Seconds until a client that was turned away tries again."""

_NEW_A_SECOND = 2000
_HANGS = 40.0
"""Seconds until a client that got in leaves, and comes again."""

_TIMEOUT = 60.0
_HEAD = "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _answer(reader: asyncio.StreamReader) -> tuple[int, int]:
    """The status and the bytes of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    size = int(headers.get("content-length", 0))
    if size:
        await reader.readexactly(size)
    while headers.get("transfer-encoding") == "chunked":
        chunk = int(await reader.readline(), 16)
        await reader.readexactly(chunk + 2)
        size += chunk
        if not chunk:
            break
    return int(lines[0].split()[1]), size


async def ask(host: str, port: int, paths: Sequence[str], times: int, pid: int) -> dict[str, dict[str, float]]:
    """Fetch each path so often, round by round, each round over a connection of its own and from another address: what
    one address may ask is limited. Times are in milliseconds; `cpu_ms` is the median of what the process `pid` used
    meanwhile, with what it does besides."""
    took: dict[str, list[float]] = {path: [] for path in paths}
    used: dict[str, list[float]] = {path: [] for path in paths}
    found: dict[str, tuple[int, int]] = {}
    for number in range(times):
        reader, writer = await asyncio.open_connection(
            host, port, ssl=_tls(), limit=1 << 24, local_addr=(str(_ASKING + number), 0)
        )
        for path in paths:
            before, begun = _cpu_seconds(pid), time.perf_counter()
            writer.write(_HEAD.format(path=path, host=host).encode())
            found[path] = await asyncio.wait_for(_answer(reader), _TIMEOUT)
            took[path].append((time.perf_counter() - begun) * 1000)
            used[path].append((_cpu_seconds(pid) - before) * 1000)
        writer.close()
    return {path: _summary(took[path], *found[path]) | {"cpu_ms": median(used[path])} for path in paths}


def _cpu_seconds(pid: int) -> float:
    # The clock of a process, see clock_getcpuclockid(3).
    return time.clock_gettime((~pid << 3) | 2) if pid else 0.0


def _summary(values: list[float], status: int, size: int) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50_ms": len(ordered) // 2, "p99_ms": math.ceil(len(ordered) * 0.99) - 1, "worst_ms": len(ordered) - 1}
    return {"status": status, "bytes": size, **{name: ordered[place] for name, place in at.items()}}


class Flood:
    """Clients that open streams, or ask for the room, and read nothing of what they get."""

    def __init__(self, host: str, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self._host, self._port = host, port
        self._tls = _tls()
        self._open = 0

    async def run(self, clients: int, seconds: float) -> dict[str, int]:
        """Keep so many of them at it, for so long. `most`: how many had a connection at once."""
        tasks = [asyncio.create_task(self._client(number)) for number in range(clients)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return dict(self.counts)

    async def _client(self, number: int) -> None:
        path = "/" if number % 10 == 9 else "/live"
        await asyncio.sleep(number / _NEW_A_SECOND)
        while True:
            self.counts["attempts"] += 1
            try:
                await self._hang(str(_FIRST + number), path)
            except (OSError, ssl.SSLError, asyncio.IncompleteReadError, TimeoutError):
                self.counts["ended"] += 1
            await asyncio.sleep(_RETRY)

    async def _hang(self, address: str, path: str) -> None:
        reader, writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._tls, local_addr=(address, 0), limit=1024
        )
        self._open += 1
        self.counts["connections"] += 1
        self.counts["most"] = max(self.counts["most"], self._open)
        try:
            writer.write(_HEAD.format(path=path, host=self._host).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            self.counts[f"status {head.split()[1].decode()}"] += 1
            # The limit is reached soon, and then nothing more is read.
            await asyncio.sleep(_HANGS)
        finally:
            self._open -= 1
            writer.transport.abort()


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench.page_load", description=__doc__)
    parser.add_argument("what", choices=("ask", "flood"))
    parser.add_argument("--server", type=IPv4Address, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--paths", nargs="*", default=[])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--pid", type=int, default=0, help="the process that answers, for its processor time")
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    host = str(chosen.server)
    if chosen.what == "ask":
        found: object = asyncio.run(ask(host, chosen.port, chosen.paths, chosen.times, chosen.pid))
    else:
        found = asyncio.run(Flood(host, chosen.port).run(chosen.clients, chosen.seconds))
    sys.stdout.write(f"{json.dumps(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

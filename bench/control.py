"""The page beside the boots: 5,000 PCs with a year of boots behind them, 83 heartbeats a second, and `control`.

How long each page and each answer of the API takes; how long `control` holds its event loop; and what PCs notice of it,
by TFTP's latency (as in bench/together.py) and proxyDHCP's answers (as in bench/dhcp.py): while it is idle, flooded,
hung and killed, each as a ratio to the runs without it before. `control` and `serve` have one core together, the
clients the other.
"""

import json
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from fastapi.routing import iter_route_contexts

from appliance.allowlist import Entry
from appliance.config.file import Config
from appliance.control.app import create_app
from appliance.control.context import Context
from appliance.registry.database import Registry
from bench.dhcp import CLIENTS, OursWithRanges, Segment
from bench.heartbeats import Pcs
from bench.report import Findings, Table, number
from bench.servers import ALLOWED
from bench.site import BOX, NEAR, ROOT, SERVER_CORE, Site
from bench.together import latency
from services.ethernet import MacRange
from tests.fakes.fleet import fill, mac_of
from tests.room.processes import Process, RoomError, wait_until

PCS = 5000
BOOTS = 365
TIMES = 100
"""How often each page is asked for."""

FLOODERS = 10_000
_RANGES = 100
_RUNS = 3
_PORT = 8443
_NICE = "5"
"""As its unit has it (systemd/netboot-appliance-control.service); of its session, too, which has a share of its own of
the processor (sched(7), autogroup), as its unit has: a third of that of `serve`."""

_TIMEOUT = 60.0
_STREAM = "live"
"""A part of the path of each stream of events."""

_CONTROL = """
[control]
listen = "{box}:{port}"
networks = ["{near}"]
view_without_login = true
"""


class OursForAYear(OursWithRanges):
    """Ours, whose registry has the PCs with a boot on each day of a year."""

    def __init__(self, site: Site, pcs: int, boots: int) -> None:
        super().__init__(site, _RANGES)
        self._pcs, self._boots = pcs, boots

    def prepare(self) -> None:
        """As usual, and then the past."""
        super().prepare()
        with Registry(self.registry, durable=False) as registry:
            registry.allow(Entry(MacRange.parse(text)) for text in ALLOWED)
            fill(registry, self._pcs, self._boots, time.time() - 3600.0, days=self._boots)

    @property
    def registry(self) -> Path:
        """Its file."""
        return self.data / "registry" / "registry.sqlite3"


class Control:
    """The control process of that box."""

    def __init__(self, server: OursForAYear) -> None:
        self._server = server
        self._site = server.site
        self._report = server.directory / "holds.json"
        self.configuration = server.directory / "control.toml"
        text = server.configuration.read_text(encoding="utf-8")
        own = _CONTROL.format(box=BOX, port=_PORT, near=NEAR)
        self.configuration.write_text(text.replace("\n[control]\nenabled = false\n", own), encoding="utf-8")
        self.configuration.chmod(0o600)
        self.process: Process | None = None

    def start(self) -> None:
        """Start it on the server's core, and return when it answers."""
        log = self._server.directory / "control.log"
        log.unlink(missing_ok=True)
        command = [
            "taskset",
            "-c",
            str(SERVER_CORE),
            "nice",
            "-n",
            _NICE,
            sys.executable,
            "-m",
            "bench.watched_control",
        ]
        command += [str(self.configuration), str(self._report)]
        process = self.process = self._site.host.start("control", command, log, ROOT)
        group = Path(f"/proc/{process.pid}/autogroup")
        if group.exists():
            group.write_text(_NICE, encoding="ascii")

        def ready() -> bool:
            process.require()
            return f"{BOX}:{_PORT}" in self._site.host.run(["ss", "-Hlnt"]).stdout

        wait_until(ready, _TIMEOUT, "control to listen", 0.1)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.signal(number)

    def holds(self) -> list[dict[str, float]]:
        """The longest holds of its event loop since the last time, the longest first."""
        self._report.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        wait_until(self._report.exists, _TIMEOUT, "control to report", 0.05)
        found: list[dict[str, float]] = json.loads(self._report.read_text(encoding="utf-8"))
        return found

    def load(self, *arguments: str, seconds: float = 600.0) -> dict[str, dict[str, float]]:
        """What `python -m bench.page_load` found."""
        log = self._server.directory / "page_load"
        process = self._start_load(log, arguments)
        wait_until(lambda: not process.running, seconds, "the page's clients to end", 0.1)
        return _found(log)

    def flood(self, seconds: float) -> tuple[Process, Path]:
        """Start a flood, which ends by itself."""
        log = self._server.directory / "flood"
        arguments = ("flood", "--clients", str(FLOODERS), "--seconds", str(seconds))
        return self._start_load(log, arguments), log

    def _start_load(self, log: Path, arguments: Sequence[str]) -> Process:
        log.unlink(missing_ok=True)
        program = [sys.executable, "-m", "bench.page_load", *arguments, "--server", str(BOX), "--port", str(_PORT)]
        return self._site.host.start("page_load", program, log, ROOT)


def _found(log: Path) -> dict[str, dict[str, float]]:
    text = log.read_text(encoding="utf-8")
    try:
        found: dict[str, dict[str, float]] = json.loads(text.splitlines()[-1])
    except (ValueError, IndexError):
        raise RoomError(f"the page's clients said: {text[-2000:]}") from None
    return found


def paths(mac: str, boot: int) -> list[str]:
    """All that can be fetched with GET, but for streams: pages, and answers of the API."""
    app = create_app(Context(Path("/"), Config(Path("/")), time.time))
    known = {"{mac}": mac, "{number}": str(boot)}
    found = []
    for route in iter_route_contexts(app.routes):
        path = route.path
        if not path or "GET" not in (route.methods or ()) or _STREAM in path.split("/"):
            continue
        for name, value in known.items():
            path = path.replace(name, value)
        if "{" not in path:
            found.append(path)
    return [*found, "/?state=silent", "/api/v1/pcs?limit=500"]


def measure(quick: bool = False) -> Findings:
    """Make the year, let the PCs compute, and measure."""
    pcs, boots, times, runs = (200, 10, 5, 1) if quick else (PCS, BOOTS, TIMES, _RUNS)
    with ExitStack() as stack:
        site = stack.enter_context(Site())
        server = OursForAYear(site, pcs, boots)
        stack.callback(server.stop)
        server.start()
        macs = [mac_of(n).bare for n in range(pcs)]
        room = Pcs(server, macs)
        room.boot()
        stack.enter_context(room.computing())
        return _measured(server, times, runs)


def _measured(server: OursForAYear, times: int, runs: int) -> Findings:
    control, segment = Control(server), Segment(server.site, server, file="%m/snponly.efi")
    segment.run("--macs", str(CLIENTS), ranges=_RANGES)  # from here on all of them are known
    seen: dict[str, tuple[float, float]] = {}

    def look(state: str) -> None:
        # On a machine that others use too, the worst of several runs is a disturbance from outside.
        tftp = [float(latency(server)["block_p99_us"]) for _ in range(runs)]
        dhcp = [segment.run("--macs", str(CLIENTS), ranges=_RANGES).extra["replies_s"] for _ in range(runs)]
        seen[state] = min(tftp), max(dhcp)

    look("without control, before")
    begun = time.monotonic()
    control.start()
    with Registry(server.registry) as registry:
        boot = registry.latest_boot(mac_of(0))
    assert boot is not None
    asked = paths(str(mac_of(0)), boot.id)
    assert control.process is not None
    first = control.load("ask", "--times", "1", "--paths", "/")["/"]["worst_ms"]
    started = time.monotonic() - begun
    time.sleep(5.0)  # it has read the room
    control.load("ask", "--times", "1", "--paths", *asked)
    at_start = control.holds()
    pages = control.load("ask", "--times", str(times), "--pid", str(control.process.pid), "--paths", *asked)
    holds = control.holds()
    look("control idle")
    seconds = runs * 12.0 + 10.0
    flood, log = control.flood(seconds)
    time.sleep(5.0)
    look("control flooded")
    wait_until(lambda: not flood.running, _TIMEOUT + seconds, "the flood to end", 0.1)
    flooded, flood_holds = _found(log), control.holds()
    control.signal(signal.SIGSTOP)
    look("control hung")
    control.signal(signal.SIGCONT)
    control.signal(signal.SIGKILL)
    look("control killed")
    look("without control, after")
    return _findings(server, pages, seen, flooded, (at_start, holds, flood_holds), started, first)


def _findings(
    server: OursForAYear,
    pages: dict[str, dict[str, float]],
    seen: dict[str, tuple[float, float]],
    flooded: dict[str, dict[str, float]],
    holds: Sequence[list[dict[str, float]]],
    started: float,
    first: float,
) -> Findings:
    worst = [max((each["cpu_ms"] for each in found), default=0.0) for found in holds]
    without = [seen[name] for name in seen if name.startswith("without")]
    tftp, dhcp = (median(each[place] for each in without) for place in (0, 1))
    beside = {name: values for name, values in seen.items() if not name.startswith("without")}
    size = sum(file.stat().st_size for file in server.registry.parent.iterdir())
    figures = {
        "control_page_p99": max(each["p99_ms"] for each in pages.values()),
        "control_hold": worst[1],
        "control_tftp": max(values[0] for values in beside.values()) / tftp,
        "control_dhcp": min(values[1] for values in beside.values()) / dhcp,
    }
    asked = [
        [path, number(each["status"]), number(each["bytes"] / 1000), *(number(each[name]) for name in _TIMES)]
        for path, each in pages.items()
    ]
    states = [
        [name, number(values[0]), number(values[0] / tftp), number(values[1]), number(values[1] / dhcp)]
        for name, values in seen.items()
    ]
    others = [
        ["the registry's files, MB", number(size / 1e6)],
        ["start of control to its first page, s", number(started)],
        ["that first page, ms", number(first)],
        ["longest hold of its loop at the start and for the first pages, ms of processor time", number(worst[0])],
        ["longest hold while pages are fetched", number(worst[1])],
        ["longest hold while it is flooded", number(worst[2])],
        *([f"flood: {name}", number(float(many))] for name, many in flooded.items()),  # type: ignore[arg-type]
    ]
    return Findings(
        tables=[
            Table(
                "Pages and answers of the API",
                ["path", "status", "kB", "CPU ms", "p50 ms", "p99 ms", "worst ms"],
                asked,
            ),
            Table(
                "What PCs notice of control",
                ["state", "TFTP p99 us", "to without", "proxyDHCP replies/s", "to without"],
                states,
            ),
            Table("control", ["figure", "value"], others),
        ],
        remarks=[f"the longest hold: {found[0]['cpu_ms']:.1f} ms, {found[0]['what']}" for found in holds if found],
        figures=figures,
    )


_TIMES = ("cpu_ms", "p50_ms", "p99_ms", "worst_ms")

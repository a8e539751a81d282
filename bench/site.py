"""Where the benchmarks run: a host with all servers up at once, clients on it and behind a wire, and their cores.

The servers' host has an interface `lan0`: ours answers on its first address, each peer on one of its own. Clients in
the host itself bind to 127.x.y.z and reach the servers over the loopback; those in the namespace `clients` come through
a veth pair and a bridge with an MTU of 1500 from FAR. To the box all of them are behind a router, so it believes the
MAC address in their paths. Nothing touches the machine's own network.
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from threading import Timer
from typing import Any

from services.ethernet import MacAddress
from tests.room.namespaces import Namespace, Network
from tests.room.processes import MARK, RoomError

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".room" / "bench"
"""Compiled load generators, servers' logs and data, results."""

LAN = IPv4Network("10.77.0.0/24")
BOX = IPv4Address("10.77.0.1")
_CLIENTS = IPv4Address("10.77.0.100")
NEAR = IPv4Network("127.64.0.0/10")
"""Addresses of clients on the servers' host."""
FAR = IPv4Network("10.128.0.0/9")
"""Addresses of clients behind the wire."""
BYTES = 10 << 20
FILE = "bench.bin"
"""The file that all servers have: 10 MiB of random bytes."""
SMALL_BYTES = 100_000
SMALL_FILE = "small.bin"

_cores = sorted(os.sched_getaffinity(0))
SERVER_CORE = _cores[0]
LOAD_CORE = _cores[-1]

CUBIC = "cubic"
"""The congestion control of Debian's kernel."""

_ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")

_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu11", "-pthread")


class Site:
    """The host of the servers and the clients' namespace. Use as a context manager."""

    def __init__(self, directory: Path = WORK) -> None:
        self.directory = directory
        self.root = directory / "files"
        """What the peers serve; ours has the same files in its boot root."""
        self.network = Network()

    def __enter__(self) -> "Site":
        self._lock()
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        for name, size in ((FILE, BYTES), (SMALL_FILE, SMALL_BYTES)):
            (self.root / name).write_bytes(os.urandom(size))
            (self.root / name).chmod(0o644)
        self.network.__enter__()
        try:
            self.host = self.network.host("servers", f"{BOX}/{LAN.prefixlen}", _mac(BOX))
            self.clients = self.network.host("clients", f"{_CLIENTS}/{LAN.prefixlen}", _mac(_CLIENTS))
            self.clients.ip("route", "add", "local", str(FAR), "dev", "lo")
            self.host.ip("route", "add", str(FAR), "via", str(_CLIENTS))
            set_up_tcp(self.host)
            # As with most network cards, the kernel splits a window into packets before they leave.
            self.host.run(["ethtool", "-K", "lan0", "tx-udp-segmentation", "off"])
        except BaseException:
            self.network.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.network.close()
        os.close(self._locked)

    def _lock(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._locked = os.open(self.directory / "lock", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RoomError(f"another benchmark runs in {self.directory}: wait for its end") from None

    @contextmanager
    def loss(self, per_mille: int) -> Iterator[None]:
        """Lose this many per thousand UDP datagrams on the wire between the servers and `clients`, each way."""
        # Not on the loopback: there a window sent by UDP GSO passes as one packet.
        drop = f"meta l4proto udp numgen random mod 1000 < {per_mille} drop"
        chain = "add chain inet loss arriving { type filter hook input priority 0; }"
        both = (self.host, self.clients)
        try:
            for namespace in both:
                namespace.run(["nft", f"add table inet loss; {chain}; add rule inet loss arriving {drop}"])
            yield
        finally:
            for namespace in both:
                namespace.run(["nft", "delete table inet loss"], check=False)


def set_up_tcp(host: Namespace) -> str:
    """Let its servers send as Debian's kernel does, whatever this machine's own choice is; returns the congestion
    control that they got: another one where this machine does not give out cubic."""
    choose = ["sysctl", "--quiet", "--write", f"net.ipv4.tcp_congestion_control={CUBIC}"]
    if host.run(choose, check=False).returncode:
        # A namespace may use only what the first one allows to all (tcp(7), tcp_allowed_congestion_control).
        with suppress(OSError):
            allowed = _ALLOWED.read_text(encoding="ascii").split()
            _ALLOWED.write_text(" ".join([*allowed, CUBIC]), encoding="ascii")
        host.run(choose, check=False)
    return host.run(["sysctl", "--values", "net.ipv4.tcp_congestion_control"]).stdout.strip()


def congestion_control() -> str:
    """The congestion control that servers get here."""
    with Network() as network:
        return set_up_tcp(network.host("servers", f"{BOX}/{LAN.prefixlen}", _mac(BOX)))


def load(
    where: Namespace,
    command: Sequence[str],
    *,
    seconds: float = 60,
    at_mark: Callable[[str], None] = lambda mark: None,
) -> dict[str, Any]:
    """Run a load generator on its core and return the JSON object it prints; RoomError when it fails or hangs.

    `at_mark` is called with each earlier line that it prints; the generator continues when it returns.
    """
    pinned = ["env", f"{MARK}={where.room}", *where.command(["taskset", "-c", str(LOAD_CORE), *command])]
    pipe = subprocess.PIPE
    with subprocess.Popen(pinned, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        late = Timer(seconds, process.kill)
        late.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                if line.startswith("{"):
                    found = json.loads(line)
                    assert isinstance(found, dict)
                    return found
                at_mark(line.strip())
                process.stdin.write("\n")
                process.stdin.flush()
            raise RoomError(f"{' '.join(command)} gave no result: {process.stderr.read() or 'it took too long'}")
        finally:
            late.cancel()
            process.kill()


def compiled(name: str, *options: str) -> Path:
    """The program compiled from `bench/<name>.c`, compiled again if that is newer; RoomError with cc's output."""
    source, program = ROOT / "bench" / f"{name}.c", WORK / name
    newest = max(path.stat().st_mtime for path in (source, *source.parent.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < newest:
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")  # two benchmarks may start at once
        command = ["cc", *_FLAGS, *options, "-o", str(fresh), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RoomError(f"cc cannot compile {source}:\n{done.stderr}")
        fresh.replace(program)
    return program


def _mac(address: IPv4Address) -> MacAddress:
    return MacAddress.parse(f"02:77:00:00:00:{address.packed[3]:02x}")

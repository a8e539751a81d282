"""Network namespaces of the virtual room: a bridge, hosts on it, and ports for PCs.

All interfaces are created inside the namespaces, so the machine's own network never sees them. A room's name contains
the id and start time of the process that made it: when that process is gone the room is dead, and the next room removes
it. Writes nothing below /etc; below /run only what `ip netns` needs, and removes that again.
"""

import ctypes
import itertools
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.ethernet import MacAddress
from tests.room.processes import MARK, Process, RoomError, kill_marked, marked, rooms_of_processes, wait_until

PREFIX = "nbaroom"
NETNS = Path("/run/netns")

_sequence = itertools.count()


def run(command: Sequence[str], *, timeout: float = 30, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a short command and return its output; RoomError when it fails (unless `check` is off) or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, errors="replace")
    except FileNotFoundError:
        raise RoomError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise RoomError(f"{' '.join(command)} timed out after {timeout:.0f} s") from None
    if check and done.returncode:
        raise RoomError(f"{' '.join(command)} failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}")
    return done


@dataclass
class Namespace:
    """One network namespace: a host of the room, or the wire itself."""

    name: str
    room: str
    processes: list[Process] = field(default_factory=list)

    mounting: bool = False
    """Whether what is mounted in here is seen by the test and by the other hosts too: for a box."""

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in here. It dies with the thread that starts it, however that ends."""
        enter = ["nsenter", f"--net={NETNS / self.name}", "--"] if self.mounting else ["ip", "netns", "exec", self.name]
        return [*enter, "setpriv", "--pdeathsig", "KILL", *command]

    def run(
        self, command: Sequence[str], *, timeout: float = 30, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a short command in here and return its output as text."""
        return run(["env", f"{MARK}={self.room}", *self.command(command)], timeout=timeout, check=check)

    def start(self, name: str, command: Sequence[str], log: Path, cwd: Path | None = None) -> Process:
        """Start a program in here; it ends with the room at the latest."""
        process = Process(name, self.command(command), log, self.room, cwd)
        self.processes.append(process)
        return process

    def ip(self, *arguments: str) -> str:
        """Run `ip` on this namespace."""
        return run(["ip", "-n", self.name, *arguments]).stdout


class Network:
    """A bridge in a namespace of its own, and the namespaces attached to it. Use as a context manager."""

    def __init__(self) -> None:
        self.room = f"{PREFIX}-{os.getpid()}-{_start_time(os.getpid())}-{next(_sequence)}"
        self.namespaces: list[Namespace] = []

    def __enter__(self) -> "Network":
        own_mounts()
        sweep()
        try:
            self.wire = self.add("wire")
            self.wire.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
            self.wire.ip("link", "set", "br0", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def host(self, name: str, address: str, mac: MacAddress) -> Namespace:
        """A new namespace with one interface `lan0` on the bridge, which carries frames. `address` has its prefix
        length. What is mounted in the one called `box` is seen by the others."""
        host = self.add(name)
        host.mounting = name == "box"
        port = f"port-{name}"[:15]
        self.wire.ip("link", "add", port, "type", "veth", "peer", "name", "lan0", "netns", host.name)
        self.wire.ip("link", "set", port, "master", "br0", "up")
        host.ip("link", "set", "lan0", "address", str(mac), "up")
        if address:
            host.ip("address", "add", address, "dev", "lan0")
        self.await_link(port, host, "lan0")
        return host

    def await_link(self, port: str, host: Namespace, interface: str) -> None:
        """Wait until frames pass between the bridge and a host: the kernel brings up the ends of a cable and the
        bridge's port a moment later, and frames sent before that are lost."""

        def passes() -> bool:
            here, there = self.wire.ip("-d", "link", "show", "dev", port), host.ip("link", "show", "dev", interface)
            return "state UP" in here and "state forwarding" in here and "state UP" in there

        wait_until(passes, 60, f"the link of {port}", 0.01)

    def tap(self, mac: MacAddress) -> str:
        """A tap on the bridge for the PC with this MAC address; always the same one."""
        name = f"tap{mac.bare}"
        if name not in self.wire.ip("-o", "link"):
            self.wire.ip("tuntap", "add", "dev", name, "mode", "tap")
            self.wire.ip("link", "set", name, "master", "br0", "up")
        return name

    def close(self) -> None:
        """Kill what still runs in the room and remove its namespaces, whatever state they are in."""
        for namespace in self.namespaces:
            for process in namespace.processes:
                process.kill()
        kill_marked(self.room)
        for namespace in self.namespaces:
            _delete(namespace.name)
        self.namespaces.clear()
        _release_mount()

    def add(self, name: str) -> Namespace:
        """A new namespace that has no interface yet."""
        namespace = Namespace(f"{self.room}-{name}", self.room)
        self.namespaces.append(namespace)
        run(["ip", "netns", "add", namespace.name])
        namespace.ip("link", "set", "lo", "up")
        # IPv6 would only add router solicitations and delays: nothing in the room uses it.
        run(["ip", "netns", "exec", namespace.name, "sh", "-c", _NO_IPV6])
        return namespace


_NO_IPV6 = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do if [ -e $f ]; then echo 1 > $f; fi; done"


def own_mounts() -> None:
    """Leave the machine's mount namespace for one of this process and its children, which ends with them: what a box
    mounts is seen here and by the other hosts of a room, not by the machine."""
    if not _left:
        _check(_C.unshare(_CLONE_NEWNS))
        _check(_C.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None))
        _check(_C.mount(b"none", b"/", None, _MS_REC | _MS_SHARED, None))
        _left.append(True)


_C = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _MS_REC, _MS_SLAVE, _MS_SHARED = 0x20000, 1 << 14, 1 << 19, 1 << 20  # linux/sched.h, linux/mount.h
_left: list[bool] = []


def _check(failed: int) -> None:
    if failed:
        raise RoomError(f"cannot have mounts of our own: {os.strerror(ctypes.get_errno())}")


def sweep() -> None:
    """Remove what dead rooms left: their processes, then their namespaces. Leaves live rooms alone."""
    rooms = {name.rpartition("-")[0] for name in _names()} | rooms_of_processes()
    for room in rooms:
        if room.startswith(PREFIX + "-") and not alive(room):
            kill_marked(room)
            for name in _names():
                if name.startswith(room + "-"):
                    _delete(name)


def leftovers(room: str) -> list[str]:
    """What is left of the room of that name (of all rooms for PREFIX), in words; empty when nothing is."""
    found = [f"process {pid}: {_command_line(pid)}" for pid in marked(room)]
    found += [f"namespace {name}" for name in _names() if name.startswith(room + "-")]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line.split()[4]}" for line in mounts if f"{NETNS}/{room}-" in line]
    links = run(["ip", "-o", "link"]).stdout
    found += [f"interface {name}" for name in ("lan0", "port-", "tap52", "br0") if f" {name}" in links]
    return found


def assert_nothing_left(room: str) -> None:
    """Raise AssertionError naming each process, namespace, mount and interface that a room left behind."""
    found = leftovers(room)
    assert not found, "left behind: " + "; ".join(found)


def _names() -> list[str]:
    if not NETNS.is_dir():
        return []
    return [path.name for path in NETNS.iterdir() if path.name.startswith(PREFIX + "-")]


def _delete(name: str) -> None:
    if (NETNS / name).exists():
        # The kernel dismantles a namespace later: until then a deleted host would still answer ARP on its cable.
        cables = run(["ip", "-n", name, "-o", "link", "show", "type", "veth"], check=False).stdout
        for line in cables.splitlines():
            run(["ip", "-n", name, "link", "delete", line.split()[1].split("@")[0]], check=False)
        deleted = run(["ip", "netns", "delete", name], check=False)
        # Two rooms that open at once sweep the same leftovers: the second finds them gone.
        if (NETNS / name).exists():
            raise RoomError(f"namespace {name} cannot be deleted: {deleted.stderr.strip()}")


def _release_mount() -> None:
    # The first `ip netns add` of a machine mounts /run/netns on itself, and nothing unmounts it: we do, when it is
    # empty. A concurrent `ip netns add` works with or without that mount.
    if NETNS.is_mount() and not any(NETNS.iterdir()):
        run(["umount", str(NETNS)], check=False)


def _start_time(pid: int) -> int:
    """The start time of a process in clock ticks since boot; raises OSError when there is none. See proc(5), stat."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def alive(room: str) -> bool:
    """Whether the process that made the room of that name still runs."""
    try:
        _, pid, start, _ = room.split("-")
        return _start_time(int(pid)) == int(start)
    except (ValueError, OSError):
        return False


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return "(ended)"

"""Real DHCP clients of operating systems: ISC dhclient, busybox udhcpc, systemd-networkd, each with an interface in a
namespace and nothing else of this machine.

What a client got is read from its own output: the variables of its script, networkd's lease file.
"""

import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.netns.served import TIMEOUT
from tests.room import programs
from tests.room.namespaces import Namespace
from tests.room.processes import Process, RoomError, wait_until

# Both programs run it at each change, with what they know in variables of their own names. It takes the address, and
# writes one line.
_SCRIPT = """\
#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
event=${{reason:-$1}} address=${{new_ip_address:-$ip}} interface=${{interface:-lan0}}
case $event in
    BOUND) rm {directory}/decline 2>/dev/null && exit 1 ;;
esac
case $event in
    PREINIT | MEDIUM) ip link set "$interface" up; exit ;;
    deconfig | EXPIRE | FAIL | RELEASE | STOP) ip address flush dev "$interface" ;;
    bound | renew | BOUND | RENEW | REBIND | REBOOT)
        mask=${{new_subnet_mask:-$subnet}}
        [ "$(ip -4 -brief address show dev "$interface" | tr -s ' ' / | cut -d/ -f3)" = "$address" ] || {{
            ip address flush dev "$interface"
            ip address add "$address/$mask" dev "$interface"
        }} ;;
esac
echo "$event|$address|${{new_routers:-$router}}|${{new_domain_name_servers:-$dns}}|${{new_ntp_servers:-$ntpsrv}}|\
${{new_dhcp_lease_time:-$lease}}|${{new_dhcp_server_identifier:-$serverid}}" >>{directory}/events
"""

_NETWORKD = """\
[Match]
Name={interface}
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
ClientIdentifier=mac
UseHostname=no
"""
# It needs neither D-Bus nor, where /sys is read-only as in a container, udev. /run is its own: nothing gets out.
_CONTAINED = """\
mount --bind {run} /run && mount -o remount,bind,ro /sys || exit
exec /lib/systemd/systemd-networkd
"""


@dataclass(frozen=True)
class Lease:
    """What a client has: texts as the client writes them, "" for what it was not given; `seconds` in whole seconds."""

    address: str
    router: str
    dns: str
    ntp: str
    seconds: int
    server: str


class DhcpClient:
    """One of them on one interface of a host."""

    name: str

    def __init__(self, host: Namespace, directory: Path, interface: str = "lan0") -> None:
        self.host = host
        self.directory = directory / self.name
        self.interface = interface
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / "log"
        self.process: Process | None = None

    def start(self) -> None:
        """Start it; it asks for a lease, or for the last one again."""
        self.process = self.host.start(self.name, self._command(), self.log)

    def address(self) -> str:
        """The address that the interface has now, or ""."""
        found = re.search(r"inet ([0-9.]+)/", self.host.ip("-4", "address", "show", "dev", self.interface))
        return found[1] if found else ""

    def lease(self) -> Lease:
        """Wait for a lease, and for the address to be on the interface; what the client knows of it."""

        def has() -> bool:
            assert self.process is not None
            self.process.require()
            known = self._known()
            return known is not None and known.address == self.address()

        wait_until(has, TIMEOUT, f"{self.name} to get a lease: {self.log}", 0.05)
        found = self._known()
        assert found
        return found

    def renewals(self) -> int:
        """How often it has renewed its lease."""
        raise NotImplementedError

    def await_renewal(self, before: int) -> None:
        """Wait until it has renewed its lease more often than `before`."""
        wait_until(lambda: self.renewals() > before, TIMEOUT, f"{self.name} to renew its lease: {self.log}", 0.1)

    def await_network(self, prefix: str) -> None:
        """Wait until it has an address that begins so."""
        wait_until(lambda: self.address().startswith(prefix + "."), TIMEOUT, f"{self.name} to be in {prefix}", 0.1)

    def release(self) -> None:
        """Give the lease back, and end."""
        raise NotImplementedError

    def vanish(self) -> None:
        """End without a word to the server: a power cut."""
        assert self.process is not None
        self.process.kill()
        self.host.ip("address", "flush", "dev", self.interface)

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _known(self) -> Lease | None:
        raise NotImplementedError


class _Scripted(DhcpClient):
    def __init__(self, host: Namespace, directory: Path, interface: str = "lan0") -> None:
        super().__init__(host, directory, interface)
        self.script = self.directory / "script"
        self.script.write_text(_SCRIPT.format(directory=self.directory))
        self.script.chmod(0o755)

    def events(self) -> list[str]:
        """What it called its script for, in order."""
        return [line[0] for line in self._lines()]

    def _lines(self) -> list[list[str]]:
        path = self.directory / "events"
        return [line.split("|") for line in path.read_text().splitlines()] if path.exists() else []

    def _known(self) -> Lease | None:
        lines = self._lines()
        if not lines or not lines[-1][1] or not lines[-1][5]:
            return None
        _, address, router, dns, ntp, seconds, server = lines[-1]
        return Lease(address, router, dns, ntp, int(seconds), server)

    def renewals(self) -> int:
        return sum(event.upper() in ("RENEW", "REBIND") for event in self.events())


class Dhclient(_Scripted):
    """ISC dhclient. It leaves to its script whether an address is in use."""

    name = "dhclient"

    def decline_once(self) -> None:
        """Have it decline the next address that it gets."""
        (self.directory / "decline").touch()

    def _command(self) -> list[str]:
        config = self.directory / "dhclient.conf"
        config.write_text(
            "request subnet-mask, routers, domain-name-servers, ntp-servers;\ninitial-interval 1;\nbackoff-cutoff 2;\n"
        )
        return [*self._dhclient(), "-d", "-v", self.interface]

    def _dhclient(self) -> list[str]:
        files = {"-cf": "dhclient.conf", "-lf": "leases", "-pf": "pid", "-sf": "script"}
        return [
            *programs.DHCP.command("dhclient"),
            *(word for f, name in files.items() for word in (f, str(self.directory / name))),
        ]

    def release(self) -> None:
        self.host.run([*self._dhclient(), "-r", self.interface])
        self.vanish()


# By itself udhcpc does not renew before 17 s, however short the lease is; what it is told while it has none is lost.
_ASK_EVERY = 5.0


class Udhcpc(_Scripted):
    """busybox udhcpc."""

    name = "udhcpc"

    def _command(self) -> list[str]:
        wanted = [word for name in ("router", "dns", "ntpsrv") for word in ("-O", name)]
        return ["udhcpc", "-f", "-R", "-T", "1", "-A", "1", "-a", "-i", self.interface, "-s", str(self.script), *wanted]

    def await_renewal(self, before: int) -> None:
        asked = float("-inf")

        def renewed() -> bool:
            nonlocal asked
            if time.monotonic() - asked > _ASK_EVERY:
                asked = time.monotonic()
                assert self.process is not None
                self.process.signal(signal.SIGUSR1)
            return self.renewals() > before

        wait_until(renewed, TIMEOUT, f"{self.name} to renew its lease: {self.log}", 0.1)

    def release(self) -> None:
        assert self.process is not None
        self.process.stop()
        self.vanish()


class Networkd(DhcpClient):
    """systemd-networkd. As it comes it does not look whether its address is in use; with SendDecline, that of Debian 12
    looks, finds that it has no route for its DECLINE, and asks for the same address again."""

    name = "networkd"

    def _command(self) -> list[str]:
        run = self.directory / "run"
        for made in ("systemd/network", "systemd/netif"):
            (run / made).mkdir(parents=True, exist_ok=True)
        (run / "systemd/network/lan.network").write_text(_NETWORKD.format(interface=self.interface))
        # It runs as its own user, which has to come to its directory.
        for path in (*run.rglob("*"), run):
            path.chmod(0o777 if path.is_dir() else 0o644)
        command = ["unshare", "--mount", "--uts", "env", "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console"]
        return [*command, "sh", "-c", _CONTAINED.format(run=run)]

    def _known(self) -> Lease | None:
        leases = self.directory / "run/systemd/netif/leases"
        for file in leases.iterdir() if leases.is_dir() else ():
            known = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
            if "ADDRESS" in known:
                address, router, dns, ntp = (known.get(name, "") for name in ("ADDRESS", "ROUTER", "DNS", "NTP"))
                return Lease(address, router, dns, ntp, _seconds(known["LIFETIME"]), known["SERVER_ADDRESS"])
        return None

    def renewals(self) -> int:
        return self.log.read_text().count("DHCPv4 client: REQUEST (renewing)")

    def release(self) -> None:
        assert self.process is not None
        self.process.signal(signal.SIGTERM)
        wait_until(lambda: not self.address(), TIMEOUT, "networkd to give its lease back")
        self.vanish()


def _seconds(text: str) -> int:
    """networkd's time spans: "1min 59s", or plain seconds."""
    units = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
    found = re.findall(r"(\d+)([a-z]*)", text)
    if not found or any(unit not in units for _, unit in found):
        raise RoomError(f"no time span: {text!r}")
    return sum(int(number) * units[unit] for number, unit in found)


CLIENTS = (Dhclient, Udhcpc, Networkd)

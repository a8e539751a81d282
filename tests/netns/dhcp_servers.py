"""DHCP servers that an administrator may run on the box's host: dnsmasq, ISC dhcpd, Kea. Each has a plain configuration
that leases addresses and knows nothing about us, with the output of `config dhcp` pasted in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.room import programs
from tests.room.namespaces import Namespace
from tests.room.processes import Process, wait_until


@dataclass(frozen=True)
class SiteServer:
    """A server program. `config(directory, snippet)` is the text of its file; `check` and `serve` are the commands that
    check that file and run the server."""

    name: str
    process: str
    config: Callable[[Path, str], str]
    check: Callable[[Path], Sequence[str]]
    serve: Callable[[Path], Sequence[str]]

    def start(self, host: Namespace, directory: Path, snippet: str) -> Process:
        """Paste the snippet, let the program check its own file, and return when it listens on port 67."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "leases").touch()
        file = directory / f"{self.name}.conf"
        file.write_text(self.config(directory, snippet))
        host.run(self.check(file))
        process = host.start(self.process, self.serve(file), directory / f"{self.name}.log")

        def listening() -> bool:
            process.require()
            return ":67 " in host.run(["ss", "-Hlnu"]).stdout

        wait_until(listening, 30, f"{self.name} to listen; its log is {process.log}", 0.05)
        return process


def _dnsmasq(directory: Path, snippet: str) -> str:
    return f"""\
port=0
user=root
no-ping
interface=lan0
bind-interfaces
dhcp-authoritative
dhcp-range=10.78.0.100,10.78.0.200,2m
dhcp-leasefile={directory}/leases
log-dhcp
{snippet}"""


def _isc(_: Path, snippet: str) -> str:
    return f"""\
authoritative;
ping-check off;
default-lease-time 120;
subnet 10.78.0.0 netmask 255.255.255.0 {{
  range 10.78.0.100 10.78.0.200;
}}
{snippet}"""


def _kea(_: Path, snippet: str) -> str:
    return f"""\
{{ "Dhcp4": {{
{snippet}
"interfaces-config": {{ "interfaces": [ "lan0" ] }},
"lease-database": {{ "type": "memfile", "persist": false }},
"valid-lifetime": 120,
"subnet4": [ {{ "id": 1, "subnet": "10.78.0.0/24", "pools": [ {{ "pool": "10.78.0.100 - 10.78.0.200" }} ] }} ]
}} }}
"""


def _kea_command(file: Path, *options: str) -> list[str]:
    places = [f"KEA_{what}={file.parent}" for what in ("PIDFILE_DIR", "LOCKFILE_DIR", "DHCP_DATA_DIR")]
    return ["env", *places, *programs.DHCP.command("kea-dhcp4"), *options, str(file)]


def _dhcpd_command(file: Path, *options: str) -> list[str]:
    return [*programs.DHCP.command("dhcpd"), "-4", "-cf", str(file), "-lf", str(file.parent / "leases"), *options]


DNSMASQ = SiteServer(
    "dnsmasq",
    "dnsmasq",
    _dnsmasq,
    lambda file: ["dnsmasq", "--test", f"--conf-file={file}"],
    lambda file: ["dnsmasq", "--keep-in-foreground", f"--conf-file={file}", "--log-facility=-", "--pid-file="],
)
ISC = SiteServer(
    "isc",
    "dhcpd",
    _isc,
    lambda file: _dhcpd_command(file, "-t"),
    lambda file: _dhcpd_command(file, "-f", "-d", "-pf", str(file.parent / "pid"), "lan0"),
)
KEA = SiteServer("kea", "kea-dhcp4", _kea, lambda f: _kea_command(f, "-t"), lambda f: _kea_command(f, "-c"))

ADDRESS = IPv4Address("10.78.0.1")
"""The host that is both: DHCP server and box."""

"""Who listens on the ports that the box needs. Judging is PURE; psutil looks.

Only looks: binding a port as a test would get in the way of a server that is starting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

import psutil

from appliance.config.file import Config
from appliance.doctor.finding import Finding, UnobservableError, error, ok, warning
from appliance.network.ports import Listener, listeners, way_out
from appliance.registry.server_lock import holder
from services.dhcp.message import BOOT_SERVER_PORT, SERVER_PORT
from services.linux.interfaces import links

_TFTP_PORT = 69


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A port that the box needs, on one of its addresses (0.0.0.0: on all of them)."""

    protocol: str
    number: int
    address: IPv4Address
    service: str


def needed(addresses: Sequence[IPv4Address], http_port: int, *, broadcasts: bool = True) -> list[WantedPort]:
    """The ports of a box with these addresses; without `broadcasts`, port 67 belongs to another server."""
    ports = [WantedPort("udp", SERVER_PORT, IPv4Address(0), "DHCP")] if broadcasts else []
    for address in addresses:
        ports += [
            WantedPort("udp", BOOT_SERVER_PORT, address, "PXE"),
            WantedPort("udp", _TFTP_PORT, address, "TFTP"),
            WantedPort("tcp", http_port, address, "HTTP"),
        ]
    return ports


def judge(ports: Sequence[WantedPort], found: Sequence[Listener], server: int | None) -> list[Finding]:
    """`server` is the process id of the running `serve`, or None."""
    findings = []
    if server is None:
        findings.append(
            warning(
                "server",
                "netboot-appliance serve is not running",
                "no PC is answered",
                "start it: systemctl start netboot-appliance",
            )
        )
    else:
        findings.append(ok("server", f"netboot-appliance serve is running as process {server}"))
    for port in ports:
        holders = [listener for listener in found if listener.blocks(port.protocol, port.address, port.number)]
        findings += [_judge_holder(port, each) for each in holders if each.pid != server or server is None]
        ours = server is not None and any(each.pid == server for each in holders)
        if server is not None and not ours and not any(each.pid is None for each in holders):
            findings.append(_judge_not_ours(port))
        elif ours:
            findings.append(ok("ports", f"the server listens on {_words(port)}"))
        elif not holders:
            findings.append(ok("ports", f"{_words(port)} is free"))
    return findings


def _judge_holder(port: WantedPort, listener: Listener) -> Finding:
    if listener.pid is None:
        return warning(
            "ports",
            f"{_words(port)} is used by a process that cannot be seen",
            "if it is not netboot-appliance, PCs do not boot",
            "run the doctor as root (sudo)",
        )
    return error(
        "ports",
        f"{_words(port)} is used by {listener.name} (process {listener.pid})",
        f"netboot-appliance cannot answer there, and {port.service} requests go to {listener.name}",
        way_out(listener.name, listener.pid, port.number),
    )


def _judge_not_ours(port: WantedPort) -> Finding:
    return error(
        "ports",
        f"the server is running, but does not listen on {_words(port)}",
        "its address or interface has changed since it started, or it is stopping",
        "restart it: systemctl restart netboot-appliance",
    )


def _words(port: WantedPort) -> str:
    where = "" if port.address.is_unspecified else f" at {port.address}"
    return f"{port.protocol.upper()} port {port.number}{where} ({port.service})"


def check(config: Config) -> list[Finding]:
    """Look at all sockets of this host."""
    addresses = [a.address.ip for each in links() if each.name in config.server.interfaces for a in each.addresses[:1]]
    try:
        found = listeners()
    except psutil.Error as reason:
        raise UnobservableError(f"the sockets of other processes cannot be seen: {reason}") from None
    ports = needed(addresses, config.server.http_port, broadcasts=config.dhcp.hears_broadcasts)
    return judge(ports, found, holder(config.registry))

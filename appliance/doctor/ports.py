"""Who listens on the ports that the box needs. Judging is PURE; psutil looks.

Looks only: binding a port for a test would get into the way of a server that is just starting.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

import psutil

from appliance.config import Config
from appliance.doctor.finding import Finding, UnobservableError, error, ok, warning
from appliance.lock import holder
from services.dhcp.message import BOOT_SERVER_PORT, SERVER_PORT
from services.neighbours import links

_TFTP_PORT = 69
_DHCP_WAYS = (
    "one server a port: run netboot-appliance on another host, or take the address off this one; where {name} has to "
    "stay, let it hand out the boot files itself (options 66 and 67)"
)
# The ways out by the name of the process, for those that are met in practice.
_WAYS_OUT = {
    "dnsmasq": "stop its DHCP and TFTP parts (dhcp-range, enable-tftp), or move netboot-appliance to another host",
    "dhcpd": _DHCP_WAYS,
    "kea-dhcp4": _DHCP_WAYS,
    "udhcpd": _DHCP_WAYS,
    "in.tftpd": "stop it: systemctl disable --now tftpd-hpa",
    "atftpd": "stop it: systemctl disable --now atftpd",
    "apache2": "stop it, or choose another server.http_port",
    "nginx": "stop it, or choose another server.http_port",
    "lighttpd": "stop it, or choose another server.http_port",
    "caddy": "stop it, or choose another server.http_port",
}


@dataclass(frozen=True, slots=True)
class Port:
    """A port that the box needs, at one of its addresses (0.0.0.0: at all of them)."""

    protocol: str
    number: int
    address: IPv4Address
    service: str


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for requests; `pid` is None when its process cannot be seen, `every`: at any address."""

    protocol: str
    number: int
    address: IPv4Address | None
    every: bool
    name: str
    pid: int | None


def needed(addresses: Sequence[IPv4Address], http_port: int) -> list[Port]:
    """The ports of a box with these addresses."""
    ports = [Port("udp", SERVER_PORT, IPv4Address(0), "DHCP")]
    for address in addresses:
        ports += [
            Port("udp", BOOT_SERVER_PORT, address, "PXE"),
            Port("udp", _TFTP_PORT, address, "TFTP"),
            Port("tcp", http_port, address, "HTTP"),
        ]
    return ports


def judge(ports: Sequence[Port], listeners: Sequence[Listener], server: int | None) -> list[Finding]:
    """`server` is the process id of the running `serve`, or None."""
    findings = []
    if server is None:
        findings.append(
            warning(
                "server",
                "netboot-appliance serve does not run",
                "no PC is answered",
                "start it: systemctl start netboot-appliance",
            )
        )
    else:
        findings.append(ok("server", f"netboot-appliance serve runs as process {server}"))
    for port in ports:
        holders = [listener for listener in listeners if _meets(port, listener)]
        findings += [_judge_holder(port, each) for each in holders if each.pid != server or server is None]
        ours = server is not None and any(each.pid == server for each in holders)
        if server is not None and not ours and not any(each.pid is None for each in holders):
            findings.append(_judge_not_ours(port))
        elif ours:
            findings.append(ok("ports", f"{_words(port)} is the server's"))
        elif not holders:
            findings.append(ok("ports", f"{_words(port)} is free"))
    return findings


def _judge_holder(port: Port, listener: Listener) -> Finding:
    if listener.pid is None:
        return warning(
            "ports",
            f"{_words(port)} is held by a process that cannot be seen",
            "if it is not netboot-appliance, PCs do not boot",
            "run the doctor as root (sudo)",
        )
    way_out = _WAYS_OUT.get(listener.name, "stop it, or move netboot-appliance to another host")
    return error(
        "ports",
        f"{_words(port)} is held by {listener.name} (process {listener.pid})",
        f"netboot-appliance cannot answer there, and {port.service} requests go to {listener.name}",
        way_out.format(name=listener.name),
    )


def _judge_not_ours(port: Port) -> Finding:
    return error(
        "ports",
        f"the server runs, but does not listen on {_words(port)}",
        "its address or interface has changed since it started, or it is stopping",
        "restart it: systemctl restart netboot-appliance",
    )


def _meets(port: Port, listener: Listener) -> bool:
    if (listener.protocol, listener.number) != (port.protocol, port.number):
        return False
    return listener.every or port.address.is_unspecified or listener.address == port.address


def _words(port: Port) -> str:
    where = "" if port.address.is_unspecified else f" at {port.address}"
    return f"{port.protocol.upper()} port {port.number}{where} ({port.service})"


def check(config: Config) -> list[Finding]:
    """Look at all sockets of this host."""
    addresses = [a.address.ip for each in links() if each.name in config.server.interfaces for a in each.addresses[:1]]
    return judge(needed(addresses, config.server.http_port), _listeners(), holder(config.server.data))


def _listeners() -> list[Listener]:
    try:
        connections = psutil.net_connections("inet")
    except psutil.Error as reason:
        raise UnobservableError(f"the sockets of other processes cannot be seen: {reason}") from None
    found = []
    for connection in connections:
        local = connection.laddr
        if not local or connection.raddr:
            continue
        address = ip_address(local.ip.partition("%")[0])
        # A socket on [::] takes IPv4 as well, unless it was told not to.
        every = address.is_unspecified
        known = address if isinstance(address, IPv4Address) else address.ipv4_mapped
        protocol = "tcp" if connection.type == socket.SOCK_STREAM else "udp"
        found.append(Listener(protocol, local.port, known, every, _name(connection.pid), connection.pid))
    return found


def _name(pid: int | None) -> str:
    try:
        return psutil.Process(pid).name() if pid else "?"
    except psutil.Error:
        return "?"

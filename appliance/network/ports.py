"""Which processes listen on the ports that the box needs, and what to do about them, in words for people."""

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import psutil

from appliance.errors import UserError
from services.dhcp.message import SERVER_PORT
from services.linux.sockets import BindError

# The DHCP servers that `config dhcp` knows, by the name of their process.
_DHCP_SERVERS = {"dnsmasq": "dnsmasq", "dhcpd": "isc", "kea-dhcp4": "kea"}
_DHCP_WAYS = (
    'there are two ways; for both, write mode = "off" under [dhcp] in the configuration. Then let {name} send the '
    "PCs to netboot-appliance: netboot-appliance config dhcp {server}; or let {name} itself name the boot files: "
    "netboot-appliance config dhcp {server} --way options"
)
_OTHER_DHCP_WAY = (
    'write mode = "off" under [dhcp] in the configuration and let {name} name the boot files (options 66 and 67), or '
    "run netboot-appliance on another host"
)
_HTTP_WAY = "stop it, or choose another server.http_port"
_PRIVILEGE = "run as root (sudo), or as its unit, which grants CAP_NET_BIND_SERVICE: systemctl start netboot-appliance"
# What to do, by the name of the process, for those that occur in practice.
_WAYS_OUT = {
    "dnsmasq": "stop its TFTP and PXE parts (enable-tftp, pxe-service), or move netboot-appliance to another host",
    "in.tftpd": "stop it: systemctl disable --now tftpd-hpa",
    "atftpd": "stop it: systemctl disable --now atftpd",
    "apache2": _HTTP_WAY,
    "nginx": _HTTP_WAY,
    "lighttpd": _HTTP_WAY,
    "caddy": _HTTP_WAY,
}


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for requests. `pid` is None if its process cannot be seen. `every`: it listens on all
    addresses."""

    protocol: str
    number: int
    address: IPv4Address | None
    every: bool
    name: str
    pid: int | None

    def blocks(self, protocol: str, address: IPv4Address, number: int) -> bool:
        """Whether it prevents us from listening on this address and port."""
        if (self.protocol, self.number) != (protocol, number):
            return False
        return self.every or address.is_unspecified or self.address == address


def listeners() -> list[Listener]:
    """All sockets of this host that wait for requests; raises psutil.Error if the kernel does not show them."""
    found = []
    for connection in psutil.net_connections("inet"):
        local = connection.laddr
        if not local or connection.raddr:
            continue
        address = ip_address(local.ip.partition("%")[0])
        # A socket on [::] also receives IPv4, unless it was told not to.
        every = address.is_unspecified
        known = address if isinstance(address, IPv4Address) else address.ipv4_mapped
        protocol = "tcp" if connection.type == socket.SOCK_STREAM else "udp"
        found.append(Listener(protocol, local.port, known, every, _name(connection.pid), connection.pid))
    return found


def way_out(name: str, pid: int, port: int) -> str:
    """What to do about a process that uses a port of the box."""
    if "netboot-appliance" in name:
        return f"the box is already running: netboot-appliance status (to stop it: kill {pid})"
    if port == SERVER_PORT:
        ways = _DHCP_WAYS if name in _DHCP_SERVERS else _OTHER_DHCP_WAY
        return ways.format(name=name, server=_DHCP_SERVERS.get(name))
    known = _WAYS_OUT.get(name, "stop it (see what it is: ps -fp {pid}), or move netboot-appliance to another host")
    return known.format(name=name, pid=pid)


def explain(error: BindError) -> UserError:
    """The error for a port that could not be bound: which process is using it, and what to do."""
    where = f"{error.protocol.upper()} port {error.port} on {error.address}"
    if isinstance(error.cause, PermissionError):
        return UserError(f"cannot listen on {where}: permission denied", _PRIVILEGE, code=1)
    try:
        holders = [each for each in listeners() if each.blocks(error.protocol, error.address, error.port)]
    except psutil.Error:
        holders = []
    for each in holders:
        if each.pid is not None:
            what = f"cannot listen on {where}: {each.name} (process {each.pid}) is using it"
            return UserError(what, way_out(each.name, each.pid, error.port), code=1)
    if error.cause.errno == errno.EADDRINUSE:
        # Without root, and in the sandbox of the unit, other users' processes cannot be seen.
        hint = "see which one: sudo netboot-appliance doctor"
        if error.port == SERVER_PORT:
            hint += "; if it is a DHCP server that has to stay: netboot-appliance config dhcp"
        return UserError(f"cannot listen on {where}: another process is using it", hint, code=1)
    return UserError(f"cannot listen on {where}: {error.cause.strerror}", "see them: ip -brief address", code=1)


def _name(pid: int | None) -> str:
    try:
        return _called(psutil.Process(pid)) if pid else "?"
    except psutil.Error:
        return "?"


def _called(process: psutil.Process) -> str:
    # A script's process is named after its interpreter, but people know the script.
    script = next((Path(word).name for word in process.cmdline()[1:2] if not word.startswith("-")), "")
    if script and (process.name().startswith("python") or script.startswith(process.name())):
        return script
    return process.name()

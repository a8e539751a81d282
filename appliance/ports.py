"""Who holds a port that the box needs, in words for people."""

import socket
from ipaddress import IPv4Address
from pathlib import Path

import psutil

from appliance.errors import UserError
from services.sockets import BindError

_ADVICE = {
    "dnsmasq": "stop its DHCP or TFTP part (dhcp-range, enable-tftp), or run the box on another host",
    "in.tftpd": "stop it: systemctl disable --now tftpd-hpa",
    "dhcpd": "another DHCP server on this host owns the port; run the box on another host",
    "apache2": "stop it, or choose another server.http_port",
    "nginx": "stop it, or choose another server.http_port",
}


def explain(error: BindError) -> UserError:
    """The error of a port that could not be bound, with the process that holds it and what to do."""
    where = f"{error.protocol.upper()} port {error.port} on {error.address}"
    if isinstance(error.cause, PermissionError):
        return UserError(f"cannot listen on {where}: permission denied", "run as root (sudo)", code=1)
    holder = _holder(error.protocol, error.address, error.port)
    if holder is None:
        return UserError(f"cannot listen on {where}: {error.cause.strerror}", "", code=1)
    name, pid = holder
    advice = _ADVICE.get(name, f"stop it (look with: ps -fp {pid})")
    if "netboot-appliance" in name:
        advice = f"the box is running already: netboot-appliance status (to stop it: kill {pid})"
    return UserError(f"cannot listen on {where}: {name} (process {pid}) holds it", advice, code=1)


def _holder(protocol: str, address: IPv4Address, port: int) -> tuple[str, int] | None:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    try:
        for connection in psutil.net_connections("inet4"):
            local = connection.laddr
            listens = connection.type == kind and local and local.port == port and not connection.raddr
            meets = address.is_unspecified or (local and IPv4Address(local.ip) in (address, IPv4Address(0)))
            if connection.pid and listens and meets:
                return _name(psutil.Process(connection.pid)), connection.pid
    except psutil.Error:
        return None
    return None


def _name(process: psutil.Process) -> str:
    # A script's process is called after its interpreter; what people know is the script.
    script = next((Path(word).name for word in process.cmdline()[1:2] if not word.startswith("-")), "")
    if script and (process.name().startswith("python") or script.startswith(process.name())):
        return script
    return process.name()

"""What only the administrator can decide: the project, who may boot, and who may read the configuration."""

import contextlib
import socket
import stat
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from urllib.parse import urlsplit

from appliance.config.file import Config
from appliance.doctor.configuration import lost_schedules
from appliance.doctor.finding import Finding, error, note, ok, warning
from appliance.errors import UserError
from appliance.registry.database import Registry
from services.boinc.accounts import address_in


def judge_permissions(path: Path, mode: int, secret: bool) -> Finding:
    """`mode` is that of the configuration file; `secret` says whether it contains a key."""
    if mode & stat.S_IWOTH:
        return error(
            "configuration",
            f"everybody may write to {path}",
            "anyone with an account here can make every PC work for a project of their own",
            f"chmod o-rwx {path}",
        )
    if secret and mode & stat.S_IROTH:
        return warning(
            "configuration",
            f"everybody may read {path}",
            "it contains keys or passwords",
            f"chmod o-rwx {path}",
        )
    return ok("configuration", f"{path} is valid")


def judge_missing(path: Path) -> Finding:
    """There is no file in the default place, which is allowed."""
    return warning(
        "configuration",
        f"there is no configuration file {path}",
        "the server runs with the defaults, on the interface that it finds",
        "write one: sudo netboot-appliance config init",
    )


def judge_project(url: str) -> Finding:
    """`url` is that of the project, or of all of them, or of the account manager; or empty."""
    if url:
        return ok("project", f"the PCs compute for {url}")
    return warning(
        "project",
        "no BOINC project is configured",
        "the PCs boot and wait, and compute nothing",
        "set url and account_key in [project] of the configuration, then reload the server",
    )


def judge_project_server(host: str, addresses: Sequence[IPv4Address], lan: Sequence[IPv4Network]) -> list[Finding]:
    """`addresses` are those of the project's `host`, `lan` what of the local network is open to BOINC on the PCs."""
    closed = [address for address in addresses if address.is_private and not any(address in each for each in lan)]
    if not closed:
        return []
    return [
        error(
            "project-server",
            f"{host} is {closed[0]}, in the local network, and that is closed to BOINC on the PCs",
            "the PCs boot and never reach the project",
            f'add "{closed[0]}" to lan in [boinc] of the configuration, then reload the server and restart the PCs',
        )
    ]


def judge_allowlist(addresses: int) -> Finding:
    """`addresses` counts the MAC addresses that may boot."""
    if addresses:
        return ok("allowlist", f"{addresses:,} MAC addresses may boot")
    return warning(
        "allowlist",
        "nobody may boot: the allowlist is empty",
        "every PC that is not on it is ignored",
        "allow the PCs: netboot-appliance allow add MAC",
    )


def judge_schedules(lost: Sequence[str]) -> list[Finding]:
    """`lost` are the schedules that the allowlist names and the configuration does not have."""
    return [
        warning(
            "schedules",
            f"the allowlist names a schedule {name!r}, which the configuration does not have",
            "its PCs compute at any time",
            f"write [schedules.{name}] into the configuration, or: netboot-appliance allow set RANGE --schedule ''",
        )
        for name in lost
    ]


def check_configuration(config: Config) -> list[Finding]:
    """Judge the configuration file, which is known to be valid, and its project."""
    if not config.written:
        return [judge_missing(config.path), judge_project("")]
    mode = config.path.stat().st_mode
    return [judge_permissions(config.path, mode, config.secret), judge_project(", ".join(config.joined))]


def check_project_server(config: Config) -> list[Finding]:
    """Look where the project's name leads. What this box cannot look up, the PCs may be able to."""
    if config.boinc.network == "all":
        return []
    findings: list[Finding] = []
    for host in _names_to_reach(config):
        with contextlib.suppress(OSError):
            found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
            addresses = [IPv4Address(str(peer[0])) for *_, peer in found]
            findings += judge_project_server(host, addresses, config.boinc.lan)
    return findings


def _names_to_reach(config: Config) -> list[str]:
    """What BOINC connects to by a name: the proxy, and what it reaches without one."""
    proxy = config.boinc.web_proxy
    hosts = [urlsplit(url).hostname or "" for url in config.joined if address_in(url) is None]
    if proxy is None:
        return hosts
    return [*(() if proxy.address else (proxy.host,)), *(host for host in hosts if host in proxy.exceptions)]


def check_allowlist(config: Config) -> list[Finding]:
    """Count who may boot, and look for their schedules."""
    if not config.registry.exists():
        return [judge_allowlist(0)]
    try:
        with Registry(config.registry) as registry:
            allowlist = registry.allowlist()
            return [judge_allowlist(allowlist.addresses), *judge_schedules(lost_schedules(config, allowlist))]
    except UserError as unreadable:
        return [note("allowlist", f"not checked: {unreadable.message}")]

"""Whether the doctor and the running server have the capabilities(7) that they need. PURE except `check`."""

import os
from pathlib import Path

from appliance.config.file import Config
from appliance.doctor.finding import Finding, error, ok, warning
from appliance.registry.server_lock import holder

_NET_BIND_SERVICE = 10
# What the doctor itself needs; numbers from linux/capability.h.
_NEEDED = {1: "CAP_DAC_OVERRIDE", 12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW", 19: "CAP_SYS_PTRACE"}
_LOWEST_PORT = 67


def judge_doctor(effective: int) -> Finding:
    """`effective` is the doctor's own set, as in CapEff."""
    missing = [name for number, name in _NEEDED.items() if not effective >> number & 1]
    if missing:
        return warning(
            "privileges",
            f"the doctor runs without {', '.join(missing)}",
            "it cannot fully see which processes use the ports, what the firewall does and who answers on the network",
            "run it as root: sudo netboot-appliance doctor",
        )
    return ok("privileges", "the doctor may see everything")


def judge_server(effective: int, first_free_port: int) -> Finding:
    """`effective` is the server's set; from `first_free_port` on, ports need no privilege."""
    if effective >> _NET_BIND_SERVICE & 1 or first_free_port <= _LOWEST_PORT:
        return ok("privileges", "the server may open its ports")
    return error(
        "privileges",
        "the server runs without CAP_NET_BIND_SERVICE",
        "it cannot open the ports 67, 69 and 80 again when it is restarted or its interface changes",
        "start it as root or by its unit: systemctl restart netboot-appliance; in a container, give it the capability",
    )


def check(config: Config) -> list[Finding]:
    """Judge this process and, where it can be seen, the running server."""
    findings = [judge_doctor(_effective(os.getpid()))]
    if (server := holder(config.registry)) is not None:
        first_free = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        findings.append(judge_server(_effective(server), first_free))
    return findings


def _effective(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    return next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)

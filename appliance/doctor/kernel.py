"""Whether the kernel's limits leave room for the PCs. Judging is PURE.

The limits are those of systemd/netboot-appliance.sysctl. A container or a namespace may hide them; they are
then not judged.
"""

from pathlib import Path

from appliance.config.file import Config
from appliance.doctor.finding import Finding, ok, warning
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.overview import count_clients

_NEIGHBOURS = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh2")
_BUFFER = Path("/proc/sys/net/core/rmem_max")

# The kernel lets a socket hold twice rmem_max, and charges this much for a DHCPDISCOVER and what it stores with it.
_BYTES_A_REQUEST = 1280

_DO = (
    "the installation sets larger values: systemctl restart systemd-sysctl. If that does not help, another file sets "
    "smaller ones, or there are more PCs than they are meant for: in /etc/sysctl.d/local.conf write {line}"
)


def judge(pcs: int, neighbours: int | None, buffer: int | None) -> list[Finding]:
    """`pcs`: how many there are at least; `neighbours`: gc_thresh2; `buffer`: rmem_max in bytes; None: not seen."""
    found = []
    if neighbours is not None and pcs > neighbours:
        found.append(
            warning(
                "kernel",
                f"the kernel's neighbour table has room for {neighbours:,} machines, but there are {pcs:,} PCs",
                "it forgets PCs whose addresses the box is about to check: they are answered late or not at all",
                _DO.format(
                    line=f"net.ipv4.neigh.default.gc_thresh2 = {2 * pcs} and "
                    f"net.ipv4.neigh.default.gc_thresh3 = {4 * pcs}"
                ),
            )
        )
    if buffer is not None and pcs > (fit := 2 * buffer // _BYTES_A_REQUEST):
        found.append(
            warning(
                "kernel",
                f"a socket of the server holds {fit:,} requests, but there are {pcs:,} PCs",
                "when all are switched on together, some are heard only when they ask again, seconds later",
                _DO.format(line=f"net.core.rmem_max = {pcs * _BYTES_A_REQUEST}"),
            )
        )
    if not found and not (neighbours is None and buffer is None):
        found.append(ok("kernel", f"the kernel's limits have room for all PCs (at least {pcs:,})"))
    return found


def check(config: Config) -> list[Finding]:
    """Judge the running kernel. Counts the PCs that have booted, or the allowlist's entries if they are more."""
    return judge(_pcs(config), _value(_NEIGHBOURS), _value(_BUFFER))


def _pcs(config: Config) -> int:
    if not config.registry.exists():
        return 0
    try:
        with Registry(config.registry) as registry:
            return max(len(registry.allowlist()), count_clients(registry))
    except UserError:  # another check reports it
        return 0


def _value(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except OSError:
        return None

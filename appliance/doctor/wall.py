"""Whether the wall before the NFS ports is up, lets the PCs in, and keeps out nobody who has exports of somebody else.

Judging is PURE. docs/adr/0012-the-wall-before-nfs.md says what the wall is for.
"""

from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from appliance.config.file import Config
from appliance.doctor.finding import Finding, UnobservableError, error, note, ok, warning
from appliance.errors import UserError
from appliance.exports import install
from appliance.exports.expected import expected_grants
from appliance.exports.grants import ExportGrant
from appliance.network.interfaces import interfaces, networks
from appliance.registry.database import Registry
from services.linux import programs
from services.nfs import kernel, nftables
from services.nfs.backend import Backend, NfsError

_APPLY = "sudo netboot-appliance exports apply (a running server does so by itself within a moment)"


def judge_wall(installed: bool, up: bool, grants: Sequence[ExportGrant], admitted: Collection[IPv4Address]) -> Finding:
    """`installed`: nft is; `up`: a wall is in force, and lets the addresses `admitted` in."""
    if not installed:
        return error(
            "nfs-wall",
            "nft is not installed, so nothing guards the NFS ports",
            "nothing is exported: no PC can mount its root",
            "apt-get install nftables",
        )
    wanted = {address: grant for grant in grants for address in grant.addresses}
    if not up and wanted:
        return error(
            "nfs-wall",
            "there is no wall before the NFS ports: its rules were removed",
            "who takes the address of a PC can read and change its state",
            _APPLY,
        )
    if missing := sorted(wanted.keys() - set(admitted)):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return warning(
            "nfs-wall",
            f"the wall before the NFS ports keeps {missing[0]} of {wanted[missing[0]].mac} out{more}",
            "that PC waits for its root",
            f"{_APPLY}; behind a router: does the router answer ARP?",
        )
    return ok("nfs-wall", f"the wall before the NFS ports lets {len(wanted)} addresses in, each by its own MAC address")


def judge_others(
    ours: Collection[str],
    exported: Mapping[str, Sequence[str]],
    served: Sequence[IPv4Network],
    others: Sequence[IPv4Network],
) -> list[Finding]:
    """`exported` is what the kernel's NFS server exports, by path, to addresses, networks or names; `ours` are the
    paths that are ours. Names count as hosts elsewhere."""
    found = []
    inside = ", ".join(map(str, served))
    for path, clients in exported.items():
        for client in clients if path not in ours else ():
            hosts = _hosts(client)
            if not any(hosts.overlaps(network) for network in served) or any(hosts.subnet_of(each) for each in others):
                continue
            found.append(
                warning(
                    "nfs-wall",
                    f"{path} is exported to {client} by somebody else, but the wall before the NFS ports keeps hosts "
                    f"in {inside} out",
                    "those that mount it wait",
                    "name them in the configuration: [nfs] others = [...]",
                )
            )
    return found


def check(config: Config) -> list[Finding]:
    """Look at the rules in force, and at the exports of others."""
    grants: tuple[ExportGrant, ...] = ()
    try:
        served = networks(config, interfaces(config))
        if config.registry.exists():
            with Registry(config.registry) as registry:
                grants = expected_grants(served, registry)
    except UserError as problem:  # other checks say what follows from that
        return [note("nfs-wall", f"not checked: {problem.message}")]
    installed = programs.find("nft") is not None
    try:
        up = installed and nftables.is_up()
        admitted: set[IPv4Address] = {address for _, address in nftables.pairs()} if up else set()
    except NfsError as problem:
        raise UnobservableError(problem.message) from None
    return [judge_wall(installed, up, grants, admitted), *_check_others(config, served)]


def _check_others(config: Config, served: Sequence[IPv4Network]) -> list[Finding]:
    try:
        backend, _ = install.chosen(config)
        exported = kernel.exported() if backend is Backend.KERNEL else {}
    except (UserError, NfsError):
        return []  # appliance/doctor/nfs.py says so
    ours = {path for path in exported if path == str(config.images) or path.startswith(f"{config.state}/")}
    return judge_others(ours, exported, served, config.nfs.others)


def _hosts(client: str) -> IPv4Network:
    """The IPv4 hosts that a client of exports(5) names; for a host name or netgroup one that is nowhere."""
    if client == "*":
        return IPv4Network("0.0.0.0/0")
    try:
        return IPv4Network(client, strict=False)
    except ValueError:
        return IPv4Network("127.0.0.0/32")

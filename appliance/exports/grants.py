"""Who may mount what: turns the allowlist and the current boots into grants, and grants into exports. PURE.

A grant holds only what cannot be derived from the configuration. Grants are all that a server without root asks root's
helper for (docs/adr/0006-root-parts-apart.md), so a compromised server gets no more than what `check` accepts.
"""

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from image.recipe import BOINC_GID, BOINC_UID
from services.ethernet import MacAddress
from services.nfs.exports import ITSELF, LARGEST_NUMBER, Export, is_one_machine

if TYPE_CHECKING:  # root's helper starts for each request and does without these
    from appliance.allowlist import Allowlist
    from appliance.journal.timeline import Boot

MOST_GRANTS = 10_000
"""Clients at a time. Root makes a directory for each."""

_ROOT_NUMBER = 1
_MOST_NUMBER = LARGEST_NUMBER - _ROOT_NUMBER
_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class ExportGrant:
    """A client may mount its own directory from these addresses, and the live root too if `live`. `number` is its
    number in the registry. `pinned`: while the grant lasts, the kernel's neighbour entries of these addresses stay at
    its MAC address, whatever ARP says."""

    mac: MacAddress
    number: int
    addresses: tuple[IPv4Address, ...]
    live: bool = True
    pinned: bool = False


def decide_grants(
    networks: Sequence[IPv4Network],
    allowlist: "Allowlist",
    numbers: Mapping[MacAddress, int],
    boots: "Mapping[MacAddress, Boot]",
    running: Container[MacAddress],
) -> tuple[ExportGrant, ...]:
    """A grant for each allowed client that was seen at an address, in the order of their `numbers` in the registry.
    Those that are `running` are pinned: who gets the address of a PC that was switched off must be able to boot.

    A client that booted with its root over HTTP does not get the live root, whatever the allowlist says for its next
    boot. If there are more than MOST_GRANTS, those heard from last get one: strangers with made-up MAC addresses of an
    allowed range must not keep the others out.
    """
    found: list[tuple[float, ExportGrant]] = []
    for mac, number in numbers.items():
        boot = boots.get(mac)
        if boot is None or mac not in allowlist or not 1 <= number <= _MOST_NUMBER:
            continue
        addresses = tuple(address for address in sorted(boot.known_addresses) if mountable(address, networks))
        if addresses:
            grant = ExportGrant(mac, number, addresses, live=boot.root != "http", pinned=mac in running)
            found.append((boot.last_event, grant))
    latest = sorted(found, key=lambda each: each[0])[-MOST_GRANTS:]
    return tuple(sorted((grant for _, grant in latest), key=lambda grant: grant.number))


def mountable(address: IPv4Address, networks: Iterable[IPv4Network]) -> bool:
    """Whether this can be the address of a single machine in one of the networks."""
    return is_one_machine(address) and any(
        address in network
        # A network of one or two addresses has no broadcast address (RFC 3021).
        and (network.prefixlen >= 31 or address not in (network.network_address, network.broadcast_address))
        for network in networks
    )


def check(grants: Sequence[ExportGrant], networks: Sequence[IPv4Network]) -> None:
    """Raise ValueError, which names the client, unless all of these may be exported, no matter who asks."""
    if len(grants) > MOST_GRANTS:
        raise ValueError(f"{len(grants)} clients are more than the limit of {MOST_GRANTS}")
    for grant in grants:
        if not 1 <= grant.number <= _MOST_NUMBER:
            raise ValueError(f"{grant.mac} has the number {grant.number}: it must be 1 to {_MOST_NUMBER}")
        if not grant.addresses or len(set(grant.addresses)) < len(grant.addresses):
            raise ValueError(f"{grant.mac} has no address, or the same one twice")
        for address in grant.addresses:
            if not mountable(address, networks):
                where = ", ".join(map(str, networks)) or "any network: there is none"
                raise ValueError(f"{grant.mac} has the address {address}, which cannot belong to a machine in {where}")
    for what, times in (
        ("client", Counter(str(grant.mac) for grant in grants)),
        ("number", Counter(str(grant.number) for grant in grants)),
    ):
        for value, count in times.items():
            if count > 1:
                raise ValueError(f"the {what} {value} appears {count} times")


def exports_for(
    images: Path, state: Path, grants: Sequence[ExportGrant], alone: Collection[str] = frozenset()
) -> list[Export]:
    """The live root (`images`) for the clients that mount it, then each client's own directory below `state`. `alone`
    has the paths that are file systems of their own. The host itself may mount the live root too: so the doctor can
    ask the server what it answers."""
    clients = sorted({address for grant in grants if grant.live for address in grant.addresses})
    mounting = (*clients, ITSELF) if clients else ()
    root = Export(str(images), mounting, False, _NOBODY, _NOBODY, _ROOT_NUMBER, str(images) in alone)
    states = [
        Export(
            str(state / grant.mac.bare),
            grant.addresses,
            writable=True,
            uid=BOINC_UID,
            gid=BOINC_GID,
            number=_ROOT_NUMBER + grant.number,
            alone=str(state / grant.mac.bare) in alone,
        )
        for grant in grants
    ]
    return [root, *states]

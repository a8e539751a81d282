"""Who may mount what: from the allowlist and the current boots to grants, and from grants to exports.

PURE. A grant holds only what cannot be derived from the configuration. It is all that a server that is not root asks
root for (docs/adr/0006-root-parts-apart.md), so what `check` passes is what such a server could get at most.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from image.recipe import BOINC_GID, BOINC_UID
from services.ethernet import MacAddress
from services.nfs.exports import LARGEST_NUMBER, Export

if TYPE_CHECKING:  # root's part, which starts anew for each request, has no use for these
    from appliance.allowlist import Allowlist
    from appliance.journal.timeline import Boot

MOST_GRANTS = 10_000
"""Clients at a time. Each has a directory that root makes."""

_ROOT_NUMBER = 1
_MOST_NUMBER = LARGEST_NUMBER - _ROOT_NUMBER
_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class ExportGrant:
    """A client may mount its own directory at these addresses, and the live root if `live`. `number` is the registry's
    for it."""

    mac: MacAddress
    number: int
    addresses: tuple[IPv4Address, ...]
    live: bool = True


def decide_grants(
    networks: Sequence[IPv4Network],
    allowlist: "Allowlist",
    numbers: Mapping[MacAddress, int],
    boots: "Mapping[MacAddress, Boot]",
) -> tuple[ExportGrant, ...]:
    """One for each allowed client that was seen at an address, in the order of their `numbers`, the registry's.

    The live root is for those that have not booted with one over HTTP, whatever the allowlist says for their next boot.
    Of more than MOST_GRANTS those that were heard of last: strangers with made-up addresses of an allowed range should
    not stop the others.
    """
    found: list[tuple[float, ExportGrant]] = []
    for mac, number in numbers.items():
        boot = boots.get(mac)
        if boot is None or mac not in allowlist or number > _MOST_NUMBER:
            continue
        addresses = tuple(address for address in sorted(boot.known_addresses) if mountable(address, networks))
        if addresses:
            found.append((boot.last_event, ExportGrant(mac, number, addresses, live=boot.root != "http")))
    latest = sorted(found, key=lambda each: each[0])[-MOST_GRANTS:]
    return tuple(sorted((grant for _, grant in latest), key=lambda grant: grant.number))


def mountable(address: IPv4Address, networks: Iterable[IPv4Network]) -> bool:
    """Whether this is the address of one machine inside one of the networks."""
    if address.is_unspecified or address.is_multicast or address.is_loopback or address == IPv4Address(2**32 - 1):
        return False
    return any(
        address in network
        # A network of one or two addresses has no broadcast address (RFC 3021).
        and (network.prefixlen >= 31 or address not in (network.network_address, network.broadcast_address))
        for network in networks
    )


def check(grants: Sequence[ExportGrant], networks: Sequence[IPv4Network]) -> None:
    """Raise ValueError, naming the client, unless all of these can be exported, whoever asks for it."""
    if len(grants) > MOST_GRANTS:
        raise ValueError(f"{len(grants)} clients are more than {MOST_GRANTS}")
    for grant in grants:
        if not 1 <= grant.number <= _MOST_NUMBER:
            raise ValueError(f"{grant.mac} has the number {grant.number}: it must be 1 to {_MOST_NUMBER}")
        if not grant.addresses or len(set(grant.addresses)) < len(grant.addresses):
            raise ValueError(f"{grant.mac} has no address, or one of them twice")
        for address in grant.addresses:
            if not mountable(address, networks):
                where = ", ".join(map(str, networks)) or "no network at all"
                raise ValueError(f"{grant.mac} has the address {address}, which is not one of a machine in {where}")
    for what, times in (
        ("client", Counter(str(grant.mac) for grant in grants)),
        ("number", Counter(str(grant.number) for grant in grants)),
    ):
        for value, count in times.items():
            if count > 1:
                raise ValueError(f"the {what} {value} is there {count} times")


def exports_for(images: Path, state: Path, grants: Sequence[ExportGrant]) -> list[Export]:
    """The live root (`images`) for those that mount it, then each one's own directory below `state`."""
    mounting = tuple(sorted({address for grant in grants if grant.live for address in grant.addresses}))
    root = Export(str(images), mounting, writable=False, uid=_NOBODY, gid=_NOBODY, number=_ROOT_NUMBER)
    states = [
        Export(
            str(state / grant.mac.bare),
            grant.addresses,
            writable=True,
            uid=BOINC_UID,
            gid=BOINC_GID,
            number=_ROOT_NUMBER + grant.number,
        )
        for grant in grants
    ]
    return [root, *states]

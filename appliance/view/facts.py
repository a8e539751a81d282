"""What the views are made of: everything read from the registry, the server's lock and the disk, in one place.

Reads only. What people are shown of it is decided by the pure modules beside this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.allowlist import Allowlist
from appliance.boot import next_boot
from appliance.boot.next_boot import NextBoot
from appliance.config.file import Config
from appliance.dhcp import leases
from appliance.errors import UserError
from appliance.firmware import table
from appliance.firmware.knowledge import FirmwareKnowledge
from appliance.journal import history
from appliance.journal.timeline import Boot
from appliance.registry import disk, reload_result, rows
from appliance.registry.database import Client, IgnoredRow, Registry
from appliance.registry.disk import Disk
from appliance.registry.reload_result import ReloadResult
from appliance.registry.server_lock import holder
from image import release
from image.release import Release, ReleaseError
from services.dhcp.lease import Lease
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class BoxState:
    """The whole box at one moment. `pid` is that of the running server, or None; `server` is what the server wrote
    about itself. `boots` has each PC's latest boot."""

    pid: int | None
    server: Mapping[str, Any]
    reload: ReloadResult | None
    image: Release | None
    image_error: str
    disk: Disk
    allowlist: Allowlist
    boots: Sequence[Boot]
    firmware: Mapping[MacAddress, Sequence[FirmwareKnowledge]]
    ignored: Sequence[IgnoredRow]
    next_boots: Sequence[NextBoot]
    leases: Sequence[Lease]


@dataclass(frozen=True, slots=True)
class KnownClients:
    """Every PC that has booted, and the latest boot of each."""

    clients: Sequence[Client]
    boots: Mapping[MacAddress, Boot]
    allowlist: Allowlist


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """One PC: its boots (oldest first), its firmwares, and the directory with its work."""

    client: Client
    allowlist: Allowlist
    boots: Sequence[Boot]
    firmware: Sequence[FirmwareKnowledge]
    next_boot: NextBoot | None
    state: Path


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases, newest first; `states` says which id is "active" and which is "previous"."""

    releases: Sequence[Release]
    states: Mapping[str, str]
    broken: Sequence[ReleaseError]


def gather(config: Config, registry: Registry) -> BoxState:
    """Read the state of the whole box."""
    try:
        image, image_error = release.current(config.images), ""
    except ReleaseError as error:
        image, image_error = None, str(error)
    return BoxState(
        pid=holder(config.registry),
        server=_server(registry),
        reload=reload_result.read(registry),
        image=image,
        image_error=image_error,
        disk=disk.look(config.server.data),
        allowlist=registry.allowlist(),
        boots=history.latest(registry),
        firmware=table.read(registry),
        ignored=registry.ignored(),
        next_boots=next_boot.all_of(registry),
        leases=leases.load(registry),
    )


def _server(registry: Registry) -> dict[str, Any]:
    """What the server wrote about itself, checked as far as people are shown it."""
    with registry.reading("server"):
        found = registry.server()
        rows.moment(found.get("started", 0.0))
        rows.whole(found.get("addresses", 0))
        for line in found.get("trouble", []):
            rows.text(line)
        for service in found.get("services", []):
            rows.text(service["name"])
            rows.text(service["address"])
            rows.whole(service["port"])
        if exports := found.get("exports"):
            for name in ("error", "backend", "why"):
                rows.text(exports[name])
    return found


def gather_clients(registry: Registry) -> KnownClients:
    """Read every PC that has booted."""
    boots = {boot.mac: boot for boot in history.latest(registry)}
    return KnownClients(registry.clients(), boots, registry.allowlist())


def gather_client(config: Config, registry: Registry, mac: MacAddress) -> ClientRecord:
    """Read one PC; raises UserError when it has never booted."""
    client, allowlist = registry.client(mac), registry.allowlist()
    if client is None:
        hint = "switch it on" if mac in allowlist else f"allow it first: netboot-appliance allow add {mac}"
        raise UserError(f"{mac} has not booted yet", hint)
    return ClientRecord(
        client=client,
        allowlist=allowlist,
        boots=history.history(registry, mac),
        firmware=table.read(registry).get(mac, ()),
        next_boot=next((each for each in next_boot.all_of(registry) if each.mac == mac), None),
        state=config.state / mac.bare,
    )


def gather_releases(images: Path) -> Releases:
    """Read the releases; broken ones are left out and returned as errors."""
    states: dict[str, str] = {}
    broken: list[ReleaseError] = []
    for state, read in (("previous", release.previous), ("active", release.current)):
        try:
            found = read(images)
        except ReleaseError as error:
            broken.append(error)
            continue
        if found:
            states[found.id] = state
    listed = release.releases(images)
    return Releases(listed.releases, states, (*broken, *listed.broken))

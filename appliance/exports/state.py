"""The PCs' state directories, for people: which there are, moving one into its file system or out of it, and setting
work aside.

The caller is root. Every function blocks, for as long as copying takes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from typing import TypeVar

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.exports import kept_work, volumes
from appliance.exports.grants import ExportGrant
from appliance.exports.install import exported, install
from appliance.exports.kept_work import KeptWork
from services.ethernet import MacAddress
from services.linux import programs, tree_copy
from services.linux.programs import ProgramError
from services.nfs.backend import Backend

T = TypeVar("T")

PLAIN = "plain directory"
OWN = "file system of its own"
ADMINISTRATORS = "mounted by the administrator"

_LOOK_SECONDS = 8.0
_WITHDRAW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Where a PC's work is: `kind` is one of the constants here; `used` in bytes."""

    mac: MacAddress
    kind: str
    mounted: bool
    used: int


def directories(config: Config) -> list[StateDirectory]:
    """All state directories, by MAC address; raises OSError."""
    known, mounted = volumes.names(config), volumes.alone(config)
    found = []
    for path in sorted(config.state.iterdir()):
        if (mac := _mac(path.name)) is None:
            continue
        alone = str(path) in mounted
        if path.name in known:
            image = config.volumes / f"{path.name}.img"
            found.append(StateDirectory(mac, OWN, alone, image.stat().st_blocks * 512 if image.exists() else 0))
        else:
            found.append(StateDirectory(mac, ADMINISTRATORS if alone else PLAIN, alone, tree_copy.occupied(path)))
    return found


def pack(
    config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], macs: Sequence[MacAddress]
) -> None:
    """Move the work of these PCs, which must be off, into file systems of their own. Their exports end meanwhile; then
    all `grants` are in force. Raises UserError, OSError."""
    for mac in macs:
        _require_directory(config, mac)
    _require_off(config, macs)
    install(config, networks, [grant for grant in grants if grant.mac not in macs])
    try:
        for mac in macs:
            _explained(partial(volumes.pack, config, mac.bare))
    finally:
        install(config, networks, grants)


def unpack(config: Config, macs: Sequence[MacAddress]) -> None:
    """Turn the file systems of these PCs, which must not be exported, back into plain directories. Raises UserError,
    OSError."""
    for mac in macs:
        _require_directory(config, mac)
        if exported_to(config, mac) is not None:
            raise UserError(
                f"the work of {mac} is exported",
                "first: systemctl stop netboot-appliance; netboot-appliance exports withdraw",
                code=1,
            )
    for mac in macs:
        _explained(partial(volumes.unpack, config, mac.bare))


def exported_to(config: Config, mac: MacAddress) -> frozenset[str] | None:
    """The addresses that may mount the work of this PC, from either NFS server; None if no export leads there."""
    found = [exported(config, backend).get(str(config.state / mac.bare)) for backend in Backend]
    told = [each for each in found if each is not None]
    return frozenset().union(*told) if told else None


def await_withdrawal(config: Config, mac: MacAddress, seconds: float = _WITHDRAW_SECONDS) -> None:
    """Wait until no export leads to the work of this PC any more; raises UserError if that takes longer."""
    until = time.monotonic() + seconds
    while exported_to(config, mac) is not None:
        if time.monotonic() > until:
            raise UserError(
                f"the work of {mac} is still exported; it stays where it is",
                f"is the PC on? else again: sudo netboot-appliance clients forget {mac} --history --work",
                code=1,
            )
        time.sleep(0.2)


def set_aside(config: Config, mac: MacAddress, now: float) -> KeptWork:
    """Move the work of this PC aside, once it is not exported any more. Blocks for up to a minute; raises UserError,
    OSError."""
    await_withdrawal(config, mac)
    return _explained(partial(kept_work.set_aside, config, mac, now))


def restore(
    config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], mac: MacAddress, now: float
) -> KeptWork | None:
    """Give this PC, which must be off, its work back; returns what it has computed since, which is set aside. Its
    export ends meanwhile; then all `grants` are in force. Raises UserError, OSError."""
    kept_work.find_of(config, mac)
    if not any(grant.mac == mac for grant in grants):
        await_withdrawal(config, mac)
        return _explained(partial(kept_work.restore, config, mac, now))
    _require_off(config, [mac])
    install(config, networks, [grant for grant in grants if grant.mac != mac])
    try:
        return _explained(partial(kept_work.restore, config, mac, now))
    finally:
        install(config, networks, grants)


def purge(config: Config, kept: KeptWork) -> None:
    """Delete work that was set aside for good. Raises UserError, OSError."""
    _explained(partial(kept_work.purge, config, kept))


def _explained(act: Callable[[], T]) -> T:
    try:
        return act()
    except ProgramError as error:
        raise UserError(str(error), f"by hand: {error.paste}", code=1) from error


def _require_off(config: Config, macs: Sequence[MacAddress]) -> None:
    connected = _connected()
    for mac in macs:
        if users := connected & (exported_to(config, mac) or frozenset()):
            raise UserError(
                f"{mac} is on: {min(users)} has a connection to the NFS server",
                "switch it off, and try again in a few minutes; nothing was changed",
                code=1,
            )


def _require_directory(config: Config, mac: MacAddress) -> None:
    if not (config.state / mac.bare).is_dir():
        raise UserError(f"{mac} has no state directory", "see: netboot-appliance state list")


def _connected() -> frozenset[str]:
    """The addresses that are connected to this machine's NFS server."""
    try:
        text = programs.output(("ss", "-Htn", "state", "established", "sport = :2049"), seconds=_LOOK_SECONDS)
    except ProgramError as error:
        raise UserError(f"cannot see which PCs are on: {error}", "apt-get install iproute2", code=1) from error
    peers = (line.split()[-1].rpartition(":")[0] for line in text.splitlines() if line.strip())
    return frozenset(peer.strip("[]").removeprefix("::ffff:") for peer in peers)


def _mac(name: str) -> MacAddress | None:
    try:
        mac = MacAddress.parse(name)
    except ValueError:
        return None
    return mac if mac.bare == name else None

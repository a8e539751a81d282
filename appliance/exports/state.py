"""The PCs' state directories, for people: which there are, and moving one into its file system or out of it.

The caller is root. Every function blocks, for as long as copying takes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.exports import volumes
from appliance.exports.grants import ExportGrant
from appliance.exports.install import chosen, exported, install
from services.ethernet import MacAddress
from services.linux import programs, tree_copy
from services.linux.programs import ProgramError

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
    backend, _ = chosen(config)
    connected, told = _connected(), exported(config, backend)
    for mac in macs:
        _require_directory(config, mac)
        if users := connected & told.get(str(config.state / mac.bare), frozenset()):
            raise UserError(
                f"{mac} is on: {min(users)} has a connection to the NFS server",
                "switch it off, and try again in a few minutes; nothing was changed",
                code=1,
            )
    install(config, networks, [grant for grant in grants if grant.mac not in macs])
    try:
        for mac in macs:
            _explained(volumes.pack, config, mac)
    finally:
        install(config, networks, grants)


def unpack(config: Config, macs: Sequence[MacAddress]) -> None:
    """Turn the file systems of these PCs, which must not be exported, back into plain directories. Raises UserError,
    OSError."""
    told = exported(config, chosen(config)[0])
    for mac in macs:
        _require_directory(config, mac)
        if str(config.state / mac.bare) in told:
            raise UserError(
                f"the work of {mac} is exported",
                "first: systemctl stop netboot-appliance; netboot-appliance exports withdraw",
                code=1,
            )
    for mac in macs:
        _explained(volumes.unpack, config, mac)


def delete(config: Config, mac: MacAddress) -> int:
    """Delete the work of this PC, once it is not exported any more; returns how many bytes it took. Blocks for up to a
    minute; raises UserError, OSError."""
    found = next((each for each in directories(config) if each.mac == mac), None)
    if found is None:
        raise UserError(f"{mac} has no work here", "see: netboot-appliance state list")
    until = time.monotonic() + _WITHDRAW_SECONDS
    while str(config.state / mac.bare) in exported(config, chosen(config)[0]):
        if time.monotonic() > until:
            raise UserError(
                f"the work of {mac} is still exported; it was not deleted",
                f"is the PC on? else again: netboot-appliance clients forget {mac} --history --work",
                code=1,
            )
        time.sleep(1.0)
    _explained(volumes.delete, config, mac)
    return found.used


def _explained(act: Callable[[Config, str], None], config: Config, mac: MacAddress) -> None:
    try:
        act(config, mac.bare)
    except ProgramError as error:
        raise UserError(str(error), f"by hand: {error.paste}", code=1) from error


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

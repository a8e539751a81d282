"""What is exported by NFS, and to whom: from the allowlist and the current boots to `services.nfs`.

The live root and every state directory go only to addresses at which an allowed MAC was seen in its latest boot, and
only inside the configured networks (docs/adr/0002-exports-by-address.md).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.allowlist import Allowlist
from appliance.config import Config
from appliance.errors import UserError
from appliance.journal import latest
from appliance.registry import Client, Registry
from appliance.timeline import Boot
from image.recipe import BOINC_GID, BOINC_UID
from services.ethernet import MacAddress
from services.nfs.apply import Backend, NfsError, apply, choose, probe
from services.nfs.exports import Export, render_ganesha, render_kernel

_ROOT_NUMBER = 1
_NOBODY = 65534


def wanted(
    config: Config,
    networks: Sequence[IPv4Network],
    allowlist: Allowlist,
    clients: Iterable[Client],
    boots: Mapping[MacAddress, Boot],
) -> list[Export]:
    """The live root, then one export for each allowed client that has an address."""
    states: list[Export] = []
    everyone: set[IPv4Address] = set()
    for client in clients:
        boot = boots.get(client.mac)
        if boot is None or client.mac not in allowlist:
            continue
        addresses = tuple(a for a in sorted(boot.known_addresses) if any(a in network for network in networks))
        if addresses:
            everyone.update(addresses)
            path = str(config.state / client.mac.bare)
            states.append(
                Export(
                    path, addresses, writable=True, uid=BOINC_UID, gid=BOINC_GID, number=_ROOT_NUMBER + client.number
                )
            )
    root = Export(
        str(config.images), tuple(sorted(everyone)), writable=False, uid=_NOBODY, gid=_NOBODY, number=_ROOT_NUMBER
    )
    return [root, *states]


def wanted_from_registry(config: Config, networks: Sequence[IPv4Network], registry: Registry) -> list[Export]:
    """The same, for a process that is not the server."""
    boots = {boot.mac: boot for boot in latest(registry)}
    return wanted(config, networks, registry.allowlist(), registry.clients(), boots)


def render(backend: Backend, exports: Sequence[Export]) -> str:
    """The text of the box's own export file."""
    return render_kernel(exports) if backend is Backend.KERNEL else render_ganesha(exports)


def destination(config: Config, backend: Backend) -> Path:
    """The box's own export file."""
    return config.nfs.exports_file if backend is Backend.KERNEL else config.nfs.ganesha_config


def chosen(config: Config) -> tuple[Backend, str]:
    """The NFS server in use and why; raises UserError when there is none."""
    try:
        return choose(config.nfs.backend, probe())
    except NfsError as error:
        raise UserError(error.message, error.hint, code=1) from error


def install(config: Config, backend: Backend, exports: Sequence[Export]) -> bool:
    """Make the state directories, bring the exports into force; True if something changed. Blocks; raises UserError."""
    try:
        config.images.mkdir(parents=True, exist_ok=True)
        for export in exports:
            if export.writable:
                _make_state(Path(export.path))
        return apply(
            backend,
            render(backend, exports),
            kernel_file=config.nfs.exports_file,
            ganesha_file=config.nfs.ganesha_config,
            ganesha_pid_file=config.nfs.ganesha_pid_file,
        )
    except NfsError as error:
        raise UserError(error.message, error.hint, code=1) from error
    except OSError as error:
        raise UserError(f"cannot set up the exports: {error}", "run as root, and check the disk", code=1) from error


def _make_state(directory: Path) -> None:
    """A PC's directory, its own from the start: nobody can look in between its making and its locking."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    if not directory.is_dir():
        directory.mkdir(mode=0o700)
        os.chown(directory, BOINC_UID, BOINC_GID)

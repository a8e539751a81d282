"""Applies NFS exports: checks the grants, makes the PCs' directories, puts up the wall, then calls `services.nfs`.

`appliance.exports.grants` decides who may mount what. The caller is root: the server itself, or root's helper
(`appliance.exports.root_helper`). Every function blocks.
"""

import contextlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.exports import volumes, wall
from appliance.exports.grants import ExportGrant, check, exports_for
from appliance.exports.volumes import IMAGES, MountRequest, carry_out
from appliance.exports.wall import Observed
from image.recipe import BOINC_GID, BOINC_UID
from services.nfs import etab, nftables
from services.nfs.apply import apply
from services.nfs.backend import Backend, NfsError, choose, probe
from services.nfs.exports import Export, render_ganesha, render_kernel

Mounting = Callable[[Config, MountRequest], Mapping[str, str]]
"""What mounts: volumes.carry_out, or who asks for it from inside a sandbox."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What was applied. `changed`: whether it differs from before. `directories`: how many are exported to at least
    one client. `observed`: what the wall before the NFS ports knew. `left_out`: which could not be exported and why, in
    words; all others are."""

    backend: Backend
    why: str
    changed: bool
    directories: int
    observed: Observed = field(default_factory=Observed)
    left_out: str = ""


def render(backend: Backend, exports: Sequence[Export]) -> str:
    """The text of the box's own export file."""
    return render_kernel(exports) if backend is Backend.KERNEL else render_ganesha(exports)


def destination(config: Config, backend: Backend) -> Path:
    """The box's own export file."""
    return config.nfs.exports_file if backend is Backend.KERNEL else config.nfs.ganesha_config


def chosen(config: Config) -> tuple[Backend, str]:
    """The NFS server to use, and why this one; raises UserError if there is none."""
    try:
        return choose(config.nfs.backend, probe())
    except NfsError as error:
        raise UserError(error.message, error.hint, code=1) from error


def exports_now(config: Config, grants: Sequence[ExportGrant]) -> list[Export]:
    """The exports for these grants, given what is mounted now."""
    return exports_for(config.images, config.state, grants, volumes.alone(config))


def install(
    config: Config,
    networks: Sequence[IPv4Network],
    grants: Sequence[ExportGrant],
    mounting: Mounting | None = None,
) -> Installed:
    """Make the clients' directories, mount them, and put exactly these exports of ours in force, behind a wall that
    lets only these clients to the NFS ports.

    Does not trust `grants`. Raises UserError; if it refuses the grants, nothing has been changed. If single directories
    cannot be mounted, the others are exported all the same. Without a wall, nothing is exported. `mounting` is for a
    caller in a sandbox.
    """
    try:
        check(grants, networks)
    except ValueError as error:
        raise UserError(
            f"these exports are refused: {error}",
            "nothing was changed; if you have edited the configuration: sudo netboot-appliance reload",
            code=1,
        ) from error
    backend, why = chosen(config)
    problems: Mapping[str, str] = {}
    before = exported(config, backend)
    try:
        if grants:
            _make_directories(config, (grant.mac.bare for grant in grants))
        # It closes before an export ends and opens before one begins: an export is never in force without it. Mounting
        # may take long, and what is withdrawn must not wait for it.
        observed = _put_up_wall(config, networks, grants, backend)
        if grants or IMAGES in volumes.names(config):
            problems = _mount(config, backend, before, grants, mounting or carry_out)
        wanted = exports_now(config, grants)
        exports = [each for each in wanted if _may_be_exported(config, backend, before, each)]
        changed = _apply(config, backend, exports)
        _unmount(config, grants, mounting or carry_out)
    except NfsError as error:
        raise UserError(error.message, error.hint, code=1) from error
    except OSError as error:
        raise UserError(f"cannot set up the exports: {error}", _advice(config, error), code=1) from error
    left_out = [each.path for each in wanted if each.clients and each not in exports]
    exported_to_some = sum(bool(export.clients) for export in exports)
    return Installed(backend, why, changed, exported_to_some, observed, _in_words(left_out, problems))


def _in_words(left_out: Sequence[str], problems: Mapping[str, str]) -> str:
    if not left_out:
        return ""
    why = problems.get(Path(left_out[0]).name, "it is not mounted")
    more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    return f"{left_out[0]}{more} cannot be exported: {why}"


def withdraw(config: Config) -> tuple[Backend | None, str]:
    """Export nothing any longer, then take down the wall and the pins. Returns the backend and why it is that one; None
    if there is no NFS server, so that nothing is exported anyway. Raises UserError."""
    try:
        backend, why = chosen(config)
    except UserError as error:
        backend, why = None, error.message
    try:
        try:
            if backend:
                _apply(config, backend, ())
        except NfsError:
            if backend is Backend.KERNEL:
                raise  # the exports may be in force: the wall stays
            wall.take_down()  # NFS-Ganesha does not run, and its file is empty
            raise
        wall.take_down()
        _unmount(config, (), carry_out)
    except NfsError as error:
        raise UserError(error.message, error.hint, code=1) from error
    except OSError as error:
        raise UserError(f"cannot unmount the PCs' directories: {error}", _advice(config, error), code=1) from error
    return backend, why


def _put_up_wall(
    config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], backend: Backend
) -> Observed:
    """Raises NfsError or UserError. Then the last wall is still in force, or nothing of ours is exported."""
    try:
        return wall.put_up(config, networks, grants)
    except (NfsError, UserError):
        if not _is_guarded():
            with contextlib.suppress(NfsError):  # the file is empty now, and the first error says more
                _apply(config, backend, ())
        raise


def _is_guarded() -> bool:
    try:
        return nftables.is_up()
    except NfsError:
        return False


def _apply(config: Config, backend: Backend, exports: Sequence[Export]) -> bool:
    return apply(
        backend,
        render(backend, exports),
        roots=(str(config.images), str(config.state)),
        kernel_file=config.nfs.exports_file,
        ganesha_file=config.nfs.ganesha_config,
        ganesha_pid_file=config.nfs.ganesha_pid_file,
    )


def _mount(
    config: Config, backend: Backend, before: Collection[str], grants: Sequence[ExportGrant], mounting: Mounting
) -> Mapping[str, str]:
    """Mount what is to be exported; returns why something could not be, by its name."""
    known, mounted = volumes.names(config), volumes.alone(config)
    wanted = {grant.mac.bare: str(config.state / grant.mac.bare) for grant in grants}
    # The kernel's server can keep handles inside a read-only directory by itself.
    if backend is Backend.GANESHA or IMAGES in known:
        wanted[IMAGES] = str(config.images)
    # A plain directory that was exported until now may be in use: it stays as it is.
    in_use = {name for name, path in wanted.items() if path in before and name not in known}
    missing = tuple(name for name, path in wanted.items() if path not in mounted and name not in in_use)
    return mounting(config, MountRequest(mount=missing)) if missing else {}


def _unmount(config: Config, grants: Sequence[ExportGrant], mounting: Mounting) -> None:
    """Unmount what is no longer exported."""
    keep = {grant.mac.bare for grant in grants}
    mounted = volumes.alone(config)
    if any(str(config.state / name) in mounted for name in volumes.names(config) - keep):
        mounting(config, MountRequest(keep=tuple(sorted(keep))))


def _may_be_exported(config: Config, backend: Backend, before: Collection[str], export: Export) -> bool:
    """Whether the server can keep handles inside this directory. With NFS-Ganesha that takes a file system of its own;
    what was exported before there were any stays, because a PC may be using it: the doctor says so."""
    if export.alone:
        return True
    name = IMAGES if export.path == str(config.images) else Path(export.path).name
    if name in volumes.names(config):
        return False
    return backend is Backend.KERNEL or export.path in before


def exported(config: Config, backend: Backend) -> dict[str, frozenset[str]]:
    """The paths in our export file, and to which addresses."""
    try:
        text = destination(config, backend).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return {}
    if backend is Backend.KERNEL:
        found: dict[str, frozenset[str]] = {}
        for path, client in etab.parse(text):
            found[path] = found.get(path, frozenset()) | {client.removesuffix("/32")}
        return found
    blocks = re.findall(r'^ +Path = "([^"]*)";$.*?^ +Clients = ([^;]*);$', text, re.MULTILINE | re.DOTALL)
    return {path: frozenset(clients.split(", ")) for path, clients in blocks}


def _make_directories(config: Config, names: Iterable[str]) -> None:
    """Make the PCs' directories. No other user can look into one at any moment."""
    for directory, mode in ((config.server.data, 0o755), (config.images, 0o755), (config.state, 0o711)):
        if not directory.exists():
            directory.mkdir(mode, parents=True)
        _require_roots(directory, link=directory == config.server.data)
    state = os.open(config.state, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for name in names:
            _make_directory(state, name, config.state / name)
    finally:
        os.close(state)


def _make_directory(state: int, name: str, path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=state)
    found = os.stat(name, dir_fd=state, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        raise UserError(
            f"{path} is not a directory", "it would be exported: check what it is, and move it away", code=1
        )
    if found.st_uid == 0:
        # New, or left by an interrupted attempt, or the top of a file system that somebody mounted for this PC.
        os.chmod(name, 0o700, dir_fd=state)
        os.chown(name, BOINC_UID, BOINC_GID, dir_fd=state, follow_symlinks=False)


def _require_roots(directory: Path, *, link: bool) -> None:
    """Raise UserError unless only root can replace what is exported from this directory."""
    found = directory.stat() if link else directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        hint = "for another disk: mount it there, or set [server] data"
        raise UserError(f"{directory} is a link or not a directory, so nothing is exported from it", hint, code=1)
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise UserError(
            f"{directory} can be changed by users other than root, so nothing is exported from it",
            f"make it root's: chown root:root {directory}; chmod go-w {directory}",
            code=1,
        )


def _advice(config: Config, error: OSError) -> str:
    if os.geteuid() != 0:
        return "run as root (sudo)"
    # "Read-only file system" can also mean that the path is outside the sandbox of the unit.
    place = error.filename or config.server.data
    return (
        f"check the disk; outside the default paths: systemctl edit netboot-appliance-exports, ReadWritePaths={place}"
    )

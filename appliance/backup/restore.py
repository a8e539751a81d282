"""Restores a backup: first checks everything, then replaces configuration and registry.

What the PCs are doing now does not come from a backup: their boots, and with them the exports from which they have
mounted their disks, are kept from the registry that is replaced, if it can be read. If the boots come from the backup,
tokens that were still valid in it are invalidated. Who may use the page is kept, too: a token that was removed since
the backup, or an old password, must not come back; and no login of the backup's time is one now.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from appliance import allowlist
from appliance.backup import archive, image_files
from appliance.backup.archive import Manifest
from appliance.backup.carry_over import (
    adopt_boots,
    forget_heartbeats,
    forget_notices,
    forget_rollouts,
    forget_server,
    forget_sessions,
    forget_states,
    forget_wakes,
    invalidate_token,
)
from appliance.config import file as configuration
from appliance.config.file import SERVICE_GROUP, Config
from appliance.dhcp import leases
from appliance.errors import UserError
from appliance.firmware import table
from appliance.heartbeats import days, orders, store
from appliance.images import rollout_table
from appliance.journal import history
from appliance.registry import rows, schema
from appliance.registry.database import Registry
from appliance.registry.file_owner import acting_as_owner, copy_in
from appliance.registry.server_lock import holder, only_server
from appliance.registry.sql_errors import INVALID_ROWS
from appliance.schedules import holds, respites
from appliance.wake import requests
from services.ethernet import MacAddress
from services.linux import atomic_file

_NOTHING = "nothing was changed"
_IMAGES = "images"
"""What is put into images, unpacked."""
_UNITS = {"serve": "netboot-appliance", "control": "netboot-appliance-control"}


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, or would be. `kept` are the files that were replaced, under their new names.

    `configured`: the backup has a configuration file. `images`: where what is put into images was restored, if the
    backup has that. `boots_kept`: the PCs' boots are those of the registry that was
    replaced. `renumbered`: the number of a client's export has changed, which NFS-Ganesha notices only when it starts.
    `server`: the process that serves with this registry, in a dry run. `image_names`: the images that ranges name.
    """

    manifest: Manifest
    config: Config
    configured: bool
    entries: int
    clients: int
    boots_kept: bool
    renumbered: bool
    server: int | None
    kept: list[Path]
    images: Path | None
    image_names: tuple[str, ...]


def restore(file: Path, path: Path, *, dry_run: bool) -> Restored:
    """Check a backup and, unless `dry_run`, put it in force; `path` is the configuration file. Raises UserError.

    Refuses while a server or the page uses the registry, and lets none start meanwhile.
    """
    before = configuration.tolerant(path)
    with tempfile.TemporaryDirectory(prefix="netboot-appliance-") as name, ExitStack() as stack:
        directory = Path(name)
        manifest = archive.unpack(file, directory)
        config = _configuration(file, directory / archive.CONFIG, path, before)
        users = {verb: holder(before.registry, verb) or holder(config.registry, verb) for verb in _UNITS}
        server = users["serve"]
        if not dry_run:
            _refuse_while_in_use(users)
            _make_directory(config.registry.parent)
            for verb in _UNITS:
                stack.enter_context(only_server(config.registry, verb))
        _unpack_images(file, directory)
        restored = _prepare(file, manifest, directory, config, server)
        return restored if dry_run else _install(restored, directory)


def _configuration(file: Path, unpacked: Path, path: Path, before: Config) -> Config:
    """The configuration to come: that of the backup, or the current one if it has none."""
    if not unpacked.exists():
        return before
    try:
        return configuration.parse(unpacked.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError:
        raise UserError(f"the configuration in {file} is not UTF-8 text", _NOTHING) from None
    except UserError as error:
        raise UserError(
            f"the configuration in {file} is not valid: {error.message}", f"{error.hint or 'see above'}; {_NOTHING}"
        ) from None


def _unpack_images(file: Path, directory: Path) -> None:
    if (directory / archive.IMAGES).exists():
        try:
            image_files.unpack(directory / archive.IMAGES, directory / _IMAGES)
        except (ValueError, OSError) as error:
            raise UserError(f"{archive.IMAGES} in {file} cannot be restored: {error}", _NOTHING) from error


def _refuse_while_in_use(users: Mapping[str, int | None]) -> None:
    """Whoever opens the registry while its log is moved away would give the new one a log of the old one."""
    for verb, process in users.items():
        if process:
            raise UserError(
                f"netboot-appliance {verb} is running (process {process}); {_NOTHING}",
                f"stop it first: systemctl stop {' '.join(_UNITS.values())} (or kill {process})",
                code=1,
            )


def _make_directory(directory: Path) -> None:
    """Make the registry's directory on a fresh machine, owned by the server's user if there is one."""
    try:
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True)
            with suppress(LookupError):
                shutil.chown(directory, SERVICE_GROUP, SERVICE_GROUP)
    except OSError as error:
        raise _unwritable(error) from error


def _prepare(file: Path, manifest: Manifest, directory: Path, config: Config, server: int | None) -> Restored:
    """Check the unpacked registry and turn it into the one to install; the current one is only read."""
    unpacked = directory / archive.REGISTRY
    try:
        if schema.examine(unpacked) != manifest.schema or manifest.schema < 1:
            raise UserError("it is not the one that the manifest describes")
        with Registry(unpacked) as registry:
            forget_states(registry)
            entries = _read(registry)
            images = tuple(sorted(registry.allowlist().images))
            backed_up = history.latest(registry)
            current = _copy_current(config.registry, directory / "current")
            boots_kept = current is not None and adopt_boots(registry, current)
            if not boots_kept:
                forget_heartbeats(registry)
                forget_notices(registry)
                forget_wakes(registry)
                forget_sessions(registry)
                for boot in backed_up:
                    if not boot.secrets_spent:
                        invalidate_token(registry, boot.id)
            forget_states(registry)
            forget_server(registry)
            forget_rollouts(registry, time.time())
            numbers = {client.mac: client.number for client in registry.clients()}
    except (UserError, *INVALID_ROWS) as error:
        why = error.message if isinstance(error, UserError) else "its rows are damaged"
        raise UserError(f"the registry in {file} cannot be restored: {why}", _NOTHING) from error
    renumbered = False
    if current is not None:
        with Registry(current) as registry:
            renumbered = any(numbers.get(client.mac) != client.number for client in registry.clients())
    configured = (directory / archive.CONFIG).exists()
    own_images = image_files.directory(config) if (directory / _IMAGES).exists() else None
    return Restored(
        manifest, config, configured, entries, len(numbers), boots_kept, renumbered, server, [], own_images, images
    )


def _read(registry: Registry) -> int:
    """Read everything, and labels as strictly as from a person; returns the number of allowlist entries."""
    leases.load(registry)
    table.read(registry)
    store.latest_of_all(registry)
    orders.all_of(registry)
    respites.of(registry)
    holds.all_of(registry)
    requests.all_of(registry)
    rollout_table.latest(registry)
    rollout_table.fallbacks(registry)
    days.totals(registry, 0, days.LAST)
    with registry.reading("next_boots"):
        for number, entry in registry.sql.execute("SELECT mac, entry FROM next_boots"):
            rows.mac(number)
            rows.text(entry)
    for client in registry.clients():
        MacAddress.parse(str(client.mac))
    entries = registry.allowlist().entries
    for entry in entries:
        allowlist.entry_of(str(entry.range), entry.label, allowlist.settings(str(entry.settings).split()))
    return len(entries)


def _copy_current(registry: Path, copy: Path) -> Path | None:
    """A checked copy of the current registry, in the current schema; None if there is none that can be read."""
    try:
        if not registry.exists():
            return None
        schema.snapshot(registry, copy)
        with Registry(copy) as found:
            found.check()
            forget_states(found)
            history.latest(found)
    except (UserError, *INVALID_ROWS):
        return None
    return copy


def _install(restored: Restored, directory: Path) -> Restored:
    """Replace the old files by the new ones; after an error everything is as it was."""
    registry, path = restored.config.registry, restored.config.path
    suffix = f".before-restore-{time.strftime('%Y%m%d-%H%M%S')}"
    kept: list[Path] = []
    try:
        with ExitStack() as cleanup, ExitStack() as undo:
            # Both files are complete and on the disk before the first of them is put in place.
            new_registry = registry.with_name(f".{registry.name}.new")
            cleanup.callback(_remove, new_registry)
            _remove(new_registry)
            copy_in(directory / archive.REGISTRY, new_registry)
            new_config = path.with_name(f".{path.name}.new")
            if restored.configured:
                path.parent.mkdir(parents=True, exist_ok=True)
                cleanup.callback(_remove, new_config)
                _remove(new_config)
                _write_config(directory / archive.CONFIG, new_config)
            if images := restored.images:
                new_images = images.with_name(f".{images.name}.new")
                cleanup.callback(shutil.rmtree, new_images, ignore_errors=True)
                shutil.rmtree(new_images, ignore_errors=True)
                images.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(directory / _IMAGES, new_images, symlinks=True)
            kept += _put_log_aside(registry, suffix, undo)
            kept += _replace(new_registry, registry, suffix, undo)
            if restored.configured:
                kept += _replace(new_config, path, suffix, undo)
            if images:
                kept += _replace_directory(new_images, images, suffix, undo)
            undo.pop_all()
    except OSError as error:
        raise _unwritable(error) from error
    return replace(restored, kept=kept)


def _write_config(source: Path, target: Path) -> None:
    """A configuration holds the account key: only root and the server may ever read it."""
    copy_in(source, target)
    with suppress(LookupError):
        shutil.chown(target, group=SERVICE_GROUP)
        target.chmod(0o640)


def _put_log_aside(registry: Path, suffix: str, undo: ExitStack) -> list[Path]:
    """Move away the log of a damaged registry, so that SQLite does not apply it to the new one."""
    log, aside = (path.with_name(f"{path.name}-wal") for path in (registry, registry.with_name(registry.name + suffix)))
    with acting_as_owner(registry.parent):
        registry.with_name(f"{registry.name}-shm").unlink(missing_ok=True)
        if not log.exists():
            return []
        log.rename(aside)
    undo.callback(_move, aside, log)
    return [aside]


def _replace(new: Path, target: Path, suffix: str, undo: ExitStack) -> list[Path]:
    """Replace `target` by `new` and keep the old file under another name; `target` exists at every moment."""
    aside = target.with_name(target.name + suffix)
    with acting_as_owner(target.parent):
        there = target.exists()
        if there:
            os.link(target, aside)
        os.replace(new, target)
    if there:
        undo.callback(_move, aside, target)
    else:
        undo.callback(_remove, target)
    atomic_file.sync_directory(target.parent)
    return [aside] if there else []


def _replace_directory(new: Path, target: Path, suffix: str, undo: ExitStack) -> list[Path]:
    """Replace a directory; there is none for a moment."""
    aside = target.with_name(target.name + suffix)
    kept = []
    if os.path.lexists(target):
        target.rename(aside)
        undo.callback(aside.rename, target)
        kept.append(aside)
    new.rename(target)
    undo.callback(target.rename, new)
    atomic_file.sync_directory(target.parent)
    return kept


def _move(source: Path, target: Path) -> None:
    with acting_as_owner(source.parent):
        os.replace(source, target)


def _remove(path: Path) -> None:
    with acting_as_owner(path.parent):
        path.unlink(missing_ok=True)


def _unwritable(error: OSError) -> UserError:
    where = f" ({error.filename})" if error.filename else ""
    return UserError(
        f"cannot restore{where}: {error.strerror}; {_NOTHING}", "run with sudo, and check the disk", code=1
    )

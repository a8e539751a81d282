"""A backup file: one .tar.gz with the configuration, the allowlist and the registry.

This module writes and reads the file; `appliance.backup.restore` brings it into force. It never holds the images of the
live system, which can be built again, or the PCs' BOINC state. A BOINC client that is put back to an older state
reports an older number (rpc_seqno) than the project's server has seen from it; the server then makes it a new host, and
its tasks are lost.
"""

import gzip
import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from typing import IO, Any

from appliance import allowlist
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.registry import schema
from appliance.registry.database import Registry
from appliance.registry.move_from_0_1 import take_over
from appliance.registry.sql_errors import explain
from services.linux import atomic_file

MANIFEST, CONFIG, ALLOWLIST, REGISTRY = "manifest.json", "config.toml", "allowlist.txt", "registry.sqlite3"
FORMAT = 1
# Bytes. A registry of a thousand PCs has 100 MB; what is larger than this is no backup of ours.
LARGEST = {MANIFEST: 1 << 16, CONFIG: 1 << 20, ALLOWLIST: 1 << 28, REGISTRY: 1 << 32}
_NOTHING = "nothing was changed"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself. `made` is UTC in ISO 8601, `schema` the registry's."""

    format: int
    version: str
    schema: int
    host: str
    made: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds: its files with their sizes in bytes, entries of the allowlist, PCs that have booted."""

    manifest: Manifest
    files: dict[str, int]
    entries: int
    clients: int


def default_name(now: datetime) -> str:
    """netboot-appliance-HOST-DATE.tar.gz, in local time."""
    host = "".join(c if c.isalnum() or c in "-." else "-" for c in gethostname())
    return f"netboot-appliance-{host}-{now.astimezone():%Y%m%d-%H%M%S}.tar.gz"


def create(config: Config, target: Path) -> Contents:
    """Write a backup to a new file, mode 0600: all of it or, as a UserError, none of it."""
    if os.path.lexists(target):
        raise UserError(f"{target} exists already; {_NOTHING}", "name another file, or move it away")
    try:
        with atomic_file.new_file(target, mode=0o600) as file:
            return write(config, file)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}", "name a file elsewhere", code=1) from error


def write(config: Config, file: IO[bytes]) -> Contents:
    """Write a backup of this moment, also while the server runs. Raises UserError, and OSError of `file`."""
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        take_over(config.registry)
        nothing = not config.registry.exists()
    except PermissionError as error:
        raise explain(config.registry, error) from error
    if nothing:
        raise UserError(
            f"there is no registry {config.registry}: nothing to back up", "see: netboot-appliance config show"
        )
    with tempfile.TemporaryDirectory(prefix="netboot-appliance-") as name:
        directory = Path(name)
        schema.snapshot(config.registry, directory / REGISTRY)
        manifest = Manifest(
            FORMAT, version("netboot-appliance"), schema.examine(directory / REGISTRY), gethostname(), now.isoformat()
        )
        # A second copy: reading it brings it to today's schema, and the backup is of what there is.
        shutil.copyfile(directory / REGISTRY, directory / "read")
        with Registry(directory / "read") as registry:
            entries, clients = registry.allowlist().entries, len(registry.clients())
        (directory / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
        (directory / ALLOWLIST).write_text(allowlist.render(entries), encoding="utf-8")
        if config.written:
            shutil.copyfile(config.path, directory / CONFIG)
        files = {each: (directory / each).stat().st_size for each in LARGEST if (directory / each).exists()}
        _pack(directory, files, now, file)
        return Contents(manifest, files, len(entries), clients)


def _pack(directory: Path, files: dict[str, int], now: datetime, file: IO[bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w|gz", format=tarfile.PAX_FORMAT) as tar:
        for each, size in files.items():
            member = tarfile.TarInfo(each)
            member.size, member.mode, member.mtime = size, 0o600, int(now.timestamp())
            member.uname = member.gname = "root"
            with (directory / each).open("rb") as content:
                tar.addfile(member, content)


def unpack(file: Path, directory: Path) -> Manifest:
    """Check the outside of a backup and put its files into `directory`; raises UserError and leaves the rest alone.

    The files are there complete, and of names and sizes that can be; what is in them is not looked at here.
    """
    try:
        with gzip.open(file) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    _extract(tar, member, directory)
            # To the end: there is the checksum.
            while stream.read(io.DEFAULT_BUFFER_SIZE):
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _wrong(file, f"it is damaged or something else ({error})") from error
    except ValueError as error:
        raise _wrong(file, str(error)) from error
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}", _NOTHING) from error
    for name in (MANIFEST, REGISTRY):
        if not (directory / name).exists():
            raise _wrong(file, f"there is no {name} in it")
    try:
        return _manifest(json.loads((directory / MANIFEST).read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise _wrong(file, f"{MANIFEST}: {error}") from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    """Take out one of the files that belong there; raises ValueError for everything else."""
    if member.name not in LARGEST or member.type != tarfile.REGTYPE or member.sparse is not None:
        raise ValueError(f"{member.name[:80]!r} does not belong there")
    if member.size > LARGEST[member.name]:
        raise ValueError(f"{member.name} has {member.size} bytes, too much to be true")
    content = tar.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name} has no content")
    try:
        with (directory / member.name).open("xb") as target:
            shutil.copyfileobj(content, target)
    except FileExistsError:
        raise ValueError(f"{member.name} is in it twice") from None


def _manifest(found: Any) -> Manifest:
    kinds = {"format": int, "version": str, "schema": int, "host": str, "made": str}
    if not isinstance(found, dict):
        raise ValueError("it is not a table")
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise ValueError(f"format {found['format']} is of a newer netboot-appliance, which can restore it")
    for name, kind in kinds.items():
        if type(found.get(name)) is not kind:
            raise ValueError(f"no {name}")
        if kind is str and (not found[name].isprintable() or len(found[name]) > 255):
            raise ValueError(f"{name} is not plain text")
    datetime.fromisoformat(found["made"])
    return Manifest(**{name: found[name] for name in kinds})


def _wrong(file: Path, why: str) -> UserError:
    return UserError(f"{file} is not a backup that can be restored: {why}", _NOTHING)

"""A backup file: one .tar.gz with the configuration, the allowlist, the registry, and what is put into images.

This module writes and reads the file; `appliance.backup.restore` puts it in force. A backup never holds the images of
the live system, which can be built again, or the PCs' BOINC state: a BOINC client with restored state reports a lower
number (rpc_seqno) than the project's server has seen from it, so the server treats it as a new host, and its tasks are
lost.
"""

import gzip
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
from appliance.backup import image_files
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.registry import schema
from appliance.registry.database import Registry
from appliance.registry.move_from_0_1 import move_old_registry
from appliance.registry.sql_errors import explain
from services.linux import atomic_file

MANIFEST, CONFIG, ALLOWLIST, REGISTRY = "manifest.json", "config.toml", "allowlist.txt", "registry.sqlite3"
IMAGES = "images.tar"
FORMAT = 1
# Bytes. The registry of a thousand PCs takes 100 MB; anything larger than this is not a backup of ours.
LARGEST = {MANIFEST: 1 << 16, CONFIG: 1 << 20, ALLOWLIST: 1 << 28, REGISTRY: 1 << 32, IMAGES: image_files.LARGEST}
_LONGEST_END = 1 << 20
"""Bytes after the last file: tar fills its last record with zeros."""
_NOTHING = "nothing was changed"


class _Member(tarfile.TarInfo):
    """A member of a backup. Ours are plain files with short names; other headers, which tarfile would read into memory
    whatever their size, do not belong in it."""

    def _proc_member(self, tarfile_: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type != tarfile.REGTYPE:
            raise ValueError(f"{self.name[:80]!r} does not belong in it")
        return super()._proc_member(tarfile_)  # type: ignore[misc, no-any-return]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself. `made` is UTC in ISO 8601, `schema` that of the registry."""

    format: int
    version: str
    schema: int
    host: str
    made: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds: files with their sizes in bytes, number of allowlist entries and of PCs that have booted.
    `left_out`: what it does not hold, and why, in words; empty if there is nothing to say."""

    manifest: Manifest
    files: dict[str, int]
    entries: int
    clients: int
    left_out: str = ""


def default_name(now: datetime) -> str:
    """netboot-appliance-HOST-DATE.tar.gz, in local time."""
    host = "".join(c if c.isalnum() or c in "-." else "-" for c in gethostname())
    return f"netboot-appliance-{host}-{now.astimezone():%Y%m%d-%H%M%S}.tar.gz"


def create(config: Config, target: Path) -> Contents:
    """Write a complete backup to a new file, mode 0600; raises UserError, and then leaves no file."""
    if os.path.lexists(target):
        raise UserError(f"{target} already exists; {_NOTHING}", "name another file, or move it away")
    try:
        with atomic_file.new_file(target, mode=0o600) as file:
            return write(config, file)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}", "name a file somewhere else", code=1) from error


def write(config: Config, file: IO[bytes]) -> Contents:
    """Write a backup of this moment, even while the server runs. Raises UserError; OSError if `file` fails."""
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        move_old_registry(config.registry)
        missing = not config.registry.exists()
    except PermissionError as error:
        raise explain(config.registry, error) from error
    if missing:
        raise UserError(
            f"there is no registry {config.registry}: nothing to back up", "see: netboot-appliance config show"
        )
    with tempfile.TemporaryDirectory(prefix="netboot-appliance-") as name:
        directory = Path(name)
        schema.snapshot(config.registry, directory / REGISTRY)
        manifest = Manifest(
            FORMAT, version("netboot-appliance"), schema.examine(directory / REGISTRY), gethostname(), now.isoformat()
        )
        # Read a second copy: opening it migrates it to the current schema, but the backup keeps the schema it has.
        shutil.copyfile(directory / REGISTRY, directory / "read")
        with Registry(directory / "read") as registry:
            entries, clients = registry.allowlist().entries, len(registry.clients())
        (directory / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
        (directory / ALLOWLIST).write_text(allowlist.render(entries), encoding="utf-8")
        if config.written:
            shutil.copyfile(config.path, directory / CONFIG)
        left_out = _pack_images(config, directory / IMAGES)
        files = {each: (directory / each).stat().st_size for each in LARGEST if (directory / each).exists()}
        _pack(directory, files, now, file)
        return Contents(manifest, files, len(entries), clients, left_out)


def _pack_images(config: Config, target: Path) -> str:
    source = image_files.directory(config)
    if source is None:
        return ""
    try:
        return image_files.pack(source, target)
    except PermissionError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}", "run with sudo", code=1) from error


def _pack(directory: Path, files: dict[str, int], now: datetime, file: IO[bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w|gz", format=tarfile.PAX_FORMAT) as tar:
        for each, size in files.items():
            member = tarfile.TarInfo(each)
            member.size, member.mode, member.mtime = size, 0o600, int(now.timestamp())
            member.uname = member.gname = "root"
            with (directory / each).open("rb") as content:
                tar.addfile(member, content)


def unpack(file: Path, directory: Path) -> Manifest:
    """Check that this is a backup and extract its files into `directory`; raises UserError, touches nothing else.

    The files are complete, and their names and sizes are valid; except for the manifest, their content is not checked.
    """
    try:
        with gzip.open(file) as stream:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as tar:
                for member in tar:
                    _extract(tar, member, directory)
            # Read to the end, where the checksum is.
            if len(stream.read(_LONGEST_END + 1)) > _LONGEST_END:
                raise ValueError("something follows its last file")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _wrong(file, f"it is damaged, or not a backup ({error})") from error
    except ValueError as error:
        raise _wrong(file, str(error)) from error
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}", _NOTHING) from error
    for name in (MANIFEST, REGISTRY):
        if not (directory / name).exists():
            raise _wrong(file, f"it contains no {name}")
    try:
        return _manifest(json.loads((directory / MANIFEST).read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise _wrong(file, f"{MANIFEST}: {error}") from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    """Extract one of the files of a backup; raises ValueError for anything else."""
    if member.name not in LARGEST or member.type != tarfile.REGTYPE or member.sparse is not None:
        raise ValueError(f"{member.name[:80]!r} does not belong in it")
    if member.size > LARGEST[member.name]:
        raise ValueError(f"{member.name} has {member.size} bytes, which is too large")
    content = tar.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name} has no content")
    try:
        with (directory / member.name).open("xb") as target:
            shutil.copyfileobj(content, target)
    except FileExistsError:
        raise ValueError(f"{member.name} appears twice") from None


def _manifest(found: Any) -> Manifest:
    kinds = {"format": int, "version": str, "schema": int, "host": str, "made": str}
    if not isinstance(found, dict):
        raise ValueError("it is not an object")
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise ValueError(f"format {found['format']} is from a newer netboot-appliance, which can restore it")
    for name, kind in kinds.items():
        if type(found.get(name)) is not kind:
            raise ValueError(f"no {name}")
        if kind is str and (not found[name].isprintable() or len(found[name]) > 255):
            raise ValueError(f"{name} is not plain text")
    datetime.fromisoformat(found["made"])
    return Manifest(**{name: found[name] for name in kinds})


def _wrong(file: Path, why: str) -> UserError:
    return UserError(f"{file} is not a backup that can be restored: {why}", _NOTHING)

"""What the administrator puts into images (`images` beside the configuration file), as one tar file in a backup.

Files, directories and links, as they are; who restores them owns them. What is packed is read again as foreign: nothing
outside of the new directory is written, whatever the names and links in it.
"""

import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from appliance.config.file import Config

LARGEST = 1 << 28
"""Bytes of the tar file: 256 MB. More belongs on a server, not into an image that each PC fetches."""
MOST = 20_000
"""Files, directories and links; an image takes no more either (image/customization.py)."""


def directory(config: Config) -> Path | None:
    """Where they are; None if that is where the releases are, too."""
    found = config.path.parent / "images"
    return None if found.resolve() == config.images.resolve() else found


def pack(source: Path, target: Path) -> str:
    """Write what is in `source` to a new tar file, if there is anything; raises OSError. Returns why it was not packed,
    in words, empty if it was: a backup of the rest is better than none."""
    found = list(_walk(source)) if source.is_dir() else []
    if not found:
        return ""
    size = sum(path.lstat().st_size for path in found)
    if len(found) > MOST or size > LARGEST // 2:
        return f"{source} is not in it: {len(found)} files of {size / 1e6:.0f} MB are too much; copy it by hand"
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in found:
            member = tar.gettarinfo(path, str(path.relative_to(source)))
            # A second name of a file is a file of its own.
            if path.is_file() and not path.is_symlink():
                member.type, member.linkname, member.size = tarfile.REGTYPE, "", path.stat().st_size
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            if member.isreg():
                with path.open("rb") as file:
                    tar.addfile(member, file)
            else:
                tar.addfile(member)
    return ""


def _walk(source: Path) -> Iterator[Path]:
    for where, directories, names in os.walk(source, onerror=_raise):
        directories.sort()
        for name in sorted([*directories, *names]):
            path = Path(where, name)
            mode = path.lstat().st_mode
            # What is none of these, no image takes.
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
                yield path


def unpack(archive: Path, target: Path) -> None:
    """Make the directory `target` of what `pack` has written; raises ValueError if it holds anything else, OSError."""
    target.mkdir(mode=0o755)
    links: list[tuple[Path, str]] = []
    modes: list[tuple[Path, int]] = []
    try:
        with tarfile.open(archive, "r:") as tar:
            for number, member in enumerate(tar):
                if number >= MOST:
                    raise ValueError("it has too many files")
                path = target / _name(member.name)
                if member.issym():
                    links.append((path, member.linkname))
                elif member.isdir():
                    path.mkdir(mode=0o700, parents=True, exist_ok=True)
                    modes.append((path, member.mode & 0o777))
                elif member.isreg() and (content := tar.extractfile(member)):
                    _write(content, path)
                    path.chmod(member.mode & 0o777)
                else:
                    raise ValueError(f"{member.name[:80]!r} is neither a file, a directory nor a link")
    except (tarfile.TarError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ValueError(f"it is damaged ({error})") from error
    # Last, so that nothing is written through them; and the modes of directories from the innermost.
    for path, leads_to in links:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(leads_to)
    for path, mode in reversed(modes):
        path.chmod(mode)


def _write(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)


def _name(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise ValueError(f"{name[:80]!r} does not belong in it")
    return path


def _raise(error: OSError) -> None:
    raise error

"""Files for the root of a live system, and the tar that lays them over it. PURE."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

HOOKS = "etc/netboot-hooks"
"""Where the live system looks for hooks (image/tree, netboot-hooks.service)."""


@dataclass(frozen=True, slots=True)
class RootFile:
    """A file, or a link if `link` is where it leads, or a directory if `directory`. Root owns all of them. `modified`
    is in seconds since the epoch."""

    content: bytes = b""
    mode: int = 0o644
    link: str = ""
    directory: bool = False
    modified: int = 0


def pack(files: Mapping[str, RootFile]) -> bytes:
    """A tar of the files by their paths below the root, directories before what is in them; the same files give the
    same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, file in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.mode, member.mtime = file.mode, file.modified
            member.uname = member.gname = "root"
            if file.directory:
                member.type = tarfile.DIRTYPE
            elif file.link:
                member.type, member.linkname = tarfile.SYMTYPE, file.link
            member.size = 0 if file.link or file.directory else len(file.content)
            tar.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()

"""What NFS exports, and to whom, as scripts see it: `exports show --json`. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.nfs.exports import Export


@dataclass(frozen=True, slots=True)
class ExportView:
    """A directory, and the addresses that may mount it. All users there become `uid` and `gid`."""

    path: str
    addresses: tuple[str, ...]
    writable: bool
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ExportsView:
    """The export file of the NFS server `backend`, which was chosen because of `why`."""

    file: str
    backend: str
    why: str
    exports: tuple[ExportView, ...]


def export_views(exports: Iterable[Export]) -> tuple[ExportView, ...]:
    """The exports in the order given."""
    return tuple(
        ExportView(each.path, tuple(map(str, each.clients)), each.writable, each.uid, each.gid) for each in exports
    )

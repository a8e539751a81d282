"""What is in a live system: `image ls`, and its --json. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from stat import filemode

from image.squashfs import Node

KINDS = {
    "-": ("file", 0o100000),
    "d": ("directory", 0o040000),
    "l": ("link", 0o120000),
    "b": ("block device", 0o060000),
    "c": ("character device", 0o020000),
    "p": ("pipe", 0o010000),
    "s": ("socket", 0o140000),
}
"""Kinds of files by the letter that ls shows: in words, and as the upper bits of a mode."""


@dataclass(frozen=True, slots=True)
class LiveFileView:
    """A file of a live system. `mode` is as ls shows it, `modified` ISO 8601, `size` in bytes; `owner` and `group` are
    names where the live system has them. `target` is that of a link, `device` the numbers of a device."""

    path: str
    kind: str
    mode: str
    uid: int
    gid: int
    owner: str
    group: str
    size: int
    modified: str
    target: str
    device: tuple[int, int] | None


def live_file_view(
    path: str, node: Node, users: Mapping[int, str] | None = None, groups: Mapping[int, str] | None = None
) -> LiveFileView:
    """One file; `users` and `groups` have the names of numbers."""
    words, _ = KINDS[node.kind]
    return LiveFileView(
        path=path,
        kind=words,
        mode=mode_words(node),
        uid=node.uid,
        gid=node.gid,
        owner=(users or {}).get(node.uid, str(node.uid)),
        group=(groups or {}).get(node.gid, str(node.gid)),
        size=node.size,
        modified=datetime.fromtimestamp(node.modified, UTC).isoformat(),
        target=node.target,
        device=node.device if node.kind in "bc" else None,
    )


def mode_words(node: Node) -> str:
    """Kind and permissions as ls shows them, such as `-rwxr-xr-x`."""
    return filemode(KINDS[node.kind][1] | node.mode)


def names_of_numbers(text: str) -> dict[int, str]:
    """The names in /etc/passwd or /etc/group, by their numbers."""
    lines = (line.split(":") for line in text.splitlines())
    return {int(words[2]): words[0] for words in lines if len(words) > 2 and words[2].isdecimal()}

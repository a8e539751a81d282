"""What differs between two releases: their packages, and the files of their live systems. PURE.

The times of files are not compared: two builds of one recipe differ in all of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from image.squashfs import Node


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package whose version differs. An empty version: that release does not have it."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs; `old` or `new` is None where there is none. `what` names what differs, if there are both:
    kind, mode, owner, size, content, target, device, attributes."""

    path: str
    old: Node | None
    new: Node | None
    what: tuple[str, ...] = ()


def package_changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[PackageChange, ...]:
    """The packages that one of the two does not have, or has in another version; by name."""
    names = sorted(old.keys() | new.keys())
    changes = (PackageChange(name, old.get(name, ""), new.get(name, "")) for name in names)
    return tuple(each for each in changes if each.old != each.new)


def file_changes(old: Node, new: Node, path: str = "") -> Iterator[FileChange]:
    """The files below two directories that differ, by path. Raises SquashfsError."""
    for name in sorted(old.children.keys() | new.children.keys()):
        below, then, now = f"{path}/{name}", old.children.get(name), new.children.get(name)
        if then and now:
            if what := _differences(then, now):
                yield FileChange(below, then, now, what)
            yield from file_changes(then, now, below)
        else:
            yield FileChange(below, then, now)
            yield from file_changes(then or _NOTHING, now or _NOTHING, below)


_NOTHING = Node("d", 0, 0, 0, 0)


def _differences(old: Node, new: Node) -> tuple[str, ...]:
    differs = {
        "kind": old.kind != new.kind,
        # Links have no permissions of their own.
        "mode": old.mode != new.mode and "l" not in (old.kind, new.kind),
        "owner": (old.uid, old.gid) != (new.uid, new.gid),
        "target": old.target != new.target,
        "device": old.device != new.device,
        "attributes": old.attributes != new.attributes,
    }
    if old.content and new.content:
        differs["size"] = old.size != new.size
        differs["content"] = not old.content.is_same_as(new.content)
    return tuple(name for name, yes in differs.items() if yes)

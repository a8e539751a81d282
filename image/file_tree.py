"""The files of a live system as PCs see them: the layers of a release, one over the other. PURE.

A layer hides what the ones below it have, by the rules of overlayfs
(Documentation/filesystems/overlayfs.rst): a character device 0:0 takes a name away, and a directory with the attribute
trusted.overlay.opaque starts anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from image.squashfs import Node

_MOST_LINKS = 40
"""As many as Linux follows in one path."""


class FileTreeError(Exception):
    """There is no such file."""


def merge(layers: Sequence[Node]) -> Node:
    """One tree of several, base first."""
    merged = Node("d", 0o755, 0, 0, 0)
    for layer in layers:
        merged = _over(merged, layer)
    return merged


def _over(lower: Node | None, upper: Node) -> Node:
    children = dict(lower.children) if lower and not upper.is_opaque else {}
    for name, child in upper.children.items():
        if child.is_whiteout:
            children.pop(name, None)
        else:
            children[name] = _over(children.get(name), child) if child.kind == "d" else child
    return replace(upper, children=children)


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """All files below a directory with their paths, which begin with `path` and a slash; sorted, directories first."""
    for name, child in sorted(node.children.items()):
        below = f"{path}/{name}"
        yield below, child
        yield from walk(child, below)


def find(root: Node, path: str, *, follow: bool = True) -> tuple[str, Node]:
    """A file and its path, without links in it; raises FileTreeError. `follow`: also a link at the end of it."""
    trail: list[tuple[str, Node]] = []
    waiting = path.split("/")[::-1]
    links = 0
    while waiting:
        name = waiting.pop()
        here = trail[-1][1] if trail else root
        if name in ("", "."):
            if here.kind != "d":
                raise FileTreeError(f"{_joined(trail)} is not a directory")
            continue
        if name == "..":
            trail = trail[:-1]
            continue
        if here.kind != "d":
            raise FileTreeError(f"{_joined(trail)} is not a directory")
        child = here.children.get(name)
        if child is None:
            raise FileTreeError(f"there is no {_joined([*trail, (name, here)])}")
        if child.kind == "l" and (follow or waiting):
            links += 1
            if links > _MOST_LINKS:
                raise FileTreeError(f"too many links lead to one another in {path}")
            if child.target.startswith("/"):
                trail = []
            waiting += child.target.split("/")[::-1]
            continue
        trail.append((name, child))
    return _joined(trail), trail[-1][1] if trail else root


def _joined(trail: Sequence[tuple[str, Node]]) -> str:
    return "/" + "/".join(name for name, _ in trail)

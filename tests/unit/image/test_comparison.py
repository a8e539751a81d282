"""What counts as a difference between two live systems."""

import dataclasses
from pathlib import Path

import pytest

from image.comparison import FileChange, file_changes, package_changes
from image.squashfs import Node
from tests.unit.image.layers import File, make, read

FILE = Node("-", 0o644, 0, 0, 1000)
LINK = Node("l", 0o777, 0, 0, 1000, 3, "a/b")
DEVICE = Node("c", 0o600, 0, 0, 1000, device=(1, 3))


def changes(old: dict[str, Node], new: dict[str, Node]) -> list[FileChange]:
    return list(file_changes(Node("d", 0o755, 0, 0, 1, children=old), Node("d", 0o755, 0, 0, 2, children=new)))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (FILE, dataclasses.replace(FILE, modified=2000), None),
        (FILE, dataclasses.replace(FILE, mode=0o4644), ("mode",)),
        (FILE, dataclasses.replace(FILE, uid=1), ("owner",)),
        (FILE, dataclasses.replace(FILE, gid=1), ("owner",)),
        (FILE, dataclasses.replace(FILE, attributes=(("security.capability", b"x"),)), ("attributes",)),
        (LINK, dataclasses.replace(LINK, target="c"), ("target",)),
        (FILE, LINK, ("kind", "target")),
        (DEVICE, dataclasses.replace(DEVICE, device=(1, 5)), ("device",)),
    ],
)
def test_what_differs_is_named(old: Node, new: Node, what: tuple[str, ...] | None) -> None:
    assert changes({"x": old}, {"x": new}) == ([FileChange("/x", old, new, what)] if what else [])


def test_content_counts_and_its_place_does_not(tmp_path: Path) -> None:
    old = read(make(tmp_path / "1", {"same": File(b"abc"), "size": File(b"abc"), "content": File(b"abc")}))
    new = read(make(tmp_path / "2", {"content": File(b"abd"), "size": File(b"abcd"), "same": File(b"abc")}))
    found = {change.path: change.what for change in file_changes(old, new)}
    assert found == {"/content": ("content",), "/size": ("size", "content")}


def test_a_directory_on_one_side_is_listed_with_all_that_is_in_it() -> None:
    inner = Node("d", 0o755, 0, 0, 1, children={"b": Node("d", 0o755, 0, 0, 1, children={"c": FILE})})
    assert [(each.path, each.old is None) for each in changes({}, {"a": inner})] == [
        ("/a", True),
        ("/a/b", True),
        ("/a/b/c", True),
    ]
    assert [(each.path, each.new is None) for each in changes({"a": inner, "z": FILE}, {})][-1] == ("/z", True)
    replaced = changes({"a": inner}, {"a": FILE})
    assert [(each.path, each.what) for each in replaced] == [("/a", ("kind", "mode")), ("/a/b", ()), ("/a/b/c", ())]


def test_packages_by_name() -> None:
    found = package_changes({"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1"})
    assert [(each.name, each.old, each.new) for each in found] == [("a", "1", ""), ("b", "1", "2"), ("d", "", "1")]

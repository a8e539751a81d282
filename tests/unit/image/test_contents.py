"""The layers of a release as one tree: what overlayfs makes of them."""

import os
from pathlib import Path

import pytest

from image import contents, release
from image.file_tree import FileTreeError, find, merge, walk
from image.release import ReleaseError
from image.squashfs import Node
from tests.unit.image.layers import WHITEOUT, File, directory, link, publish_layers
from tests.unit.image.test_release import NEW

BASE = {
    "etc/hostname": File(b"base"),
    "etc/gone": File(b"base"),
    "etc/replaced/by/file": File(b"base"),
    "etc/was-file": File(b"base"),
    "opt/old/file": File(b"base"),
    "usr/bin/tool": File(b"base", 0o755),
    "bin": link("usr/bin"),
    "srv/later": directory(0o700),
}
MIDDLE = {
    "etc/hostname": File(b"middle", 0o600, owner=(1, 2)),
    "etc/gone": WHITEOUT,
    "etc/replaced": File(b"middle"),
    "etc/was-file/below": File(b"middle"),
    "opt": directory(opaque=True),
    "opt/new": File(b"middle"),
    "srv": directory(0o711),
    "usr": WHITEOUT,
}
TOP = {"etc/gone": File(b"top"), "usr/lib/x": File(b"top"), "opt/old": directory(), "etc/was-file/none": WHITEOUT}


def content(node: Node) -> bytes:
    assert node.content is not None
    return b"".join(node.content.chunks())


def test_layers_lie_over_one_another_as_overlayfs_lays_them(tmp_path: Path) -> None:
    with contents.opened(publish_layers(tmp_path, NEW, BASE, MIDDLE, TOP)) as root:
        found = {path: content(node) if node.content else node.kind for path, node in walk(root)}
        assert found == {
            "/bin": "l",
            "/etc": "d",
            "/etc/gone": b"top",
            "/etc/hostname": b"middle",
            "/etc/replaced": b"middle",
            "/etc/was-file": "d",
            "/etc/was-file/below": b"middle",
            "/opt": "d",
            "/opt/new": b"middle",
            "/opt/old": "d",
            "/srv": "d",
            "/srv/later": "d",
            "/usr": "d",
            "/usr/lib": "d",
            "/usr/lib/x": b"top",
        }
        hostname, srv = root.children["etc"].children["hostname"], root.children["srv"]
        assert (hostname.mode, hostname.uid, hostname.gid, srv.mode) == (0o600, 1, 2, 0o711)


def test_the_layers_themselves_stay_as_they_are() -> None:
    base = Node("d", 0o755, 0, 0, 0, children={"a": Node("-", 0o644, 0, 0, 0)})
    upper = Node("d", 0o755, 0, 0, 0, children={"a": Node("c", 0, 0, 0, 0)})
    assert merge([base, upper]).children == {}
    assert list(base.children) == ["a"]


def test_paths_are_followed_inside_the_live_system_only(tmp_path: Path) -> None:
    files = BASE | {
        "sbin": link("/usr/bin/"),
        "usr/bin/other": link("../../etc/hostname"),
        "up": link("../../../../etc"),
        "round": link("/there"),
        "there": link("round"),
        "dangling": link("/nowhere"),
    }
    with contents.opened(publish_layers(tmp_path, NEW, files)) as root:
        for path, real in (
            ("/bin/tool", "/usr/bin/tool"),
            ("sbin/other", "/etc/hostname"),
            ("/up/hostname", "/etc/hostname"),
            ("/etc/../../etc/./hostname", "/etc/hostname"),
            ("/", "/"),
            ("", "/"),
            ("/bin/", "/usr/bin"),
        ):
            assert find(root, path)[0] == real
        assert find(root, "/bin", follow=False)[0] == "/bin"
        for path, why in (
            ("/etc/hostname/x", "/etc/hostname is not a directory"),
            ("/etc/hostname/", "/etc/hostname is not a directory"),
            ("/etc/none", "there is no /etc/none"),
            ("/dangling", "there is no /nowhere"),
            ("/round", "too many links"),
        ):
            with pytest.raises(FileTreeError, match=why):
                find(root, path)


def test_a_layer_that_is_damaged_or_gone_is_an_error_of_the_release(tmp_path: Path) -> None:
    made = publish_layers(tmp_path, NEW, BASE, TOP)
    upper = made.path / "live/layer1.squashfs"
    upper.write_bytes(bytes(100))
    with pytest.raises(ReleaseError, match=r"layer1.squashfs: it is no squashfs 4.0") as caught, contents.opened(made):
        pass
    assert caught.value.hint.endswith(f"image show {NEW}")
    upper.unlink()
    os.mkfifo(upper)
    with pytest.raises(ReleaseError, match=r"layer1.squashfs: Illegal seek"), contents.opened(made):
        pass
    upper.unlink()
    with pytest.raises(ReleaseError, match="No such file"), contents.opened(made):
        pass


def test_packages_are_read_by_name(tmp_path: Path) -> None:
    made = publish_layers(tmp_path, NEW, BASE, packages="apt\t2.6.2\nlibc6:amd64 1:2.36\n\nnonsense\nipxe 1.0\n")
    assert contents.packages(made) == {"apt": "2.6.2", "libc6:amd64": "1:2.36", "ipxe": "1.0"}
    (made.path / release.PACKAGES).unlink()
    with pytest.raises(ReleaseError, match="No such file"):
        contents.packages(made)

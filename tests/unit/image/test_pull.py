"""Releases from one box to another, over a web server that may be anybody's."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image import activation, download, offers, partial, prune, pull, push, release, signature
from image.release import ReleaseError
from image.signature import KeyRing
from tests.unit.image.offering import OfferingServer, offering
from tests.unit.image.test_release import NEW, OLD, publish

BIG = 3 << 20


class TwoBoxes:
    """A box that builds, has two signed releases and lays them out, and another box that trusts its key."""

    def __init__(self, directory: Path, server: OfferingServer) -> None:
        self.server = server
        self.shown = server.directory
        self.builder, self.key = directory / "builder", KeyRing(directory / "keys")
        self.images, self.ring = directory / "images", KeyRing(directory / "trusted")
        signature.trust(self.ring, signature.make(self.key).pem.encode())
        self.images.mkdir()
        for each in (OLD, NEW):
            publish(self.builder, each)
        self.enlarge(NEW)
        for each in (OLD, NEW):
            activation.sign(self.builder, each, self.key)
            push.push(self.builder, each, self.shown, self.key)

    def enlarge(self, ident: str) -> None:
        """Give a release a file that does not come at once."""
        path = self.builder / ident
        (path / release.SQUASHFS).write_bytes(os.urandom(BIG))
        self.edit(ident, lambda manifest: manifest["files"].update({release.SQUASHFS: _described(path)}))

    def edit(self, ident: str, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
        path = self.builder / ident / release.MANIFEST
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    def show_manifest(
        self, ident: str, change: Callable[[dict[str, dict[str, object]]], object], *, sign: bool
    ) -> None:
        """Show another manifest than the release has, signed by the builder if `sign`."""
        shown = self.shown / "releases" / ident
        manifest = json.loads((shown / release.MANIFEST).read_text())
        change(manifest)
        content = json.dumps(manifest).encode()
        (shown / release.MANIFEST).write_bytes(content)
        if sign:
            (shown / release.SIGNATURE).write_bytes(signature.sign_as(self.key, content)[0])

    def pull(self, ident: str | None = None) -> pull.PulledRelease:
        return pull.pull(self.images, self.server.url, self.ring, ident)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.images.iterdir() if path.name != ".lock")

    def asked(self, ident: str = NEW) -> list[str]:
        """The files of a release that the server was asked for, less the manifest and its signature."""
        names = [name.removeprefix(f"releases/{ident}/") for name, _ in self.server.asked if ident in name]
        return [name for name in names if name not in (release.MANIFEST, release.SIGNATURE)]


def _described(path: Path) -> dict[str, object]:
    found = release.describe(path / release.SQUASHFS)
    return {"size": found.size, "sha256": found.sha256}


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[TwoBoxes]:
    with offering(tmp_path / "shown") as server:
        yield TwoBoxes(tmp_path, server)


def test_the_newest_release_is_pulled_and_not_activated(boxes: TwoBoxes) -> None:
    done = boxes.pull()
    assert done.release.id == NEW
    assert done.fetched == done.release.size
    assert (done.linked, done.resumed, done.new) == (0, 0, True)
    assert boxes.left() == [NEW]
    assert release.active_id(boxes.images) is None
    found = activation.activate(boxes.images, NEW, KeyRing(boxes.ring.directory, required=True))
    assert found.key == done.key
    modes = {path.stat().st_mode & 0o777 for path in (boxes.images / NEW).rglob("*")}
    assert modes == {0o755, 0o644}


def test_what_is_here_already_is_not_fetched(boxes: TwoBoxes) -> None:
    boxes.pull()
    boxes.server.asked.clear()
    assert not boxes.pull().new
    assert boxes.asked() == []


def test_files_of_other_releases_are_linked_unless_they_are_damaged(boxes: TwoBoxes) -> None:
    boxes.pull()
    third = "20261124-000000-00000000"
    shutil.copytree(boxes.builder / NEW, boxes.builder / third)
    (boxes.builder / third / release.KERNEL).write_bytes(b"another kernel")
    kernel = release.describe(boxes.builder / third / release.KERNEL)
    boxes.edit(third, lambda manifest: manifest.update({"id": third}))  # type: ignore[dict-item]
    boxes.edit(
        third,
        lambda manifest: manifest["files"].update({release.KERNEL: {"size": kernel.size, "sha256": kernel.sha256}}),
    )
    activation.sign(boxes.builder, third, boxes.key)
    push.push(boxes.builder, third, boxes.shown, boxes.key)
    (boxes.images / NEW / release.INITRD).write_bytes((boxes.builder / NEW / release.INITRD).read_bytes()[::-1])
    done = boxes.pull()
    assert done.release.id == third
    assert sorted(boxes.asked(third)) == [release.INITRD, release.KERNEL]
    assert (boxes.images / third / release.SQUASHFS).samefile(boxes.images / NEW / release.SQUASHFS)
    assert activation.check(boxes.images, third, boxes.ring).problems == ()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_breaks_is_taken_up_again(boxes: TwoBoxes, ranges: bool) -> None:
    boxes.server.ranges = ranges
    boxes.server.cut[offers.path(NEW, release.SQUASHFS)] = BIG // 2
    boxes.pull()
    again = [wanted for name, wanted in boxes.server.asked if name.endswith(release.SQUASHFS)]
    assert again == ["", f"bytes={BIG // 2}-"]
    assert boxes.left() == [NEW]


def test_a_pull_that_is_killed_goes_on_where_it_was(boxes: TwoBoxes) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from image import pull\nfrom image.signature import KeyRing\n"
        "def tell(progress):\n"
        "    if progress.done > 1_000_000: os.kill(os.getpid(), signal.SIGKILL)\n"
        "pull.pull(Path(sys.argv[1]), sys.argv[2], KeyRing(Path(sys.argv[3])), None, tell)\n"
    )
    arguments = (str(boxes.images), boxes.server.url, str(boxes.ring.directory))
    killed = subprocess.run([sys.executable, "-c", script, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert boxes.left() == [f".pulling-{NEW}"]
    assert release.releases(boxes.images).releases == ()
    done = boxes.pull()
    assert done.resumed > 900_000
    assert done.fetched + done.resumed == done.release.size
    assert boxes.left() == [NEW]
    assert activation.check(boxes.images, NEW, boxes.ring).problems == ()


def test_what_was_left_of_another_file_is_fetched_again(boxes: TwoBoxes) -> None:
    wanted = release.read(boxes.builder, NEW).files[release.SQUASHFS]
    for left in (os.urandom(1000), os.urandom(BIG + 5), os.urandom(BIG)):
        shutil.rmtree(boxes.images)
        (boxes.images / f".pulling-{NEW}").mkdir(parents=True)
        (boxes.images / f".pulling-{NEW}" / f"{wanted.sha256}.part").write_bytes(left)
        assert activation.check(boxes.images, boxes.pull().release.id, boxes.ring).problems == ()


def _remove(boxes: TwoBoxes, name: str) -> None:
    (boxes.shown / name).unlink()


def _flip(boxes: TwoBoxes, name: str) -> None:
    path = boxes.shown / name
    path.write_bytes(path.read_bytes()[::-1])


def _named(boxes: TwoBoxes, name: str) -> None:
    described = _described(boxes.builder / NEW)
    boxes.show_manifest(NEW, lambda manifest: manifest["files"].update({name: described}), sign=True)


def _sized(boxes: TwoBoxes, size: object) -> None:
    described = {**_described(boxes.builder / NEW), "size": size}
    boxes.show_manifest(NEW, lambda manifest: manifest["files"].update({release.SQUASHFS: described}), sign=True)


HOSTILE: dict[str, tuple[Callable[[TwoBoxes], object], str]] = {
    "another file": (lambda boxes: _flip(boxes, offers.path(NEW, release.SQUASHFS)), "is not what was signed"),
    "no file": (lambda boxes: _remove(boxes, offers.path(NEW, release.SQUASHFS)), "404"),
    "another manifest": (
        lambda boxes: boxes.show_manifest(NEW, lambda manifest: manifest.update({"kernel": {}}), sign=False),
        "signed by no key that is trusted here",
    ),
    "another signature": (
        lambda boxes: _flip(boxes, offers.path(NEW, release.SIGNATURE)),
        "signed by no key that is trusted here",
    ),
    "no signature": (lambda boxes: _remove(boxes, offers.path(NEW, release.SIGNATURE)), "404"),
    "the manifest of another release": (
        lambda boxes: [
            shutil.copy(boxes.shown / "releases" / OLD / name, boxes.shown / "releases" / NEW / name)
            for name in (release.MANIFEST, release.SIGNATURE)
        ],
        f"it is the manifest of {OLD}",
    ),
    "a name that leads out": (lambda boxes: _named(boxes, "../../evil"), "is not the name of one of its files"),
    "a name that leads up and down": (lambda boxes: _named(boxes, "live/../x"), "is not the name of one of its files"),
    "an absolute name": (lambda boxes: _named(boxes, "/etc/passwd"), "is not the name of one of its files"),
    "a hidden name": (lambda boxes: _named(boxes, ".lock"), "is not the name of one of its files"),
    "the name of the manifest": (lambda boxes: _named(boxes, release.MANIFEST), "is not the name of one of its files"),
    "a name with a line end": (lambda boxes: _named(boxes, "live/x\n"), "is not the name of one of its files"),
    "a file in a file": (lambda boxes: _named(boxes, "vmlinuz/x"), "is in another file"),
    "a negative size": (lambda boxes: _sized(boxes, -1), "has no size"),
    "a size in words": (lambda boxes: _sized(boxes, "3"), "has no size"),
    "more than the disk holds": (lambda boxes: _sized(boxes, 1 << 50), "MB free"),
    "more than there is": (lambda boxes: _sized(boxes, BIG + 1), "has fewer bytes than were asked for"),
    "an endless index": (lambda boxes: boxes.server.endless.add("index.json"), "has more than"),
    "an endless manifest": (
        lambda boxes: boxes.server.endless.add(offers.path(NEW, release.MANIFEST)),
        "has more than",
    ),
    "an endless signature": (
        lambda boxes: boxes.server.endless.add(offers.path(NEW, release.SIGNATURE)),
        "has more than 64 bytes",
    ),
    "an endless file": (
        lambda boxes: boxes.server.endless.add(offers.path(NEW, release.SQUASHFS)),
        "is not what was signed",
    ),
    "a way to a file of this machine": (
        lambda boxes: boxes.server.moved.update({"index.json": "file:///etc/passwd"}),
        "file:///etc/passwd",
    ),
    "a way to itself": (lambda boxes: boxes.server.moved.update({"index.json": "/images/index.json"}), "302"),
    "no JSON": (lambda boxes: (boxes.shown / "index.json").write_text("[" * 100_000), "index.json cannot be used"),
    "an index of names that lead out": (
        lambda boxes: (boxes.shown / "index.json").write_text(
            '{"version": 1, "releases": [{"id": "../../etc", "size": 1}]}'
        ),
        "is not the name of a release",
    ),
    "an empty index": (
        lambda boxes: (boxes.shown / "index.json").write_text('{"version": 1, "releases": []}'),
        "no release is offered there",
    ),
    "an index of another version": (
        lambda boxes: (boxes.shown / "index.json").write_text('{"version": 2, "releases": []}'),
        "it is of version 2",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_appears_of_what_a_hostile_server_shows(boxes: TwoBoxes, what: str) -> None:
    lie, said = HOSTILE[what]
    lie(boxes)
    with pytest.raises(ReleaseError) as raised:
        boxes.pull()
    assert said in str(raised.value)
    assert raised.value.hint
    assert release.releases(boxes.images) == release.Listing((), ())
    assert {name.startswith(".pulling-") for name in boxes.left()} <= {True}
    assert sorted(path.name for path in boxes.images.parent.iterdir()) == sorted(
        ["builder", "images", "keys", "shown", "trusted"]
    )


def test_a_server_that_says_nothing_is_waited_for_in_bounds(boxes: TwoBoxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_SLOWEST", BIG * 1000)
    monkeypatch.setattr(download, "_WINDOW", 0.0)
    with pytest.raises(ReleaseError, match="comes too slowly"):
        boxes.pull()


@pytest.mark.parametrize(
    ("head", "trickles"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000, True),
        (b"\0" * 100, False),
    ],
)
def test_a_server_that_does_not_answer_in_time_is_given_up(
    boxes: TwoBoxes, monkeypatch: pytest.MonkeyPatch, head: bytes, trickles: bool
) -> None:
    monkeypatch.setattr(download, "_PAUSE", 0.4)
    monkeypatch.setattr(download, "_HEAD", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                for at in range(0, len(head), 1 if trickles else 1000):
                    connection.sendall(head[at : at + (1 if trickles else 1000)])
                    if trickles and over.wait(0.05):
                        return
                over.wait(30)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(ReleaseError, match="cannot pull from"):
            pull.pull(boxes.images, f"http://127.0.0.1:{listener.getsockname()[1]}/", boxes.ring)
        assert time.monotonic() - began < 20
        over.set()
        thread.join()
    assert boxes.left() == []


def test_without_a_trusted_key_nobody_is_asked(boxes: TwoBoxes) -> None:
    with pytest.raises(ReleaseError, match="no key is trusted here"):
        pull.pull(boxes.images, boxes.server.url, KeyRing(boxes.images.parent / "none"))
    assert boxes.server.asked == []


@pytest.mark.parametrize(
    "url",
    ["ftp://h/x", "/srv", "", "http://", "https://u:p@h/x", "http://h/x?y", "file://h/x", "file:x", "http://[::1"],
)
def test_an_address_that_cannot_be_used(boxes: TwoBoxes, url: str) -> None:
    with pytest.raises(ReleaseError, match="cannot be used"):
        pull.pull(boxes.images, url, boxes.ring)


def test_a_directory_is_pulled_from_too(boxes: TwoBoxes) -> None:
    done = pull.pull(boxes.images, boxes.shown.as_uri(), boxes.ring, OLD)
    assert done.release.id == OLD
    with pytest.raises(ReleaseError, match="No such file"):
        pull.pull(boxes.images, (boxes.shown / "none").as_uri(), boxes.ring)
    (boxes.shown / "index.json").unlink()
    os.mkfifo(boxes.shown / "index.json")
    with pytest.raises(ReleaseError, match="not a regular file"):
        pull.pull(boxes.images, boxes.shown.as_uri(), boxes.ring)


def test_a_damaged_release_here_is_named_and_stays(boxes: TwoBoxes) -> None:
    boxes.pull()
    (boxes.images / NEW / release.KERNEL).write_bytes((boxes.images / NEW / release.KERNEL).read_bytes()[::-1])
    with pytest.raises(ReleaseError, match="vmlinuz is not what was built"):
        boxes.pull()


def test_two_pulls_of_one_release_do_not_meet(boxes: TwoBoxes) -> None:
    with partial.opened(boxes.images, NEW):
        with pytest.raises(ReleaseError, match="another process is pulling"):
            boxes.pull()
        prune.prune(boxes.images, 1, ())
        assert boxes.left() == [f".pulling-{NEW}"]
    prune.prune(boxes.images, 1, ())
    assert boxes.left() == []


def test_what_is_laid_out_is_what_the_box_has(boxes: TwoBoxes) -> None:
    assert [offer.id for offer in offers.decode((boxes.shown / "index.json").read_bytes())] == [NEW, OLD]
    shown = boxes.shown / "releases" / NEW / release.KERNEL
    assert not push.push(boxes.builder, NEW, boxes.shown, boxes.key).new
    shown.write_bytes(b"damaged")
    done = push.push(boxes.builder, NEW, boxes.shown, boxes.key)
    assert (done.new, done.offered) == (True, 2)
    assert sorted(path.name for path in (boxes.shown / "releases").iterdir()) == [OLD, NEW]
    assert shown.read_bytes() == (boxes.builder / NEW / release.KERNEL).read_bytes()


def test_what_nobody_has_signed_or_is_damaged_is_not_laid_out(boxes: TwoBoxes, tmp_path: Path) -> None:
    (boxes.builder / OLD / release.SIGNATURE).unlink()
    with pytest.raises(ReleaseError, match="is not signed, so no other box"):
        push.push(boxes.builder, OLD, tmp_path / "other", boxes.key)
    (boxes.builder / NEW / release.KERNEL).write_bytes(b"x")
    with pytest.raises(ReleaseError, match="vmlinuz has 1 bytes"):
        push.push(boxes.builder, NEW, tmp_path / "other", boxes.key)
    assert not (tmp_path / "other").exists()

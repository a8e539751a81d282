"""Digests of an image's files, kept from process to process."""

import os
import time
from pathlib import Path

import pytest

from appliance.images import known_digests
from appliance.images.known_digests import KnownDigests
from image import custom_files, customization


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory whose files were written long ago."""
    (tmp_path / "own/files").mkdir(parents=True)
    (tmp_path / "own/files/a").write_text("one")
    return tmp_path / "own"


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's time of change cannot be set: all are old enough here."""
    monkeypatch.setattr(known_digests, "_SETTLED", -1 << 62)


def read(own: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """The digest, as another process would have it, and the files that it reads."""
    opened: list[str] = []
    before = custom_files._digest.__wrapped__

    def reading(path: Path, *_: int) -> str:
        opened.append(path.name)
        return before(path)

    with monkeypatch.context() as patched:
        patched.setattr(custom_files, "digest", lambda path, status: reading(path))
        patched.setattr(known_digests, "digest", lambda path, status: reading(path))
        known = KnownDigests(own.parent / "digests.json")
        found = customization.read(own, known.of).digest
        known.save()
    return found, opened


def test_only_what_changed_is_read_again(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, opened = read(own, monkeypatch)
    assert opened == ["a"]
    assert read(own, monkeypatch) == (first, [])
    (own / "files/b").write_text("two")
    second, opened = read(own, monkeypatch)
    assert opened == ["b"]
    (own / "files/b").unlink()
    assert read(own, monkeypatch) == (first, [])
    assert first != second


def test_a_change_that_keeps_size_and_time_of_the_content_is_seen(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own / "files/a"
    first, _ = read(own, monkeypatch)
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # until the clock of the file system has gone on
        path.write_text("two")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second, opened = read(own, monkeypatch)
    assert opened == ["a"]
    assert first != second


def test_what_was_changed_a_moment_ago_is_not_kept(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_digests, "_SETTLED", 3_000_000_000)
    os.utime(own / "files/a", ns=(time.time_ns(), time.time_ns()))
    read(own, monkeypatch)
    assert read(own, monkeypatch)[1] == ["a"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": [1, "x"]}', "{" * 10_000, '{"a": []}', "\0"])
def test_a_file_that_is_damaged_is_as_none(own: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    first, _ = read(own, monkeypatch)
    (own.parent / "digests.json").write_text(content)
    assert read(own, monkeypatch) == (first, ["a"])


def test_who_may_not_write_does_without(own: Path) -> None:
    known = KnownDigests(own.parent / "none" / "digests.json")
    assert customization.read(own, known.of) == customization.read(own)
    known.save()

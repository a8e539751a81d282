"""The overlays that PCs get: as they were, until a change is complete and can be used."""

import os
import time
from pathlib import Path

import pytest

from appliance.live import overlay
from appliance.live.overlays import EVERY, Overlays

NAMES = ("all", "lab")


def put(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def content(overlays: Overlays, name: str) -> bytes:
    file = overlays.packed[name].file.open()
    try:
        return os.pread(file.fd, file.size, 0)
    finally:
        file.close()


def test_a_change_counts_once_it_has_settled(tmp_path: Path) -> None:
    overlays = Overlays()
    overlays.turn(tmp_path, NAMES)
    assert overlays.packed == {}
    put(tmp_path, "all/files/etc/motd", "first")
    overlays.turn(tmp_path, NAMES)
    put(tmp_path, "all/files/etc/motd", "second")
    overlays.turn(tmp_path, NAMES)
    assert overlays.packed == {}, "it is still being changed"
    overlays.turn(tmp_path, NAMES)
    assert b"second" in content(overlays, "all")
    before = overlays.packed["all"]
    overlays.turn(tmp_path, NAMES)
    assert overlays.packed["all"] is before, "nothing has changed"


def test_what_cannot_be_used_leaves_it_as_it_was(tmp_path: Path) -> None:
    overlays = Overlays()
    for name in NAMES:
        put(tmp_path, f"{name}/files/etc/{name}", "good")
    for _ in range(2):
        overlays.turn(tmp_path, NAMES)
    os.mkfifo(tmp_path / "lab/files/pipe")
    put(tmp_path, "all/files/etc/all", "better")
    for _ in range(2):
        overlays.turn(tmp_path, NAMES)
    assert b"good" in content(overlays, "lab")
    assert b"better" in content(overlays, "all"), "the others are not held up"
    assert "is a FIFO" in overlays.trouble["lab"].message
    (tmp_path / "lab/files/pipe").unlink()
    overlays.turn(tmp_path, NAMES)
    assert overlays.trouble == {}


def test_all_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlays = Overlays()
    for name in NAMES:
        put(tmp_path, f"{name}/files/x", "x")
    monkeypatch.setattr("appliance.live.overlays.MOST_TOGETHER", 15_000)  # a tar has 10 kB at least
    for _ in range(2):
        overlays.turn(tmp_path, NAMES)
    assert set(overlays.packed) == {"all"}
    assert "together" in overlays.trouble["lab"].message


def test_one_that_is_gone_or_not_wanted_any_more(tmp_path: Path) -> None:
    overlays = Overlays()
    for name in NAMES:
        put(tmp_path, f"{name}/files/x", "x")
    for _ in range(2):
        overlays.turn(tmp_path, NAMES)
    held = overlays.packed["lab"].file.open()
    overlays.turn(tmp_path, ("all",))
    assert set(overlays.packed) == {"all"}
    assert os.pread(held.fd, held.size, 0), "who is getting it gets all of it"
    held.close()
    (tmp_path / "all").rename(tmp_path / "was")
    for _ in range(2):
        overlays.turn(tmp_path, ("all",))
    assert overlays.packed == {}


def test_a_fault_of_ours_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlays = Overlays()
    put(tmp_path, "all/files/x", "x")
    for _ in range(2):
        overlays.turn(tmp_path, ("all",))
    monkeypatch.setattr(overlay, "mark", lambda _: 1 / 0)
    overlays.turn(tmp_path, ("all",))
    assert set(overlays.packed) == {"all"}
    assert "ZeroDivisionError" in overlays.trouble["all"].message


def test_the_thread_sees_an_edit_within_a_second(tmp_path: Path) -> None:
    put(tmp_path, "all/files/x", "before")
    overlays = Overlays()
    overlays.start(lambda: (tmp_path, ("all",)))
    try:
        assert b"before" in content(overlays, "all"), "from the start on"
        edited = time.monotonic()
        put(tmp_path, "all/files/x", "after the edit")
        while b"after" not in content(overlays, "all"):
            assert time.monotonic() < edited + 20
            time.sleep(0.01)
    finally:
        overlays.close()
    assert 3 * EVERY < 1, "two looks, and the time to pack"

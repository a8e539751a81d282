"""What is kept of a release beside it."""

from pathlib import Path

import pytest

from appliance.images import notes
from appliance.images.notes import BootTest, UpdateCheck, UpdateRun
from image.updates import PackageUpdate
from tests.unit.image.test_release import NEW, OLD, publish

CHECK = UpdateCheck(1000.5, (PackageUpdate("openssl", "1", "2", security=True), PackageUpdate("bash", "1", "2", False)))
TEST = BootTest(1000.5, "it hung", "uefi", "tcg", (("power on", 0.0), ("script", 12.5)), "/log")
RUN = UpdateRun(1000.5, "test", NEW, failed=True, words="it hung", hint="look")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for each in (OLD, NEW):
        publish(tmp_path, each)
    return tmp_path


def nothing_is_known(images: Path, ident: str) -> bool:
    found = (notes.check_of(images, ident), notes.test_of(images, ident), notes.latest_run(images))
    return found == (None, None, None)


def test_what_is_kept_is_read_again(images: Path) -> None:
    assert nothing_is_known(images, NEW)
    notes.keep_check(images, NEW, CHECK)
    notes.keep_test(images, NEW, TEST)
    notes.keep_run(images, RUN)
    assert (notes.check_of(images, NEW), notes.test_of(images, NEW), notes.latest_run(images)) == (CHECK, TEST, RUN)
    assert (notes.check_of(images, OLD), notes.test_of(images, OLD)) == (None, None)
    assert (CHECK.security, TEST.passed) == (1, False)


def test_what_is_known_of_a_release_goes_with_it(images: Path) -> None:
    notes.keep_check(images, OLD, CHECK)
    notes.keep_run(images, RUN)
    (images / OLD).rename(images / f".pruned-{OLD}")
    notes.keep_test(images, NEW, TEST)
    assert sorted(path.name for path in (images / ".notes").iterdir()) == [f"{NEW}.test", "update"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"at": "soon", "updates": []}',
        b'{"at": 1.0, "updates": {}, "why": 7, "firmware": "", "accelerator": "", "stages": [], "log": ""}',
        b'{"at": 1.0, "stage": "test", "release": "", "failed": "no", "words": "", "hint": ""}',
        b"\xff\xfe",
    ],
)
def test_what_is_damaged_counts_as_not_there(images: Path, content: bytes) -> None:
    (images / ".notes").mkdir()
    for name in (f"{NEW}.check", f"{NEW}.test", "update"):
        (images / ".notes" / name).write_bytes(content)
    assert nothing_is_known(images, NEW)


def test_updates_and_stages_that_are_damaged_are_left_out(images: Path) -> None:
    (images / ".notes").mkdir()
    found = b'{"at": 1.0, "updates": [7, {"name": "x", "installed": "1", "candidate": "2", "security": false}]}'
    (images / ".notes" / f"{NEW}.check").write_bytes(found)
    assert notes.check_of(images, NEW) == UpdateCheck(1.0, (PackageUpdate("x", "1", "2", security=False),))

"""Deleting old releases on a real file system."""

import os
import shutil
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from image import prune, release
from image.release import ReleaseError
from tests.unit.image.test_release import publish

IDS = [f"2026110{day}-090000-1a2b3c4d" for day in range(1, 8)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for each in IDS:
        publish(tmp_path, each)
    release.activate(tmp_path, IDS[1])
    release.activate(tmp_path, IDS[0])
    return tmp_path


def there(images: Path) -> list[str]:
    return sorted(name for name in os.listdir(images) if name not in (".lock", "current", "previous"))


@pytest.mark.parametrize(
    ("keep", "running", "kept"),
    [
        (3, (), [0, 1, 4, 5, 6]),
        (1, (), [0, 1, 6]),
        (1, (IDS[3], "unknown"), [0, 1, 3, 6]),
        (7, (), range(7)),
        (9, (), range(7)),
    ],
)
def test_the_newest_the_active_the_previous_and_the_running_are_kept(
    images: Path, keep: int, running: Collection[str], kept: Sequence[int]
) -> None:
    said = prune.choose(images, keep, running)
    assert there(images) == IDS
    assert prune.prune(images, keep, running) == said
    assert there(images) == [IDS[each] for each in kept]
    assert [each.id for each, _ in said.kept] == [IDS[each] for each in reversed(kept)]
    assert {each.id for each in said.old} == set(IDS) - set(there(images))


def test_the_reasons_are_given(images: Path) -> None:
    why = {each.id: reasons for each, reasons in prune.choose(images, 1, {IDS[0], IDS[2]}).kept}
    assert why == {
        IDS[6]: ("among the 1 newest",),
        IDS[2]: ("a PC may be running it",),
        IDS[1]: ("previous",),
        IDS[0]: ("active", "a PC may be running it"),
    }


def test_what_an_interrupted_prune_left_is_no_release_and_is_removed_the_next_time(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def power_cut(path: Path) -> None:
            (path / release.MANIFEST).unlink()
            raise KeyboardInterrupt

        patch.setattr(shutil, "rmtree", power_cut)
        with pytest.raises(KeyboardInterrupt):
            prune.prune(images, 3, ())
    listing = release.releases(images)
    assert listing.broken == ()
    assert [each.id for each in listing.releases] == [IDS[each] for each in (6, 5, 4, 1, 0)]
    assert any(name.startswith(".pruned-") for name in there(images))
    assert prune.prune(images, 3, ()).old == ()
    assert there(images) == [IDS[each] for each in (0, 1, 4, 5, 6)]


def test_a_broken_release_is_left_for_a_person(images: Path) -> None:
    (images / IDS[2] / release.KERNEL).unlink()
    prune.prune(images, 1, ())
    assert there(images) == [IDS[each] for each in (0, 1, 2, 6)]


def test_nothing_is_deleted_while_the_active_release_is_unknown(images: Path) -> None:
    (images / IDS[0] / release.KERNEL).unlink()
    with pytest.raises(ReleaseError, match="is broken"):
        prune.prune(images, 1, ())
    assert there(images) == IDS


def test_it_waits_for_an_activation_in_progress(images: Path) -> None:
    with release.changing(images):
        pruning = threading.Thread(target=prune.prune, args=(images, 1, ()))
        pruning.start()
        pruning.join(0.2)
        assert pruning.is_alive()
        assert there(images) == IDS
    pruning.join(10)
    assert there(images) == [IDS[each] for each in (0, 1, 6)]


def test_without_a_directory_there_is_nothing_to_prune(tmp_path: Path) -> None:
    assert prune.prune(tmp_path / "none", 3, ()) == prune.PruneList((), ())
    assert prune.choose(tmp_path / "none", 3, ()) == prune.PruneList((), ())


def test_each_image_keeps_its_newest_its_active_and_its_previous_release(images: Path) -> None:
    labs = [f"2026100{day}-090000-dddddddd" for day in range(1, 6)]
    for each in labs:
        publish(images, each, "lab")
    release.activate(images, labs[1])
    release.activate(images, labs[0])
    found = prune.choose(images, 1, ())
    kept = {each.id: why for each, why in found.kept}
    assert {ident: why for ident, why in kept.items() if ident in labs} == {
        labs[0]: ("active",),
        labs[1]: ("previous",),
        labs[4]: ("among the 1 newest",),
    }
    assert {ident for ident in kept if ident in IDS} == {IDS[0], IDS[1], IDS[6]}
    retired = prune.choose(images, 1, {labs[2]}, retired=["lab"])
    assert [each.id for each, _ in retired.kept if each.image == "lab"] == [labs[2]]
    assert release.active_id(images, "lab") == labs[0], "nothing was changed"
    prune.prune(images, 1, {labs[2]}, retired=["lab"])
    assert release.active_ids(images) == {"boinc": IDS[0]}
    assert [name for name in there(images) if "lab" in name or name in labs] == [labs[2]]
    release.activate(images, labs[2])
    (images / labs[2] / release.MANIFEST).unlink()
    with pytest.raises(ReleaseError, match="its manifest cannot be read"):
        prune.prune(images, 1, ())

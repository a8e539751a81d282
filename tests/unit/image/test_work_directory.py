"""The directory in which images are built."""

import os
from pathlib import Path

import pytest

from image import work_directory
from image.progress import BuildError


def test_mounts_below_a_directory() -> None:
    mountinfo = (
        "22 1 8:1 / / rw - ext4 /dev/vda rw\n"
        "31 22 0:5 / /w/live/chroot/proc rw - proc proc rw\n"
        "32 22 0:6 / /w/live/chroot/dev/pts rw - devpts devpts rw\n"
        "33 22 0:7 / /w/live2/x rw - tmpfs tmpfs rw\n"
    )
    assert work_directory.mounts_below(Path("/w/live"), mountinfo) == ("/w/live/chroot/dev/pts", "/w/live/chroot/proc")


def test_a_new_directory_is_made_and_an_empty_one_is_taken(tmp_path: Path) -> None:
    work_directory.claim(tmp_path / "data" / "build")
    work_directory.claim(tmp_path / "data" / "build")
    assert os.listdir(tmp_path / "data" / "build") == []


@pytest.mark.parametrize("name", ["lists", "again", "tests", "digests-lab.json", ".digests-lab.json.k2x", "lost+found"])
def test_what_is_there_before_the_first_build_is_no_strangers(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    work_directory.claim(tmp_path)


def test_a_directory_that_somebody_else_has_filled_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "thesis").write_text("years of work")
    with pytest.raises(BuildError, match="has files that no build has made") as caught:
        work_directory.claim(tmp_path)
    assert caught.value.hint == f"move them away: mv {tmp_path} {tmp_path}.old"
    assert (tmp_path / "live" / "thesis").exists()


@pytest.mark.parametrize("name", ["live", "steps", "logs"])
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    work, home = tmp_path / "build", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    (home / "thesis").write_text("years of work")
    (work / "lock").touch()
    (work / name).symlink_to(home)
    with pytest.raises(BuildError, match=f"{name} is not a directory"):
        work_directory.claim(work)
    assert os.listdir(home) == ["thesis"]


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("content")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="Too many levels"), work_directory.locked(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "content"


def test_something_mounted_by_hand_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").touch()
    point = f"{tmp_path}/steps/old/disk"
    monkeypatch.setattr(work_directory, "mounts_below", lambda directory, text: (point,))
    with pytest.raises(BuildError, match=f"something is mounted on {point}") as caught:
        work_directory.claim(tmp_path)
    assert caught.value.hint == f"umount --recursive {point}"


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("")
    with pytest.raises(BuildError, match="cannot be used: File exists"):
        work_directory.claim(tmp_path / "build")


def test_what_a_directory_takes_on_its_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "away").symlink_to("/usr")
    assert 100_000 <= work_directory.disk_bytes(tmp_path) <= 200_000

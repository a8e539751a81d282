"""What is put into images, in a backup: packed as it is, and read again as foreign."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from appliance.backup import image_files


def furnish(directory: Path) -> Path:
    (directory / "boinc" / "files" / "etc").mkdir(parents=True)
    (directory / "boinc" / "packages").write_text("htop\n")
    (directory / "boinc" / "files" / "etc" / "motd").write_text("Room 12\n")
    (directory / "boinc" / "files" / "etc" / "link").symlink_to("/etc/motd")
    (directory / "boinc" / "hooks").mkdir(mode=0o750)
    (directory / "boinc" / "hooks" / "10-a.chroot").write_text("#!/bin/sh\n")
    (directory / "boinc" / "hooks" / "10-a.chroot").chmod(0o755)
    os.link(directory / "boinc" / "packages", directory / "boinc" / "same")
    os.mkfifo(directory / "boinc" / "pipe")
    return directory


def seen(directory: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "",
        )
        for path in directory.rglob("*")
    }


def test_what_was_packed_is_unpacked(tmp_path: Path) -> None:
    source = furnish(tmp_path / "images")
    assert image_files.pack(source, tmp_path / "images.tar") == ""
    image_files.unpack(tmp_path / "images.tar", tmp_path / "new")
    (source / "boinc" / "pipe").unlink()
    assert seen(tmp_path / "new") == seen(source)


@pytest.mark.parametrize("there", [True, False])
def test_of_nothing_there_is_no_file(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "images").mkdir()
    assert image_files.pack(tmp_path / "images", tmp_path / "images.tar") == ""
    assert not (tmp_path / "images.tar").exists()


def test_too_much_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "LARGEST", 10)
    said = image_files.pack(furnish(tmp_path / "images"), tmp_path / "images.tar")
    assert said.startswith(f"{tmp_path}/images is not in it: ")
    assert not (tmp_path / "images.tar").exists()


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, target, size
    return found


@pytest.mark.parametrize(
    "members",
    [
        [member("../escaped", size=1)],
        [member("/tmp/escaped", size=1)],
        [member("a/../../escaped", size=1)],
        [member("device", tarfile.CHRTYPE)],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [member("twice", size=1), member("twice", size=1)],
        [member("file", size=1), member("file/below", size=1)],
    ],
)
def test_what_does_not_belong_in_it_is_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    with pytest.raises(ValueError, match=r"belong|neither|damaged"):
        image_files.unpack(archive(tmp_path / "x.tar", *members), tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["new", "x.tar"]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    whole = archive(
        tmp_path / "x.tar", member("way", tarfile.SYMTYPE, str(tmp_path / "home")), member("way/in", size=1)
    )
    with pytest.raises((ValueError, OSError)):
        image_files.unpack(whole, tmp_path / "new")
    assert os.listdir(tmp_path / "home") == []


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"x" * 5000)
    with pytest.raises(ValueError, match="damaged"):
        image_files.unpack(tmp_path / "x.tar", tmp_path / "new")

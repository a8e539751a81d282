"""An overlay directory: what PCs get of it, and what they must not get."""

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.live import overlay
from appliance.live.archive import pack
from appliance.live.overlay import OverlayChangedError
from tests.unit.debian import need


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An overlay with some of everything."""
    lab = tmp_path / "lab"
    for name, text, mode in (
        ("files/etc/motd", "hello\n", 0o644),
        ("files/root/.ssh/config", "Host *\n", 0o600),
        ("hooks/20-late", "#!/bin/sh\n", 0o755),
        ("hooks/10-early", "#!/bin/sh\n", 0o700),
    ):
        path = lab / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    (lab / "files/root/.ssh").chmod(0o700)
    (lab / "files/etc/link").symlink_to("motd")
    (lab / "files/etc/outside").symlink_to("/usr/lib/os-release")
    return lab


def test_files_hooks_links_and_modes(directory: Path) -> None:
    read = overlay.read(directory)
    assert read.hooks == ("10-early", "20-late")
    with tarfile.open(fileobj=io.BytesIO(pack(read.files))) as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert {member.uid + member.gid for member in members.values()} == {0}
    assert (members["etc/motd"].mode, members["root/.ssh/config"].mode, members["root/.ssh"].mode) == (
        0o644,
        0o600,
        0o700,
    )
    assert (members["etc/link"].linkname, members["etc/outside"].linkname) == ("motd", "/usr/lib/os-release")
    assert members["etc/netboot-hooks/10-early"].mode == 0o700
    names = [name for name in pack_names(pack(read.files)) if name.startswith("root")]
    assert names == ["root", "root/.ssh", "root/.ssh/config"]


def pack_names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def test_the_live_systems_tar_keeps_what_is_there(directory: Path, tmp_path: Path) -> None:
    """The options are those of image/tree, fetch-live."""
    need("tar")
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "etc").mkdir(mode=0o750)
    (root / "etc/motd").write_text("old and longer\n")
    (directory / "files/lib").mkdir()
    (directory / "files/lib/new").write_text("new\n")
    options = ["-x", "-p", "--no-overwrite-dir", "--keep-directory-symlink", "--no-same-owner", "-f", "-"]
    subprocess.run(["tar", *options], cwd=root, input=pack(overlay.read(directory).files), check=True)
    assert (root / "etc/motd").read_text() == "hello\n"
    assert (root / "etc").stat().st_mode & 0o777 == 0o750, "a directory that is there stays as it is"
    assert (root / "lib").is_symlink()
    assert (root / "usr/lib/new").read_text() == "new\n"
    assert (root / "root/.ssh").stat().st_mode & 0o777 == 0o700


def test_one_that_does_not_exist_has_no_files(tmp_path: Path) -> None:
    assert (overlay.read(tmp_path / "none").files, overlay.mark(tmp_path / "none")) == ({}, "")


def fifo(lab: Path) -> None:
    os.mkfifo(lab / "files/pipe")


def upward(lab: Path) -> None:
    (lab / "files/etc/up").symlink_to("../../../secret")


def large(lab: Path) -> None:
    with (lab / "files/large").open("wb") as file:
        file.truncate(overlay.LARGEST + 1)


def many(lab: Path) -> None:
    for number in range(overlay.MOST_HOOKS + 1):
        (lab / f"hooks/{number}").touch(mode=0o755)


def newline(lab: Path) -> None:
    (lab / "files/etc/a\nb").touch()


def not_text(lab: Path) -> None:
    Path(os.fsdecode(os.fsencode(lab) + b"/files/\xff\x1b[2J")).touch()


def set_user_id(lab: Path) -> None:
    (lab / "files/su").touch()
    (lab / "files/su").chmod(0o4755)


def elsewhere(lab: Path) -> None:
    (lab / "etc").mkdir()


def hidden(lab: Path) -> None:
    (lab / "files/run").mkdir()


def host_name(lab: Path) -> None:
    (lab / "files/etc/hostname").touch()


def not_executable(lab: Path) -> None:
    (lab / "hooks/10-early").chmod(0o644)


def strange_hook(lab: Path) -> None:
    (lab / "hooks/-rf").touch(mode=0o755)


def hook_link(lab: Path) -> None:
    (lab / "hooks/30-link").symlink_to("/bin/true")


def linked_files(lab: Path) -> None:
    (lab / "hooks").rename(lab.parent / "moved")
    (lab / "hooks").symlink_to(lab.parent / "moved")


@pytest.mark.parametrize(
    ("spoil", "path", "words"),
    [
        (fifo, "files/pipe", "is a FIFO"),
        (upward, "files/etc/up", "leads out of the overlay"),
        (large, "", "16 MiB"),
        (many, "hooks", "more than 32 hooks"),
        (newline, "files/etc/a\\nb", "cannot be copied"),
        (not_text, "files/", "cannot be copied"),
        (set_user_id, "files/su", "rights of another"),
        (elsewhere, "etc", "neither in files nor in hooks"),
        (hidden, "files/run", "would not be seen"),
        (host_name, "files/etc/hostname", "one name"),
        (not_executable, "hooks/10-early", "cannot be run"),
        (strange_hook, "hooks/-rf", "is not a hook"),
        (hook_link, "hooks/30-link", "is not a hook"),
        (linked_files, "hooks", "is not a directory"),
    ],
)
def test_what_cannot_be_used_is_named(directory: Path, spoil: Callable[[Path], None], path: str, words: str) -> None:
    spoil(directory)
    with pytest.raises(UserError) as refused:
        overlay.read(directory)
    assert refused.value.message.startswith(str(directory / path).rstrip("/"))
    assert words in refused.value.message
    assert refused.value.hint
    assert "\x1b" not in refused.value.message


def test_one_that_changes_meanwhile_is_not_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = overlay._file

    def slow(*arguments: object) -> object:
        (directory / "files/etc/late").touch()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(overlay, "_file", slow)
    with pytest.raises(OverlayChangedError):
        overlay.read(directory)


def test_its_mark_changes_with_what_is_in_it(directory: Path) -> None:
    before = overlay.mark(directory)
    assert overlay.mark(directory) == before == overlay.read(directory).mark
    (directory / "files/etc/motd").chmod(0o600)
    changed = overlay.mark(directory)
    (directory / "files/etc/link").unlink()
    assert len({before, changed, overlay.mark(directory)}) == 3

"""What an administrator adds to the live system."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from image import custom_files, customization
from image.custom_files import CustomizationError
from image.customization import NOTHING


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a bit of everything."""
    own = tmp_path / "boinc"
    for name, text in {
        "packages": "htop tree # for people\n\n# sl\nhtop\n",
        "files/etc/motd": "hello\n",
        "files/usr/local/bin/hi": "#!/bin/sh\n",
        "hooks/20-b.chroot": "#!/bin/sh\n",
        "hooks/10-a.chroot": "#!/bin/sh\ntrue\n",
    }.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(text)
        (own / name).chmod(0o644)
    (own / "files/usr/local/bin/hi").chmod(0o4755)
    (own / "files/etc/link").symlink_to("../usr/local/bin/hi")
    (own / "files/etc/absolute").symlink_to("/etc/shadow")
    return own


def test_packages_files_and_hooks_are_read(directory: Path) -> None:
    found = customization.read(directory)
    assert found.packages == ("htop", "tree")
    assert [each.name for each in found.files if stat.S_ISREG(each.mode)] == ["etc/motd", "usr/local/bin/hi"]
    assert [each.name for each in found.hooks] == ["10-a.chroot", "20-b.chroot"]
    assert found.layer


def test_what_is_not_there_adds_nothing(tmp_path: Path) -> None:
    assert customization.read(tmp_path / "none") == NOTHING
    assert (NOTHING.layer, NOTHING.digest) == (False, "")
    (tmp_path / "packages").write_text("htop\n")
    only = customization.read(tmp_path)
    assert (only.packages, only.layer, only.digest) == (("htop",), False, "")


def test_live_builds_own_names_are_taken(tmp_path: Path) -> None:
    for name, text in {
        "package-lists/my.list.chroot": "htop\n",
        "includes.chroot/etc/motd": "hello\n",
        "hooks/live/0500-my.hook.chroot": "#!/bin/sh\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = customization.read(tmp_path)
    assert found.packages == ("htop",)
    assert [each.name for each in found.files] == ["etc", "etc/motd"]
    assert [each.name for each in found.hooks] == ["0500-my.hook.chroot"]


def test_the_copy_has_no_setuid_bit_follows_no_link_and_is_what_was_read(directory: Path, tmp_path: Path) -> None:
    found = customization.read(directory)
    customization.stage(found, tmp_path / "copy")
    copy = tmp_path / "copy/files"
    assert stat.S_IMODE((copy / "usr/local/bin/hi").stat().st_mode) == 0o755
    assert os.readlink(copy / "etc/absolute") == "/etc/shadow"
    assert stat.S_IMODE((tmp_path / "copy/hooks/20-b.chroot").stat().st_mode) == 0o755
    (directory / "files/etc/motd").write_text("changed meanwhile\n")
    with pytest.raises(OSError, match="etc/motd was changed while the image was built"):
        customization.stage(found, tmp_path / "second")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda own: (own / "files/etc/motd").write_text("other\n"),
    "mode": lambda own: (own / "files/etc/motd").chmod(0o600),
    "mode of a directory": lambda own: (own / "files/usr").chmod(0o700),
    "link that became a file": lambda own: (own / "files/etc/motd").rename(own / "files/etc/link"),
    "hook": lambda own: (own / "hooks/10-a.chroot").write_text("#!/bin/sh\nfalse\n"),
    "order": lambda own: (own / "hooks/10-a.chroot").rename(own / "hooks/30-a.chroot"),
    "another": lambda own: (own / "files/new").touch(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_makes_another_digest(directory: Path, change: str) -> None:
    before = customization.read(directory).digest
    CHANGES[change](directory)
    assert customization.read(directory).digest != before


def test_an_owner_or_a_time_is_no_change(directory: Path) -> None:
    before = customization.read(directory).digest
    os.utime(directory / "files/etc/motd", (1, 1))
    assert customization.read(directory).digest == before


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "package": (lambda own: (own / "packages").write_text("htop\nFire Fox\n"), "packages, line 2: 'Fire' is not"),
    "unknown name": (lambda own: (own / "flies").mkdir(), "flies is nothing that an image can be made of"),
    "pipe": (lambda own: os.mkfifo(own / "files/etc/pipe"), "etc/pipe is neither a file, a directory nor a link"),
    "link out": (lambda own: (own / "files/etc/out").symlink_to("../../etc/shadow"), "leads out of the live system"),
    "link as files": (lambda own: (own / "includes.chroot").symlink_to("/etc"), "includes.chroot is not a directory"),
    "link as hook": (lambda own: (own / "hooks/x.chroot").symlink_to("/bin/sh"), "x.chroot is not a file"),
    "no script": (lambda own: (own / "hooks/20-b.chroot").write_text("true\n"), "20-b.chroot is not a script"),
    "name of a hook": (lambda own: (own / "hooks/notes.txt").touch(), "notes.txt is not the name of a hook"),
    "control character": (lambda own: (own / "files/a\nb").touch(), "has a name that cannot be printed"),
    "size": (lambda own: os.truncate(own / "files/etc/motd", custom_files.LARGEST + 1), "more than 1074 MB in them"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_used_is_named(directory: Path, bad: str) -> None:
    spoil, words = BAD[bad]
    spoil(directory)
    with pytest.raises(CustomizationError) as caught:
        customization.read(directory)
    assert words in str(caught.value)
    assert caught.value.hint

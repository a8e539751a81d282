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


LIVE_BUILD = {
    "binary": 'LB_BINARY_IMAGE="iso-hybrid"\n',
    "common": 'LB_APT_RECOMMENDS="true"\n',
    "package-lists/live.list.chroot": "live-boot\nlive-config\nlive-config-systemd\nsystemd-sysv\n",
    "package-lists/my.list.chroot": "htop\n",
    "includes.chroot/etc/motd": "hello\n",
    "includes.chroot_after_packages/etc/issue": "hello\n",
    "hooks/live/0500-my.hook.chroot": "#!/bin/sh\n",
    "hooks/normal/0100-other.hook.chroot": "#!/bin/sh\n",
    "preseed/my.cfg.chroot": "tzdata tzdata/Areas select Europe\n",
}
"""What `lb config` and a person have put into `config`."""


def test_a_tree_of_live_build_is_taken_as_it_is_and_what_does_not_count_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config"
    for name, text in LIVE_BUILD.items():
        (config / name).parent.mkdir(parents=True, exist_ok=True)
        (config / name).write_text(text)
    for name in ("bootloaders", "includes.binary", "packages", "packages.chroot", "archives", "rootfs", "apt"):
        (config / name).mkdir()
        (config / name / ".gitkeep").touch()
    (config / "hooks/live/.gitkeep").touch()
    (tmp_path / ".build").mkdir()
    (tmp_path / "auto").mkdir()
    own = "/usr/share/live/build/hooks/normal/1000-create-mtab-symlink.hook.chroot"
    (config / "hooks/normal/1000-create-mtab-symlink.hook.chroot").symlink_to(own)
    found = customization.read(tmp_path)
    assert found.packages == ("htop",)
    assert [each.name for each in found.files] == ["etc", "etc/motd", "etc", "etc/issue"]
    assert [each.name for each in found.hooks] == ["0100-other.hook.chroot", "0500-my.hook.chroot"]
    assert found.answers == LIVE_BUILD["preseed/my.cfg.chroot"]
    assert found.places == {"htop": f"{config}/package-lists/my.list.chroot, line 1"}
    told = "what live-build is told here does not count; recipe.toml and [image] do"
    assert found.notes == (
        f"{tmp_path}: auto: {told}",
        f"{config}: binary, common: {told}",
        f"{config}/package-lists/live.list.chroot is live-build's own list and is left out: the live system has what it"
        " needs",
        f"{config}/hooks/normal: links to live-build's own hooks, 1, are left out: these run in each build",
    )


def write_key(path: Path) -> None:
    """A public key as far as this program looks: one packet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x98\x03key")


@pytest.mark.parametrize(
    ("sources", "key"),
    [
        ("repositories/vendor.list", "repositories/vendor.asc"),
        ("repositories/vendor.sources", "repositories/vendor.gpg"),
        ("config/archives/vendor.list.chroot", "config/archives/vendor.key.chroot"),
        ("archives/vendor.list", "archives/vendor.key"),
    ],
)
def test_a_repository_and_its_key_are_another_digest_but_not_another_layer(
    directory: Path, sources: str, key: str
) -> None:
    before = customization.read(directory)
    write_key(directory / key)
    line = "deb https://v.example.org/apt stable main\n"
    stanza = "Types: deb\nURIs: https://v.example.org/apt\nSuites: stable\nComponents: main\n"
    (directory / sources).write_text(stanza if sources.endswith(".sources") else line)
    found = customization.read(directory)
    (repository,) = found.repositories
    assert (repository.uris, repository.suites) == (("https://v.example.org/apt",), ("stable",))
    assert found.layer_digest == before.layer_digest == before.digest != found.digest
    (directory / key).write_bytes(b"\x98\x03KEY")
    assert customization.read(directory).digest not in (before.digest, found.digest)


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


def put(own: Path, name: str, content: str | Path) -> None:
    """A file, or a link to a path."""
    (own / name).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        (own / name).symlink_to(content)
    else:
        (own / name).write_text(content)


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
    "condition": (lambda own: (own / "packages").write_text("a1\n#if X y\n"), "packages, line 2: cond"),
    "list of another stage": (lambda own: put(own, "package-lists/a.list.binary", ""), "list.binary is not supported"),
    "file for a medium": (lambda own: put(own, "config/includes.binary/x", ""), "includes.binary is not supported"),
    "package of their own": (lambda own: put(own, "config/packages.chroot/x.deb", ""), "s.chroot is not supported"),
    "link as config": (lambda own: (own / "config").symlink_to("/etc"), "config is not a directory"),
    "unknown in config": (lambda own: put(own, "config/flies", ""), "config/flies is nothing that an image can be"),
    "no key": (lambda own: put(own, "repositories/v.list", "\ndeb http://a s m\n"), "v.list, line 2: it has no key"),
    "key alone": (lambda own: write_key(own / "repositories/v.gpg"), "v.gpg is a key that no repository uses"),
    "answer": (lambda own: put(own, "preseed/a.cfg", "\ntzdata yes\n"), "a.cfg, line 2: 'tzdata yes' is no answer"),
    "not text": (lambda own: (own / "packages").write_bytes(b"\xff\xfe"), "packages is not UTF-8 text"),
    "link as list": (lambda own: put(own, "package-lists/a.list", Path("/etc/passwd")), "a.list is not a file"),
    "one name twice": (lambda own: put(own, "config/hooks/live/10-a.chroot", "#!/bin/sh\n"), "have the same name"),
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

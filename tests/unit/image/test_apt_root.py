"""The root that apt gets for an image: its archives, their keys, and what others may read of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from image import apt_root
from image.command import CommandError
from image.mirrors import Mirrors
from image.recipe import ImageRecipe
from image.repositories import Repository

MIRRORS = Mirrors("http://mirror/debian", "http://mirror/security", updates=True)
VENDOR = Repository(("http://vendor/apt",), ("stable",), ("main",), (), b"keys")


def suites(text: str) -> list[tuple[str, str, str]]:
    """Address, suite and components of each stanza."""
    stanzas = [dict(line.split(": ", 1) for line in each.splitlines()) for each in text.split("\n\n")]
    return [(each["URIs"], each["Suites"], each["Components"]) for each in stanzas]


def test_the_archives_are_those_of_a_build() -> None:
    text = apt_root.sources(ImageRecipe(backports=True), MIRRORS, Path("/k.gpg"))
    assert suites(text) == [
        ("http://mirror/debian", "trixie", "main non-free-firmware"),
        ("http://mirror/debian", "trixie-updates", "main non-free-firmware"),
        ("http://mirror/debian", "trixie-backports", "main non-free-firmware"),
        ("http://mirror/security", "trixie-security", "main non-free-firmware"),
    ]
    assert text.count("Signed-By: /k.gpg") == text.count("Architectures: amd64") == 4
    plain = apt_root.sources(ImageRecipe(firmware="none"), replace(MIRRORS, updates=False), Path("/k.gpg"))
    assert [suite for _, suite, _ in suites(plain)] == ["trixie", "trixie-security"]


def test_each_archive_has_the_keys_of_its_makers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debians = tmp_path / "debian-archive-keyring.gpg"
    monkeypatch.setattr(apt_root, "_KEYRINGS", (tmp_path / "missing.pgp", debians))
    root = apt_root.apt_root(tmp_path / "r", ImageRecipe(), (VENDOR,), MIRRORS)
    assert f"Signed-By: {debians}" in root.files["etc/apt/sources.list.d/debian.sources"].decode()
    key = root.path / "etc/apt/keyrings" / VENDOR.key_file
    own = root.files["etc/apt/sources.list.d/netboot-own.sources"].decode()
    assert f"Signed-By: {key}\n" in own
    root.write()
    assert key.read_bytes() == b"keys"


def test_a_password_in_the_proxys_address_is_for_nobody_else(tmp_path: Path) -> None:
    proxied = replace(MIRRORS, proxy="http://user:secret@proxy:3128")
    root = apt_root.apt_root(tmp_path / "r", ImageRecipe(), (), proxied)
    root.write()
    told = root.path / "apt.conf"
    assert told.stat().st_mode & 0o077 == 0
    assert 'Proxy "http://user:secret@proxy:3128";' in told.read_text()
    error = CommandError(("apt-get", "update"), tmp_path, 100, ("W: x", "E: http://user:secret@proxy:3128 is away"))
    assert apt_root.reason(error) == "http://proxy:3128 is away"


def test_the_lists_of_another_recipe_are_others(tmp_path: Path) -> None:
    one = apt_root.apt_root(tmp_path, ImageRecipe(), (), MIRRORS)
    assert one == apt_root.apt_root(tmp_path, ImageRecipe(), (), MIRRORS)
    for other in (ImageRecipe(backports=True), ImageRecipe(snapshot="20261101T000000Z"), ImageRecipe("bookworm")):
        assert one.files != apt_root.apt_root(tmp_path, other, (), MIRRORS).files

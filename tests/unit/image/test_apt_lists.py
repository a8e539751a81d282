"""What a mirror has, asked through a real apt: the mirror is a server of this test."""

import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from image import apt_lists, apt_root
from image.apt_lists import NamesChecked
from image.mirrors import Mirrors
from image.openpgp import public_keys
from image.package_names import UnknownPackage
from image.recipe import ImageRecipe
from image.repositories import Repository
from tests.room.signed_repository import SignedRepository
from tests.unit.debian import need

RECIPE = ImageRecipe(firmware="none", packages=("htop",))
UNSIGNED = "is not signed|NO_PUBKEY|Missing key"
"""What the apt of Debian 12 and of Debian 13 say of a key that they do not know."""
AWAY = "http://127.0.0.1:1/debian"


@dataclass
class Mirror:
    """A mirror with the package htop, and a build's directory."""

    work: Path
    repository: SignedRepository
    mirrors: Mirrors

    def check(self, *packages: str, added: tuple[Repository, ...] = (), away: bool = False) -> NamesChecked:
        mirrors = replace(self.mirrors, archive=AWAY, security=AWAY) if away else self.mirrors
        return apt_lists.check(replace(RECIPE, packages=packages), added, mirrors, self.work)

    def check_snapshot(self) -> NamesChecked:
        recipe = replace(RECIPE, snapshot="20240101T000000Z")
        return apt_lists.check(recipe, (), self.mirrors, self.work)

    def later(self) -> None:
        """Make what was fetched an hour older."""
        names = self.work / "lists" / "names"
        past = names.stat().st_mtime - 3600
        os.utime(names, (past, past))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    for program in ("apt-get", "dpkg-deb", "gpg"):
        need(program)
    repository = SignedRepository(tmp_path / "m", "trixie")
    repository.add("htop", {})
    # The security archive is one of the same: only its name differs.
    (repository.root / "dists/trixie-security").symlink_to("trixie")
    keyring = tmp_path / "keyring.gpg"
    keyring.write_bytes(repository.binary_key)
    monkeypatch.setattr(apt_root, "_KEYRINGS", (keyring,))
    with repository.served() as url:
        yield Mirror(tmp_path / "work", repository, Mirrors(url, url, updates=False))


def test_a_name_is_found_or_not_and_the_nearest_is_named(mirror: Mirror) -> None:
    found = mirror.check("htop", "htpo")
    assert (found.unknown, found.trouble) == ((UnknownPackage("htpo", ("htop",)),), "")
    assert found.fetched is not None


def test_what_was_fetched_does_as_long_as_it_has_all_names(mirror: Mirror) -> None:
    mirror.check("htop")
    (mirror.repository.root / "dists/trixie/InRelease").unlink()
    mirror.later()
    assert mirror.check("htop").trouble == ""
    assert "the lists could not be fetched" in mirror.check("tree").trouble


def test_a_name_that_is_new_in_the_mirror_is_found(mirror: Mirror) -> None:
    assert mirror.check("tree").unknown
    mirror.repository.add("tree", {}, "Provides: arbor\n")
    assert mirror.check("tree").unknown, "it was asked a moment ago"
    mirror.later()
    assert mirror.check("tree", "arbor").unknown == ()


def test_a_mirror_that_is_away_says_nothing_about_names(mirror: Mirror) -> None:
    found = mirror.check("htop", away=True)
    assert found.unknown == ()
    assert "127.0.0.1" in found.trouble


def test_the_lists_of_a_snapshot_may_be_old(mirror: Mirror) -> None:
    mirror.repository.fields = "Valid-Until: Mon, 01 Jan 2024 00:00:00 UTC\n"
    mirror.repository.publish()
    assert "the lists could not be fetched" in mirror.check("htop").trouble
    found = mirror.check_snapshot()
    assert (found.unknown, found.trouble) == ((), "")


def test_a_mirror_with_another_key_is_not_believed(mirror: Mirror, tmp_path: Path) -> None:
    other = SignedRepository(tmp_path / "o", origin="stranger")
    (tmp_path / "keyring.gpg").write_bytes(other.binary_key)
    assert re.search(UNSIGNED, mirror.check("htop").trouble)


def test_the_administrators_repository_counts_with_its_own_key_alone(mirror: Mirror, tmp_path: Path) -> None:
    other = SignedRepository(tmp_path / "o", origin="vendor")
    other.add("vendor-tool", {})
    with other.served() as url:
        own = Repository((url,), ("stable",), ("main",), (), public_keys(other.key))
        assert mirror.check("htop", "vendor-tool", added=(own,)).unknown == ()
        stranger = replace(own, keys=mirror.repository.binary_key)
        assert re.search(UNSIGNED, mirror.check("htop", "vendor-tool", added=(stranger,)).trouble)
    assert mirror.check("vendor-tool").unknown, "the lists with that repository are not those without it"


def test_without_packages_nobody_is_asked(mirror: Mirror) -> None:
    assert mirror.check(away=True) == NamesChecked()
    assert not mirror.work.exists()


def test_the_lists_of_a_build_are_not_fetched_again(mirror: Mirror) -> None:
    mirror.check("htop")
    lists = mirror.work / "lists/var/lib/apt/lists"
    kept = mirror.work / "steps/bootstrap/tree/var/lib/apt/lists"
    kept.parent.mkdir(parents=True)
    lists.rename(kept)
    (mirror.work / "lists/names").unlink()
    # The mirror has only the signed list of lists by now.
    (mirror.repository.root / "dists/trixie/main/binary-amd64/Packages").unlink()
    assert mirror.check("htop") == NamesChecked(fetched=mirror.check("htop").fetched)


@pytest.mark.parametrize("damaged", [b"", b"Package"])
def test_a_list_that_is_damaged_is_fetched_again(mirror: Mirror, damaged: bytes) -> None:
    mirror.check("htop")
    for index in (mirror.work / "lists/var/lib/apt/lists").glob("*_Packages"):
        index.write_bytes(damaged)
    (mirror.work / "lists/names").unlink()
    first = mirror.check("htop")
    assert first.trouble or first.unknown, "apt takes it for whole"
    if first.fetched:
        mirror.later()
    assert mirror.check("htop") == NamesChecked(fetched=mirror.check("htop").fetched)


def test_who_may_not_write_uses_what_root_has_fetched(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = mirror.check("htop").fetched

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fcntl, "flock", forbidden)
    assert mirror.check("htop") == NamesChecked(fetched=fetched)
    assert "run it with sudo" in mirror.check("htpo").trouble


def test_a_directory_that_may_not_be_written_is_said(mirror: Mirror) -> None:
    mirror.work.mkdir()
    (mirror.work / "lists").write_text("a file")
    assert "cannot be written" in mirror.check("htop").trouble

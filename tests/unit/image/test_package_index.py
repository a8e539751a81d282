"""Debian's own apt against archives on this machine: signed, unsigned, away, and silent."""

import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image import apt, apt_root
from image.mirrors import Mirrors
from image.package_index import PackageIndexError, find_updates
from image.recipe import ImageRecipe
from image.repositories import Repository
from image.updates import PackageUpdate
from tests.unit.debian import need

OLD = {"libc6:amd64": "2.41-1", "openssl": "3.5.0-1", "bash": "5.2-1"}
RECIPE = ImageRecipe(firmware="none")


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need("apt-get")
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def archive(directory: Path, suite: str, packages: dict[str, str], key: str = "", valid_until: str = "") -> None:
    """An archive with one suite, as apt reads it from a directory; signed by the key of this name."""
    index = directory / "dists" / suite / "main" / "binary-amd64" / "Packages"
    index.parent.mkdir(parents=True)
    index.write_text(
        "".join(
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: x\nFilename: x.deb\nSize: 1\n"
            f"SHA256: {'0' * 64}\nDescription: x\n\n"
            for name, version in packages.items()
        )
    )
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    release = directory / "dists" / suite / "Release"
    release.write_text(
        f"Suite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
        f"Date: Mon, 30 Nov 2026 10:00:00 UTC\n{valid_until}SHA256:\n"
        f" {digest} {index.stat().st_size} main/binary-amd64/Packages\n"
    )
    if key:
        signed = release.with_name("InRelease")
        gpg(directory, "--local-user", key, "--output", str(signed), "--clear-sign", str(release))


def gpg(directory: Path, *arguments: str) -> None:
    home = Path(os.environ["TMPDIR"]) / "gnupg"
    home.mkdir(mode=0o700, exist_ok=True)
    command = ["gpg", "--homedir", str(home), "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run([*command, *arguments], check=True, capture_output=True)


@pytest.fixture
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirrors]:
    found = Mirrors(f"file://{tmp_path}/debian", f"file://{tmp_path}/security", updates=False)
    monkeypatch.setattr(apt, "mirrors_of_this_machine", lambda _: found)
    # What the archive's files are read as, if root runs the tests: a user of apt's own.
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_mode & 0o005 != 0o005 and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)
    yield found
    if (tmp_path / "gnupg").exists():
        subprocess.run(["gpgconf", "--homedir", str(tmp_path / "gnupg"), "--kill", "all"], check=False)


@pytest.mark.usefixtures("mirrors")
def test_the_packages_of_a_signed_archive_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("gpg")
    gpg(tmp_path / "debian", "--quick-generate-key", "test", "ed25519", "sign", "never")
    keyring = tmp_path / "keyring.gpg"
    gpg(tmp_path / "debian", "--output", str(keyring), "--export", "test")
    archive(tmp_path / "debian", "trixie", {"libc6": "2.41-2", "openssl": "3.5.0-1", "bash": "5.2-1"}, "test")
    archive(tmp_path / "security", "trixie-security", {"openssl": "3.5.9-1"}, "test")
    monkeypatch.setattr(apt_root, "_KEYRINGS", (keyring,))
    assert find_updates(OLD, RECIPE) == (
        PackageUpdate("openssl", "3.5.0-1", "3.5.9-1", security=True),
        PackageUpdate("libc6:amd64", "2.41-1", "2.41-2", security=False),
    )
    assert list(tmp_path.glob("netboot-appliance-check-*")) == []


@pytest.mark.usefixtures("mirrors")
def test_a_release_of_a_snapshot_is_compared_with_that_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("gpg")
    gpg(tmp_path / "debian", "--quick-generate-key", "test", "ed25519", "sign", "never")
    keyring = tmp_path / "keyring.gpg"
    gpg(tmp_path / "debian", "--output", str(keyring), "--export", "test")
    moment, old = "20240101T000000Z", "Valid-Until: Tue, 09 Jan 2024 00:00:00 UTC\n"
    for name, suites in (("debian", ("trixie", "trixie-updates")), ("debian-security", ("trixie-security",))):
        for suite in suites:
            archive(tmp_path / name / moment, suite, {"bash": "5.2-1"}, "test", old)
    monkeypatch.setattr(apt_root, "_KEYRINGS", (keyring,))
    mirror = f"file://{tmp_path}/{{archive}}/{{snapshot}}"
    assert find_updates(OLD, replace(RECIPE, snapshot=moment), mirror) == ()
    with pytest.raises(PackageIndexError, match="no mirror has snapshots"):
        find_updates(OLD, replace(RECIPE, snapshot=moment))
    with pytest.raises(PackageIndexError) as raised:
        find_updates(OLD, replace(RECIPE, snapshot="20230101T000000Z"), mirror)
    assert "20230101T000000Z" in raised.value.hint
    assert "sources.list" not in raised.value.hint, "the server's own mirror is not asked"


@pytest.mark.usefixtures("mirrors")
def test_the_administrators_repositories_are_looked_at_with_their_own_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("gpg")
    gpg(tmp_path / "debian", "--quick-generate-key", "debian <d@example.org>", "ed25519", "sign", "never")
    gpg(tmp_path / "debian", "--quick-generate-key", "vendor <v@example.org>", "ed25519", "sign", "never")
    keyring, own = tmp_path / "keyring.gpg", tmp_path / "vendor.gpg"
    gpg(tmp_path / "debian", "--output", str(keyring), "--export", "debian")
    gpg(tmp_path / "debian", "--output", str(own), "--export", "vendor")
    archive(tmp_path / "debian", "trixie", {"bash": "5.2-1"}, "debian")
    archive(tmp_path / "security", "trixie-security", {}, "debian")
    archive(tmp_path / "v", "stable", {"tool": "2"}, "vendor")
    monkeypatch.setattr(apt_root, "_KEYRINGS", (keyring,))
    vendor = Repository((f"file://{tmp_path}/v",), ("stable",), ("main",), (), own.read_bytes())
    found = find_updates({**OLD, "tool": "1"}, RECIPE, added=(vendor,))
    assert found == (PackageUpdate("tool", "1", "2", security=False),)


@pytest.mark.usefixtures("mirrors")
def test_an_archive_that_debians_keys_have_not_signed_is_not_believed(tmp_path: Path) -> None:
    archive(tmp_path / "debian", "trixie", {"libc6": "2.41-2"})
    archive(tmp_path / "security", "trixie-security", {})
    with pytest.raises(PackageIndexError, match="not signed"):
        find_updates(OLD, RECIPE)


@pytest.mark.usefixtures("mirrors")
def test_an_archive_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PackageIndexError, match=r"cannot be had: (?!E: ).") as raised:
        find_updates(OLD, RECIPE)
    assert "/etc/apt/sources.list" in raised.value.hint
    assert list(tmp_path.glob("netboot-appliance-check-*")) == []


def test_an_archive_that_never_answers_ends_it_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://user:secret@127.0.0.1:{silent.getsockname()[1]}/debian"
        monkeypatch.setattr(apt, "mirrors_of_this_machine", lambda _: Mirrors(url, url, updates=False))
        began = time.monotonic()
        with pytest.raises(PackageIndexError, match="ended after 1 s") as raised:
            find_updates(OLD, RECIPE, seconds=1.0)
        assert time.monotonic() - began < 30
    assert "secret" not in str(raised.value)


def test_without_apt_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(apt, "mirrors_of_this_machine", lambda _: Mirrors("http://a/d", "http://a/s", updates=False))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("apt-get") is None
    with pytest.raises(PackageIndexError) as raised:
        find_updates(OLD, RECIPE)
    assert "apt must be installed" in raised.value.hint

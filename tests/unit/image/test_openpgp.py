"""Files with keys: those of a real GnuPG, and those that are none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from image.openpgp import KeyFileError, public_keys
from tests.room.signed_repository import SignedRepository
from tests.unit.debian import need


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SignedRepository:
    need("gpg")
    return SignedRepository(tmp_path_factory.mktemp("k") / "r")


def test_keys_are_the_same_armored_or_not_one_or_several(made: SignedRepository) -> None:
    assert public_keys(made.key) == public_keys(made.binary_key) == made.binary_key
    assert public_keys(made.key + made.key) == made.binary_key * 2
    assert public_keys(b"a comment\r\n" + made.key.replace(b"\n", b"\r\n")) == made.binary_key


def test_debians_own_keyring_is_one() -> None:
    path = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not path.exists():
        pytest.skip("debian-archive-keyring is not installed")
    assert public_keys(path.read_bytes()) == path.read_bytes()


BAD: dict[str, tuple[Callable[[SignedRepository], bytes], str]] = {
    "private": (lambda made: made.secret_key, "a private key block, and no public key"),
    "cut off": (lambda made: made.binary_key[:-1], "it is cut off"),
    "cut off, armored": (lambda made: made.key[:200], "no public key of OpenPGP"),
    "damaged": (lambda made: made.key.replace(b"\nm", b"\n!", 1), "its text is damaged"),
    "signature": (lambda made: (made.root / "dists/stable/InRelease").read_bytes(), "and no public key"),
    "a page": (lambda _: b"<!DOCTYPE html><html>", "no public key of OpenPGP"),
    "nothing": (lambda _: b"", "no public key of OpenPGP"),
    "endless": (lambda _: b"\x9b" * 1000, "no public key of OpenPGP"),
    "partial": (lambda _: b"\xc6\xe1" + b"x" * 100, "no public key of OpenPGP"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_public_key_is_named(made: SignedRepository, bad: str) -> None:
    make, words = BAD[bad]
    with pytest.raises(KeyFileError, match=words):
        public_keys(make(made))


def test_a_private_key_without_armor_is_one(made: SignedRepository) -> None:
    with pytest.raises(KeyFileError, match="it has a private key"):
        public_keys(b"\x94\x03key")

"""Hashes of passwords: ours, and GRUB's as its own tool and specification make them."""

import hashlib
import re

import pytest

from appliance.config.menu import MenuSettings
from appliance.config.menu_password import Scrypt, check, grub, parse, scrypt
from services.menus.grub import HASH


def test_a_hash_opens_for_its_password_only() -> None:
    line = scrypt("correct horse")
    assert line.startswith("scrypt:32768:8:1:")
    assert "correct" not in line
    assert parse(line).matches("correct horse")
    for wrong in ("", "correct horse ", "Correct horse", "\0", "\u00e4"):
        assert not parse(line).matches(wrong)
    assert scrypt("correct horse") != line, "the same password gives different hashes"


def test_the_vector_of_rfc_7914() -> None:
    """Section 12: N = 1024, r = 8, p = 16; of its 64 bytes our hash is the first half."""
    digest = bytes.fromhex("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162")
    assert Scrypt(1024, 8, 16, b"NaCl", digest).matches("password")


@pytest.mark.parametrize(
    "text",
    [
        "secret",
        "scrypt:",
        "scrypt:32767:8:1:{salt}:{digest}",
        "scrypt:0:8:1:{salt}:{digest}",
        "scrypt:33554432:8:1:{salt}:{digest}",
        "scrypt:32768:0:1:{salt}:{digest}",
        "scrypt:32768:8:99:{salt}:{digest}",
        "scrypt:32768:8:1:{salt}0:{digest}",
        "scrypt:32768:8:1:{salt}:{digest}00",
        "scrypt:32768:8:1:{salt}:{digest}\n",
    ],
)
def test_what_is_not_a_hash_of_ours_is_refused(text: str) -> None:
    text = text.format(salt="00" * 16, digest="00" * 32)
    with pytest.raises(ValueError, match="password: not a password hash of this program"):
        parse(text)
    with pytest.raises(ValueError, match="password: not a password hash of this program"):
        MenuSettings(password=text)


def test_grub_s_form() -> None:
    line = grub("secret")
    assert HASH.fullmatch(line)
    found = re.fullmatch(r"grub\.pbkdf2\.sha512\.10000\.([0-9A-F]{128})\.([0-9A-F]{128})", line)
    assert found
    assert hashlib.pbkdf2_hmac("sha512", b"secret", bytes.fromhex(found[1]), 10000).hex().upper() == found[2]
    MenuSettings(grub_password=line)


@pytest.mark.parametrize("password", ["", "\u00e4", "a\tb", "x" * 65])
def test_a_password_that_cannot_be_typed_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="a password must have 1 to 64"):
        check(password)

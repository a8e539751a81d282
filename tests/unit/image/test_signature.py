"""Keys and signatures, made and checked by openssl."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

from image import signature
from image.release import ReleaseError
from image.signature import KeyRing, PublicKey

# RFC 8032, section 7.1, test 2: the secret key, its public key, the message 0x72 and its signature.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
PRIVATE_PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + SECRET).decode()
    + "\n-----END PRIVATE KEY-----\n"
)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys")


def test_the_example_of_the_rfc_is_signed_and_verified(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(PRIVATE_PEM)
    made, public = signature.sign(tmp_path / "key", b"\x72")
    assert made == SIGNATURE
    assert public == PublicKey(PUBLIC)
    assert signature.signer([public], b"\x72", made) == public


@pytest.mark.parametrize(
    ("content", "made"),
    [
        (b"\x73", SIGNATURE),
        (b"", SIGNATURE),
        (b"\x72", SIGNATURE[:-1] + b"\x01"),
        (b"\x72", SIGNATURE[:-1]),
        (b"\x72", SIGNATURE + b"\0"),
        (b"\x72", b""),
        (b"\x72", bytes(64)),
    ],
)
def test_any_other_content_or_signature_has_no_signer(content: bytes, made: bytes) -> None:
    assert signature.signer([PublicKey(PUBLIC)], content, made) is None


def test_a_key_is_made_once_and_only_root_may_read_it(ring: KeyRing) -> None:
    before = os.umask(0o077)
    try:
        made = signature.make(ring)
    finally:
        os.umask(before)
    assert signature.own(ring) == made
    assert signature.trusted(ring) == (made,)
    assert ring.private.stat().st_mode & 0o777 == 0o600
    assert [path.stat().st_mode & 0o777 for path in (ring.directory, ring.directory / "own.pub")] == [0o755, 0o644]
    with pytest.raises(ReleaseError, match="has a key already"):
        signature.make(ring)
    signed, key = signature.sign_as(ring, b"content")
    assert signature.signer(signature.trusted(ring), b"content", signed) == key == made


def test_a_key_that_is_replaced_stays_trusted_until_it_is_forgotten(ring: KeyRing) -> None:
    old = signature.make(ring)
    signed, _ = signature.sign_as(ring, b"content")
    new = signature.make(ring, replace=True)
    assert signature.trusted(ring) == (new, old)
    assert signature.signer(signature.trusted(ring), b"content", signed) == old
    assert signature.forget(ring, old.id[:8]) == old
    assert signature.signer(signature.trusted(ring), b"content", signed) is None
    assert signature.forget(ring, new.id) == new
    assert not ring.private.exists()
    assert signature.trusted(ring) == ()


def test_the_first_build_makes_a_key_unless_one_elsewhere_is_trusted(ring: KeyRing, tmp_path: Path) -> None:
    made = signature.ensure(ring)
    assert made is not None
    assert signature.ensure(ring) == made
    other = KeyRing(tmp_path / "other")
    signature.trust(other, made.pem.encode())
    assert signature.ensure(other) is None
    assert signature.trusted(other) == (made,)
    assert not other.private.exists()


def test_openssl_reads_the_public_key_as_we_write_it(ring: KeyRing) -> None:
    signature.make(ring)
    printed = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", ring.directory / "own.pub", "-pubout"], capture_output=True, check=True
    )
    assert signature.parse(printed.stdout) == signature.own(ring)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no Ed25519 public key"),
        (b"\xff\xfe", "no Ed25519 public key"),
        (PRIVATE_PEM.encode(), "it is a private key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no Ed25519 public key"),
        (b"-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----\n", "no Ed25519 public key"),
        (PublicKey(PUBLIC[:31]).pem.encode(), "no Ed25519 public key"),
    ],
)
def test_what_is_no_public_key_is_not_trusted(ring: KeyRing, content: bytes, said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        signature.trust(ring, content)
    assert signature.trusted(ring) == ()


def test_a_key_of_another_kind_signs_nothing(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", key], check=True
    )
    with pytest.raises(ReleaseError, match="no Ed25519 private key"):
        signature.sign(key, b"content")
    with pytest.raises(ReleaseError, match="no Ed25519 private key"):
        signature.sign(tmp_path / "none", b"content")


def test_halves_of_two_keys_are_noticed(ring: KeyRing) -> None:
    signature.make(ring)
    ring.private.write_text(PRIVATE_PEM)
    with pytest.raises(ReleaseError, match="is not the private key of the public one"):
        signature.sign_as(ring, b"content")


@pytest.mark.parametrize("ident", ["", "0", "0123456", "zzzzzzzzzzzz", "../../../etc"])
def test_a_key_is_forgotten_by_enough_of_its_id(ring: KeyRing, ident: str) -> None:
    made = signature.trust(ring, PublicKey(PUBLIC).pem.encode())
    with pytest.raises(ReleaseError, match="nothing was changed"):
        signature.forget(ring, ident)
    assert signature.trusted(ring) == (made,)


def test_a_damaged_key_is_named(ring: KeyRing) -> None:
    signature.trust(ring, PublicKey(PUBLIC).pem.encode())
    (ring.directory / "trusted" / "broken.pub").write_text("nonsense")
    with pytest.raises(ReleaseError, match=r"broken\.pub cannot be used"):
        signature.trusted(ring)


def test_without_openssl_nothing_counts_as_signed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReleaseError, match=r"openssl.*does not start"):
        signature.signer([PublicKey(PUBLIC)], b"\x72", SIGNATURE)

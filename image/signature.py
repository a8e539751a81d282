"""Who made a release: Ed25519 signatures (RFC 8032) of manifests, and the keys that they are checked with.

A signature is the 64 bytes of RFC 8032 over the exact bytes of manifest.json, in manifest.json.sig beside it. It covers
the files, too: the manifest has the SHA-256 of each. `openssl pkeyutl` makes and checks them, here or by hand. Keys are
PEM: PKCS #8, and SubjectPublicKeyInfo (RFC 8410). The directory of a key ring has

    own.key           the private key of this box, for root only; not if it signs nothing, or its key is kept elsewhere
    own.pub           its public key
    trusted/ID.pub    public keys of others, and earlier ones of this box

Knows nothing of what is decided by a signature: see activation.py and pull.py.
"""

import base64
import binascii
import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from image import command, plain_files
from image.command import CommandError
from image.release import ReleaseError

LENGTH = 64
"""Bytes of a signature."""

_LARGEST_KEY = 1 << 14
_MOST_KEYS = 100
_SHORTEST_ID = 8
_OWN_KEY, _OWN_PUBLIC, _TRUSTED = "own.key", "own.pub", "trusted"
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----")
_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""DER: an Ed25519 public key, whose 32 bytes follow."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key: its 32 bytes."""

    raw: bytes

    @cached_property
    def id(self) -> str:
        """Names it: half of the SHA-256 of its bytes, 32 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()[:32]

    @cached_property
    def pem(self) -> str:
        """As files have it."""
        packed = base64.b64encode(_PREFIX + self.raw).decode()
        return f"-----BEGIN PUBLIC KEY-----\n{packed}\n-----END PUBLIC KEY-----\n"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of a box, in a directory; `required`: only what one of them has signed is activated."""

    directory: Path
    required: bool = False

    @property
    def private(self) -> Path:
        """The file with the box's private key, whether or not it has one."""
        return self.directory / _OWN_KEY


def parse(content: bytes) -> PublicKey:
    """The public key in a file; raises ValueError that says why there is none."""
    text = content.decode("ascii", errors="replace")
    if "PRIVATE KEY" in text:
        raise ValueError("it is a private key, and only the public one may leave its box (openssl pkey -pubout)")
    found = _PEM.search(text)
    try:
        packed = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        packed = b""
    if not packed.startswith(_PREFIX) or len(packed) != len(_PREFIX) + 32:
        raise ValueError("it holds no Ed25519 public key in PEM form")
    return PublicKey(packed.removeprefix(_PREFIX))


def own(ring: KeyRing) -> PublicKey | None:
    """The public key of this box, None if it has no key. Raises ReleaseError."""
    return _read(path) if (path := ring.directory / _OWN_PUBLIC).exists() else None


def trusted(ring: KeyRing) -> tuple[PublicKey, ...]:
    """All keys that may have signed a release, the box's own first. Raises ReleaseError."""
    try:
        others = sorted((ring.directory / _TRUSTED).glob("*.pub"))[:_MOST_KEYS]
    except OSError as error:
        raise ReleaseError(f"the keys in {ring.directory} cannot be read: {error.strerror}", "run with sudo") from error
    mine = own(ring)
    return tuple(dict.fromkeys((*([mine] if mine else ()), *map(_read, others))))


def ensure(ring: KeyRing) -> PublicKey | None:
    """Make a key if this box has none, unless it trusts one that is kept elsewhere. Returns the box's own public key.
    Raises ReleaseError."""
    return own(ring) if trusted(ring) else make(ring)


def make(ring: KeyRing, *, replace: bool = False) -> PublicKey:
    """Make a key for this box. One that it `replace`s stays trusted, for the releases that it has signed. Raises
    ReleaseError."""
    before = own(ring)
    if before and not replace:
        raise ReleaseError(f"this box has a key already: {before.id}", "make another one: image key new --replace")
    try:
        private = _openssl("genpkey", "-algorithm", "ed25519").encode("ascii")
        _directories(ring)
        if before:
            plain_files.write(_place(ring, before), before.pem.encode())
        # The private one first: after a power cut between the two, the next signature says that they do not fit.
        plain_files.write(ring.private, private, mode=0o600)
        made = _public(ring.private)
        plain_files.write(ring.directory / _OWN_PUBLIC, made.pem.encode())
    except OSError as error:
        raise _unwritable(ring, error) from error
    except CommandError as error:
        raise ReleaseError(f"openssl made no key: {error}", f"try: {error.paste}") from error
    return made


def trust(ring: KeyRing, content: bytes) -> PublicKey:
    """Trust the public key in a file; raises ReleaseError."""
    try:
        found = parse(content)
    except ValueError as error:
        raise ReleaseError(
            f"no key: {error}", "print it on the box that builds: netboot-appliance image key show"
        ) from None
    known = trusted(ring)
    if found in known:
        return found
    if len(known) >= _MOST_KEYS:
        raise ReleaseError(f"{_MOST_KEYS} keys are trusted already", "forget one: netboot-appliance image key forget")
    try:
        _directories(ring)
        plain_files.write(_place(ring, found), found.pem.encode())
    except OSError as error:
        raise _unwritable(ring, error) from error
    return found


def find(ring: KeyRing, ident: str) -> PublicKey:
    """The trusted key that the beginning of its id names; raises ReleaseError."""
    found = [each for each in trusted(ring) if each.id.startswith(ident.lower())]
    if len(ident) >= _SHORTEST_ID and len(found) == 1:
        return found[0]
    what = f"no trusted key is {ident!r}" if not found else f"{ident!r} is not enough of a key's id"
    raise ReleaseError(f"{what}; nothing was changed", "list them: netboot-appliance image key list")


def forget(ring: KeyRing, ident: str) -> PublicKey:
    """Trust a key no longer, which the beginning of its id names; raises ReleaseError. If it is the box's own, its
    private key is deleted, too."""
    key = find(ring, ident)
    try:
        if key == own(ring):
            ring.private.unlink(missing_ok=True)
            (ring.directory / _OWN_PUBLIC).unlink()
        for path in (ring.directory / _TRUSTED).glob("*.pub"):
            if _read(path) == key:
                path.unlink()
    except OSError as error:
        raise _unwritable(ring, error) from error
    return key


def sign(private: Path, content: bytes) -> tuple[bytes, PublicKey]:
    """Sign with the private key in a file; returns the signature, and the public key. Raises ReleaseError."""
    public = _public(private)
    try:
        with _files(content=content) as at:
            made = at / "signature"
            _openssl(
                "pkeyutl", "-sign", "-rawin", "-inkey", str(private), "-in", str(at / "content"), "-out", str(made)
            )
            return plain_files.read(made, LENGTH), public
    except (CommandError, OSError, ValueError) as error:
        raise ReleaseError(f"openssl made no signature: {error}", "check the key and the disk of /tmp") from error


def sign_as(ring: KeyRing, content: bytes) -> tuple[bytes, PublicKey]:
    """Sign with the key of this box; raises ReleaseError, also if it does not fit the public one."""
    mine = own(ring)
    if mine is None:
        raise ReleaseError("this box has no key", "make one: netboot-appliance image key new")
    made, public = sign(ring.private, content)
    if public != mine:
        raise ReleaseError(
            f"{ring.private} is not the private key of the public one beside it",
            "make another one: netboot-appliance image key new --replace",
        )
    return made, public


def signer(keys: Sequence[PublicKey], content: bytes, signature: bytes) -> PublicKey | None:
    """Which of the keys made a signature, None if none of them did. Raises ReleaseError without openssl."""
    if len(signature) != LENGTH:
        return None
    for key in keys:
        with _files(key=key.pem.encode(), content=content, signature=signature) as at, suppress(CommandError):
            public, made = ("-pubin", "-inkey", str(at / "key")), ("-sigfile", str(at / "signature"))
            _openssl("pkeyutl", "-verify", *public, "-rawin", "-in", str(at / "content"), *made)
            return key
    return None


@contextmanager
def _files(**contents: bytes) -> Iterator[Path]:
    """Files for openssl, which takes no pipes here, in a directory that is deleted afterwards; raises ReleaseError."""
    try:
        directory = tempfile.TemporaryDirectory(prefix="netboot-appliance-")
        for each, content in contents.items():
            Path(directory.name, each).write_bytes(content)
    except OSError as error:
        raise ReleaseError(
            f"cannot write what openssl reads to {tempfile.gettempdir()}: {error.strerror}", "make room there"
        ) from error
    with directory:
        yield Path(directory.name)


def _public(private: Path) -> PublicKey:
    """The public key of the private one in a file; raises ReleaseError."""
    try:
        return parse(_openssl("pkey", "-in", str(private), "-pubout").encode("ascii"))
    except (CommandError, ValueError) as error:
        raise ReleaseError(
            f"{private} holds no Ed25519 private key in PEM form",
            f"make one: netboot-appliance image key new; or see what it is: openssl pkey -noout -text -in {private}",
        ) from error


def _openssl(*arguments: str) -> str:
    """What openssl prints; raises CommandError, and ReleaseError if it is not there."""
    try:
        return command.output(("openssl", *arguments))
    except OSError as error:
        raise ReleaseError(
            f"openssl, which makes and checks signatures, does not start: {error.strerror}", "apt-get install openssl"
        ) from error


def _place(ring: KeyRing, key: PublicKey) -> Path:
    return ring.directory / _TRUSTED / f"{key.id}.pub"


def _directories(ring: KeyRing) -> None:
    for directory in (ring.directory, ring.directory / _TRUSTED):
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Whatever the umask: everybody may check signatures.
        directory.chmod(0o755)


def _read(path: Path) -> PublicKey:
    try:
        return parse(plain_files.read(path, _LARGEST_KEY))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ReleaseError(
            f"the key {path} cannot be used: {reason}", f"see what it is, or delete it: cat {path}"
        ) from error


def _unwritable(ring: KeyRing, error: OSError) -> ReleaseError:
    return ReleaseError(f"cannot change the keys in {ring.directory}: {error.strerror}", "run with sudo")

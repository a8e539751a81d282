"""Hashes of the boot menu's password: ours (scrypt, RFC 7914) and GRUB's (PBKDF2, RFC 8018). PURE except for the salt.

Checking a password takes 0.1 s of CPU and 32 MiB of memory, so call `matches` outside the event loop.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

LONGEST = 64
"""Characters in a password: it is typed at a PC's console."""

_COST, _BLOCK, _PARALLEL = 1 << 15, 8, 1
_MOST_MEMORY = 1 << 27  # bytes that checking a hash from the configuration may take
_SALT, _HASH = 16, 32
_GRUB_ROUNDS, _GRUB_SALT = 10_000, 64
_FORM = re.compile(r"scrypt:(\d{1,8}):(\d{1,4}):(\d{1,4}):([0-9a-f]{16,128}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Scrypt:
    """A password's hash with its parameters."""

    cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    def __str__(self) -> str:
        return f"scrypt:{self.cost}:{self.block}:{self.parallel}:{self.salt.hex()}:{self.digest.hex()}"

    def matches(self, password: str) -> bool:
        """Whether it is the hash of this password; takes the same time for any password."""
        found = _scrypt(password, self.salt, self.cost, self.block, self.parallel)
        return hmac.compare_digest(found, self.digest)


def parse(text: str) -> Scrypt:
    """Read `scrypt:N:R:P:SALT:HASH`, salt and hash in hex; raises ValueError."""
    wrong = "password: not a password hash of this program; make one with: netboot-appliance menu password"
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(wrong)
    cost, block, parallel = int(found[1]), int(found[2]), int(found[3])
    if cost < 2 or cost & (cost - 1) or not block or not 1 <= parallel <= 16 or 128 * cost * block > _MOST_MEMORY:
        raise ValueError(wrong)
    if len(found[4]) % 2:
        raise ValueError(wrong)
    return Scrypt(cost, block, parallel, bytes.fromhex(found[4]), bytes.fromhex(found[5]))


def check(password: str) -> str:
    """Return `password` if it can be typed in a boot loader; raises ValueError."""
    if not password or len(password) > LONGEST or not all(" " <= letter <= "~" for letter in password):
        raise ValueError(f"a password must have 1 to {LONGEST} characters of a US keyboard (ASCII)")
    return password


def scrypt(password: str) -> str:
    """The hash for `password = …` in [menu], with a fresh salt."""
    salt = secrets.token_bytes(_SALT)
    return str(Scrypt(_COST, _BLOCK, _PARALLEL, salt, _scrypt(password, salt, _COST, _BLOCK, _PARALLEL)))


def grub(password: str) -> str:
    """The same for `grub_password`, as GRUB's `password_pbkdf2` reads it."""
    salt = secrets.token_bytes(_GRUB_SALT)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _GRUB_ROUNDS, 64)
    return f"grub.pbkdf2.sha512.{_GRUB_ROUNDS}.{salt.hex().upper()}.{digest.hex().upper()}"


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    # OpenSSL refuses to use more than maxmem, and needs a little more than the 128 * N * r bytes of the RFC.
    most = 2 * _MOST_MEMORY
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=most, dklen=_HASH)

"""The RSA-1024 code signing of a BOINC project: enough for the client to trust the fake project's application.

Pure Python, so no crypto package is needed. PKCS#1 v1.5 block type 1 over the MD5 text of a file, and BOINC's
own hex notation of keys and signatures. Not secure.
"""

import hashlib
import random
import secrets
from dataclasses import dataclass
from typing import Self

BITS = 1024
SIZE = BITS // 8
EXPONENT = 65537
HEX_LINE = 64
_ROUNDS = 24


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private RSA key of 1024 bits: modulus and private exponent; the public exponent is 65537."""

    modulus: int
    private: int

    @classmethod
    def generate(cls) -> Self:
        """Make a fresh key; takes a fraction of a second."""
        while True:
            p, q = _prime(BITS // 2), _prime(BITS // 2)
            phi = (p - 1) * (q - 1)
            if p != q and phi % EXPONENT and (p * q).bit_length() == BITS:
                return cls(p * q, pow(EXPONENT, -1, phi))

    def public_text(self) -> str:
        """The public key as `<code_sign_key>` carries it."""
        data = self.modulus.to_bytes(SIZE, "big") + EXPONENT.to_bytes(SIZE, "big")
        return f"{BITS}\n{_hex_lines(data)}.\n"

    def sign(self, content: bytes) -> str:
        """The signature of a file's content as `<file_signature>` carries it."""
        digest = hashlib.md5(content).hexdigest().encode()
        block = b"\x00\x01" + b"\xff" * (SIZE - len(digest) - 3) + b"\x00" + digest
        return _hex_lines(pow(int.from_bytes(block, "big"), self.private, self.modulus).to_bytes(SIZE, "big")) + ".\n"


def _hex_lines(data: bytes) -> str:
    digits = data.hex()
    return "".join(digits[start : start + HEX_LINE] + "\n" for start in range(0, len(digits), HEX_LINE))


def _prime(bits: int) -> int:
    while True:
        # With the two highest bits set, the product of two such primes is exactly twice as long.
        candidate = secrets.randbits(bits) | (0b11 << (bits - 2)) | 1
        if _is_prime(candidate):
            return candidate


def _is_prime(number: int) -> bool:
    if any(number % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(_ROUNDS):
        x = pow(random.randrange(2, number - 1), odd, number)
        if x in (1, number - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % number
            if x == number - 1:
                break
        else:
            return False
    return True

"""A PC's SSH host key, made from a secret: Ed25519 (RFC 8032, section 5.1) in OpenSSH's own form (PROTOCOL.key). PURE.

The same secret and PC always give the same key, so nothing has to be kept for each PC. Only keys are made here, with
Python's own numbers, which do not hide by their timing what they are: nobody outside can have a key made. Nothing is
signed.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from functools import cache, lru_cache

from services.ethernet import MacAddress

KIND = "ssh-ed25519"
_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 4 * pow(5, -1, _PRIME) % _PRIME

# Extended homogeneous coordinates: x = X/Z, y = Y/Z, x*y = T/Z.
_Point = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class HostKey:
    """`public` is kind and base64, as in known_hosts; `private` the text of sshd's file."""

    public: str
    private: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """What ssh shows of a host that it does not know: SHA256:…"""
        digest = hashlib.sha256(base64.b64decode(self.public.split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@lru_cache(10_000)
def host_key(secret: str, mac: MacAddress) -> HostKey:
    """The key of this PC. It takes a millisecond, once."""
    seed = hmac.digest(secret.encode(), b"SSH host key " + mac.bare.encode(), "sha256")
    public = public_key(seed)
    kind = KIND.encode()
    blob = _string(kind) + _string(public)
    # It begins with one number twice: with a password that would show whether it was right.
    inner = bytes(8) + blob + _string(seed + public) + _string(b"")
    inner += bytes(range(1, -len(inner) % 8 + 1))
    none = _string(b"none")
    whole = b"openssh-key-v1\0" + none + none + _string(b"") + (1).to_bytes(4, "big") + _string(blob) + _string(inner)
    text = base64.b64encode(whole).decode()
    lines = "".join(f"{text[at : at + 70]}\n" for at in range(0, len(text), 70))
    private = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}-----END OPENSSH PRIVATE KEY-----\n"
    return HostKey(f"{KIND} {base64.b64encode(blob).decode()}", private)


def public_key(seed: bytes) -> bytes:
    """The 32 bytes of the public key that belongs to the 32 bytes of a private one."""
    number = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    number = (number & ((1 << 254) - 8)) | (1 << 254)
    point: _Point = (0, 1, 1, 0)
    for bit, doubled in enumerate(_doubles()):
        if number >> bit & 1:
            point = _add(point, doubled)
    x, y, z, _ = point
    inverse = pow(z, -1, _PRIME)
    x, y = x * inverse % _PRIME, y * inverse % _PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


@cache
def _doubles() -> tuple[_Point, ...]:
    """The base point, twice the base point, four times …"""
    point: _Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _PRIME)
    found = []
    for _ in range(255):
        found.append(point)
        point = _add(point, point)
    return tuple(found)


def _add(one: _Point, other: _Point) -> _Point:
    """RFC 8032, section 5.1.4."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2) % _PRIME, (y1 + x1) * (y2 + x2) % _PRIME
    c, d = 2 * t1 * t2 * _D % _PRIME, 2 * z1 * z2 % _PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _PRIME, g * h % _PRIME, f * g % _PRIME, e * h % _PRIME


def _string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content

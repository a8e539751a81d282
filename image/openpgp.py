"""Public keys of OpenPGP (RFC 4880, RFC 9580): read as far as to know that a file has them, and nothing else. PURE.

Whether a key has signed an archive is for apt to say.
"""

import base64
import binascii
import re
from collections.abc import Iterator

_ARMOR = re.compile(rb"-----BEGIN PGP ([A-Z ]+)-----[ \t]*\r?\n(.*?)-----END PGP", re.DOTALL)
_PUBLIC = "PUBLIC KEY BLOCK"
_PUBLIC_KEY, _SECRET_KEYS = 6, (5, 7)
# Marker, signature, public subkey, trust, user id, user attribute, padding.
_BESIDE = (10, 2, 14, 12, 13, 17, 21)


class KeyFileError(Exception):
    """A file is no public key; the text says what it is."""


def public_keys(content: bytes) -> bytes:
    """Return the public keys in a file as plain packets, which is what apt takes in a file `.gpg`, whether or not the
    file is armored text. Raises KeyFileError."""
    blocks = [(kind.decode(), body) for kind, body in _ARMOR.findall(content)]
    for kind, _ in blocks:
        if kind != _PUBLIC:
            raise KeyFileError(f"it has a {kind.lower()}, and no public key")
    packets = b"".join(_dearmor(body) for _, body in blocks) if blocks else content
    tags = list(_tags(packets))
    if any(tag in _SECRET_KEYS for tag in tags):
        raise KeyFileError("it has a private key")
    if not tags or tags[0] != _PUBLIC_KEY or not set(tags) <= {_PUBLIC_KEY, *_BESIDE}:
        raise KeyFileError("it is no public key of OpenPGP")
    return packets


def _dearmor(body: bytes) -> bytes:
    lines = body.replace(b"\r", b"").split(b"\n")
    # Headers such as `Version: 1` end with an empty line; a line that begins with = is the checksum.
    start = next((number for number, line in enumerate(lines) if not line.strip()), -1) + 1
    text = b"".join(line.strip() for line in lines[start:] if not line.startswith(b"="))
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise KeyFileError("its text is damaged") from None


def _tags(packets: bytes) -> Iterator[int]:
    """The kinds of all packets, one after the other, up to the end of the file."""
    at = 0
    try:
        while at < len(packets):
            head = packets[at]
            if not head & 0x80:
                raise KeyFileError("it is no public key of OpenPGP")
            if head & 0x40:
                tag, (length, at) = head & 0x3F, _new_length(packets, at + 1)
            else:
                tag, size = head >> 2 & 0x0F, 1 << (head & 3)
                if size == 8:
                    raise KeyFileError("it is no public key of OpenPGP")
                length, at = int.from_bytes(packets[at + 1 : at + 1 + size]), at + 1 + size
            at += length
            yield tag
    except IndexError:
        at = len(packets) + 1
    if at != len(packets):
        raise KeyFileError("it is cut off")


def _new_length(packets: bytes, at: int) -> tuple[int, int]:
    first = packets[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return ((first - 192) << 8) + packets[at + 1] + 192, at + 2
    if first == 255:
        return int.from_bytes(packets[at + 1 : at + 5]), at + 5
    raise KeyFileError("it is no public key of OpenPGP")

"""SSH public keys as people write them: a line of a .pub file, as in sshd(8), AUTHORIZED_KEYS FILE FORMAT. PURE."""

import base64
import binascii
import re
from typing import Self

_KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_WRITE = 'write the line of a .pub file: "ssh-ed25519 AAAA… name"'


class SshPublicKey(str):
    """A public key: its kind, its base64, and a comment. Raises ValueError, also for options before the key: these
    would be ours to understand."""

    __slots__ = ()

    def __new__(cls, line: str) -> Self:
        """Check the line."""
        if "PRIVATE KEY" in line:
            raise ValueError("that is a private key: keep it, and write the public one, from the .pub file")
        words = line.split(None, 2)
        if len(words) < 2 or words[0] not in _KINDS:
            raise ValueError(_WRITE)
        if not line.isascii() or not line.isprintable():
            raise ValueError("an SSH key has plain ASCII characters, and so has its comment")
        try:
            blob = base64.b64decode(words[1], validate=True)
        except (ValueError, binascii.Error):
            raise ValueError(f"the key itself is no base64: {_WRITE}") from None
        kind = words[0].encode()
        if not blob.startswith(len(kind).to_bytes(4, "big") + kind) or not _is_whole(blob):
            raise ValueError(f"the key is cut, or of another kind than it says: {_WRITE}")
        return super().__new__(cls, " ".join(words))

    @property
    def shown(self) -> str:
        """The comment, or else the end of the key: enough to know it by."""
        kind, key, *comment = self.split(" ", 2)
        return comment[0] if comment else f"{kind} …{re.sub('=*$', '', key)[-8:]}"


def _is_whole(blob: bytes) -> bool:
    """Whether it is a sequence of at least two strings, each behind its length (RFC 4251, section 5)."""
    count = 0
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            return False
        blob, count = blob[4 + size :], count + 1
    return count >= 2

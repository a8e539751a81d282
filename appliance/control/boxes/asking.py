"""Ask another box how its PCs are: one request to its API, bounded in bytes and in time.

Whatever answers there is not trusted: its certificate is pinned or verified before it gets the token, numbers are read
strictly, and words are cut and made harmless.
"""

import asyncio
import hashlib
import hmac
import json
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.config.control import BoxEntry
from services.foreign_text import printable

SECONDS = 5.0
"""For the whole answer."""

LARGEST = 256 << 10
"""Bytes of an answer."""

LARGEST_TOKEN = 4096
LONGEST_WORDS = 200
MOST_TROUBLES = 5
_MOST_PCS = 10_000_000
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_REFUSED = {
    401: "it does not know the token",
    403: "it does not let this box connect, or look",
    421: "it has no such name: write it into [control] names there",
}


class AskingError(Exception):
    """Why there is no answer, in words."""


@dataclass(frozen=True, slots=True)
class OtherFleet:
    """What another box says of its PCs, and of itself: whether it serves boots, its image, and its troubles."""

    known: int
    on: int
    computing: int
    stuck: int
    serving: bool
    image: str
    trouble: tuple[str, ...]


async def ask(box: BoxEntry) -> OtherFleet:
    """What this box says; raises AskingError."""
    try:
        token = await asyncio.to_thread(read_token, Path(box.token_file))
        async with asyncio.timeout(SECONDS):
            answer = await _fetch(box, token)
    except TimeoutError:
        raise AskingError(f"it did not answer within {SECONDS:.0f} s") from None
    except ssl.SSLCertVerificationError:
        raise AskingError("its certificate cannot be verified: set its fingerprint") from None
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise AskingError(printable(str(words), LONGEST_WORDS) or "no connection") from None
    return read_answer(answer)


def read_token(path: Path) -> str:
    """The token in a file; raises AskingError."""
    try:
        with path.open("rb") as file:
            token = file.read(LARGEST_TOKEN).decode("ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no token"
        raise AskingError(f"cannot read {path}: {reason}") from None
    if not re.fullmatch(r"[!-~]+", token):
        raise AskingError(f"cannot read {path}: it is no token")
    return token


async def _fetch(box: BoxEntry, token: str) -> bytes:
    tls = ssl.create_default_context()
    if box.fingerprint:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(box.host, box.port, ssl=tls, server_hostname=box.host)
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        found = hashlib.sha256(certificate or b"").hexdigest()
        if box.fingerprint and not hmac.compare_digest(found, box.digest):
            raise AskingError(f"its certificate is another one: {found}")
        # HTTP/1.0: the answer comes in one piece, and ends with the connection.
        head = f"GET /api/v1/fleet HTTP/1.0\r\nHost: {box.host}:{box.port}\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        answer = bytearray()
        while part := await reader.read(1 << 16):
            answer += part
            if len(answer) > LARGEST:
                raise AskingError(f"its answer has more than {LARGEST >> 10} kB")
        return bytes(answer)
    finally:
        # Not `close`: that would wait for the other side to say goodbye.
        writer.transport.abort()


def read_answer(answer: bytes) -> OtherFleet:
    """What an answer says; raises AskingError."""
    status = _STATUS.match(answer)
    if not status:
        raise AskingError("its answer is no HTTP")
    if status[1] != b"200":
        number = int(status[1])
        raise AskingError(_REFUSED.get(number, f"it answers {number}"))
    try:
        said = json.loads(answer.partition(b"\r\n\r\n")[2])
        image = said["image"]
        return OtherFleet(
            known=_number(said["known"]),
            on=_number(said["on"]),
            computing=_number(said["states"]["computing"]),
            stuck=_number(said["stuck"]),
            serving=said["server"]["pid"] is not None,
            image=printable(str(image["id"]), LONGEST_WORDS) if image else "",
            trouble=tuple(printable(str(each), LONGEST_WORDS) for each in list(said["trouble"])[:MOST_TROUBLES]),
        )
    except (ValueError, TypeError, LookupError, RecursionError):
        raise AskingError("its answer is not that of a netboot-appliance") from None


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_PCS:
        raise ValueError("a number is out of range")
    return value

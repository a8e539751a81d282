"""What root's helpers answer the page, as JSON, and how a request of the page is read. PURE codec.

A request comes from a process that root does not trust: it is read as exactly the object that was to be written.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LARGEST = 4096
"""Bytes of a request."""

LARGEST_ANSWER = 1 << 15
"""Bytes of an answer."""

LONGEST_WORDS = 1000
"""Characters of an error or a hint: JSON takes up to twelve bytes for one."""

LONGEST_ONCE = 64
"""Characters of what makes two requests for the same differ."""

_VERSION = 2


@dataclass(frozen=True, slots=True)
class RootAnswer:
    """What became of the request with this digest: `done` in words, or an error with its hint. With neither it is
    accepted, and under way."""

    request: str
    done: str = ""
    error: str = ""
    hint: str = ""

    @property
    def final(self) -> bool:
        """Whether root is done with it."""
        return bool(self.done or self.error)


def digest(content: bytes) -> str:
    """What a request is called in its answer."""
    return hashlib.sha256(content).hexdigest()


def encode_words(words: Mapping[str, str]) -> bytes:
    """An object of texts, with the version of this format."""
    return json.dumps({"version": _VERSION, **words}).encode()


def decode_request(content: bytes, *names: str) -> list[str]:
    """The texts of a request that has exactly these names and `once`, which comes last. Raises ValueError for anything
    that `encode_words` does not write."""
    found = _words(content, LARGEST, *names, "once")
    if len(found[-1]) > LONGEST_ONCE:
        raise ValueError("`once` is too long")
    return found


def encode_answer(answer: RootAnswer) -> bytes:
    """The answer."""
    return encode_words(asdict(answer))


def decode_answer(content: bytes) -> RootAnswer:
    """Read an answer; raises ValueError for anything that `encode_answer` does not write."""
    return RootAnswer(*_words(content, LARGEST_ANSWER, "request", "done", "error", "hint"))


def _words(content: bytes, largest: int, *names: str) -> list[str]:
    """The texts of a JSON object that has exactly these, beside the version."""
    if len(content) > largest:
        raise ValueError(f"it is longer than {largest} bytes")
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(found, dict) or set(found) != {"version", *names} or type(found["version"]) is not int:
        raise ValueError(f"it is not an object of {', '.join(names)}")
    if found["version"] != _VERSION:
        raise ValueError("another version wrote it: restart netboot-appliance-control")
    if any(type(found[name]) is not str for name in names):
        raise ValueError("one of its fields is no text")
    return [found[name] for name in names]

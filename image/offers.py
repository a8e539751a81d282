"""What one box offers to others: releases as plain files below a directory, for any web server or bucket. PURE codec.

    index.json                 {"version": 1, "releases": [{"id": …, "size": BYTES}, …]}, newest first
    releases/ID/manifest.json  the files of the release ID as it lies in its box, with the signature beside the manifest

The index is not signed, and need not be: it says only which releases to ask for. A manifest is believed for its
signature (pull.py), and the files for the manifest.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from image import release

INDEX, RELEASES = "index.json", "releases"
LARGEST_INDEX = 1 << 20
"""Bytes."""

_VERSION = 1
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Offer:
    """A release that can be pulled, and the bytes of all its files."""

    id: str
    size: int


def path(ident: str, name: str) -> str:
    """Where a file of a release is, from the index."""
    return f"{RELEASES}/{ident}/{name}"


def encode(offers: Iterable[Offer]) -> bytes:
    """The index."""
    newest_first = sorted(offers, key=lambda offer: offer.id, reverse=True)[:_MOST]
    return json.dumps({"version": _VERSION, "releases": list(map(asdict, newest_first))}, indent=2).encode() + b"\n"


def decode(content: bytes) -> tuple[Offer, ...]:
    """Read an index, from anywhere; newest first. Raises ValueError for what is none."""
    try:
        index = json.loads(content)
        if index["version"] != _VERSION:
            raise ValueError(f"it is of version {index['version']!r:.20}, and this one reads {_VERSION}")
        found = [Offer(str(each["id"]), int(each["size"])) for each in index["releases"][:_MOST]]
    except (TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("it is no list of releases") from error
    if wrong := [offer.id for offer in found if not release.is_id(offer.id)]:
        raise ValueError(f"{wrong[0][:80]!r} is not the name of a release")
    return tuple(sorted(found, key=lambda offer: offer.id, reverse=True))

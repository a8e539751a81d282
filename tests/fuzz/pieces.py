"""Several datagrams or connections in one input: for each an octet that says whose it is, its length, its content."""

from collections.abc import Iterable, Iterator

Piece = tuple[int, bytes]


def join(pieces: Iterable[Piece]) -> bytes:
    """The input that holds these pieces."""
    return b"".join(bytes([whose]) + len(content).to_bytes(2, "big") + content for whose, content in pieces)


def split(octets: bytes, most: int) -> Iterator[Piece]:
    """At most so many pieces of an input; whatever stands in it, there is a way to read it."""
    for _ in range(most):
        if len(octets) < 3:
            return
        end = 3 + int.from_bytes(octets[1:3], "big")
        yield octets[0], octets[3:end]
        octets = octets[end:]

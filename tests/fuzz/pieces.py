"""Several datagrams or connections in one input: each is a byte that says whose it is, its length, its content."""

from collections.abc import Iterable, Iterator

Piece = tuple[int, bytes]


def join(pieces: Iterable[Piece]) -> bytes:
    """The input that holds these pieces."""
    return b"".join(bytes([whose]) + len(content).to_bytes(2, "big") + content for whose, content in pieces)


def split(data: bytes, most: int) -> Iterator[Piece]:
    """At most `most` pieces of an input; any bytes can be read in some way."""
    for _ in range(most):
        if len(data) < 3:
            return
        end = 3 + int.from_bytes(data[1:3], "big")
        yield data[0], data[3:end]
        data = data[end:]

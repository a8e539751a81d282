"""A file by TFTP, fetched by tftpy's client, which is used nowhere else. It negotiates no window."""

import logging
from collections.abc import Callable
from ipaddress import IPv4Address

from tftpy import TftpClient

LARGEST = 64 << 20  # bytes; a loader has less than 2 MiB
_SECONDS, _TRIES = 3, 3

logging.getLogger("tftpy").setLevel(logging.CRITICAL)


class LoadError(Exception):
    """The file did not come; the message says why."""


class _Sink:
    """The file object that tftpy writes to."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > LARGEST:
            raise LoadError(f"it has more than {LARGEST:,} bytes")
        self._take(data)
        return len(data)


def download(server: IPv4Address, source: IPv4Address, name: str, block: int, take: Callable[[bytes], object]) -> int:
    """Fetch a file from the address `source`, hand its bytes to `take`, and return its size; raises LoadError."""
    sink = _Sink(take)
    client = TftpClient(str(server), 69, {"blksize": block}, localip=str(source), flock=False)
    try:
        client.download(name, sink, timeout=_SECONDS, retries=_TRIES)
    except LoadError:
        raise
    except Exception as error:  # tftpy raises its own exceptions, OSError, and whatever its decoder does
        raise LoadError(str(error) or type(error).__name__) from error
    return sink.size

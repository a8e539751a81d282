"""Decompresses zstd by libzstd, which each Debian has (dpkg needs it): Python has no zstd before 3.14."""

import ctypes
from functools import cache


class ZstdError(Exception):
    """The bytes are no zstd frame, or hold more than was asked for; or libzstd is missing."""


def decompress(data: bytes, most: int) -> bytes:
    """Return what one frame holds, `most` bytes at most; raises ZstdError."""
    library = _library()
    room = ctypes.create_string_buffer(most)
    length = library.ZSTD_decompress(room, most, data, len(data))
    if library.ZSTD_isError(length):
        raise ZstdError(library.ZSTD_getErrorName(length).decode(errors="replace"))
    return ctypes.string_at(room, length)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError as error:
        raise ZstdError("libzstd is not installed: apt-get install libzstd1") from error
    size = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = (ctypes.c_void_p, size, ctypes.c_char_p, size)
    library.ZSTD_decompress.restype = size
    library.ZSTD_isError.argtypes = (size,)
    library.ZSTD_getErrorName.argtypes = (size,)
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    return library

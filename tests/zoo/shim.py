"""The files that shim reads by TFTP after it was started, in order. From rhboot/shim, netboot.c and shim.c.

It looks beside itself: it takes the path of its own boot file up to the last slash or backslash, and appends its names.
With firmware that does not say where shim came from, it looks in the root (ipxe/ipxe#1684). Some names are garbled
(shim#696). Blocks have 512 bytes, and there are no windows (shim#618). Only the last of the files has to exist.
"""

from collections.abc import Iterator

FIRST = ("revocations.efi", "revocations_sbat.efi", "revocations_sku.efi", "shim_certificate_0.efi")
GARBLED = b"\xff\xfe\x01onie\x80.efi"
SECOND_STAGE = "grubx64.efi"
OPTIONS = {"tsize": 0, "blksize": 512}


def reads(loaded: str, *, lost: bool = False) -> Iterator[str | bytes]:
    """The names that it asks for, after it was loaded from the path `loaded`. `lost`: it does not know that path."""
    at = max(loaded.rfind("/"), loaded.rfind("\\"))
    folder = "" if lost else loaded[: at + 1]
    for name in FIRST:
        yield folder + name
    yield GARBLED
    yield folder + SECOND_STAGE

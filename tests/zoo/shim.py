"""What shim reads by TFTP after it was started from `loaded`, in its order. From rhboot/shim, netboot.c and shim.c.

It looks beside itself: at the path of its own boot file up to the last slash, or backslash, which it then goes on with.
Firmware that does not say where shim came from makes it look in the root (ipxe/ipxe#1684); some names come out garbled
(shim#696). Blocks have 512 bytes and there are no windows (shim#618). Only the last of the files has to be there.
"""

from collections.abc import Iterator

FIRST = ("revocations.efi", "revocations_sbat.efi", "revocations_sku.efi", "shim_certificate_0.efi")
GARBLED = b"\xff\xfe\x01onie\x80.efi"
SECOND_STAGE = "grubx64.efi"
OPTIONS = {"tsize": 0, "blksize": 512}


def reads(loaded: str, *, lost: bool = False) -> Iterator[str | bytes]:
    """The names that it asks for; `lost`: its firmware does not tell where it came from."""
    at = max(loaded.rfind("/"), loaded.rfind("\\"))
    folder = "" if lost else loaded[: at + 1]
    for name in FIRST:
        yield folder + name
    yield GARBLED
    yield folder + SECOND_STAGE

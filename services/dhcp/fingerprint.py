"""The fingerprint of firmware, from its DHCPDISCOVER: a short text that stays the same from boot to boot. PURE.

The vendor class alone is not enough: half the world sends `PXEClient:Arch:00007:UNDI:003016`. The first three bytes of
the MAC address, which are the maker's, tell the PCs of one purchase from those of the next.
"""

from functools import lru_cache

from services.dhcp.message import Message

_LONGEST = 64


def fingerprint(message: Message) -> str:
    """`52:54:00 PXEClient:Arch:00007:UNDI:003010 7`: the maker, option 60, the numbers of option 93, and option 77."""
    return _written(message.mac.value >> 24, message.vendor_class, message.architectures[:8], message.user_classes[:2])


@lru_cache(maxsize=256)
def _written(maker: int, vendor_class: str, architectures: tuple[int, ...], user_classes: tuple[str, ...]) -> str:
    numbers = ",".join(str(number) for number in architectures)
    words = (maker.to_bytes(3, "big").hex(":"), vendor_class, numbers, *user_classes)
    return " ".join(_printable(word) for word in words)


def _printable(text: str) -> str:
    """`text`, safe to show on a terminal, and not too long: anybody can send it."""
    return "".join(c if c.isascii() and c.isprintable() and c != " " else "?" for c in text[:_LONGEST])

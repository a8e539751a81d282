"""MAC addresses and ranges of them, as values.

Reads every common notation (colons, hyphens, Cisco dots, bare digits). Knows nothing of who is allowed.
"""

import re
from dataclasses import dataclass
from typing import Self

BITS = 48
HIGHEST = (1 << BITS) - 1

_SINGLE = re.compile(
    r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}|[0-9a-f]{12}",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"((?:[0-9a-f]{2}[:-]){1,5})\*", re.IGNORECASE)
_SEPARATORS = str.maketrans("", "", ":.-")
_NOTATIONS = "write it as 52:54:00:aa:bb:cc, 52-54-00-aa-bb-cc, 5254.00aa.bbcc or 525400aabbcc"


@dataclass(frozen=True, order=True, slots=True)
class MacAddress:
    """A 48-bit Ethernet address. `value` is its big-endian integer, so that addresses sort as they are written."""

    value: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one address in any common notation; raises ValueError with a message for people."""
        text = text.strip()
        if not _SINGLE.fullmatch(text):
            raise ValueError(f"{text!r} is not a MAC address: {_NOTATIONS}")
        return cls(int(text.translate(_SEPARATORS), 16))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the six bytes of a frame or of BOOTP's chaddr; raises ValueError on any other length."""
        if len(data) != 6:
            raise ValueError(f"a MAC address has 6 bytes, not {len(data)}")
        return cls(int.from_bytes(data, "big"))

    # A new client's address is looked up twenty times: a dataclass compares and hashes a tuple, which takes longer.
    def __eq__(self, other: object) -> bool:
        return other.value == self.value if isinstance(other, MacAddress) else NotImplemented

    def __hash__(self) -> int:
        return self.value

    def __bytes__(self) -> bytes:
        return self.value.to_bytes(6, "big")

    def __str__(self) -> str:
        return bytes(self).hex(":")

    @property
    def bare(self) -> str:
        """Twelve lower-case digits: the form of the address in paths, URLs and host names."""
        return f"{self.value:012x}"

    @property
    def is_group(self) -> bool:
        """Whether it names a group of machines, or all of them, and so is no machine's own."""
        return bool(self.value >> 40 & 1)


@dataclass(frozen=True, order=True, slots=True)
class MacRange:
    """All addresses from `first` to `last`, both included."""

    first: MacAddress
    last: MacAddress

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"the range {self.first}-{self.last} runs backwards: write the lower address first")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one address, `A-B`, a prefix `52:54:00:*` or `52:54:00:00:00:00/24`; raises ValueError."""
        text = text.strip()
        if _SINGLE.fullmatch(text):
            address = MacAddress.parse(text)
            return cls(address, address)
        if prefix := _PREFIX.fullmatch(text):
            digits = re.sub(r"[:-]", "", prefix[1])
            return cls(MacAddress(int(digits.ljust(12, "0"), 16)), MacAddress(int(digits.ljust(12, "f"), 16)))
        if "/" in text:
            return cls._parse_masked(text)
        for cut in (match.start() for match in re.finditer("-", text)):
            left, right = text[:cut].strip(), text[cut + 1 :].strip()
            if _SINGLE.fullmatch(left) and _SINGLE.fullmatch(right):
                return cls(MacAddress.parse(left), MacAddress.parse(right))
        raise ValueError(
            f"{text!r} is not a MAC address or range: {_NOTATIONS}; "
            "a range as FIRST-LAST, 52:54:00:* or 52:54:00:00:00:00/24"
        )

    @classmethod
    def _parse_masked(cls, text: str) -> Self:
        address, _, length = text.partition("/")
        first = MacAddress.parse(address)
        if not length.isascii() or not length.isdigit() or int(length) > BITS:
            raise ValueError(f"{text!r}: the prefix length is a number of bits from 0 to {BITS}")
        rest = HIGHEST >> int(length)
        if first.value & rest:
            raise ValueError(
                f"{text!r} has bits set after its first {length}: write {MacAddress(first.value & ~rest)}/{length}"
            )
        return cls(first, MacAddress(first.value | rest))

    def __contains__(self, address: MacAddress) -> bool:
        return self.first <= address <= self.last

    @property
    def size(self) -> int:
        """The number of addresses in the range."""
        return self.last.value - self.first.value + 1

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        rest = self.first.value ^ self.last.value
        if rest & (rest + 1) == 0 and self.first.value & rest == 0:
            return f"{self.first}/{BITS - rest.bit_length()}"
        return f"{self.first}-{self.last}"

"""How far a program of a build is with what it fetches, in bytes, by what it prints. PURE.

apt says how much it will fetch, and the size of each file when it begins; wget the size of each that it has. What
mksquashfs says is not used: it counts a file of one byte as a block.
"""

import re
from dataclasses import dataclass

_UNITS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_NEEDED = re.compile(r"Need to get ([\d.,]+) ([kMG]?B)[ /]")
_BEGUN = re.compile(r"Get:\d+ .*\[([\d.,]+) ([kMG]?B)\]$")
_FETCHED = re.compile(r"Fetched [\d.,]+ [kMG]?B in ")
_SAVED = re.compile(r".* saved \[(\d+)")


@dataclass(frozen=True, slots=True)
class Amount:
    """So many bytes of so many; `total` is None where nobody knows."""

    done: int
    total: int | None


class Transfers:
    """Is told each line of one program's output. `amount` is what it fetches at the moment, if anything."""

    def __init__(self) -> None:
        self.amount: Amount | None = None
        self._begun = 0

    def hear(self, line: str) -> bool:
        """Whether the line has changed the amount."""
        before = self.amount
        if match := _NEEDED.match(line):
            self.amount, self._begun = Amount(0, _bytes(match[1], match[2])), 0
        elif self.amount and self.amount.total and (match := _BEGUN.match(line)):
            # The ones before it are there.
            self.amount = Amount(min(self._begun, self.amount.total), self.amount.total)
            self._begun += _bytes(match[1], match[2])
        elif match := _SAVED.match(line):
            self.amount = Amount((self.amount.done if self.amount else 0) + int(match[1]), None)
        elif _FETCHED.match(line):
            self.amount = None
        return self.amount != before


def _bytes(number: str, unit: str) -> int:
    try:
        return int(float(number.replace(",", "")) * _UNITS[unit])
    except ValueError:
        return 0

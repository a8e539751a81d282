"""Values of the registry's rows, read strictly: SQLite stores anything in any column, and files get damaged.

Each function raises ValueError for a value that the program does not write. None of them quotes the value: it may be a
password.
"""

import math

from services.ethernet import HIGHEST, MacAddress

_LATEST = 253_402_300_799.0
"""The end of the year 9999, in seconds since the epoch: the last moment that can be written as a date."""


def mac(value: object) -> MacAddress:
    """A MAC address from its number."""
    if type(value) is not int or not 0 <= value <= HIGHEST:
        raise ValueError("a MAC address is out of range")
    return MacAddress(value)


def text(value: object) -> str:
    """Text."""
    if type(value) is not str:
        raise ValueError("text is missing")
    return value


def moment(value: object) -> float:
    """A time, in seconds since the epoch."""
    if type(value) is not float or not 0 <= value <= _LATEST:
        raise ValueError("a time is out of range")
    return value


def amount(value: object) -> float:
    """A number with a fraction that is not negative."""
    if type(value) is not float or not 0 <= value < math.inf:
        raise ValueError("a number is out of range")
    return value


def whole(value: object) -> int:
    """A number that is not negative."""
    if type(value) is not int or value < 0:
        raise ValueError("a number is out of range")
    return value

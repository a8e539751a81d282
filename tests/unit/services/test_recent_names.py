"""When a name was first heard."""

import random

from services.recent_names import RecentNames

WITHIN = 120.0


def heard() -> RecentNames[bytes]:
    return RecentNames(WITHIN, b"secret")


def test_the_first_time_is_kept() -> None:
    names = heard()
    assert names.first(b"pc", 1000.0) == 1000.0
    assert names.first(b"pc", 1000.5) == 1000.0
    assert names.first(b"pc", 1000.0 + WITHIN) == 1000.0
    assert names.first(b"another", 1001.0) == 1001.0


def test_after_a_while_a_name_is_new_again() -> None:
    names = heard()
    names.first(b"pc", 1000.0)
    assert names.first(b"pc", 1001.0 + WITHIN) == 1001.0 + WITHIN
    assert names.first(b"pc", 1002.0 + WITHIN) == 1001.0 + WITHIN


def test_in_a_flood_of_others_nearly_all_are_remembered_until_they_come_back() -> None:
    """3,000 a second, and PXE ROMs ask again after four seconds."""
    names, chance, flood = heard(), random.Random(3), 3000
    honest = [chance.randbytes(6) for _ in range(1000)]
    for name in honest:
        names.first(name, 1000.0)
    for number in range(4 * flood):
        names.first(chance.randbytes(6), 1000.0 + number / flood)
    assert sum(names.first(name, 1004.0) == 1000.0 for name in honest) > 970

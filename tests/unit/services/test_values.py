"""Values that are made with each packet: like frozen dataclasses, and cheaper."""

import dataclasses

import pytest

from services.values import replace, value


@value
class Point:
    """Two numbers."""

    x: int
    y: int = 2


def test_a_value_compares_and_hashes_by_its_fields() -> None:
    assert Point(1) == Point(1, 2) != Point(2)
    assert len({Point(1), Point(1, 2), Point(2)}) == 2
    assert not hasattr(Point(1), "__dict__")


def test_replace_does_what_dataclasses_replace_does() -> None:
    before = Point(1, 5)
    assert replace(before, y=7) == dataclasses.replace(before, y=7) == Point(1, 7)
    assert before == Point(1, 5)
    with pytest.raises(KeyError):
        replace(before, z=1)

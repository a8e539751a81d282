"""Which PCs a part of the configuration is for."""

import pytest

from appliance.config import selection
from services.ethernet import MacAddress, MacRange

PC = MacAddress.parse("52:54:00:aa:bb:cc")
ROOM = MacRange.parse("52:54:00:aa:*")


@pytest.mark.parametrize(
    ("texts", "size"),
    [
        ((), None),
        (("52:54:00:*",), 1 << 24),
        (("52:54:00:*", "52:54:00:aa:bb:cc"), 1),
        (("52:54:01:*",), None),
        (("room 12",), 1 << 16),
        ((" room 12 ", "52:54:00:*"), 1 << 16),
        (("Room 12",), 1 << 16),
        (("room 13",), None),
        (("",), None),
    ],
)
def test_the_narrowest_range_that_a_pc_is_in(texts: tuple[str, ...], size: int | None) -> None:
    assert selection.narrowest(texts, PC, ROOM, "room 12") == size


def test_a_pc_without_a_label_is_in_no_label() -> None:
    assert selection.narrowest(("room 12",), PC, ROOM, "") is None


@pytest.mark.parametrize("texts", [("",), ("  ",), ("a",) * 65])
def test_lists_that_cannot_be_meant(texts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="for: "):
        selection.check(texts)

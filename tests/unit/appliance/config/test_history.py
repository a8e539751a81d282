"""[history]: how much of the PCs' past is kept."""

from pathlib import Path

import pytest

from appliance.config.file import parse
from appliance.config.history import HistorySettings
from appliance.errors import UserError


def test_the_settings() -> None:
    assert parse("", Path("c")).history == HistorySettings(400, 20, 400)
    assert parse("[history]\nboots = 30\nevents = 30\ndays = 7", Path("c")).history == HistorySettings(30, 30, 7)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("boots = 0", "boots: must be from 1 to 10000"),
        ("boots = 10", "events: must be from 1 to 10, the number of boots that are kept"),
        ("events = 0", "events: must be from 1 to 400"),
        ("days = 0", "days: must be from 1 to 4000"),
    ],
)
def test_settings_that_make_no_sense(line: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        parse(f"[history]\n{line}", Path("c"))
    assert words in str(error.value.message)

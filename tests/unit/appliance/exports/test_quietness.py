"""What root lets the page set aside, and what not."""

from dataclasses import replace

import pytest

from appliance.exports.quietness import MOST_KEPT, WorkUse, objection
from services.ethernet import MacAddress

PC = MacAddress.parse("52:54:00:aa:bb:cc")
OFF = WorkUse(exported=True, looked=20.0, packet=None, written=3600.0)


def why(use: WorkUse, kept: int = 0) -> str:
    found = objection(PC, use, kept)
    assert found is None or found.hint
    return found.message if found else ""


def test_the_work_of_a_pc_that_is_off_may_be_moved() -> None:
    assert why(OFF) == ""
    assert why(replace(OFF, written=None)) == ""
    assert why(replace(OFF, packet=301.0)) == ""
    # Forgotten long ago: nobody looks for its packets any more.
    assert why(WorkUse(exported=False, looked=None, packet=None, written=301.0)) == ""


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (replace(OFF, packet=59.0), "was used 59 s ago"),
        (replace(OFF, written=120.0), "was used 2 min ago"),
        (replace(OFF, looked=None), "nobody knows whether"),
        (replace(OFF, looked=600.0), "nobody knows whether"),
        # Its export ended a moment ago, be it because somebody made the server forget the PC.
        (WorkUse(exported=False, looked=5.0, packet=None, written=4.0), "was used 4 s ago"),
        # A PC sets the times of its files itself.
        (replace(OFF, written=-1e9), "was used 0 s ago"),
    ],
)
def test_the_work_of_a_pc_that_may_be_on_stays(use: WorkUse, words: str) -> None:
    assert words in why(use)


def test_so_much_is_moved_and_no_more() -> None:
    assert why(OFF, MOST_KEPT - 1) == ""
    assert f"work of {MOST_KEPT} PCs is set aside already" in why(OFF, MOST_KEPT)

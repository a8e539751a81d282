"""What an open page is told of a change, by what it shows."""

from appliance.control.fleet.pcs import EVERYBODY, Wanted
from appliance.control.fleet.rooms import Change
from appliance.heartbeats.states import Kind
from tests.unit.appliance.control.fleet.pcs import facts, kept

BEFORE = kept(facts(1))
AFTER = kept(facts(1, kind=Kind.SILENT, words="silent for 3 min"), 2)
HEARD = kept(facts(1, heard=1060.0), 2)
ROW = '<li hx-swap-oob="true" id="p52:54:00:00:00:01">'


def change(*pcs: tuple[object, object], anew: bool = False) -> Change:
    return Change(2, tuple(pcs), '<div id="top">1 silent</div>', '<h2 hx-swap-oob="true" id="g">', anew)  # type: ignore[arg-type]


def test_the_whole_room_gets_rows_headings_and_what_is_above_them() -> None:
    told = change((BEFORE, AFTER)).rows(EVERYBODY)
    assert (
        told
        == f'{ROW}silent for 3 min</li><h2 hx-swap-oob="true" id="g"><div hx-swap-oob="true" id="top">1 silent</div>'
    )


def test_a_page_with_some_pcs_gets_their_rows_only() -> None:
    told = change((BEFORE, HEARD)).rows(Wanted.of("computing", ""))
    assert told == f'{ROW}computing 4 tasks</li><div hx-swap-oob="true" id="top">1 silent</div>'
    assert change((BEFORE, HEARD)).rows(Wanted.of("off", "")) == '<div hx-swap-oob="true" id="top">1 silent</div>'


def test_a_page_whose_pcs_are_others_now_loads_anew() -> None:
    moved = change((BEFORE, AFTER))
    assert moved.rows(Wanted.of("silent", "")) is None
    assert moved.rows(Wanted.of("computing", "")) is None
    assert change(anew=True).rows(EVERYBODY) is None


def test_a_pc_is_found_by_its_words_in_any_case_and_order() -> None:
    assert BEFORE in Wanted.of("", "TASKS Room")
    assert BEFORE in Wanted.of("", "525400000001")
    assert BEFORE in Wanted.of("computing", "10.77.0.1")
    assert BEFORE not in Wanted.of("idle", "room")
    assert BEFORE not in Wanted.of("", "room 13")
    assert not Wanted.of("no such state", "  ")


def test_a_pc_is_named_by_its_address() -> None:
    assert change((None, BEFORE)).names("52:54:00:00:00:01")
    assert not change((None, BEFORE)).names("52:54:00:00:00:02")

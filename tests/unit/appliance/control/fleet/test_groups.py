"""PCs under the headings that people gave them."""

from appliance.control.fleet import groups
from appliance.control.fleet.pcs import PcFacts
from appliance.heartbeats.states import Kind
from tests.unit.appliance.control.fleet.pcs import facts, kept


def arranged(*pcs: PcFacts) -> dict[str, list[int]]:
    """The numbers of the PCs under each heading, in order."""
    return {title: [int(mac[-2:], 16) for mac in macs] for title, macs in groups.arrange(pcs).items()}


def test_a_label_is_a_heading_in_the_order_that_people_expect() -> None:
    found = arranged(facts(3, label="room 12"), facts(1, label="Room 2"), facts(2, label="room 12"))
    assert list(found.items()) == [("Room 2", [1]), ("room 12", [2, 3])]


def test_several_single_pcs_with_one_label_are_a_room_too() -> None:
    found = arranged(facts(1, label="lab", alone=True), facts(2, label="lab", alone=True))
    assert found == {"lab": [1, 2]}


def test_a_range_without_a_label_is_its_own_heading() -> None:
    assert arranged(facts(1, label=""), facts(2, label="")) == {"52:54:00:*": [1, 2]}


def test_pcs_with_names_of_their_own_stand_together_last() -> None:
    found = arranged(
        facts(1, label="Ann's", alone=True),
        facts(2, label="", alone=True),
        facts(3, label="zoo"),
        facts(4, label="zoo"),
    )
    assert list(found.items()) == [("zoo", [3, 4]), ("Single PCs", [1, 2])]


def test_first_those_that_ask_for_the_first_time_and_last_those_that_are_no_longer_allowed() -> None:
    found = arranged(facts(1, allowed=False, label=""), facts(2), facts(3, loaded=False), facts(4, loaded=False))
    assert list(found.items()) == [
        ("Asking for the first time", [3, 4]),
        ("room 12", [2]),
        ("No longer allowed", [1]),
    ]


def test_counts_leave_out_pcs_that_have_loaded_nothing() -> None:
    found = groups.counts([facts(1), facts(2, kind=Kind.OFF), facts(3, loaded=False, kind=Kind.BOOTING)])
    assert found.words == "1 of 2 on, 1 computes; 1 off"
    assert groups.on_of(found) == "1 of 2 on"


def test_a_group_has_a_name_that_is_safe_in_html() -> None:
    pc = kept(facts(1, label='"><script>'))
    (group,) = groups.groups({'"><script>': [pc.facts.mac]}, {pc.facts.mac: pc})
    assert group.name.isalnum()
    assert group.macs == (pc.facts.mac,)


def test_any_letters_can_be_sorted() -> None:
    assert list(arranged(facts(1, label="٣ x"), facts(2, label="²"), facts(3, label="0010"), facts(4, label=""))) != []

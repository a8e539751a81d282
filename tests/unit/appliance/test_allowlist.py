"""Which entry decides for an address, and the text form of the list."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.allowlist import Allowlist, BootSettings, Entry, parse, render
from appliance.errors import UserError
from services.ethernet import HIGHEST, MacAddress, MacRange


def entry(text: str, label: str = "") -> Entry:
    return Entry(MacRange.parse(text), label)


def test_an_empty_list_allows_nobody() -> None:
    assert MacAddress(0) not in Allowlist.of([])
    assert MacAddress.parse("52:54:00:aa:bb:cc") not in Allowlist()


def test_the_narrowest_entry_decides() -> None:
    allowed = Allowlist.of([entry("52:*", "all"), entry("52:54:00:*", "QEMU"), entry("52:54:00:aa:bb:cc", "mine")])
    labels = {
        mac: found.label if (found := allowed.decide(MacAddress.parse(mac))) else None
        for mac in (
            "52:54:00:aa:bb:cc",
            "52:54:00:aa:bb:cd",
            "52:55:00:00:00:00",
            "51:ff:ff:ff:ff:ff",
            "53:00:00:00:00:00",
        )
    }
    assert list(labels.values()) == ["mine", "QEMU", "all", None, None]


SMALL = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(
    lambda pair: MacRange(MacAddress(min(pair)), MacAddress(max(pair)))
)


@given(st.lists(SMALL, max_size=12, unique=True), st.integers(0, 70))
def test_bisection_agrees_with_looking_at_every_entry(ranges: list[MacRange], value: int) -> None:
    mac = MacAddress(value)
    holding = [span.size for span in ranges if mac in span]
    allowed = Allowlist.of(Entry(span) for span in ranges)
    found = allowed.decide(mac)
    assert (found.range.size if found else None) == (min(holding) if holding else None)
    assert found is None or mac in found.range
    assert (mac in allowed) is bool(holding)


def test_the_list_is_sorted_and_counts_its_addresses() -> None:
    entries = [entry("52:54:00:*", "QEMU"), entry("00:11:22:33:44:55"), entry("52:54:00:aa:bb:cc")]
    allowed = Allowlist.of(entries)
    assert allowed.entries == tuple(sorted(entries))
    assert (len(allowed), allowed.addresses) == (3, (1 << 24) + 2)
    assert allowed == Allowlist.of(reversed(entries))
    assert allowed != Allowlist.of(entries[:2])


def test_an_entry_is_found_by_its_range() -> None:
    entries = [entry("52:54:00:*", "QEMU"), entry("52:54:00:00:00:00", "first"), entry("52:54:00:00:00:00/30")]
    allowed = Allowlist.of(entries)
    assert [allowed.find(each.range) for each in entries] == entries
    assert allowed.find(MacRange.parse("52:54:00:00:00:00/31")) is None
    assert allowed.find(MacRange.parse("ff:ff:ff:ff:ff:ff")) is None


def test_the_first_and_the_last_of_all_addresses_can_be_allowed() -> None:
    allowed = Allowlist.of([entry("00:00:00:00:00:00"), entry("ff:ff:ff:ff:ff:ff")])
    assert [MacAddress(value) in allowed for value in (0, 1, HIGHEST - 1, HIGHEST)] == [True, False, False, True]


def test_the_text_form_reads_back() -> None:
    entries = [entry("52:54:00:*", "room 12"), entry("00:11:22:33:44:55")]
    assert sorted(parse(render(entries), "f")) == sorted(entries)


def test_settings_stand_between_the_range_and_its_label() -> None:
    texts = {
        "52:54:00:*": BootSettings(),
        "52:54:01:* default=local room 12": BootSettings(entry="local"),
        "52:54:02:* timeout=0 root=http": BootSettings("http", timeout=0),
        "52:54:03:* root=nfs timeout=5 default=image:20260301-120000-0123abcd r=1": BootSettings(
            "nfs", "image:20260301-120000-0123abcd", 5
        ),
        "52:54:04:00:00:01 - 52:54:04:00:00:09 timeout=30 x": BootSettings(timeout=30),
        "52:54:05:* schedule=night-1 root=http": BootSettings("http", schedule="night-1"),
    }
    entries = parse("\n".join(texts), "f")
    assert [entry.settings for entry in entries] == list(texts.values())
    assert [entry.label for entry in entries] == ["", "room 12", "", "r=1", "x", ""]
    assert parse(render(entries), "f") == entries


@given(
    st.sampled_from(["", "nfs", "http"]),
    st.sampled_from(["", "local", "boinc"]),
    st.none() | st.integers(0, 3600),
    st.sampled_from(["", "night"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=20),
)
def test_any_settings_read_back(root: str, default: str, timeout: int | None, schedule: str, label: str) -> None:
    assume(not label.startswith(("default=", "timeout=", "root=", "schedule=")))
    known = Entry(MacRange.parse("52:54:00:*"), label, BootSettings(root, default, timeout, schedule))
    assume(label != "-")
    assert parse(render([known]), "f") == [known]


def test_spaces_around_the_hyphen_and_comments() -> None:
    text = "# room\n\n52:54:00:00:00:01 - 52:54:00:00:00:09  the row by the window # nine\n"
    assert parse(text, "f") == [entry("52:54:00:00:00:01-52:54:00:00:00:09", "the row by the window")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("52:54:00:*\nbanana\n", "f:2: 'banana' is not a MAC address or range"),
        ("52:54:00:* timeout=5 timeout=6\n", "f:1: timeout= appears twice"),
        ("52:54:00:* timeout=-5\n", "f:1: timeout=-5: must be whole seconds"),
        ("52:54:00:* timeout=3601\n", "f:1: timeout: must be from 0 (no menu) to 3600 seconds"),
        ("52:54:00:* root=tftp\n", "f:1: root=tftp: must be one of nfs, http"),
        ("52:54:00:* root=\n", "f:1: root=: must be one of nfs, http"),
        ("52:54:00:* default=disk room\n", "f:1: 'disk' is not an entry of the menu: boinc, local"),
        ("52:54:00:*\n\n52:54:00:00:00:00/24 again\n", "f:3: 52:54:00:00:00:00/24 is already on line 1"),
    ],
)
def test_a_wrong_line_is_named(text: str, place: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, "f")
    assert caught.value.message.startswith(place)

"""Lists of PCs as people bring them: what spreadsheets save, and the text form of the allowlist."""

import codecs
import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admission import listing, spreadsheet
from appliance.admission.listing import MOST_SHOWN, BroughtList
from appliance.allowlist import Allowlist, BootSettings, Entry
from appliance.errors import UserError
from services.ethernet import MacRange

A, B = "52:54:00:00:00:01", "52:54:00:00:00:02"


def read(content: bytes | str) -> BroughtList:
    data = content.encode() if isinstance(content, str) else content
    return listing.read(data, "list.csv", {"night"}, {"rescue"}, ("boinc", "lab"))


def entry(span: str, label: str = "", settings: BootSettings | None = None) -> Entry:
    return Entry(MacRange.parse(span), label, settings or BootSettings())


TWO = (entry(A, "Büro 1, Fenster"), entry(B, "desk 2"))


@pytest.mark.parametrize(
    "content",
    [
        f'MAC,Label\n{A},"Büro 1, Fenster"\n{B},desk 2\n',
        f'"MAC address";"Name"\r\n"{A}";"Büro 1, Fenster"\r\n{B};desk 2\r\n',
        f"name\tmac\nBüro 1, Fenster\t{A}\ndesk 2\t{B}\n",
        f"sep=;\nLabel;Serial no;MAC-Adresse\nBüro 1, Fenster;77;{A}\ndesk 2;;{B}\n",
        f"{A};Büro 1, Fenster\n{B};desk 2\n",
        f"{A};Büro 1, Fenster;\n\n;;\n{B};desk 2;\n",
        f"{A} Büro 1, Fenster\n{B}\tdesk 2\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_spreadsheets_save(content: str, encoding: str) -> None:
    assert read(content.encode(encoding)).entries == TWO


def test_settings_and_headings_that_say_nothing() -> None:
    found = read(f"Price;Schedule;Timeout;Root;Default entry;MAC\n7;night;0;http;local;{A}\n;;;;;{B}\n")
    assert found.entries == (entry(A, "", BootSettings("http", "local", 0, "night")), entry(B))
    assert found.unread == ("Price",)


def test_a_range_and_other_notations() -> None:
    found = read(f"range;label\n52:54:00:00:00:00/40;row\n52-54-00-00-01-01;a\n{A} - {B};b\n")
    assert [str(each.range) for each in found.entries] == ["52:54:00:00:00:00/40", "52:54:00:00:01:01", f"{A}-{B}"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"mac;label\n{A};x\nbanana;y\n", ["list.csv:3: 'banana' is not a MAC address or range"]),
        (f"mac;label\n;x\n{A};ok\n", ["list.csv:2: there is no MAC address"]),
        ("mac;label\n5,254E+11;x\n", ["list.csv:2: '5,254E+11': the spreadsheet made a number of it"]),
        (f"mac;label\n{A};x\n\n{A};y\n", [f"list.csv:4: {A} is already on line 2"]),
        (f"mac,label\n{A},room 12, window\n", ["list.csv:2: 'window' stands under no heading"]),
        (f'mac,label\n{A},"two\nlines"\n{B},x#y\n', ["list.csv:2: a label is one line", "list.csv:4: a label is one"]),
        (f'mac,label\n{A},"open\n', ["cannot read list.csv: line 2: a quoted cell does not end"]),
        ("mac;name;label\n", ["cannot read list.csv: two columns hold the label: 'name' and 'label'"]),
        (f"mac;timeout\n{A};soon\n{B};9999\n", ["list.csv:2: timeout=soon", "list.csv:3: timeout"]),
        (f"mac;schedule\n{A};nihgt\n", ["list.csv:2: there is no schedule 'nihgt': there are: night"]),
        (f"mac;default\n{A};rescue\n", ["list.csv:2: rescue is locked in [menu]"]),
        (f"{A} schedule=nihgt\nbanana\n", ["list.csv:1: there is no schedule 'nihgt'", "list.csv:2: 'banana'"]),
        (b"PK\x03\x04\x14\x00\x06\x00xl/workbook.xml", ["cannot read list.csv: it is not text"]),
        (b"mac\n\x81\x8d\n", ["cannot read list.csv: it is not text in UTF-8, UTF-16 or Windows-1252"]),
        (codecs.BOM_UTF16_LE + b"m", ["cannot read list.csv: it is not text in"]),
    ],
)
def test_every_bad_row_is_named_and_nothing_is_taken(content: str | bytes, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read(content)
    for each in words:
        assert each in caught.value.message
    assert caught.value.hint.startswith("nothing was changed")


def test_of_a_thousand_bad_rows_the_first_are_named() -> None:
    with pytest.raises(UserError) as caught:
        read("mac\n" + "banana\n" * 1000)
    assert caught.value.message.count("banana") == MOST_SHOWN
    assert caught.value.message.endswith(f"; and {1000 - MOST_SHOWN} more")


def test_what_a_list_would_change() -> None:
    known = Allowlist.of([entry(A, "old", BootSettings(timeout=5)), entry(B, "desk 2")])
    changes = listing.compare(known, read(f"mac,label,root\n{A},new,http\n{B},,\n52:54:00:00:00:03,third,\n").entries)
    assert changes.new == (entry("52:54:00:00:00:03", "third"),)
    assert changes.changed == ((known.entries[0], entry(A, "new", BootSettings("http", timeout=5))),)
    assert changes.same == 1


LABELS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="#"), max_size=20)


@given(st.lists(LABELS, max_size=4), st.sampled_from(["", "night"]), st.sampled_from([None, 0, 7]))
def test_a_table_that_we_write_reads_back(labels: list[str], schedule: str, timeout: int | None) -> None:
    entries = []
    for number, label in enumerate(labels):
        if label.isprintable() and not label.strip().startswith(("default=", "timeout=", "root=", "schedule=", "'")):
            own = BootSettings(timeout=timeout, schedule=schedule)
            entries.append(entry(f"52:54:00:00:00:{number:02x}", " ".join(label.split(" ")).strip(), own))
    assert list(read(codecs.BOM_UTF8 + spreadsheet.write(entries).encode()).entries) == entries


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_one_error(content: bytes) -> None:
    with contextlib.suppress(UserError):
        assert all(each.label.isprintable() for each in read(content).entries)


def test_a_formula_is_text_to_a_spreadsheet() -> None:
    assert "'=cmd" in spreadsheet.write([entry(A, "=cmd|' /C calc'!A0")])
    assert "'＝cmd" in spreadsheet.write([entry(A, "＝cmd")])


@pytest.mark.parametrize("label", ["x;=cmd|' /C calc'!A0", 'x",=1+1', "room; -1", "x;'@sum", "'=1", ";;+1"])
def test_nor_is_what_begins_a_cell_where_another_sign_separates_them(label: str) -> None:
    written = spreadsheet.write([entry(A, label)])
    assert not re.search(r"[;,]\s*[=+\-@]", written)
    assert read(written.encode()).entries[0].label == label


def test_a_table_with_very_many_columns_is_refused_at_once() -> None:
    """A hundred thousand took a minute of a processor, while all other pages waited for it."""
    with pytest.raises(UserError, match="more than 1,000 columns"):
        read(f"mac;{';'.join(map(str, range(100_000)))}\n{A};x\n".encode())


@pytest.mark.parametrize("content", [";" * 100_000, "x" * 100_000, f"{A} timeout={'9' * 100_000}"])
def test_an_error_does_not_repeat_a_very_long_line(content: str) -> None:
    with pytest.raises(UserError) as error:
        read(content.encode())
    assert len(error.value.message) < 1000

"""Foreign text becomes one harmless line, whatever it is."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.foreign_text import LONGEST, MOST_MARKS, printable

# hypothesis leaves surrogates out of `text()` unless it is told to.
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=200)


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("desk 7, window", "desk 7, window"),
        ("Prüfstand 東京", "Prüfstand 東京"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("\x7f", r"\x7f"),
        ("one\r\ntwo\tthree", r"one\r\ntwo\tthree"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("gnp.\u202etxe", r"gnp.\u202etxe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("a\u200bb\u200db\ufeff", r"a\u200bb\u200db\ufeff"),
        ("a\ufe0fb\u115f\u3164", r"a\ufe0fb\u115f\u3164"),
        ("a\udc9bb", r"a\udc9bb"),
        ("\U000e0041", r"\U000e0041"),
        ("a\xa0b", r"a\xa0b"),
        ("", ""),
    ],
)
def test_what_steers_a_terminal_becomes_visible(foreign: str, shown: str) -> None:
    assert printable(foreign) == shown


def test_a_mark_does_not_change_the_letter_before_the_text() -> None:
    assert printable("\u0338off") == "\\u0338off"


def test_a_flood_of_marks_is_cut_off() -> None:
    assert printable("a" + "\u0301" * 50) == "a" + "\u0301" * MOST_MARKS + "\\u0301" * (50 - MOST_MARKS)


def test_overlong_text_says_that_it_was_cut() -> None:
    assert printable("x" * 11, 10) == "x" * 9 + "…"
    assert printable("x" * 10, 10) == "x" * 10
    assert len(printable("x" * 10_000_000)) == LONGEST


def test_no_escape_is_cut_in_two() -> None:
    assert printable("abc\x1b\x1b", 8) == "abc\\x1b…"


@given(ANYTHING, st.integers(8, 300))
def test_the_result_is_one_bounded_line_that_encodes(text: str, longest: int) -> None:
    shown = printable(text, longest)
    assert len(shown) <= longest
    assert shown.splitlines() == [shown] * bool(shown)
    shown.encode()
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(ANYTHING, st.integers(8, 300))
def test_to_be_shown_twice_changes_nothing(text: str, longest: int) -> None:
    once = printable(text, longest)
    assert printable(once, longest) == once

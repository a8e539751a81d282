"""Host names from patterns: valid, and different for different PCs."""

import re

import pytest

from services import host_names
from services.ethernet import MacAddress

MAC = MacAddress.parse("52:54:00:aa:bb:cc")


@pytest.mark.parametrize(
    ("pattern", "label", "name"),
    [
        ("boinc-{mac}", "", "boinc-525400aabbcc"),
        ("{label}-{mac4}", "Room 12", "room-12-bbcc"),
        ("{label}-{mac4}", "", "bbcc"),
        ("{label}-{mac6}", "Übungsraum, 2. Stock", "ubungsraum-2-stock-aabbcc"),
        ("PC-{mac4}", "", "pc-bbcc"),
        ("{label}-{mac4}", "x" * 100, "x" * 58 + "-bbcc"),
        ("{label}-{mac4}", "../../etc; rm -rf /", "etc-rm-rf-bbcc"),
        ("{mac4}-{label}", "教室", "bbcc"),
    ],
)
def test_a_name_is_one_of_dns(pattern: str, label: str, name: str) -> None:
    assert host_names.render(host_names.check(pattern), MAC, label) == name
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)


def test_no_name_looks_like_an_address() -> None:
    assert host_names.render("{mac4}", MacAddress.parse("52:54:00:00:00:17"), "") == "pc-0017"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "one name"),
        ("pc", "one name"),
        ("{label}", "one name"),
        ("pc-{number}", "there is no {number}"),
        ("pc_{mac}", "letters, digits and hyphens"),
        ("-{mac}", "begins nor ends"),
        ("{mac}.example.org", "letters, digits and hyphens"),
        ("{mac", "one name"),
        ("x" * 60 + "{mac4}", "63 characters"),
    ],
)
def test_a_pattern_that_cannot_be_meant(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        host_names.check(pattern)


def test_the_whole_address_in_the_place_of_the_last_digits() -> None:
    assert host_names.render(host_names.widened("{label}-{mac4}"), MAC, "lab") == "lab-525400aabbcc"

"""What the doctor says of the page."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config.file import parse
from appliance.doctor import page
from appliance.doctor.finding import Severity
from appliance.doctor.page import PageSigns, judge
from appliance.page.certificate import Certificate

NOW = 1_000_000.0
DAY = 86400.0
SIGNS = PageSigns(4242, "", Certificate(Path("/c.pem"), "AA", NOW + 300 * DAY, ()), own=False)


def said(signs: PageSigns, networks: tuple[str, ...] = ("10.77.0.0/24",)) -> list[tuple[Severity, str]]:
    found = judge(signs, ["https://10.77.0.1:8443/"], networks, NOW)
    assert all(each.what_to_do for each in found if each.severity is not Severity.OK)
    return [(each.severity, each.what) for each in found]


def test_a_page_that_answers() -> None:
    assert said(SIGNS) == [
        (Severity.OK, "the page answers at https://10.77.0.1:8443/"),
        (Severity.OK, "only 10.77.0.0/24 may connect to the page"),
    ]
    assert said(replace(SIGNS, found=None)) == said(SIGNS)


def test_a_page_that_does_not_run_or_does_not_answer() -> None:
    assert said(replace(SIGNS, pid=None)) == [(Severity.WARNING, "the page is not running")]
    ((severity, what),) = said(replace(SIGNS, trouble="timed out"))
    assert severity is Severity.WARNING
    assert what == "the page runs as process 4242, but does not answer: timed out"


@pytest.mark.parametrize(("days", "words"), [(29, "ends in 29 days"), (0.5, "ends in 0 days"), (-3, "has ended")])
def test_a_certificate_of_the_administrator_that_ends(days: float, words: str) -> None:
    ending = Certificate(Path("/c.pem"), "AA", NOW + days * DAY, ())
    assert (Severity.WARNING, f"the page's certificate /c.pem {words}") in said(replace(SIGNS, found=ending))
    # The box makes its own again by itself.
    assert said(replace(SIGNS, found=ending, own=True)) == said(SIGNS)


def test_a_box_without_addresses() -> None:
    assert said(SIGNS, ())[-1][0] is Severity.NOTE


def test_a_page_that_is_switched_off_is_a_note() -> None:
    (found,) = page.check(parse("[control]\nenabled = false", Path("/c.toml")))
    assert found.severity is Severity.NOTE

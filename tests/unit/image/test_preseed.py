"""Answers to the questions of packages."""

import subprocess
from pathlib import Path

import pytest

from image import preseed
from image.preseed import PreseedError
from tests.unit.debian import need

TEXT = """\
# the time zone
tzdata tzdata/Areas select Europe
\td-i\tpartman/x string \\
   a value \\
   on three lines
locales locales/default_environment_locale select
"""


def test_debconfs_lines_are_taken_as_they_are() -> None:
    preseed.check(TEXT)
    preseed.check("")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\ntzdata tzdata/Areas\n", 2, "is no answer"),
        ("a b c d\n", 1, "is no answer"),
        ("# x\na b string \\\n", 2, "the last line goes on"),
        ("a b string \\\n c\nwrong\n", 3, "is no answer"),
    ],
)
def test_a_line_that_debconf_would_not_take_is_named(text: str, line: int, words: str) -> None:
    with pytest.raises(PreseedError, match=words) as caught:
        preseed.check(text)
    assert caught.value.line == line


@pytest.mark.parametrize("locale", ["de_DE.UTF-8", "sr_RS.UTF-8@latin", "C.UTF-8"])
@pytest.mark.parametrize("keyboard", ["de", "ch fr", "us altgr-intl"])
def test_what_a_locale_and_a_keyboard_answer_are_lines_of_debconf(locale: str, keyboard: str) -> None:
    for packages, answers in (preseed.of_locale(locale), preseed.of_keyboard(keyboard)):
        preseed.check(answers)
        assert bool(packages) == bool(answers)


def test_debconf_itself_takes_the_answers(tmp_path: Path) -> None:
    need("debconf-set-selections")
    (tmp_path / "answers").write_text(preseed.of_locale("de_DE.UTF-8")[1] + preseed.of_keyboard("ch fr")[1])
    # Without root it may look and not write, and says only what it cannot read.
    done = subprocess.run(
        ["debconf-set-selections", "--checkonly", str(tmp_path / "answers")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if line.startswith("error")]) == (0, [])


@pytest.mark.parametrize("locale", ["german", "de_DE", "de_DE.UTF-8\nx y string z", "de_DE.ISO-8859-1"])
def test_what_is_no_locale_is_refused(locale: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a locale"):
        preseed.of_locale(locale)


@pytest.mark.parametrize("keyboard", ["", "DE", "de,us", "de x y", "de\n"])
def test_what_is_no_keyboard_is_refused(keyboard: str) -> None:
    with pytest.raises(ValueError, match="is no keyboard"):
        preseed.of_keyboard(keyboard)

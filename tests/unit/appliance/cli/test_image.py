"""`image` as its user types it."""

import pytest

from tests.unit.appliance.cli.program import Run, assert_refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("image", "activate", "nonsense"), "nonsense"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run, arguments, words)

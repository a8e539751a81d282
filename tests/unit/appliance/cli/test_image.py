"""`image` as its user types it."""

import pytest

from tests.unit.appliance.cli.program import Run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("image", "activate", "nonsense"), "nonsense"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert run("allow", "export").stdout == ""

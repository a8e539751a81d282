"""`clients` as its user types it."""

import pytest

from tests.unit.appliance.cli.program import Run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clients", "show", "52:54:00:00:00:09"), "has not booted yet"),
        (("clients", "show", "x"), "is not a MAC address"),
        (("clients", "forget", "x"), "is not a MAC address"),
        (("clients", "forget", "52:54:00:00:00:09"), "nothing was learned about 52:54:00:00:00:09"),
        (("clients", "forget"), "name a MAC address or use --all"),
        (("clients", "forget", "52:54:00:00:00:09", "--all"), "name a MAC address or use --all"),
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

"""Starting other programs: what the error says when one is missing, fails, or takes too long."""

import sys
import time
from pathlib import Path

import pytest

from services.linux import programs
from services.linux.programs import ProgramError


def test_what_a_program_prints_is_returned() -> None:
    assert programs.output(("echo", "one two"), seconds=60) == "one two\n"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert programs.output(("printf", r"\377x"), seconds=60) == "\N{REPLACEMENT CHARACTER}x"


def test_a_program_reads_nothing_of_ours() -> None:
    assert programs.output(("cat",), seconds=60) == ""


def test_a_program_reads_what_it_is_given() -> None:
    assert programs.output(("cat",), seconds=60, text="table inet x") == "table inet x"


def test_a_failure_says_what_the_program_said_and_how_to_run_it_again() -> None:
    with pytest.raises(ProgramError) as caught:
        programs.output(("sh", "-c", "echo one >&2; echo two >&2; exit 3"), seconds=60)
    assert str(caught.value) == "sh ended with status 3: one two"
    assert caught.value.paste.endswith("sh -c 'echo one >&2; echo two >&2; exit 3'")
    assert caught.value.said == "one two"
    assert not caught.value.missing


def test_a_silent_failure_has_words_too() -> None:
    with pytest.raises(ProgramError, match="false ended with status 1: it said nothing"):
        programs.output(("false",), seconds=60)


def test_a_missing_program_is_told_apart() -> None:
    with pytest.raises(ProgramError, match="no-such-program is not installed") as caught:
        programs.output(("no-such-program",), seconds=60)
    assert caught.value.missing


def test_a_program_that_may_not_run_is_not_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a program")
    with pytest.raises(ProgramError, match="data did not start: Permission denied") as caught:
        programs.output((str(tmp_path / "data"),), seconds=60)
    assert not caught.value.missing


def test_a_program_that_hangs_is_ended() -> None:
    begun = time.monotonic()
    with pytest.raises(ProgramError, match="sleep did not end within 0 s"):
        programs.output(("sleep", "60"), seconds=0.2)
    assert time.monotonic() - begun < 30


def test_programs_of_root_are_found_without_roots_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert programs.find("ldconfig") == "/usr/sbin/ldconfig"
    assert programs.find("no-such-program") is None


def test_attending_a_program_raises_when_it_fails() -> None:
    programs.attend(("true",))
    with pytest.raises(ProgramError, match="false ended with status 1"):
        programs.attend(("false",))
    with pytest.raises(ProgramError, match="no-such-program did not start: No such file"):
        programs.attend(("no-such-program",))


def test_a_started_program_can_be_watched() -> None:
    with programs.start((sys.executable, "-c", "import sys; sys.stderr.write(repr(sys.stdin.read()))")) as started:
        assert started.stderr is not None
        assert started.stderr.read() == "''"
    assert started.returncode == 0

"""What a build prints, as others may read it: bounded, harmless, without passwords, and nothing that ends the build."""

from pathlib import Path

import pytest

from appliance.images.build_output import MOST_LINES, OUTPUT, OutputFile, read_output
from appliance.images.build_record import LONGEST_LINE, OutputLine, decode


def heard(directory: Path, *lines: str) -> list[str]:
    """What a reader sees of these lines."""
    output = OutputFile(directory)
    for line in lines:
        output.hear(line)
    output.close()
    return [each.text for each in read_output(directory)]


def test_the_latest_lines_are_kept_and_the_file_stays_short(tmp_path: Path) -> None:
    output = OutputFile(tmp_path)
    longest = 0
    for number in range(1, 1301):
        output.hear("\U0001f600" * 400)
        if number % 50 == 0:
            longest = max(longest, (tmp_path / OUTPUT).stat().st_size)
            found = [each.number for each in read_output(tmp_path)]
            assert found == list(range(max(1, number - MOST_LINES + 1), number + 1))
    output.close()
    # 4 bytes for such a character.
    assert longest < 2 * MOST_LINES * (4 * LONGEST_LINE + 20)
    assert [path.name for path in tmp_path.iterdir()] == [OUTPUT]


def test_words_of_programs_are_one_harmless_line(tmp_path: Path) -> None:
    assert heard(tmp_path, "\x1b[0;1;39mSetting up\tlinux\x1b[0m \u202eevil\x07", "<b>") == [
        "Setting up     linux \\u202eevil\\x07",
        "<b>",
    ]


def test_meters_are_left_out(tmp_path: Path) -> None:
    meter = [f"(Reading database ... {percent}%" for percent in range(5, 101, 5)]
    done = "(Reading database ... 9876 files and directories currently installed.)"
    assert heard(tmp_path, "(Reading database ... ".rstrip(), *meter, done) == [done]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "lb config --apt-http-proxy 'http://me:s3cret@proxy:3128'",
            "lb config --apt-http-proxy 'http://…@proxy:3128'",
        ),
        ("Get:1 https://me:s%40@c@mirror.example.org/debian", "Get:1 https://…@mirror.example.org/debian"),
        ("W: see https://example.org/a@b, mail me@example.org", "W: see https://example.org/a@b, mail me@example.org"),
    ],
)
def test_passwords_of_mirrors_and_proxies_are_left_out(tmp_path: Path, line: str, shown: str) -> None:
    assert heard(tmp_path, line) == [shown]


def test_a_build_goes_on_where_nothing_can_be_written(tmp_path: Path) -> None:
    assert heard(tmp_path / "none", "one", "two") == []
    (tmp_path / OUTPUT).mkdir()
    (tmp_path / OUTPUT / "x").touch()
    assert heard(tmp_path, "one", "two") == []


def test_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    damaged = [b'[1, "one"]', b"[" * 100_000, b"\xff", b"null", b'["x", 2]', b'[3, "\\u001b[31m"]', b'[4, "fo']
    (tmp_path / OUTPUT).write_bytes(b"\n".join(damaged))
    assert read_output(tmp_path) == [OutputLine(1, "one"), OutputLine(3, "\\x1b[31m")]
    with pytest.raises(ValueError, match="no line of output"):
        decode("[1]")

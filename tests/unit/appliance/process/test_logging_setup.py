"""The end of the log: it writes lines, and waits for nobody when it cannot."""

import fcntl
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime

import pytest

from appliance.process.logging_setup import LogHandler


@contextmanager
def pipe() -> Iterator[tuple[logging.Logger, int]]:
    """A logger, and the end of a pipe from which its lines can be read."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4 * 4096)
    os.set_blocking(reader, False)
    log = logging.Logger("test")
    log.addHandler(LogHandler(writer))
    try:
        yield log, reader
    finally:
        os.close(reader)
        os.close(writer)


def read(reader: int) -> list[str]:
    """All lines that have arrived."""
    content = b""
    while True:
        try:
            content += os.read(reader, 65536)
        except BlockingIOError:
            return content.decode().splitlines()


def test_a_line_is_a_line() -> None:
    with pipe() as (log, reader):
        log.info("one")
        log.info("zwei %s", "\udcff")
        assert read(reader) == ["one", "zwei \\udcff"]


def test_lines_that_are_formatted_already_are_written_and_lost_alike() -> None:
    with pipe() as (log, reader):
        handler = log.handlers[0]
        assert isinstance(handler, LogHandler)
        handler.info("one")
        for _ in range(30):
            handler.error("x" * 1000)
        arrived = read(reader)
        assert arrived[0] == "one"
        assert 1 < len(arrived) < 31
        log.info("again")
        assert read(reader) == [
            f"lines of this log were lost: {31 - len(arrived)} (its reader is not reading)",
            "again",
        ]


def test_structlog_and_logging_write_the_same_form() -> None:
    program = (
        "import logging, structlog; from appliance.process import logging_setup; logging_setup.configure(debug=False);"
        "structlog.get_logger('one').info('said', mac='x'); structlog.get_logger().debug('not said');"
        "logging.getLogger('two').warning('said %s', 'too', extra={'mac': 'y'});"
        "\ntry: 1 / 0\nexcept Exception: structlog.get_logger().exception('failed')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(datetime.fromisoformat(line.pop("timestamp")) for line in lines)
    assert "ZeroDivisionError" in lines[2].pop("exception")
    assert lines == [
        {"mac": "x", "event": "said", "level": "info"},
        {"mac": "y", "event": "said too", "level": "warning"},
        {"event": "failed", "level": "error"},
    ]


def test_a_reader_that_does_not_read_loses_lines_and_costs_no_time() -> None:
    with pipe() as (log, reader):
        for number in range(100):
            log.info("%d %s", number, "x" * 1000)
        arrived = [line.split()[0] for line in read(reader)]
        assert arrived == [str(number) for number in range(len(arrived))]
        assert 1 <= len(arrived) < 20
        log.info("again")
        lost = 100 - len(arrived)
        assert read(reader) == [f"lines of this log were lost: {lost} (its reader is not reading)", "again"]
        log.info("and on")
        assert read(reader) == ["and on"]


def test_a_line_that_was_cut_off_ends_there() -> None:
    with pipe() as (log, reader):
        log.info("x" * 20_000)
        assert read(reader) == ["x" * 16_384]
        log.info("again")
        assert read(reader) == ["", "lines of this log were lost: 1 (its reader is not reading)", "again"]


@pytest.mark.parametrize("why", ["No space left on device", "Broken pipe"])
def test_what_cannot_be_written_raises_nothing(why: str, capfd: pytest.CaptureFixture[str]) -> None:
    if why == "Broken pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    with closing(os.fdopen(writer, "wb", buffering=0)):
        handler = LogHandler(writer)
        log = logging.Logger("test")
        log.addHandler(handler)
        log.info("one")
        log.info("two")
        with pipe() as (_, reader):
            other = os.open(f"/proc/self/fd/{reader}", os.O_WRONLY)
            os.dup2(other, writer)
            os.close(other)
            log.info("three")
            assert read(reader) == [f"lines of this log were lost: 2 ({why})", "three"]
    assert capfd.readouterr().err == ""


def on_a_terminal(program: str) -> str:
    """What a program prints on standard error when that is a terminal."""
    leader, follower = os.openpty()
    begin = (
        "from appliance.process import logging_setup as log; log.configure(debug=False); import logging, structlog\n"
    )
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        done = subprocess.run([sys.executable, "-c", begin + program], stderr=follower, check=True)
        os.close(follower)
        assert done.returncode == 0
        return terminal.read(1 << 16).decode()


_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_HOSTILE = "x\x1b]0;owned\x07\x9b2J\r\nfake: line"


@pytest.mark.parametrize(
    "program",
    [
        f"structlog.get_logger().warning('ignored', detail={_HOSTILE!r})",
        f"structlog.get_logger().warning({_HOSTILE!r})",
        f"structlog.get_logger().warning('reported', **{{{_HOSTILE!r}: 'x'}})",
        f"logging.getLogger().warning('%s', {_HOSTILE!r})",
    ],
)
def test_foreign_words_do_not_steer_the_terminal(program: str) -> None:
    (line, rest) = _COLOURS.sub("", on_a_terminal(program)).split("\r\n")
    assert rest == ""
    assert line.isprintable()
    assert "x\\x1b]0;owned\\x07\\x9b2J\\r\\nfake: line" in line.replace("\\\\", "\\")


def test_an_error_with_foreign_words_shows_no_values_of_variables() -> None:
    program = f"secret = 'hun' + 'ter2'\ntry: raise ValueError({_HOSTILE!r})\n"
    shown = _COLOURS.sub("", on_a_terminal(program + "except ValueError: structlog.get_logger().exception('failed')"))
    assert "ValueError: x\\x1b]0;owned" in shown
    assert "hunter2" not in shown
    assert all(line.isprintable() for line in shown.split("\r\n"))


def test_an_error_in_a_thread_is_a_line_of_the_log() -> None:
    program = (
        "import threading; from appliance.process import logging_setup; logging_setup.configure(debug=False);"
        "thread = threading.Thread(target=lambda: 1 / 0, name='imports'); thread.start(); thread.join()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["event"], line["where"], line["level"]) == ("an error that nobody caught", "imports", "error")
    assert "ZeroDivisionError" in line["exception"]

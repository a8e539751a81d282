"""Severities, exit codes and the summary; and that no check can hang or stop the doctor."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from appliance.config.file import parse
from appliance.doctor.checks import Check, all_checks, run
from appliance.doctor.finding import (
    Finding,
    Severity,
    UnobservableError,
    error,
    exit_code,
    note,
    ok,
    summary,
    warning,
    worst,
)
from appliance.errors import UserError

OK, NOTE = ok("a", "fine"), note("b", "by the way")
WARNING, ERROR = warning("c", "hm", "why", "do"), error("d", "no", "why", "do")


@pytest.mark.parametrize(
    ("findings", "severity", "code"),
    [
        ([], Severity.OK, 0),
        ([OK, NOTE], Severity.NOTE, 0),
        ([NOTE, WARNING, OK], Severity.WARNING, 1),
        ([WARNING, ERROR, OK], Severity.ERROR, 2),
    ],
)
def test_the_worst_finding_gives_the_exit_code(findings: list[Finding], severity: Severity, code: int) -> None:
    assert worst(findings) is severity
    assert exit_code(severity) == code


def test_the_summary_counts() -> None:
    assert summary([OK, NOTE, OK]) == "the box is healthy: 1 note, 2 ok"
    assert summary([WARNING, WARNING, OK]) == "it works, but look at the warnings: 2 warnings, 1 ok"
    assert summary([ERROR, ERROR, WARNING]) == "PCs will not boot or will not compute: 2 errors, 1 warning"


def raising(what: Exception) -> Callable[[], Sequence[Finding]]:
    def check() -> Sequence[Finding]:
        raise what

    return check


@pytest.mark.parametrize(
    ("raised", "said", "do"),
    [
        (UnobservableError("nobody is home"), "x: could not be checked: nobody is home", "as root"),
        (UserError("no such thing", "make one"), "x: could not be checked: no such thing", "make one"),
        (PermissionError(13, "Permission denied"), "x: could not be checked: [Errno 13] Permission denied", "as root"),
        (KeyError("k"), "x: could not be checked: KeyError: 'k'", "report"),
    ],
)
def test_a_check_that_fails_is_a_finding_and_the_others_go_on(raised: Exception, said: str, do: str) -> None:
    found = list(run([Check("x", raising(raised)), Check("y", lambda: [OK])]))
    assert found[1] == OK
    assert (found[0].severity, found[0].what) == (Severity.WARNING, said)
    assert do in found[0].what_to_do


def test_a_check_that_hangs_is_given_up() -> None:
    for_ever = threading.Event()

    def hang() -> Sequence[Finding]:
        for_ever.wait()
        return []

    begun = time.monotonic()
    found = list(run([Check("slow", hang, 0.1), Check("slower", hang, 0.2), Check("y", lambda: [OK])]))
    assert time.monotonic() - begun < 60
    for_ever.set()
    assert [f.what for f in found[:2]] == [
        "slow: could not be checked: it took longer than 0 s",
        "slower: could not be checked: it took longer than 0 s",
    ]
    assert found[2] == OK


def test_checks_run_side_by_side_and_report_in_their_order() -> None:
    both = threading.Barrier(2, timeout=60)

    def check(name: str) -> Sequence[Finding]:
        both.wait()
        return [ok(name, name)]

    found = list(run([Check("1", lambda: check("1")), Check("2", lambda: check("2"))]))
    assert [finding.what for finding in found] == ["1", "2"]


READERS = {"registry", "allowlist", "boots", "addresses", "firmware", "kernel", "dhcp-pool", "relays", "senders"}
"""The checks that read the registry and otherwise look at nothing of the machine."""


def test_a_damaged_registry_is_one_complaint(tmp_path: Path) -> None:
    """Not one of each check that reads it."""
    text = f'[server]\ndata = "{tmp_path}"\n[dhcp]\nmode = "server"\npool = "10.77.0.100-10.77.0.200"\n'
    config = parse(text, tmp_path / "config.toml")
    config.registry.parent.mkdir()
    config.registry.write_bytes(b"not a database" * 1000)
    readers = [check for check in all_checks(config) if check.name in READERS]
    assert {check.name for check in readers} == READERS
    found = list(run(readers))
    assert [each.check for each in found if each.severity not in (Severity.OK, Severity.NOTE)] == ["registry"]
    assert {"dhcp-pool", "relays", "senders"} <= {each.check for each in found if each.severity is Severity.NOTE}

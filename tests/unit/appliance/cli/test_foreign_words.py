"""Words that strangers and old versions left in the registry steer no terminal, and forge no row."""

import json
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path

import pytest

from services.boinc.condition import BoincMessage, Condition, Doing, ProjectCondition, Task, to_json
from tests.unit.appliance.cli.program import Run

HOSTILE = "x\x1b]0;owned\x07\x9b2J\r\nfake  row\u202e\u2028\u200b[bold]:smile:\x7f"
SHOWN = r"x\x1b]0;owned\x07\x9b2J\r\nfake  row\u202e\u2028\u200b[bold]:smile:\x7f"
BOINC = Condition(
    Doing.IDLE, 1e9, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE,
    (Task(HOSTILE, HOSTILE, HOSTILE, 0.5, 1.0, 1.0, 1e9, False),),
    (ProjectCondition(HOSTILE, HOSTILE, 1, 1.0, 1.0, 1, 1, False, False, 1, 1, 9e9),),
    (BoincMessage(1e9, HOSTILE, HOSTILE, 2),),
)  # fmt: skip
MAC, OTHER = 0x525400AABBCC, 0x525400AABBDD
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.fixture
def hostile(run: Run, tmp_path: Path) -> Run:
    """A box whose registry has hostile words in every column that can hold words, written past all boundaries."""
    assert run("allow", "add", "52:54:00:aa:bb:cc").returncode == 0
    with closing(sqlite3.connect(tmp_path / "data" / "registry" / "registry.sqlite3")) as sql, sql:
        sql.execute("UPDATE allowed SET label = ?", (HOSTILE,))
        sql.execute(
            "INSERT INTO clients (number, mac, first_seen, gui_rpc_password) VALUES (1, ?, 1e9, ?)", (MAC, HOSTILE)
        )
        sql.execute(
            "INSERT INTO boots (id, mac, started, token, release, inherited, latest)"
            " VALUES (1, ?, 1e9, 'token', ?, '10.77.0.50', 1)",
            (MAC, HOSTILE),
        )
        events: list[tuple[str, dict[str, object]]] = [
            ("TransferProgressed", {"service": HOSTILE, "path": HOSTILE, "sent": 1, "size": 9}),
            ("TransferFailed", {"service": HOSTILE, "path": HOSTILE + "2", "sent": 1, "why": HOSTILE}),
            ("EntryStarted", {"entry": HOSTILE}),
            ("Reported", {"stage": "computing", "details": {"hostid": HOSTILE}}),
            ("Reported", {"stage": "failed", "details": {"reason": HOSTILE}}),
        ]
        for kind, fields in events:
            words = json.dumps({"mac": "52:54:00:aa:bb:cc", **fields})
            sql.execute("INSERT INTO events (boot, at, kind, details) VALUES (1, 1e9, ?, ?)", (kind, words))
        sql.execute("INSERT INTO ignored VALUES (?, ?, ?, ?, 1e9, 1e9, 1, ?)", [HOSTILE] * 5)
        sql.execute("INSERT INTO next_boots VALUES (?, ?, NULL)", (MAC, HOSTILE))
        sql.execute("INSERT INTO leases VALUES (?, ?, x'01', 'leased', 9e9)", (0x0A4D0032, MAC))
        sql.execute("INSERT INTO adaptations VALUES (?, ?, 'no-menu', 0, 'silent', 1e9)", (MAC, HOSTILE))
        words = json.dumps({"model": HOSTILE, "card": HOSTILE, "uptime": HOSTILE, "state_directory": HOSTILE})
        sql.execute("INSERT INTO heartbeats VALUES (?, 1, 1e9, 'idle', ?, ?)", (MAC, words, to_json(BOINC)))
        sql.execute("INSERT INTO orders VALUES (1, ?, 'off', 1e9, 1e9, 1e9, ?)", (MAC, HOSTILE))
        sql.execute("INSERT INTO server VALUES ('trouble', ?)", (json.dumps([HOSTILE]),))
    return run


@pytest.mark.parametrize(
    "verb",
    [
        ("status",),
        ("clients", "list"),
        ("order", "list"),
        ("clients", "show", "52:54:00:aa:bb:cc"),
        ("allow", "list"),
        ("allow", "check", "52:54:00:aa:bb:cc"),
        ("allow", "export"),
        ("leases", "list"),
        ("image", "list"),
        ("menu", "show", "--for", "52:54:00:aa:bb:cc"),
        ("boot", "next", "52:54:00:aa:bb:cc", "--clear"),
        ("allow", "remove", "52:54:00:aa:bb:dd"),
        ("status", "--json"),
        ("clients", "list", "--json"),
        ("allow", "list", "--json"),
        ("leases", "list", "--json"),
    ],
    ids=" ".join,
)
def test_no_list_passes_on_what_steers_a_terminal(hostile: Run, verb: tuple[str, ...]) -> None:
    done = hostile(*verb)
    assert done.returncode in (0, 1, 2, 3), done
    lines = (done.stdout + done.stderr).split("\n")
    assert not {unicodedata.category(letter) for line in lines for letter in line} & _STEERING
    assert not [line for line in lines if line.startswith("fake")]


@pytest.mark.parametrize(
    ("verb", "many"),
    [
        (("status",), 4),
        (("clients", "list"), 3),
        (("clients", "show", "52:54:00:aa:bb:cc"), 8),
        (("allow", "list"), 1),
        (("leases", "list"), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_list_shows_it_where_it_belongs(hostile: Run, verb: tuple[str, ...], many: int) -> None:
    assert hostile(*verb).stdout.count(SHOWN) >= many, hostile(*verb).stdout


@pytest.mark.parametrize("words", ["a\x1bb", "a\u202eb", "a\u200bb", "a\x85b", "a\udc9bb", "a" + "\u0301" * 9])
def test_a_label_that_steers_is_refused(run: Run, words: str) -> None:
    done = run("allow", "add", "52:54:00:aa:bb:cc", "--label", words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: a label is one line of printable text without #")
    done = run("allow", "import", "-", stdin=f"52:54:00:aa:bb:cc {words}\n".encode(errors="ignore").decode())
    assert run("allow", "export").stdout in ("", "52:54:00:aa:bb:cc  ab\n")

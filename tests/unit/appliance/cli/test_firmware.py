"""What `status`, `clients show` and `clients forget` say about what was learned of firmware."""

import json
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.config.file import load
from appliance.doctor import firmware
from appliance.doctor.finding import Severity
from appliance.registry.database import Registry
from appliance.registry.records import Client
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.cli.program import Run

USUAL, ADAPTED, REFUSING = (MacAddress.parse(f"52:54:00:00:00:0{n}") for n in (1, 2, 3))
EDK2 = "52:54:00 PXEClient:Arch:00007:UNDI:003010 7"
ROWS = (
    (USUAL, "standard", 1, "", 1.0),
    (ADAPTED, "with option 43", 1, "it ignored the offers before", 2.0),
    (REFUSING, "standard", 0, "it loaded the boot loader and did not start it (Secure Boot, most likely)", 3.0),
)


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    """A registry of three PCs, which are allowed and have booted."""
    path = tmp_path / "data" / "registry" / "registry.sqlite3"
    with Registry(path) as registry:
        registry.allow([Entry(MacRange.parse("52:54:00:*"))])
        for mac, profile, worked, why, at in ROWS:
            registry.register(Client(registry.highest()[0] + 1, mac, 1.0, "a password"))
            registry.sql.execute(
                "INSERT INTO adaptations VALUES (?, ?, ?, ?, ?, ?)", (mac.value, EDK2, profile, worked, why, at)
            )
    return path


def test_status_names_the_pcs_that_do_not_accept_the_standard_offer(run: Run, learned: Path) -> None:
    text = run("status").stdout.partition("PCs that do not accept the standard offer:\n")[2]
    heading, adapted, refusing, *_ = text.splitlines()
    assert heading.split() == ["MAC", "offer", "works", "because", "firmware", "since"]
    assert adapted.split("  ")[0] == str(ADAPTED)
    assert "with option 43" in adapted
    assert "it ignored the offers before" in adapted
    assert refusing.split("  ")[0] == str(REFUSING)
    assert "not yet" in refusing
    assert str(USUAL) not in text
    first, second = json.loads(run("status", "--json").stdout)["firmware"]
    assert first == {
        "mac": str(ADAPTED),
        "firmware": EDK2,
        "profile": "with option 43",
        "worked": True,
        "why": "it ignored the offers before",
        "at": 2.0,
    }
    assert (second["mac"], second["worked"]) == (str(REFUSING), False)


def test_a_room_of_ordinary_pcs_has_no_such_table(run: Run) -> None:
    assert "standard offer" not in run("status").stdout
    assert json.loads(run("status", "--json").stdout)["firmware"] == []


def test_clients_show_says_how_a_pc_is_offered_its_loader(run: Run, learned: Path) -> None:
    line = f"offer              with option 43 because it ignored the offers before, works ({EDK2})\n"
    assert line in run("clients", "show", str(ADAPTED)).stdout
    assert f"offer              standard, works ({EDK2})\n" in run("clients", "show", str(USUAL)).stdout
    (shown,) = json.loads(run("clients", "show", str(REFUSING), "--json").stdout)["firmware"]
    assert (shown["profile"], shown["worked"]) == ("standard", False)


def test_the_doctor_speaks_of_the_pcs_that_may_boot(run: Run, learned: Path, tmp_path: Path) -> None:
    config = load(tmp_path / "c.toml")
    adapted, refusing = firmware.check(config)
    assert (adapted.severity, refusing.severity) == (Severity.NOTE, Severity.WARNING)
    with Registry(learned) as registry:
        registry.disallow(MacRange.parse("52:54:00:*"))
    assert [found.severity for found in firmware.check(config)] == [Severity.OK]


def test_forget_forgets_one_pc_or_all_and_nothing_else(run: Run, learned: Path) -> None:
    done = run("clients", "forget", "5254.0000.0002")
    assert (done.returncode, done.stdout) == (0, f"forgot which offer the firmware of {ADAPTED} accepts\n")
    assert [each["mac"] for each in json.loads(run("status", "--json").stdout)["firmware"]] == [str(REFUSING)]
    assert run("clients", "forget", "--all").stdout == "forgot which offer the firmware of 2 PCs accepts\n"
    assert run("clients", "forget", "--all").stdout == "forgot which offer the firmware of 0 PCs accepts\n"
    assert run("clients", "show", str(ADAPTED)).returncode == 0
    assert run("allow", "check", str(ADAPTED)).returncode == 0


def test_its_help_says_what_stays(run: Run) -> None:
    words = " ".join(run("clients", "forget", "--help").stdout.split())
    for what in ("BOINC state", "allowlist", "--all"):
        assert what in words

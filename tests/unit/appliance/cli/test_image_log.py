"""`image log`: the latest build as the page shows it, for anybody, while it runs and afterwards."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.cli import image_log
from appliance.images import build_unit
from appliance.images.build_record import BuildRecord, OutputLine
from tests.unit.appliance.cli.program import netboot_appliance

FIRST = json.dumps({"invocation": "r1", "began": 1000.0, "stages": 7})
STEP = json.dumps({"progress": {"stage": "chroot", "number": 4, "step": "installing the live system", "elapsed": 61.4}})
AT_WORK = BuildRecord("r1", True, [FIRST, STEP], [OutputLine(2, "Get:1 linux"), OutputLine(3, "Get:2 boinc-client")])
MADE = replace(
    AT_WORK,
    busy=False,
    progress=[FIRST, STEP, json.dumps({"releases": ["20261123-150102-1a2b3c4d"], "ended": 1180.0})],
    output=[OutputLine(3, "Get:2 boinc-client"), OutputLine(7, "P: Build completed")],
)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[BuildRecord]:
    """What is seen of the unit, one look after the other; the last one for good."""
    found: list[BuildRecord] = []
    monkeypatch.setattr(build_unit, "latest", lambda: found.pop(0) if len(found) > 1 else found[0])
    monkeypatch.setattr(time, "time", lambda: 1090.0)
    monkeypatch.setattr(image_log, "_PACE", 0.01)
    return found


def test_a_build_is_followed_to_its_end(seen: list[BuildRecord]) -> None:
    seen += [AT_WORK, AT_WORK, MADE]
    done = netboot_appliance("image", "log", "--follow")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "  | … 1 line is left out",
        "  | Get:1 linux",
        "  | Get:2 boinc-client",
        "90 s  4/7 chroot: installing the live system",
        "  | … 3 lines are left out",
        "  | P: Build completed",
        "made: 20261123-150102-1a2b3c4d (3 min)",
    ]


def test_one_look_ends_at_once(seen: list[BuildRecord]) -> None:
    seen.append(AT_WORK)
    assert netboot_appliance("image", "log").stdout.splitlines()[-1] == "90 s  4/7 chroot: installing the live system"
    shown = json.loads(netboot_appliance("image", "log", "--json").stdout)
    assert (shown["running"], shown["stage"], shown["lines"][0]["text"]) == (True, "chroot", "Get:1 linux")


def test_a_build_that_failed_is_an_error_with_its_hint(seen: list[BuildRecord]) -> None:
    failure = json.dumps({"error": {"message": "no space", "hint": "make room"}, "ended": 1090.0})
    seen.append(replace(AT_WORK, busy=False, progress=[FIRST, STEP, failure]))
    done = netboot_appliance("image", "log")
    assert done.returncode == 1
    assert done.stderr == "error: no space\nhint: make room\n"
    assert "  | Get:2 boinc-client\n" in done.stdout


def test_without_a_build_it_says_how_to_begin_one(seen: list[BuildRecord]) -> None:
    seen.append(BuildRecord())
    done = netboot_appliance("image", "log", "--follow")
    assert (done.returncode, done.stdout) == (0, "No build yet. Begin one: netboot-appliance image build\n")
    assert json.loads(netboot_appliance("image", "log", "--json").stdout) is None


def test_the_whole_log_of_an_earlier_build(tmp_path: Path) -> None:
    configuration, logs = tmp_path / "config.toml", tmp_path / "build" / "logs"
    configuration.write_text(f'[server]\ndata = "{tmp_path}"\ninterfaces = ["eth1"]\n')
    logs.mkdir(parents=True)
    (logs / "20261123-150102-1a2b3c4d.log").write_text("P: lb config\nE: \x1b[31mno\n")
    shown = netboot_appliance("--config", str(configuration), "image", "log", "20261123-150102-1a2b3c4d")
    assert (shown.returncode, shown.stdout.splitlines()[0]) == (0, "P: lb config")
    missing = netboot_appliance("--config", str(configuration), "image", "log", "nonsense")
    assert missing.returncode != 0
    assert "there is no log of a build 'nonsense'" in missing.stderr
    assert "the latest are: 20261123-150102-1a2b3c4d" in missing.stderr

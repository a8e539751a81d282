"""`image prune` as its user types it."""

import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from appliance.allowlist import Entry
from appliance.boot import next_boot
from appliance.cli.main import app
from appliance.journal.codec import encode
from appliance.registry.database import Registry
from appliance.registry.records import BootRow
from image import release
from services.ethernet import MacAddress, MacRange
from services.events import AddressSeen, ScriptServed
from tests.unit.image.test_release import publish

PC = MacAddress.parse("52:54:00:aa:bb:cc")
IDS = [f"2026110{day}-090000-1a2b3c4d" for day in range(1, 5)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "c.toml").write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}"\n')
    for each in IDS:
        publish(tmp_path / "images", each)
    release.activate(tmp_path / "images", IDS[3])
    with Registry(tmp_path / "registry" / "registry.sqlite3") as registry:
        registry.allow([Entry(MacRange(PC, PC), "")])
        boot = BootRow(1, PC, 1000.0, "token", IDS[0], "")
        registry.open_boot(boot)
        events = (ScriptServed(PC), AddressSeen(PC, IPv4Address("10.0.0.5")))
        registry.append_events((boot.id, 1000.0, type(event).__name__, encode(event)) for event in events)
    return tmp_path


def run(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(data / "c.toml"), "image", "prune", *arguments])


def names(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "images").iterdir() if path.name[0] == "2")


def test_a_dry_run_says_what_a_run_does(data: Path) -> None:
    said = run(data, "--keep", "1", "--dry-run")
    assert said.exit_code == 0
    assert names(data) == IDS
    lines = [line.split(maxsplit=4) for line in said.stdout.splitlines()]
    assert [(line[0], " ".join(line[3:])) for line in lines[1:-1]] == [
        (IDS[3], "kept active, among the 1 newest"),
        (IDS[0], f"kept a PC may be running it: {PC}"),
        (IDS[2], "would be deleted"),
        (IDS[1], "would be deleted"),
    ]
    size = sum(release.read(data / "images", each).size for each in IDS[1:3])
    assert said.stdout.endswith(f"\n{size} B would be freed\n")
    done = run(data, "--keep", "1")
    assert done.stdout.split() == said.stdout.replace("would be ", "").split()
    assert names(data) == [IDS[0], IDS[3]]


def test_the_same_for_scripts(data: Path) -> None:
    said = json.loads(run(data, "--keep", "1", "--json").stdout)
    assert [each["id"] for each in said["deleted"]] == [IDS[2], IDS[1]]
    assert said["freed"] == sum(each["size"] for each in said["deleted"]) > 0
    assert [(each["id"], each["why"], each["clients"]) for each in said["kept"]] == [
        (IDS[3], ["active", "among the 1 newest"], []),
        (IDS[0], ["a PC may be running it"], [str(PC)]),
    ]
    assert said["dry_run"] is False


def test_three_are_kept_by_default(data: Path) -> None:
    with Registry(data / "registry" / "registry.sqlite3") as registry:
        registry.disallow(MacRange(PC, PC))
    assert run(data).exit_code == 0
    assert names(data) == IDS[1:]
    assert run(data, "--keep", "0").exit_code == 2


def test_what_a_menu_names_stays(data: Path) -> None:
    with (data / "c.toml").open("a") as file:
        file.write(f'[menu]\nentries = ["boinc", "image:{IDS[1]}"]\n')
    with Registry(data / "registry" / "registry.sqlite3") as registry:
        next_boot.ask(registry, PC, f"image:{IDS[2]}")
    kept = json.loads(run(data, "--keep", "1", "--json").stdout)["kept"]
    assert [(each["id"], each["why"]) for each in kept[1:3]] == [
        (IDS[2], ["a boot menu names it"]),
        (IDS[1], ["a boot menu names it"]),
    ]
    assert names(data) == IDS


def test_without_a_number_the_configuration_says_how_many(data: Path) -> None:
    with (data / "c.toml").open("a") as file:
        file.write("[image]\nkeep = 2\n")
    assert run(data).exit_code == 0
    assert names(data) == [IDS[0], IDS[2], IDS[3]]

"""What the rules look at, read from a registry with PCs in every state."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.config.file import Config, parse
from appliance.config.notify import RuleSettings
from appliance.control.notify import outbox, watch
from appliance.control.notify.notices import Notice
from appliance.control.notify.sightings import FailedBuild, Sightings, StoppedUpdate
from appliance.control.notify.watch import Watch, is_quiet, page_of
from appliance.diagnosis.examination import diagnose
from appliance.heartbeats import store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.states import Kind
from appliance.images import build_unit, notes
from appliance.images.notes import UpdateRun
from appliance.journal.codec import encode_state
from appliance.journal.timeline import Boot, fold
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, BootState
from appliance.view import facts
from services.boinc.condition import to_json
from services.ethernet import MacAddress, MacRange
from services.events import Discovered, Offered, Reported
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, COMPUTING, FACTS, FAILED, IDLE, OFF, SILENT, UNHEARD, fill

TEXT = """
[server]
data = "{data}"
[live]
time_zone = "UTC"
[schedules.day]
windows = ["00:00-24:00"]
[schedules.past]
windows = ["{past}"]
grace = 0
[notify]
addresses = ["json://127.0.0.1:9/x"]
page = "https://boot.example.org:8443/"
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A box whose server runs."""
    monkeypatch.setattr(watch, "holder", lambda _: 1)
    monkeypatch.setattr(facts, "holder", lambda _: 1)
    monkeypatch.setattr(build_unit, "DIRECTORY", tmp_path / "run")
    # A window that ended when the silent PC was heard last, 12 minutes ago.
    hour = datetime.fromtimestamp(time.time() - 1320, UTC)
    end = datetime.fromtimestamp(time.time() - 660, UTC)
    past = f"{hour:%H:%M}-{end:%H:%M}"
    config = parse(TEXT.format(data=tmp_path, past=past), tmp_path / "c.toml")
    fill(config.registry)
    with Registry(config.registry) as registry:
        registry.allow([Entry(MacRange.parse("52:54:00:*"), "room 12")])
    return config


def look(config: Config, watching: Watch | None = None) -> Sightings:
    with Registry(config.registry) as registry:
        return (watching or Watch()).look(config, registry, outbox.load_tally(registry), time.time())[0]


def test_every_pc_is_seen_with_what_is_wrong(box: Config) -> None:
    seen = look(box)
    kinds = {mac: pc.kind for mac, pc in seen.pcs.items()}
    assert kinds[str(COMPUTES)] is Kind.COMPUTING
    assert (kinds[str(SILENT)], kinds[str(OFF)], kinds[str(UNHEARD)]) == (Kind.SILENT, Kind.OFF, Kind.UNHEARD)
    failed = seen.pcs[str(FAILED)]
    assert failed.fault is not None
    assert failed.fault.cause == "root refused by NFS"
    assert failed.label == "room 12"
    assert (failed.came_up, failed.first, failed.address) == (False, True, "10.77.0.6")
    idle = seen.pcs[str(IDLE)]
    assert idle.refused
    assert (seen.serving, seen.page) == (True, "https://boot.example.org:8443/")
    assert 0 < seen.disk_used <= 100
    assert seen.week is not None


def test_only_what_changed_is_read_again(box: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(boot: Boot, *more: Any) -> object:
        read.append(str(boot.mac))
        return diagnose(boot, *more)

    monkeypatch.setattr(watch, "diagnose", noted)
    watching = Watch()
    first = look(box, watching)
    assert len(read) == 7
    read.clear()
    assert look(box, watching).pcs == first.pcs
    assert read == []
    with Registry(box.registry) as registry:
        store.write(registry, [StoredHeartbeat(SILENT, 3, time.time(), FACTS, to_json(COMPUTING))])
    assert look(box, watching).pcs[str(SILENT)].kind is Kind.COMPUTING
    assert read == [str(SILENT)]
    read.clear()
    # Three minutes later time has made it silent, as everybody.
    with Registry(box.registry) as registry:
        seen, _ = watching.look(box, registry, {}, time.time() + 200)
    assert seen.pcs[str(COMPUTES)].kind is Kind.SILENT
    read.clear()
    with Registry(box.registry) as registry:
        registry.allow([Entry(MacRange(SILENT, SILENT), "desk")])
    assert look(box, watching).pcs[str(SILENT)].label == "desk"
    assert len(read) == 7
    with Registry(box.registry) as registry:
        registry.sql.execute("DELETE FROM clients")
        registry.sql.execute("DELETE FROM boots")
    assert look(box, watching).pcs == {}


def test_the_server_that_is_down_is_seen(box: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "holder", lambda _: None)
    assert not look(box).serving


@pytest.mark.parametrize(("schedule", "off"), [("past", True), ("day", False), ("", False), ("gone", False)])
def test_a_pc_may_be_off_when_its_window_has_ended(box: Config, schedule: str, off: bool) -> None:
    with Registry(box.registry) as registry:
        registry.allow([Entry(MacRange(SILENT, SILENT), "desk", BootSettings(schedule=schedule))])
    assert look(box).pcs[str(SILENT)].may_be_off is off


def test_a_pc_that_is_not_allowed_any_more_is_nobodys_trouble(box: Config) -> None:
    with Registry(box.registry) as registry:
        registry.disallow(MacRange.parse("52:54:00:*"))
    seen = look(box)
    assert seen.pcs[str(SILENT)].may_be_off
    assert seen.pcs[str(FAILED)].fault is None


def test_a_pc_that_takes_no_loader_is_seen(box: Config) -> None:
    mac, began = MacAddress.parse("52:54:00:00:00:99"), time.time() - 400
    boot = Boot(99, mac, began, "token", "20261123-150102-1a2b3c4d", last_event=began)
    boot = fold(boot, Discovered(mac, 7, ipxe=False, xid=5, secs=0), began)
    boot = fold(boot, Offered(mac, "ipxe.efi", 67), began + 60)
    with Registry(box.registry) as registry, registry.transaction():
        registry.open_boot(BootRow(99, mac, began, "token", boot.release, ""))
        registry.save_states([BootState(99, boot.last_event, str(boot.stage), boot.under_way, encode_state(boot))])
    pc = look(box).pcs[str(mac)]
    assert not pc.loads
    assert pc.fault is not None


def test_what_the_server_says_of_itself(box: Config) -> None:
    with Registry(box.registry) as registry:
        registry.set_server("trouble", ["eth1 has no address"])
        registry.set_server("exports", {"error": "no backend", "backend": "", "why": "x"})
    causes = [cause for cause, _ in look(box).trouble]
    assert causes[:2] == [
        "PCs cannot reach the server: eth1 has no address",
        "the exports are not in force: no backend",
    ]


def test_tasks_are_counted_from_look_to_look(box: Config) -> None:
    watching = Watch()
    project = COMPUTING.projects[0]
    assert look(box, watching).errors == ()
    more = replace(project, succeeded=project.succeeded + 3, failed=project.failed + 2)
    with Registry(box.registry) as registry:
        after = to_json(replace(COMPUTING, projects=(more,)))
        store.write(registry, [StoredHeartbeat(COMPUTES, 1, time.time(), FACTS, after)])
    (share,) = look(box, watching).errors
    assert (share.project, share.ended, share.failed) == (project.name or project.url, 5, 2)
    assert share.pcs == ((str(COMPUTES), 2),)


def test_an_update_that_stopped_is_seen_unless_its_build_says_so_itself(box: Config, tmp_path: Path) -> None:
    def stopped(stage: str, *, failed: bool, words: str = "it hung") -> StoppedUpdate | None:
        notes.keep_run(box.images, UpdateRun(1000.0, stage, "20261123-150102-1a2b3c4d", failed, words, "look"))
        images = look(box).images
        assert images is not None
        return images.stopped

    box.images.mkdir(exist_ok=True)
    found = stopped("test", failed=True)
    assert found == StoppedUpdate(1000.0, "test", "20261123-150102-1a2b3c4d", "it hung", "look")
    assert stopped("activate", failed=False) is None
    # What kept the build from beginning, such as a wrong name in a recipe, no build has said.
    assert stopped("build", failed=True) is not None
    error = {"stage": "packages", "message": "the mirror is away", "hint": "", "log": "", "tail": [], "paste": ""}
    (tmp_path / "run").mkdir()
    lines = ({"invocation": "77"}, {"error": error})
    (tmp_path / "run" / "progress").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert stopped("build", failed=True, words="image lab: the mirror is away") is None
    assert stopped("build", failed=True) is not None


def test_a_build_that_failed_is_seen_and_one_that_was_stopped_is_not(box: Config, tmp_path: Path) -> None:
    progress = tmp_path / "run" / "progress"
    progress.parent.mkdir()

    def failed(*last: object) -> FailedBuild | None:
        progress.write_text("".join(f"{json.dumps(line)}\n" for line in ({"invocation": "77"}, *last)))
        images = look(box).images
        assert images is not None
        return images.failed

    error = {
        "stage": "chroot",
        "message": "a package is missing",
        "hint": "apt update",
        "log": "",
        "tail": [],
        "paste": "",
    }
    assert failed({"error": error}) == FailedBuild("77", "a package is missing", "apt update")
    assert failed({"error": error | {"stage": "stopped"}}) is None
    assert failed({"release": "20261123-150102-1a2b3c4d"}) is None
    assert failed({"progress": {}}) is None
    progress.write_text('{"invocation"')
    assert look(box).images is not None


def test_quiet_times_are_those_of_the_configuration(tmp_path: Path) -> None:
    config = parse(
        f'[server]\ndata = "{tmp_path}"\n[live]\ntime_zone = "UTC"\n[notify]\nquiet = ["22:00-06:30"]\n', tmp_path
    )
    night, noon = (datetime(2026, 11, 30, hour, tzinfo=UTC).timestamp() for hour in (23, 12))
    assert (is_quiet(config, night), is_quiet(config, noon)) == (True, False)


def test_the_links_lead_to_the_page(tmp_path: Path) -> None:
    text = f'[server]\ndata = "{tmp_path}"\n[control]\nlisten = "10.0.0.1:9443"\n'
    assert page_of(parse(text, tmp_path)) == "https://10.0.0.1:9443/"
    assert page_of(parse(f"{text}enabled = false\n", tmp_path)) == ""


def test_from_the_registry_to_the_words(box: Config) -> None:
    """The whole way, but for the delivery: a PC fails, and the notice names it with cause and cure."""
    with Registry(box.registry) as registry:
        registry.sql.execute("DELETE FROM boots WHERE id = 6")
    watching, now, told = Watch(), time.time(), list[Notice]()
    with Registry(box.registry) as registry:
        for second in (0, 30, 60, 90, 120):
            seen, counted = watching.look(box, registry, outbox.load_tally(registry), now + second)
            told += outbox.look(registry, seen, RuleSettings(), box.notify.targets, counted=counted)
            if second == 0:
                began = now - 30
                boot = Boot(70, FAILED, began, "t", "20261123-150102-1a2b3c4d", last_event=began)
                boot = fold(boot, Discovered(FAILED, 7, ipxe=False, xid=5, secs=0), began)
                boot = fold(boot, Reported(FAILED, "failed", {"reason": "no root"}), began + 9)
                with registry.transaction():
                    registry.open_boot(BootRow(70, FAILED, began, "t", boot.release, ""))
                    state = BootState(70, boot.last_event, str(boot.stage), boot.under_way, encode_state(boot))
                    registry.save_states([state])
    (notice,) = [each for each in told if each.rule == "faults"]
    assert notice.title.endswith(f"room 12 ({FAILED}): root refused by NFS")
    assert "Do: sudo netboot-appliance exports apply" in notice.body


def test_after_a_clock_was_set_back_all_pcs_are_read_again(box: Config) -> None:
    """Otherwise nobody would hear of a PC that falls silent for as long as the clock was ahead."""
    watching = Watch()
    with Registry(box.registry) as registry:
        ahead, _ = watching.look(box, registry, {}, time.time() + 30 * 86400)
        assert ahead.pcs[str(COMPUTES)].kind is not Kind.COMPUTING
        seen, _ = watching.look(box, registry, {}, time.time())
    assert seen.pcs[str(COMPUTES)].kind is Kind.COMPUTING

"""The room follows the registry, and time."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.config.file import Config, load
from appliance.control.fleet import reader
from appliance.control.fleet.pcs import EVERYBODY, Wanted
from appliance.control.fleet.rooms import Change, Room
from appliance.control.fleet.watcher import Watcher
from appliance.control.web.pen import RoomPen
from appliance.heartbeats import orders
from appliance.heartbeats.states import Kind
from appliance.journal.timeline import Boot, fold
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, IgnoredRow
from services.decision import Reason
from services.ethernet import MacAddress, MacRange
from services.events import Discovered
from services.http.heartbeats import OrderVerb
from tests.unit.appliance.control import many_pcs
from tests.unit.appliance.control.many_pcs import pc

NOW = time.time()


class Lab:
    """A registry that a server writes, and the watcher of another process."""

    def __init__(self, config: Config, registry: Registry, other: Registry) -> None:
        self.config = config
        self.registry = registry
        self.watcher = Watcher(other, RoomPen(), Room())

    @property
    def room(self) -> Room:
        return self.watcher.room

    def look(self, after: float = 0.0) -> Change | None:
        return self.watcher.look(self.config, NOW + after)

    def forget(self, number: int) -> None:
        """What `clients forget` leaves of a PC."""
        for table in ("clients", "boots", "heartbeats"):
            self.registry.sql.execute(f"DELETE FROM {table} WHERE mac = ?", (pc(number).value,))

    def looked(self, after: float = 0.0) -> list[int]:
        """The PCs that changed, by their number, in a change that loads nothing anew."""
        change = self.look(after)
        assert change is not None
        assert not change.anew
        return [MacAddress.parse(now.facts.mac).value - many_pcs.FIRST for _, now in change.pcs]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "c.toml").write_text(f'[server]\ndata = "{tmp_path}"\n')
    config = load(tmp_path / "c.toml")
    many_pcs.fill(config.registry, 30, NOW)
    with Registry(config.registry) as registry, Registry(config.registry) as other:
        yield Lab(config, registry, other)


def test_the_first_look_has_every_pc_in_its_place(lab: Lab) -> None:
    change = lab.look()
    assert change is not None
    assert change.anew
    room = lab.room
    assert room.counts.words == (
        "25 of 30 on, 22 compute; 1 failed, 1 stalled, 1 idle, 1 silent, 1 booting, 1 suspended,"
        " 1 without heartbeats, 1 off"
    )
    assert [(group.title, len(group.pcs)) for group in room.groups] == [("Room 101", 30)]
    assert "Room 101 <small>25 of 30 on</small>" in room.groups[0].head
    assert "computing 4 tasks" in room.pcs[str(pc(0))].row
    assert 'value="20"' in room.pcs[str(pc(0))].row
    assert [group.cause for group in room.needs.faults] != []
    plots, figures = room.days
    assert "<svg" in plots
    assert "<table" in figures


def test_the_plots_follow_the_day(lab: Lab) -> None:
    lab.look()
    before = lab.room
    with lab.registry.transaction():
        lab.registry.sql.execute(
            "UPDATE day_totals SET credit = credit + 7e6 WHERE day = (SELECT max(day) FROM day_totals)"
        )
    assert lab.look(500) is not None
    assert lab.room.days == before.days
    change = lab.look(601)
    assert change is not None
    assert not change.anew
    assert lab.room.days != before.days
    assert lab.room.drawn == change.version
    for wanted in (EVERYBODY, Wanted.of("computing", "")):
        told = change.rows(wanted)
        assert told is not None
        assert '<div hx-swap-oob="true" id="plots"' in told
        assert '<div hx-swap-oob="true" id="figures"' in told


def test_the_first_figures_are_loaded_with_the_page(lab: Lab) -> None:
    lab.registry.sql.execute("ALTER TABLE day_totals RENAME TO kept")
    lab.registry.sql.execute("CREATE TABLE day_totals AS SELECT * FROM kept WHERE 0")
    lab.look()
    assert lab.room.days == ()
    lab.registry.sql.execute("INSERT INTO day_totals SELECT * FROM kept")
    change = lab.look(601)
    assert change is not None
    assert change.anew


def test_the_room_has_what_the_api_lists_and_what_metrics_tell(lab: Lab) -> None:
    lab.look()
    view = json.loads(lab.room.pcs[str(pc(0))].listed)
    assert (view["mac"], view["now"]["words"]) == (str(pc(0)), lab.room.pcs[str(pc(0))].facts.words)
    running = lab.room.work.tasks["running"]
    assert running > 0
    assert lab.look(400) is not None
    assert lab.room.work.tasks["running"] == 0, "all are silent"
    many_pcs.beat_again(lab.registry, [0], NOW + 401)
    lab.look(401)
    assert 0 < lab.room.work.tasks["running"] < running
    lab.forget(0)
    lab.look(402)
    assert lab.room.work.tasks["running"] == 0


def test_the_room_says_which_edits_it_shows(lab: Lab) -> None:
    lab.look()
    edits = lab.room.edits
    lab.registry.allow([Entry(MacRange.parse("02:00:00:*"), "attic")])
    assert lab.room.edits == edits
    lab.look()
    assert lab.room.edits == edits + 1 == lab.registry.edits()


def test_only_pcs_that_changed_are_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.look()
    read: list[int] = []
    original = reader.read_pcs

    def counted(registry: Registry, macs: list[int], *others: object) -> list[reader.ReadPc]:
        read.extend(macs)
        return original(registry, macs, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(reader, "read_pcs", counted)
    assert lab.look() is None
    many_pcs.beat_again(lab.registry, [3, 5], NOW + 1)
    assert lab.looked(1) == [3, 5]
    assert read == [pc(3).value, pc(5).value]


def test_a_heartbeat_changes_one_row_and_nothing_else(lab: Lab) -> None:
    lab.look()
    many_pcs.beat_again(lab.registry, [3], NOW + 1)
    change = lab.look(1)
    assert change is not None
    told = change.rows(EVERYBODY)
    assert told is not None
    assert told.count("hx-swap-oob") == 1
    assert told.startswith(f'<li hx-swap-oob="true" id="p{pc(3).bare}" class="computing">')
    assert lab.room.pcs[str(pc(3))].version == lab.room.version


def test_silence_is_seen_though_nothing_is_committed(lab: Lab) -> None:
    lab.look()
    assert not lab.watcher.pending(NOW + 1)
    assert lab.watcher.pending(NOW + 200)
    change = lab.look(200)
    assert change is not None
    assert lab.room.counts.states[Kind.SILENT] == 25
    assert lab.room.counts.on == 0
    (silent,) = [group for group in lab.room.needs.faults if "no heartbeat any more" in group.cause]
    assert len(silent.pcs) == 25
    assert "sends no heartbeat any more" in lab.room.top
    assert "25 PCs" in lab.room.top


def test_a_forgotten_pc_is_gone(lab: Lab) -> None:
    lab.look()
    lab.forget(4)
    change = lab.look(1)
    assert change is not None
    assert change.anew
    assert str(pc(4)) not in lab.room.pcs
    assert lab.room.counts.known == 29


def test_a_new_label_moves_pcs(lab: Lab) -> None:
    lab.look()
    lab.registry.allow([Entry(MacRange(pc(7), pc(7)), "Ann's desk")])
    change = lab.look(1)
    assert change is not None
    assert change.anew
    assert [(group.title, len(group.pcs)) for group in lab.room.groups] == [("Room 101", 29), ("Single PCs", 1)]
    assert "Ann&#39;s desk" in lab.room.pcs[str(pc(7))].row


def test_a_pc_that_is_no_longer_allowed_stands_apart(lab: Lab) -> None:
    lab.look()
    lab.registry.disallow(MacRange(pc(0), MacAddress(pc(0).value + 255)))
    lab.look(1)
    assert [group.title for group in lab.room.groups] == ["No longer allowed"]
    assert lab.room.allowed == 0


def test_a_boot_begins_and_a_pc_that_only_asked_is_shown_apart(lab: Lab) -> None:
    lab.look()
    fresh, stranger = MacAddress(pc(0).value + 200), MacAddress(0x020000000001)
    with lab.registry.transaction():
        for number, mac in ((100, fresh), (101, stranger)):
            boot = fold(
                Boot(number, mac, NOW, "t", "", last_event=NOW), Discovered(mac, 7, ipxe=False, xid=1, secs=0), NOW
            )
            lab.registry.open_boot(BootRow(number, mac, NOW, "t", "", ""))
            lab.registry.append_events([(number, NOW, "Discovered", _json(boot))])
    lab.look(1)
    first = lab.room.groups[0]
    assert (first.title, first.macs) == ("Asking for the first time", (str(fresh),))
    assert lab.room.counts.known == 30


def _json(boot: Boot) -> str:
    return f'{{"mac": "{boot.mac}", "architecture": 7, "ipxe": false, "xid": 1, "secs": 0}}'


def test_an_order_that_ended_a_boot_is_seen(lab: Lab) -> None:
    lab.look()
    (off,) = orders.give(lab.registry, [pc(2)], OrderVerb.OFF, NOW - 5)
    orders.record(lab.registry, {off.id: NOW - 4}, {off.id: (NOW, "done")})
    assert lab.looked(1) == [2]
    assert lab.room.pcs[str(pc(2))].facts.words == "off by order"


def test_machines_that_were_refused_are_counted_after_some_seconds(lab: Lab) -> None:
    lab.look()
    with lab.registry.transaction():
        lab.registry.record_ignored(
            [
                IgnoredRow("52:54:99:00:00:01", "dhcp", str(Reason.NOT_ALLOWED), NOW, NOW, 3),
                IgnoredRow(str(pc(1)), "tftp", str(Reason.TOO_OFTEN), NOW, NOW, 3),
            ]
        )
    lab.look(1)
    assert lab.room.refused == 0
    assert lab.watcher.pending(NOW + 6)
    lab.look(6)
    assert lab.room.refused == 1
    assert '<a id="refused" href="/refused">1 machine</a> asked to boot and may not.' in lab.room.top


def test_a_watcher_that_follows_a_failed_one_tells_the_difference_only(lab: Lab) -> None:
    lab.look()
    room = replace(lab.room, trouble="the disk is gone")
    many_pcs.beat_again(lab.registry, [3], NOW + 1)
    lab.forget(4)
    with Registry(lab.config.registry) as again:
        watcher = Watcher(again, RoomPen(), room)
        change = watcher.look(lab.config, NOW + 1)
    assert change is not None
    assert change.version == room.version + 1
    assert str(pc(4)) not in watcher.room.pcs
    assert str(pc(3)) in [now.facts.mac for _, now in change.pcs]
    assert watcher.room.trouble == ""


def test_a_look_that_is_stopped_changes_nothing(lab: Lab) -> None:
    assert lab.watcher.look(lab.config, NOW, lambda: True) is None
    assert lab.room.version == 0
    assert lab.look() is not None


HOSTILE = "<script>alert(1)</script>\"'"


def test_all_that_a_pc_or_a_person_says_is_escaped(lab: Lab) -> None:
    lab.registry.allow(
        [Entry(MacRange(pc(0), pc(0)), HOSTILE), Entry(MacRange(pc(1), MacAddress(pc(1).value + 1)), HOSTILE)]
    )
    lab.registry.sql.execute(
        "UPDATE heartbeats SET facts = ?, boinc = replace(boinc, 'user request', ?), doing = doing",
        ('{"state_directory": "<script>alert(1)</script>"}', "<script>alert(2)</script>"),
    )
    lab.look()
    html = "".join(
        [lab.room.top, *(group.head for group in lab.room.groups), *(kept.row for kept in lab.room.pcs.values())]
    )
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert html.count("alert(2)") > 0

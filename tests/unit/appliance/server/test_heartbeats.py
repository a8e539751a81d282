"""What a box takes of heartbeats, and which orders its replies have."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.boot import next_boot
from appliance.boot.policy import reporting_token
from appliance.heartbeats import orders
from appliance.heartbeats.records import EXPIRES_AFTER, Order
from appliance.registry.database import Registry
from appliance.schedules import respites
from appliance.server.heartbeat_writer import HeartbeatWriter
from appliance.server.heartbeats import AT_ONCE
from appliance.server.registry_sync import RegistrySync
from services.boinc.condition import Condition
from services.decision import Ignore, Reason
from services.ethernet import MacAddress, MacRange
from services.http.heartbeats import Heartbeat, HeartbeatReply, OrderEnd, OrderVerb
from tests.unit.appliance.server.test_boot_scripts import PC, Running

ADDRESS = IPv4Address("10.77.0.50")
OTHER = MacAddress.parse("52:54:00:aa:bb:cd")


class Beating(Running):
    """A running box whose PC sends heartbeats, with its registry kept in step and its CLI."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.sync = RegistrySync(self.registry, self.box, self.journal)
        self.writer = HeartbeatWriter(
            self.registry.path, self.box.heartbeats.pending, lambda *_: Condition(), lambda: self.now
        )

    def beat(self, *ended: OrderEnd, mac: MacAddress = PC, **facts: str) -> HeartbeatReply | Ignore:
        return self.box.heartbeat(mac, self.token, Heartbeat(mac, {"uptime": "9"} | facts, ended), ADDRESS)

    def told(self, *ended: OrderEnd) -> list[tuple[int, OrderVerb]]:
        """The orders in the reply to a heartbeat that ends these."""
        reply = self.beat(*ended)
        assert isinstance(reply, HeartbeatReply)
        return list(reply.orders)

    def give(self, verb: OrderVerb, mac: MacAddress = PC) -> int:
        """Give an order by the CLI, and let the server see it."""
        with Registry(self.registry.path) as cli:
            (order,) = orders.give(cli, [mac], verb, self.now)
        self.sync.turn(0.0)
        return order.id

    def stored(self) -> list[Order]:
        """All orders in the registry, once everything is written."""
        self.writer.turn()
        assert self.writer.trouble == ""
        return orders.all_of(self.registry)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beating]:
    # How often a PC may send is tested by itself.
    monkeypatch.setattr("appliance.server.heartbeats.AT_ONCE", 100)
    running = Beating(tmp_path)
    running.power_on()
    yield running
    running.writer.release()
    running.registry.close()


def test_the_reply(box: Beating) -> None:
    reply = box.beat()
    assert isinstance(reply, HeartbeatReply)
    assert (reply.time, reply.orders) == (box.now, ())
    assert 30 <= reply.next < 90


def test_only_the_current_boot_has_heartbeats(box: Beating) -> None:
    old = box.token
    box.power_on()
    heartbeat = Heartbeat(PC, {})
    assert box.box.heartbeat(PC, old, heartbeat, ADDRESS) == Ignore(Reason.TOKEN_INVALID)
    assert box.box.heartbeat(PC, "wrong", heartbeat, ADDRESS) == Ignore(Reason.TOKEN_INVALID)
    assert box.box.heartbeat(OTHER, box.token, heartbeat, ADDRESS) == Ignore(Reason.NO_BOOT)
    assert box.box.heartbeats.pending.take().heartbeats == {}
    reply = box.box.heartbeat(PC, reporting_token(box.token), heartbeat, ADDRESS)
    assert isinstance(reply, HeartbeatReply), "a rescue shell reports, too"


def test_a_heartbeat_is_a_sign_of_life_and_shows_where_the_pc_is(box: Beating) -> None:
    box.beat()
    assert box.box.addresses.running() == {PC}
    boot = box.journal.boot(PC)
    assert boot
    assert boot.addresses[-1] == ADDRESS


def test_the_reply_has_the_label_for_the_screen(box: Beating) -> None:
    box.registry.allow([Entry(MacRange(PC, PC), "Room 12")])
    box.box.refresh_allowlist()
    reply = box.beat()
    assert isinstance(reply, HeartbeatReply)
    assert reply.label == "Room 12"


def test_the_reply_has_the_window_of_the_range_s_schedule(box: Beating) -> None:
    night = '[schedules.night]\nwindows = ["Mon-Fri 19:00-06:30"]\ntime_zone = "Europe/Berlin"\n'
    box.box.configure(box.config(night))
    reply = box.beat()
    assert isinstance(reply, HeartbeatReply)
    assert reply.window is None
    for name in ("night", "lost"):
        box.allow(BootSettings(schedule=name))
        box.box.refresh_allowlist()
        reply = box.beat()
        assert isinstance(reply, HeartbeatReply)
        if name == "night":
            assert reply.window
            assert reply.window.begin <= box.now < reply.window.end or box.now < reply.window.begin
            assert reply.window.end - reply.window.begin == 11.5 * 3600
        else:
            assert reply.window is None
    box.allow(BootSettings(schedule="night"))
    box.box.refresh_allowlist()
    box.box.configure(box.config(night.replace('"Mon-Fri 19:00-06:30"', '"12:00-13:00"')))
    reply = box.beat()
    assert isinstance(reply, HeartbeatReply)
    assert reply.window
    assert reply.window.end - reply.window.begin == 3600, "after a reload"


def test_a_pc_that_leaves_for_its_disk_starts_it_at_its_next_boot_and_only_then(box: Beating) -> None:
    box.beat(leaving="off")
    box.writer.turn()
    box.sync.turn(0.0)
    assert next_boot.all_of(box.registry) == []
    box.beat(leaving="disk")
    box.writer.turn()
    box.sync.turn(0.0)
    box.power_on()
    assert box.started == "local"
    box.power_on()
    assert box.started == "boinc"


def test_a_pc_whose_owner_took_it_back_starts_its_disk_and_has_a_respite(box: Beating) -> None:
    reply = box.beat(leaving="owner")
    assert isinstance(reply, HeartbeatReply)
    assert not reply.owned, "it has no schedule: nobody has it but the box"
    box.writer.turn()
    assert respites.of(box.registry) == {PC: box.now + 3600}
    box.box.configure(box.config('[schedules.night]\nwindows = ["Sat-Sun"]\nrespite = 600\n'))
    box.allow(BootSettings(schedule="night"))
    box.box.refresh_allowlist()
    reply = box.beat(leaving="owner")
    assert isinstance(reply, HeartbeatReply)
    assert reply.owned
    box.writer.turn()
    box.sync.turn(0.0)
    until = box.now + 600
    assert respites.of(box.registry) == {PC: until}
    box.power_on()
    assert box.started == "local"
    box.beat(leaving="disk")
    box.writer.turn()
    assert respites.of(box.registry) == {PC: until}, "by order or at the end of a window"


def test_a_pc_that_sends_too_many(tmp_path: Path) -> None:
    box = Beating(tmp_path)
    box.power_on()
    assert [isinstance(box.beat(), HeartbeatReply) for _ in range(AT_ONCE + 2)] == [True] * AT_ONCE + [False] * 2
    assert box.beat() == Ignore(Reason.TOO_MANY_HEARTBEATS)
    boot = box.journal.boot(PC)
    assert boot
    later = 1e9
    assert box.box.heartbeats.take(boot, Heartbeat(PC, {}), box.now, later)
    box.registry.close()


def test_an_order_is_told_until_it_has_ended(box: Beating) -> None:
    order = box.give(OrderVerb.SUSPEND)
    assert box.told() == [(order, OrderVerb.SUSPEND)]
    assert box.stored() == [Order(order, PC, OrderVerb.SUSPEND, box.now, box.now)]
    box.now += 60
    assert box.told() == [(order, OrderVerb.SUSPEND)]
    assert box.told(OrderEnd(order)) == []
    assert box.stored() == [Order(order, PC, OrderVerb.SUSPEND, box.now - 60, box.now - 60, box.now, "done")]


def test_an_order_that_failed(box: Beating) -> None:
    order = box.give(OrderVerb.UPDATE)
    assert box.told() == [(order, OrderVerb.UPDATE)]
    assert box.told(OrderEnd(order, "no project")) == []
    assert box.stored()[0].result == "failed: no project"


def test_an_order_that_ended_is_not_told_again_though_the_registry_is_read_meanwhile(box: Beating) -> None:
    order = box.give(OrderVerb.SUSPEND)
    box.told()
    box.told(OrderEnd(order))
    other = box.give(OrderVerb.RESUME)  # nothing has been written yet
    assert box.told() == [(other, OrderVerb.RESUME)]
    assert [each.result for each in box.stored()] == ["done", ""]


def test_an_order_that_was_carried_out_before_it_was_cancelled(box: Beating) -> None:
    order = box.give(OrderVerb.SUSPEND)
    box.told()
    (sent,) = box.stored()
    with Registry(box.registry.path) as cli:
        orders.cancel(cli, [sent], box.now)
    box.sync.turn(1.0)
    assert box.told() == []
    assert box.stored()[0].result == "cancelled"
    assert box.told(OrderEnd(order)) == []
    assert box.stored()[0].result == "done"
    box.told(OrderEnd(order, "no"), OrderEnd(99))
    assert box.stored()[0].result == "done", "it ends once"


def test_a_pc_ends_orders_of_its_own_only(box: Beating) -> None:
    order = box.give(OrderVerb.SUSPEND, OTHER)
    assert box.told(OrderEnd(order)) == []
    assert box.stored()[0].ended is None


def test_an_order_waits_for_a_pc_that_is_off_but_not_for_ever(box: Beating) -> None:
    order = box.give(OrderVerb.SUSPEND)
    box.now += EXPIRES_AFTER - 2000  # power_on takes 1,000 seconds
    box.power_on()
    assert box.told() == [(order, OrderVerb.SUSPEND)]
    late = box.give(OrderVerb.RESUME)
    box.now += EXPIRES_AFTER
    box.power_on()
    assert (late, OrderVerb.RESUME) not in box.told()


def test_a_pc_that_went_off_by_order_does_not_go_off_again(box: Beating) -> None:
    order = box.give(OrderVerb.OFF)
    assert box.told() == [(order, OrderVerb.OFF)]
    box.power_on()
    assert box.told() == []
    assert box.stored()[0].result == "the PC has been restarted since"


def test_a_restart_of_the_server_keeps_open_orders(box: Beating) -> None:
    order = box.give(OrderVerb.SUSPEND)
    box.told()
    again = type(box.box.heartbeats)(box.registry)
    boot = box.journal.boot(PC)
    assert boot
    assert again.orders_for(boot, box.now) == ((order, OrderVerb.SUSPEND),)


def test_only_what_changes_is_read(box: Beating) -> None:
    allowlist = box.box.allowlist
    box.beat()
    box.stored()
    box.sync.turn(1.0)
    assert box.box.allowlist is allowlist, "a heartbeat is no edit"


def test_lost_heartbeats_are_shown(box: Beating) -> None:
    box.box.heartbeats.pending.lost = 3
    box.sync.turn(1.0)
    assert box.registry.server()["heartbeats_lost"] == 3

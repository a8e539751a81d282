"""Heartbeats with the real `serve`: kept, answered with orders, and no way to cost others anything."""

import contextlib
import time
from collections import Counter
from http.client import HTTPConnection

import pytest

from appliance.boot import next_boot
from appliance.boot.policy import reporting_token
from appliance.heartbeats import days, orders, store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.registry.database import Registry
from appliance.schedules import respites
from services.decision import Reason
from services.http.heartbeats import LONGEST_HEARTBEAT, OrderVerb
from tests.netns.attacked_box import TIMEOUT, AttackedBox, FarPc
from tests.netns.test_unbreakable_http_flood import MEMORY, ROUNDS, flood, served
from tests.room.processes import wait_until

HEAD = b"uptime=61\nload=3.98\nboinc=running\n"
HOSTILE = {
    "too long": HEAD + b"\n" + b"<" * LONGEST_HEARTBEAT,
    "no empty line": HEAD,
    "64 kB of <": b"<" * LONGEST_HEARTBEAT,
    "zeros": bytes(9000),
    "nothing": b"",
}
MANY = 1000


def registry(box: AttackedBox) -> Registry:
    return Registry(box.data / "registry" / "registry.sqlite3")


def stored(box: AttackedBox, pc: FarPc) -> StoredHeartbeat | None:
    with registry(box) as opened:
        return store.latest(opened, pc.mac)


def results(box: AttackedBox, pc: FarPc) -> list[str]:
    """How the PC's orders ended, the latest first; empty for those that have not."""
    with registry(box) as opened:
        return [order.result for order in orders.latest(opened, pc.mac, 9)]


def give(box: AttackedBox, pc: FarPc, verb: OrderVerb) -> int:
    with registry(box) as opened:
        return orders.give(opened, [pc.mac], verb, time.time())[0].id


def test_a_heartbeat_is_kept_and_an_order_is_told_until_it_has_ended(attacked: AttackedBox) -> None:
    pc = attacked.pc(400)
    token = pc.script().token
    status, reply, told = pc.heartbeat(token, HEAD + b"\n<boinc_gui_rpc_reply/>")
    assert (status, told) == (200, [])
    assert abs(int(reply["time"]) - time.time()) < TIMEOUT
    assert 30 <= int(reply["next"]) < 90
    wait_until(lambda: stored(attacked, pc) is not None, TIMEOUT, "the heartbeat in the registry", 0.05)
    kept = stored(attacked, pc)
    assert kept
    assert kept.facts == {"uptime": "61", "load": "3.98", "boinc": "running"}
    assert abs(kept.at - time.time()) < TIMEOUT
    given = give(attacked, pc, OrderVerb.SUSPEND)
    # Some of these are refused: a PC may send one every ten seconds.
    wait_until(lambda: pc.heartbeat(token, HEAD + b"\n")[2] == [f"{given} suspend"], TIMEOUT, "the order", 0.5)
    assert results(attacked, pc) == [""]
    ended = HEAD + b"order=%d done\n\n" % given
    wait_until(lambda: pc.heartbeat(token, ended)[::2] == (200, []), TIMEOUT, "a reply without the order", 0.5)
    wait_until(lambda: results(attacked, pc) == ["done"], TIMEOUT, "the end of the order", 0.05)


def test_what_is_pending_is_written_when_the_server_stops(attacked: AttackedBox) -> None:
    pc = attacked.pc(401)
    token = pc.script().token
    assert pc.heartbeat(token, b"uptime=77\n\n")[0] == 200
    assert attacked.process
    attacked.process.stop(TIMEOUT)
    kept = stored(attacked, pc)
    assert kept
    assert kept.facts == {"uptime": "77"}
    give(attacked, pc, OrderVerb.UPDATE)
    with attacked.configuration.open("a") as file:
        file.write('[schedules.night]\nwindows = ["Mon-Fri 19:00-06:30"]\nat_end = "reboot to local disk"\n')
    attacked.verb("allow", "add", str(pc.mac), "--schedule", "night")
    attacked.start()
    status, reply, told = pc.heartbeat(token, HEAD + b"\n")
    assert status == 200, "the PC's boot goes on"
    assert [order.split()[1] for order in told] == ["update"]
    begin, end, *then = reply["window"].split()
    assert then == ["600", "disk"]
    assert reply["owner"] == "yes"
    assert int(end) - int(begin) == 41400
    assert pc.heartbeat(token, HEAD + b"leaving=disk\n\n")[0] == 200

    def asked() -> list[str]:
        with registry(attacked) as opened:
            return [each.entry for each in next_boot.all_of(opened) if each.mac == pc.mac]

    wait_until(lambda: asked() == ["local"], TIMEOUT, "its next boot to start its disk", 0.05)

    def left_alone() -> float:
        """For how many seconds the PC's owner has it."""
        with registry(attacked) as opened:
            return respites.of(opened).get(pc.mac, 0.0) - time.time()

    assert left_alone() < 0
    assert pc.heartbeat(token, HEAD + b"leaving=owner\n\n")[0] == 200
    wait_until(lambda: left_alone() > 0, TIMEOUT, "its respite", 0.05)
    assert 3600 - TIMEOUT < left_alone() <= 3600

    def counted() -> tuple[int, int]:
        """For how long the PC counts as on, and how long ago the first of its heartbeats was when the last one came."""
        last = stored(attacked, pc)
        assert last
        with registry(attacked) as opened:
            found = days.totals(opened, 0, days.LAST, [pc.mac])
        return sum(day.powered for day in found), int(last.at) - int(kept.at)

    wait_until(lambda: 0 < counted()[0] == counted()[1], TIMEOUT, "the time that it was on, the restart included", 0.05)


def test_tokens_of_other_boots(attacked: AttackedBox) -> None:
    pc = attacked.pc(402)
    old = pc.script().token
    assert pc.heartbeat("wrong", HEAD + b"\n")[0] == 403
    assert attacked.pc(403).heartbeat(old, HEAD + b"\n")[0] == 403
    assert pc.heartbeat(reporting_token(old), HEAD + b"\n")[0] == 200
    assert pc.heartbeat(old, HEAD + b"\n")[0] == 200


def test_bodies_that_are_none(attacked: AttackedBox) -> None:
    pc = attacked.pc(404)
    token = pc.script().token
    with attacked.unharmed(MEMORY):
        for name, body in HOSTILE.items():
            assert pc.heartbeat(token, body)[0] == 400, name
        assert pc.heartbeat(token, HEAD + b"\n" + b"\0<" * 20_000)[0] == 200
    attacked.await_ignored({(str(pc.mac), "http", Reason.MALFORMED.value): len(HOSTILE)})
    wait_until(lambda: stored(attacked, pc) is not None, TIMEOUT, "the heartbeat in the registry", 0.05)


def test_a_thousand_a_second(attacked: AttackedBox) -> None:
    """Of a program on a PC that knows the token: few are taken, and they leave one row."""
    pc, honest = attacked.pc(405), attacked.pc(406)
    path = f"/boot/{pc.mac.bare}/{pc.script().token}/heartbeat"
    token = honest.script().token
    statuses: Counter[int] = Counter()
    begun = time.monotonic()
    with attacked.unharmed(MEMORY), contextlib.closing(HTTPConnection(pc.box)) as connection:
        connection.sock = pc.connect()
        for _ in range(MANY):
            connection.request("POST", path, HEAD + b"\n" + b"<x>" * 2000)
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
        assert honest.heartbeat(token, HEAD + b"\n")[0] == 200
    assert set(statuses) == {200, 429}
    assert statuses[200] <= 5 + (time.monotonic() - begun) / 10
    excess = Reason.TOO_MANY_HEARTBEATS.value
    attacked.await_ignored({(str(pc.mac), "http", excess): statuses[429]})
    wait_until(lambda: stored(attacked, honest) is not None, TIMEOUT, "the honest heartbeat", 0.05)


@pytest.mark.parametrize("who", ["an allowed PC", "a stranger"])
def test_long_heartbeats_without_end(attacked: AttackedBox, who: str) -> None:
    pc, honest = attacked.pc(407), attacked.pc(408)
    source = (attacked.gateway, pc.address) if who == "an allowed PC" else (attacked.attacker, "10.77.0.66")
    one = f"POST /boot/{pc.mac.bare}/x/heartbeat HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + "<" * 60_000
    alone = served(honest)
    assert alone == (ROUNDS, ROUNDS, ROUNDS // 10)
    with attacked.unharmed(MEMORY), flood(attacked, *source, "", one):
        assert served(honest) == alone

"""What the API answers to those who may look."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from appliance.allowlist import Entry
from appliance.registry.database import Registry
from appliance.view.clients import ClientView, client_views
from appliance.view.facts import gather_clients
from services.ethernet import MacRange
from tests.fakes.fleet import mac_of
from tests.unit.appliance.cli.program import netboot_appliance
from tests.unit.appliance.control.box_of_pcs import NOW, RELEASE, BoxOfPcs


def read(box: BoxOfPcs, path: str) -> Any:
    answer = box.ask(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_fleet_in_numbers(filled: BoxOfPcs) -> None:
    found = read(filled, "/fleet")
    assert found["known"] == 80
    assert sum(found["states"].values()) == 80
    assert found["stuck"] == found["states"]["failed"] + found["states"]["stalled"] > 0
    assert found["image"]["id"] == RELEASE
    assert found["server"] == {"pid": None, "started": None}
    by_label = {each["label"]: each for each in found["labels"]}
    assert set(by_label) == {"", "room 1", "room 2"}, "one PC in twenty has left the allowlist"
    assert sum(each["known"] for each in by_label.values()) == 80


def test_every_list_leads_from_page_to_page_and_has_each_thing_once(filled: BoxOfPcs) -> None:
    for path, items, cursor, key, total in (
        ("/pcs", "pcs", "after", "mac", 80),
        ("/boots", "boots", "before", "id", 160),
        ("/orders", "orders", "before", "id", None),
        ("/allowlist", "entries", "skip", "range", None),
    ):
        seen, more = [], ""
        while True:
            page = read(filled, f"{path}?limit=7{more}")
            assert len(page[items]) <= 7
            seen += [each[key] for each in page[items]]
            if page["next"] is None:
                break
            more = f"&{cursor}={page['next']}"
        assert len(set(seen)) == len(seen) > 0
        assert total in (None, len(seen)), path


def test_pcs_in_a_state_with_a_label_and_the_stuck_ones(filled: BoxOfPcs) -> None:
    counts = read(filled, "/fleet")["states"]
    idle = read(filled, "/pcs?state=idle&state=silent")["pcs"]
    assert len(idle) == counts["idle"] + counts["silent"] > 0
    assert {each["now"]["kind"] for each in idle} <= {"idle", "silent"}
    stuck = read(filled, "/pcs?stuck=true&label=ROOM+1")["pcs"]
    assert {each["now"]["kind"] for each in stuck} <= {"failed", "stalled"}
    assert stuck
    assert read(filled, "/pcs?label=attic") == {"pcs": [], "next": None}


def test_the_same_values_as_the_verbs(filled: BoxOfPcs) -> None:
    path = filled.config.path
    for words, place, items in (
        ("allow list", "/allowlist?limit=500", "entries"),
        ("image list", "/images", "images"),
        ("order list", "/orders", "orders"),
        ("allow refused", "/refused", "refused"),
        ("events --limit 50", "/events?limit=50", "events"),
    ):
        printed = json.loads(netboot_appliance("--config", path, *words.split(), "--json").stdout)
        assert read(filled, place)[items] == printed, words


def test_one_pc(filled: BoxOfPcs) -> None:
    found = read(filled, f"/pcs/{mac_of(0).bare}")
    assert found["pc"]["mac"] == str(mac_of(0))
    assert found["boinc"]["tasks"]
    assert found["facts"]["cores"]
    assert [each["mac"] for each in read(filled, f"/boots?mac={mac_of(0)}")["boots"]] == [str(mac_of(0))] * 2
    assert read(filled, f"/pcs/{mac_of(0)}/orders") is not None


def test_a_boot_and_its_events(filled: BoxOfPcs) -> None:
    latest = read(filled, f"/boots?mac={mac_of(0)}")["boots"][0]
    found = read(filled, f"/boots/{latest['id']}")
    assert found["boot"] == latest
    assert {each["boot"] for each in found["events"]} == {latest["id"]}
    assert found["events"][0]["words"] == "asks for its boot"


def test_events_from_a_cursor_on(own: BoxOfPcs) -> None:
    last = read(own, "/events?limit=3")
    assert len(last["events"]) == 3
    assert read(own, f"/events?after={last['next']}") == {"events": [], "next": last["next"], "more": False}
    with Registry(own.registry) as registry:
        registry.append_events([(1, NOW, "ScriptServed", f'{{"mac": "{mac_of(0)}"}}')])
    (new,) = read(own, f"/events?after={last['next']}")["events"]
    assert (new["at"], new["kind"], new["mac"]) == (NOW, "ScriptServed", str(mac_of(0)))
    assert read(own, f"/events?since={NOW - 1}&kind=ScriptServed&mac={mac_of(0)}")["events"][-1] == new


def test_whether_a_pc_may_boot(filled: BoxOfPcs) -> None:
    assert read(filled, "/allowlist/check/02-00-5E-00-00-01")["entry"]["label"] == "spare"
    assert read(filled, "/allowlist/check/000000000000") == {
        "mac": "00:00:00:00:00:00",
        "allowed": False,
        "entry": None,
    }


def test_machines_that_were_refused(filled: BoxOfPcs) -> None:
    found = read(filled, "/refused?limit=2")
    assert (len(found["refused"]), found["total"] > 2) == (2, True)
    assert found["refused"][0]["count"] > 0


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/pcs/52:54:00:99:99:99", 404, "has not booted yet"),
        ("/boots/999999", 404, "there is no boot 999999"),
        ("/nothing", 404, "There is nothing here"),
        ("/pcs/banana", 422, "mac"),
        ("/pcs?limit=501", 422, "limit"),
        ("/pcs?state=asleep", 422, "state"),
        ("/events?kind=Exploded", 422, "kind"),
        ("/events?since=nan", 422, "since"),
        (f"/events?after={1 << 63}", 422, "after"),
        ("/boots?before=-1", 422, "before"),
    ],
)
def test_an_error_is_a_message_and_a_hint(filled: BoxOfPcs, path: str, status: int, words: str) -> None:
    answer = filled.ask(f"/api/v1{path}")
    assert answer.status_code == status
    assert set(answer.json()) == {"message", "hint"}
    assert words in answer.json()["message"]


def test_a_registry_that_cannot_be_read_is_said(own: BoxOfPcs) -> None:
    own.registry.write_bytes(b"no database at all" * 1000)
    answer = own.ask("/api/v1/fleet")
    assert answer.status_code == 503
    assert "is damaged" in answer.json()["message"]


def test_no_answer_has_a_secret(filled: BoxOfPcs) -> None:
    described = read(filled, "/openapi.json")
    secrets = filled.secrets()
    assert len(secrets) > 160
    boot = read(filled, "/boots?limit=1")["boots"][0]["id"]
    seen = 0
    for path, methods in described["paths"].items():
        if "get" not in methods:
            continue
        for mac in map(mac_of, range(0, 80, 9)):
            text = filled.ask(path.format(mac=mac, number=boot) + "?limit=500").text
            assert not [secret for secret in secrets if secret in text], path
            seen += len(text)
    assert seen > 100_000


@pytest.mark.parametrize(
    "path", ["/fleet", "/pcs", "/boots?limit=3", "/events", "/allowlist", "/images", "/openapi.json"]
)
def test_what_has_not_changed_is_not_sent_again(filled: BoxOfPcs, path: str) -> None:
    first = filled.ask(f"/api/v1{path}")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = filled.ask(f"/api/v1{path}", headers={"If-None-Match": named})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for named in ('"other"', tag.strip('"'), ""):
        assert filled.ask(f"/api/v1{path}", headers={"If-None-Match": named}).content == first.content


def test_what_has_changed_is_sent_again(own: BoxOfPcs) -> None:
    for path in ("/allowlist", "/pcs", "/fleet"):
        before = own.ask(f"/api/v1{path}")
        with Registry(own.registry) as registry:
            registry.allow([Entry(MacRange(mac_of(0), mac_of(0)), f"changed for {path}")])
        after = own.ask(f"/api/v1{path}", headers={"If-None-Match": before.headers["etag"]})
        assert after.status_code == 200
        assert after.headers["etag"] != before.headers["etag"]
        assert f"changed for {path}" in after.text


def test_no_error_has_a_tag_and_nobody_gets_304_who_may_not_look(filled: BoxOfPcs) -> None:
    tag = filled.ask("/api/v1/allowlist").headers["etag"]
    refused = filled.ask("/api/v1/allowlist", token="", headers={"If-None-Match": tag})
    assert (refused.status_code, "etag" in refused.headers) == (401, False)
    assert filled.ask("/api/v1/pcs/000000000000", headers={"If-None-Match": "*"}).status_code == 404


def test_pcs_are_listed_as_the_verb_lists_them(filled: BoxOfPcs) -> None:
    with Registry(filled.registry) as registry:
        (known,) = gather_clients(filled.config, registry, None, 500, frozenset(), NOW)
    views = [json.loads(TypeAdapter(ClientView).dump_json(each)) for each in client_views(known, NOW)]
    assert read(filled, "/pcs?limit=500") == {"pcs": views, "next": None}


@pytest.mark.parametrize("path", ["/api/v1/pcs", "/api/v1/fleet", "/metrics"])
def test_before_the_registry_was_read_that_is_said(own: BoxOfPcs, path: str) -> None:
    fleet = own.app.state.context.fleet
    fleet._look_once = lambda: None
    fleet.room = replace(fleet.room, trouble="the disk is slow", edits=1 << 40)
    answer = own.ask(path)
    assert (answer.status_code, answer.json()["message"]) == (503, "the disk is slow")

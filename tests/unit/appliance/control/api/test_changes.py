"""What the API changes, and for whom."""

import json
from collections.abc import Callable

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.errors import OvertakenError
from appliance.exports import work_desk
from appliance.images import request_files
from appliance.images.image_request import ImageVerb
from appliance.registry.database import Registry
from appliance.root_requests.answer import RootAnswer
from services.ethernet import MacAddress, MacRange
from tests.fakes.fleet import label_of, mac_of
from tests.unit.appliance.control.box_of_pcs import BoxOfPcs
from tests.unit.image.test_release import publish

PC = "02:00:aa:00:00:01"
DAMAGED = "20261102-100000-0a1b2c3d"


def dump(box: BoxOfPcs) -> list[str]:
    with Registry(box.registry) as registry:
        return list(registry.sql.iterdump())


def changes(box: BoxOfPcs) -> list[tuple[str, str, object]]:
    """One request for each route that changes something."""
    described = box.ask("/api/v1/openapi.json").json()["paths"]
    bodies = {
        "/api/v1/images": {"verb": "rollback"},
        "/api/v1/orders": {"target": str(mac_of(0)), "verb": "suspend"},
        "/api/v1/wakes": {"target": str(mac_of(0))},
        "/api/v1/rooms/{label}/hold": {"held": "off"},
        "/api/v1/allowlist": {"range": PC},
        "/api/v1/allowlist/{range}": {"label": "x"},
        "/api/v1/pcs/{mac}/next-boot": {"entry": "local"},
    }
    return [
        (path.format(mac=mac_of(0), range="02:00:5e:*", number=1, label="spare"), method.upper(), bodies.get(path))
        for path, methods in described.items()
        for method in methods
        if method != "get"
    ]


def test_a_token_that_may_only_look_changes_nothing(own: BoxOfPcs) -> None:
    before = dump(own)
    wanted = changes(own)
    assert len(wanted) >= 8
    for path, method, body in wanted:
        answer = own.ask(path, method, json=body)
        assert answer.status_code == 403, (method, path)
        assert "may only look" in answer.json()["message"]
    assert dump(own) == before


@pytest.mark.parametrize("token", ["", "nba_made-up", "\x00"])
def test_a_stranger_gets_nothing(own: BoxOfPcs, token: str) -> None:
    before = dump(own)
    reads = [path for path, methods in own.ask("/api/v1/openapi.json").json()["paths"].items() if "get" in methods]
    wanted = [*changes(own), *((path.format(mac=mac_of(0), number=1), "GET", None) for path in reads)]
    for path, method, body in [*wanted, ("/api/v1/openapi.json", "GET", None)]:
        answer = own.ask(path, method, token, json=body)
        assert (answer.status_code, answer.json()["message"]) == (401, "log in first"), (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert dump(own) == before


def test_an_entry_is_added_changed_and_removed(own: BoxOfPcs) -> None:
    added = own.change("/api/v1/allowlist", "POST", json={"range": "02:00:AA:*", "label": "lab", "timeout": 5})
    assert added.status_code == 201
    assert (added.json()["range"], added.json()["timeout"]) == ("02:00:aa:00:00:00/24", 5)
    again = own.change("/api/v1/allowlist", "POST", json={"range": "02:00:AA:*", "root": "http"})
    assert (again.status_code, again.json()["label"], again.json()["root"]) == (200, "lab", "http")
    place = "/api/v1/allowlist/02:00:aa:00:00:00-02:00:aa:ff:ff:ff"
    changed = own.change(place, "PATCH", json={"timeout": "", "label": "attic"}).json()
    assert (changed["label"], changed["timeout"], changed["root"]) == ("attic", None, "http")
    assert own.change(place, "DELETE").status_code == 204
    assert own.change(place, "DELETE").status_code == 404
    assert own.change(place, "PATCH", json={"label": "x"}).status_code == 404
    assert not own.ask(f"/api/v1/allowlist/check/{PC}").json()["allowed"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"range": "banana"}, "'banana' is not a MAC address"),
        ({"range": PC, "label": "a # b"}, "a label is one line"),
        ({"range": PC, "label": "a\nb"}, "a label is one line"),
        ({"range": PC, "label": "x" * 201}, "at most 200"),
        ({"range": PC, "schedule": "night"}, "there is no schedule 'night'"),
        ({"range": PC, "root": "tftp"}, "must be one of nfs, http"),
        ({"range": PC, "image": "lab"}, "there is no image 'lab'"),
        ({"range": PC, "image": "../lab"}, "cannot be the name of an image"),
        ({"range": PC, "default": "nothing"}, "is not an entry of the menu"),
        ({"range": PC, "timeout": 9999}, "timeout"),
        ({"range": PC, "colour": "red"}, "colour"),
        ({}, "range"),
        ([], "body"),
    ],
)
def test_what_is_not_valid_changes_nothing(own: BoxOfPcs, body: object, words: str) -> None:
    before = dump(own)
    answer = own.change("/api/v1/allowlist", "POST", json=body)
    assert answer.status_code == 422
    assert words in answer.json()["message"]
    assert dump(own) == before


def test_an_order_is_given_listed_and_cancelled(own: BoxOfPcs) -> None:
    target = str(mac_of(0))
    answer = own.change("/api/v1/orders", "POST", json={"target": target, "verb": "suspend"})
    (given,) = answer.json()["orders"]
    assert (answer.status_code, given["mac"], given["verb"]) == (201, target, "suspend")
    assert own.ask("/api/v1/orders?open=true").json()["orders"][0]["id"] == given["id"]
    assert own.ask(f"/api/v1/pcs/{target}/orders").json()["orders"][0]["id"] == given["id"]
    place = f"/api/v1/orders/{given['id']}"
    assert own.change(place, "DELETE").json()["result"] == "cancelled"
    assert own.change(place, "DELETE").status_code == 409
    assert own.change("/api/v1/orders/987654321", "DELETE").status_code == 404


def test_an_order_for_a_room_reaches_its_pcs(own: BoxOfPcs) -> None:
    given = own.change("/api/v1/orders", "POST", json={"target": "Room 1", "verb": "update"}).json()["orders"]
    assert len(given) > 3
    assert {each["label"] for each in given} == {"room 1"}
    nobody = own.change("/api/v1/orders", "POST", json={"target": "attic", "verb": "update"})
    assert (nobody.status_code, "'attic' is neither a MAC address" in nobody.json()["message"]) == (422, True)


def test_a_pc_that_is_off_is_forgotten_and_one_that_is_on_is_not(own: BoxOfPcs) -> None:
    pcs = own.ask("/api/v1/pcs").json()["pcs"]
    gone = next(pc["mac"] for pc in pcs if pc["now"]["kind"] == "failed")
    on = next(pc["mac"] for pc in pcs if pc["now"]["kind"] == "computing")
    assert own.change(f"/api/v1/pcs/{on}", "DELETE").status_code == 409
    assert own.change(f"/api/v1/pcs/{gone}", "DELETE").status_code == 200
    assert own.change(f"/api/v1/pcs/{gone}", "DELETE").status_code == 404
    assert [pc["mac"] for pc in own.ask("/api/v1/pcs").json()["pcs"]] == [pc["mac"] for pc in pcs if pc["mac"] != gone]


def test_the_next_boot_of_a_pc(own: BoxOfPcs) -> None:
    with Registry(own.registry) as registry:
        allowed = registry.allowlist().entries[0].range.first
    place = f"/api/v1/pcs/{allowed}/next-boot"
    chosen = own.change(place, "PUT", json={"entry": "local"})
    assert chosen.json() == {"mac": str(allowed), "entry": "local", "taken": False}
    stranger = own.change(f"/api/v1/pcs/{MacAddress(7)}/next-boot", "PUT", json={"entry": "local"})
    assert (stranger.status_code, "is not allowed" in stranger.json()["message"]) == (422, True)
    assert own.change(place, "PUT", json={"entry": "banana"}).status_code == 422
    assert own.change(place, "DELETE").status_code == 204
    with Registry(own.registry) as registry:
        assert registry.sql.execute("SELECT count(*) FROM next_boots").fetchone() == (0,)


def test_an_image_is_activated_by_root(own: BoxOfPcs, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"verb": "activate", "release": "20261101-100000-0a1b2c3d"}
    refused = own.change("/api/v1/images", "POST", json=wanted)
    assert (refused.status_code, refused.json()["message"]) == (409, "this page cannot ask root here")
    asked = []

    def ask(verb: ImageVerb, release: str, *, image: str) -> RootAnswer:
        asked.append((verb, release, image))
        return RootAnswer("x", done="active: 20261101-100000-0a1b2c3d")

    monkeypatch.setattr(request_files, "available", lambda path: True)
    monkeypatch.setattr(request_files, "ask", ask)
    assert own.change("/api/v1/images", "POST", json=wanted).json() == {"done": "active: 20261101-100000-0a1b2c3d"}
    assert own.change("/api/v1/images", "POST", json={"verb": "rollback", "image": "lab"}).status_code == 200
    assert asked == [(ImageVerb.ACTIVATE, "20261101-100000-0a1b2c3d", ""), (ImageVerb.ROLLBACK, "", "lab")]
    assert own.change("/api/v1/images", "POST", json={"verb": "build", "image": "../x"}).status_code == 422
    assert own.change("/api/v1/images", "POST", json={"verb": "activate", "release": "../x"}).status_code == 422


def test_a_pc_is_forgotten_with_its_work(own: BoxOfPcs, monkeypatch: pytest.MonkeyPatch) -> None:
    pcs = own.ask("/api/v1/pcs").json()["pcs"]
    gone = f"/api/v1/pcs/{next(pc['mac'] for pc in pcs if pc['now']['kind'] == 'failed')}"
    refused = own.change(f"{gone}?work=true", "DELETE")
    assert (refused.status_code, "cannot ask root here; nothing was changed" in refused.json()["message"]) == (
        409,
        True,
    )
    assert own.change(f"{gone}?work=perhaps", "DELETE").status_code == 422
    # Root has accepted it, and then it cannot be moved.
    monkeypatch.setattr(work_desk, "available", lambda path: True)

    def ask(mac: MacAddress, accepted: Callable[[], None]) -> str:
        accepted()
        raise OvertakenError("it is still exported", "is it on?")

    monkeypatch.setattr(work_desk, "ask", ask)
    said = own.change(f"{gone}?work=true", "DELETE").json()
    assert (said["work"], said["trouble"], said["hint"]) == ("", "it is still exported", "is it on?")
    assert own.change(gone, "DELETE").status_code == 404


def test_a_canary_that_there_is_not_and_one_of_nobody(own: BoxOfPcs) -> None:
    canary = "/api/v1/images/canary"
    assert own.change(canary, "DELETE").status_code == 404
    assert own.change(f"{canary}/promote", "POST").status_code == 404
    wanted = {"release": "20260101-000000-00000000", "chosen": ["1-per-label"]}
    refused = own.change(canary, "POST", json=wanted)
    assert (refused.status_code, "there is no release" in refused.json()["message"]) == (404, True)
    publish(own.config.images, DAMAGED)
    # It is there, and cannot be used.
    for file in ("vmlinuz", "manifest.json"):
        (own.config.images / DAMAGED / file).write_text("{")
        damaged = own.change(canary, "POST", json=wanted | {"release": DAMAGED})
        assert damaged.status_code == 409, damaged.json()
    wrong: list[dict[str, object]] = [{"chosen": []}, {"chosen": [""]}, {"release": "../x"}, {"within": "1h"}]
    for each in wrong:
        assert own.change(canary, "POST", json=wanted | each).status_code == 422


def test_the_images_beside_the_default_one_are_listed(own: BoxOfPcs) -> None:
    assert own.ask("/api/v1/images").json()["others"] == []
    with Registry(own.registry) as registry:
        registry.allow([Entry(MacRange.parse("02:00:aa:*"), "", BootSettings(image="lab"))])
    (lab,) = own.ask("/api/v1/images").json()["others"]
    assert (lab["name"], lab["release"], lab["entries"], lab["trouble"]) == ("lab", None, 1, "there is no such image")
    assert lab["do"].endswith("then: sudo netboot-appliance image build lab")


def test_a_body_that_is_no_json(own: BoxOfPcs) -> None:
    answer = own.change("/api/v1/orders", "POST", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, set(answer.json())) == (422, {"message", "hint"})
    large = own.change("/api/v1/orders", "POST", content=json.dumps({"target": "x" * (3 << 20)}).encode())
    assert large.status_code == 413


def test_a_room_is_woken_and_one_request_cancelled(own: BoxOfPcs) -> None:
    done = own.change("/api/v1/wakes", "POST", json={"target": label_of(0)})
    assert done.status_code == 201
    asked = done.json()["wakes"]
    assert len(asked) > 5
    assert (asked[0]["asked_by"], asked[0]["state"]) == ("hand", "waits for its turn")
    first = asked[0]["id"]
    assert own.change(f"/api/v1/wakes/{first}", "DELETE").json()["result"] == "cancelled"
    again = own.change(f"/api/v1/wakes/{first}", "DELETE")
    assert (again.status_code, again.json()["message"]) == (409, f"request {first} has ended: cancelled")
    assert own.change("/api/v1/wakes/999999", "DELETE").status_code == 404
    page = own.ask("/api/v1/wakes?open=true&limit=2").json()
    assert [each["id"] for each in page["wakes"]] == [asked[-1]["id"], asked[-2]["id"]]
    rest = own.ask(f"/api/v1/wakes?open=true&limit=500&before={page['next']}").json()
    assert (len(rest["wakes"]), rest["next"]) == (len(asked) - 3, None)
    assert len(own.ask("/api/v1/wakes?limit=500").json()["wakes"]) == len(asked)


@pytest.mark.parametrize(("target", "status"), [("02:aa:00:00:00:01", 422), ("nowhere", 422), ("schedule:x", 422)])
def test_nobody_is_woken_who_is_not_meant(own: BoxOfPcs, target: str, status: int) -> None:
    before = dump(own)
    done = own.change("/api/v1/wakes", "POST", json={"target": target})
    assert done.status_code == status
    assert "nothing was changed" in done.json()["message"]
    assert dump(own) == before


def test_a_room_is_held_and_released(own: BoxOfPcs) -> None:
    path = "/api/v1/rooms/SPARE/hold"
    done = own.change(path, "PUT", json={"held": "off"})
    assert done.status_code == 200
    assert (done.json()["label"], done.json()["held"], done.json()["until"]) == ("spare", "off", None)
    assert [each["held"] for each in own.ask("/api/v1/rooms").json()["rooms"] if each["label"] == "spare"] == ["off"]
    assert own.change(path, "PUT", json={"held": "on", "until": 1.0}).status_code == 422, "past"
    assert own.change(path, "PUT", json={"held": "maybe"}).status_code == 422
    assert own.change("/api/v1/rooms/nowhere/hold", "PUT", json={"held": "on"}).status_code == 404
    assert own.ask("/api/v1/rooms").json()["rooms"][-1]["held"] == "off", "nothing was changed"
    assert own.change(path, "DELETE").json()["held"] == ""
    assert own.change(path, "DELETE").status_code == 200

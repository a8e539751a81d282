"""A desk of root's helper: what passes over it, once each."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.root_requests import desk as desks
from appliance.root_requests.answer import (
    RootAnswer,
    decode_answer,
    decode_request,
    digest,
    encode_answer,
    encode_words,
)
from appliance.root_requests.desk import Desk, can_ask, desk

Accepted = Callable[[], None]


@pytest.fixture
def place(tmp_path: Path) -> Desk:
    found = desk("work", "work-request", {"RUNTIME_DIRECTORY": str(tmp_path / "box-control")})
    found.request.parent.mkdir()
    found.answer.parent.mkdir()
    return found


def test_where_it_is(tmp_path: Path) -> None:
    ours = desk("work", "work-request", {"RUNTIME_DIRECTORY": "/run/netboot-appliance-work-request"})
    assert ours.request == Path("/run/netboot-appliance-control/work.json")
    assert ours.answer == Path("/run/netboot-appliance-work-request/result.json")
    assert ours.server == Path("/run/netboot-appliance")
    # Of a unit with two directories.
    assert desk("image", "x", {"RUNTIME_DIRECTORY": "/run/a:/run/b"}).request.parent == ours.request.parent


def test_who_can_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = tmp_path / "c.toml"
    monkeypatch.setenv("NETBOOT_APPLIANCE_CONFIG", str(ours))
    assert can_ask(ours, {"RUNTIME_DIRECTORY": "/run/netboot-appliance-control"})
    assert not can_ask(tmp_path / "other.toml", {"RUNTIME_DIRECTORY": "/run/netboot-appliance-control"})
    # By hand, or as the child of a `serve` that systemd runs.
    assert not can_ask(ours, {})
    assert not can_ask(ours, {"RUNTIME_DIRECTORY": "/run/netboot-appliance"})


def test_the_page_is_told_that_a_request_is_accepted_before_it_is_done(place: Desk) -> None:
    told = threading.Event()

    def carry_out(content: bytes, accepted: Accepted) -> str:
        assert not told.is_set()
        accepted()
        assert told.wait(10)
        return content.decode()

    helper = threading.Timer(0.1, place.serve, (carry_out,))
    helper.start()
    assert place.ask(b"please", 10, told.set) == RootAnswer(digest(b"please"), done="please")
    helper.join()


def test_a_helper_that_is_not_told_apart_accepts_when_it_is_done(place: Desk) -> None:
    told: list[str] = []
    helper = threading.Timer(0.1, place.serve, (lambda content, _: "done",))
    helper.start()
    place.ask(b"please", 10, lambda: told.append("accepted"))
    assert told == ["accepted"]
    helper.join()


def test_what_root_refuses_is_never_accepted(place: Desk) -> None:
    def refuse(_: bytes, __: Accepted) -> str:
        raise UserError("no", "because")

    place.request.write_bytes(b"please")
    with pytest.raises(UserError, match="no"):
        place.serve(refuse)
    told: list[str] = []
    assert place.ask(b"please", 5, lambda: told.append("accepted")).error == "no"
    assert told == []


def test_a_request_is_carried_out_once_and_again_if_root_was_cut_off(place: Desk) -> None:
    calls: list[bytes] = []

    def carry_out(content: bytes, accepted: Accepted) -> str:
        calls.append(content)
        accepted()
        if len(calls) == 1:
            raise KeyboardInterrupt
        return "done"

    place.request.write_bytes(b"please")
    with pytest.raises(KeyboardInterrupt):
        place.serve(carry_out)
    assert place.read_answer() == RootAnswer(digest(b"please"))
    for _ in range(3):
        place.serve(carry_out)
    assert len(calls) == 2


def test_what_the_page_does_when_it_is_accepted_may_fail(place: Desk) -> None:
    place.answer.write_bytes(encode_answer(RootAnswer(digest(b"please"))))

    def fail() -> None:
        raise UserError("it is on by now")

    with pytest.raises(UserError, match="on by now"):
        place.ask(b"please", 5, fail)
    # The next one has its turn.
    with pytest.raises(UserError, match="does not answer"):
        place.ask(b"other", 0.2)


def test_a_trap_is_not_read(place: Desk, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"please")
    place.request.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="the page's request is refused"):
        place.serve(lambda *_: pytest.fail("read"))


def test_the_answer_is_written_each_time_and_read_strictly(place: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "_AGAIN_SECONDS", 0.1)
    for junk in (b"", b"{}", b"[" * 5000, json.dumps({"version": 1, "request": 1}).encode(), b"x" * (1 << 16)):
        place.answer.write_bytes(junk)
        assert place.read_answer() is None
    full = RootAnswer("a" * 64, "done", "", "hint")
    assert decode_answer(encode_answer(full)) == full


@pytest.mark.parametrize(
    "content",
    [
        encode_words({"mac": "x"}),
        encode_words({"mac": "x", "once": "y" * 65}),
        encode_words({"mac": "x", "once": "", "path": "/"}),
        encode_words({"mac": "x" * 5000, "once": ""}),
        b'{"version": 2, "mac": 1, "once": ""}',
        b'{"version": 1, "mac": "x", "once": ""}',
        b"[[[[",
    ],
)
def test_a_request_is_exactly_what_it_is_to_be(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_request(content, "mac")

"""Other boxes: what this one hears of them, and what a hostile one can do to it."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.config.control import BoxEntry, ControlSettings
from appliance.config.file import Config, ServerSettings
from appliance.control.boxes import asking
from appliance.control.boxes.asking import AskingError, OtherFleet, ask, read_answer
from appliance.control.boxes.others import OtherBoxes
from appliance.page import certificate
from appliance.page.certificate import Certificate
from tests.unit.appliance.cli.program import netboot_appliance
from tests.unit.appliance.control.box_of_pcs import BoxOfPcs
from tests.unit.appliance.control.pages import Site
from tests.unit.debian import need

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
SAID: dict[str, object] = {
    "known": 30, "on": 28, "stuck": 1, "states": {"computing": 27}, "server": {"pid": 7}, "image": {"id": "2026"},
    "trouble": [],
}  # fmt: skip
WRONG: list[dict[str, object]] = [
    SAID | {"known": -1},
    SAID | {"on": 1e300},
    SAID | {"on": "28"},
    SAID | {"stuck": True},
    SAID | {"trouble": 7},
    SAID | {"states": {}},
]
FLEET = OtherFleet(30, 28, 27, 1, True, "2026", ())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of the other box."""
    need("openssl")
    directory = tmp_path_factory.mktemp("other")
    return certificate.ensure(Config(directory / "c.toml", server=ServerSettings(data=directory)), time.time())


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("nba_secret\n")
    return path


@asynccontextmanager
async def other(made: Certificate, serve: Serve) -> AsyncIterator[str]:
    """Another box, or what is in its place; yields its URL."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.path)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def answering(answer: bytes, heads: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heads is not None:
            heads.append(head)
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return serve


def ask_one(made: Certificate, token: Path, serve: Serve, fingerprint: str | None = None) -> OtherFleet:
    async def one() -> OtherFleet:
        async with other(made, serve) as url:
            return await ask(
                BoxEntry("east", url, str(token), made.fingerprint if fingerprint is None else fingerprint)
            )

    return asyncio.run(one())


def test_its_numbers_come_with_its_token_over_its_certificate(made: Certificate, token: Path) -> None:
    heads: list[bytes] = []
    found = ask_one(made, token, answering(HEAD + json.dumps(SAID).encode(), heads))
    assert found == FLEET
    assert heads[0].startswith(b"GET /api/v1/fleet HTTP/1.0\r\n")
    assert b"\r\nAuthorization: Bearer nba_secret\r\n" in heads[0]


@pytest.mark.parametrize(("fingerprint", "words"), [("0" * 64, "another one"), ("", "cannot be verified")])
def test_a_box_with_another_certificate_never_sees_the_token(
    made: Certificate, token: Path, fingerprint: str, words: str
) -> None:
    heads: list[bytes] = []
    with pytest.raises(AskingError, match=words):
        ask_one(made, token, answering(HEAD, heads), fingerprint)
    assert heads == []


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"H")
        await writer.drain()
        await asyncio.sleep(0.05)


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while not writer.is_closing():
        writer.write(b" " * (1 << 16))
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("serve", "seconds", "words"), [(drip, 1.0, "did not answer within"), (flood, 60.0, "more than 256 kB")]
)
def test_a_slow_or_endless_answer_ends_in_time(
    made: Certificate, token: Path, serve: Serve, seconds: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SECONDS", seconds)
    with pytest.raises(AskingError, match=words):
        ask_one(made, token, serve)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "no HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP"),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "does not know the token"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "does not let this box connect"),
        (b"HTTP/1.1 500 No\r\n\r\n", "answers 500"),
        (HEAD + b"<html>", "not that of a netboot-appliance"),
        (HEAD + b"[]", "not that of a netboot-appliance"),
        (HEAD + b"[" * 100_000, "not that of a netboot-appliance"),
        *((HEAD + json.dumps(each).encode(), "not that of a netboot-appliance") for each in WRONG),
    ],
    ids=lambda each: str(each)[-40:],
)
def test_an_answer_that_is_none_is_said(answer: bytes, words: str) -> None:
    with pytest.raises(AskingError, match=words):
        read_answer(answer)


def test_words_of_another_box_are_cut_and_harmless() -> None:
    said = SAID | {"image": {"id": "\x1b[2J" * 1000}, "trouble": ["a\nb" * 500] * 500}
    found = read_answer(HEAD + json.dumps(said).encode())
    assert found.image.startswith("\\x1b[2J")
    assert len(found.image) <= 200
    assert len(found.trouble) == 5
    assert all(len(line) <= 200 and "\n" not in line for line in found.trouble)


@pytest.mark.parametrize("content", [b"", b"two words", b"a\r\nX-Header: b", b"\xff"])
def test_a_file_that_holds_no_token(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(AskingError, match="it is no token"):
        asking.read_token(tmp_path / "token")


def test_what_a_real_box_answers_is_understood(filled: BoxOfPcs) -> None:
    answer = filled.ask("/api/v1/fleet")
    found = read_answer(HEAD + answer.content)
    said = answer.json()
    assert (found.known, found.on, found.stuck) == (said["known"], said["on"], said["stuck"])
    assert (found.computing, found.serving) == (said["states"]["computing"], False)


EAST = BoxEntry("east", "https://10.77.1.1:8443", "/token")
WEST = BoxEntry("west", "https://10.77.2.1:8443", "/token")


class Asked:
    """Stands for the other boxes: `failing` are those that do not answer."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.now = 100.0
        config = Config(Path("/c.toml"), control=ControlSettings(boxes=(EAST, WEST)))
        self.others = OtherBoxes(lambda: config, lambda: self.now, self.ask)

    async def ask(self, box: BoxEntry) -> OtherFleet:
        if box.name in self.failing:
            raise AskingError("no route")
        return FLEET


def test_a_box_that_goes_away_is_away_since_then_and_keeps_its_last_numbers() -> None:
    asked = Asked()
    assert [box.fleet for box in asked.others.all()] == [None, None]
    asyncio.run(asked.others.look())
    assert [(box.name, box.heard, box.away_since) for box in asked.others.all()] == [
        ("east", 100.0, None),
        ("west", 100.0, None),
    ]
    asked.failing = {"west"}
    for asked.now in (110.0, 120.0):
        gone = asyncio.run(asked.others.look())
        assert [box.name for box in gone] == (["west"] if asked.now == 110.0 else []), "the log has it once"
    east, west = asked.others.all()
    assert (east.heard, east.away_since) == (120.0, None)
    assert (west.heard, west.away_since, west.why, west.fleet) == (100.0, 110.0, "no route", FLEET)
    asked.failing = set()
    asyncio.run(asked.others.look())
    assert asked.others.all()[1].away_since is None


def test_the_thread_asks_and_ends() -> None:
    asked = Asked()
    asked.others.start()
    until = time.monotonic() + 20
    while asked.others.all()[0].heard is None and time.monotonic() < until:
        time.sleep(0.01)
    assert asked.others.all()[0].heard == 100.0
    asked.others.stop()
    assert not asked.others._thread.is_alive()


def test_the_page_shows_them_with_everything_escaped(tmp_path: Path) -> None:
    hostile = OtherFleet(2, 1, 1, 1, False, "", ("<script>alert(1)</script>",))
    site = Site(tmp_path, boxes=(BoxEntry("<b>east</b>", EAST.url, "/token"), WEST))
    others = site.app.state.boxes = OtherBoxes(lambda: site.context.config, lambda: site.now, ask_=_said(hostile))
    asyncio.run(others.look())

    async def look() -> tuple[str, str, int]:
        browser = await site.logged_in()
        part, room = await browser.get("/boxes"), await browser.get("/")
        await browser.aclose()
        async with site.browser() as stranger:
            return part.text, room.text, (await stranger.get("/boxes")).status_code

    part, room, status = asyncio.run(look())
    assert "1 of 2 on, 1 compute, 1 stuck" in part
    assert "&lt;script&gt;" in part
    assert "&lt;b&gt;east" in part
    assert "Away since" in part
    assert "no route" in part
    assert 'hx-get="/boxes"' in room
    assert status == 303


def _said(fleet: OtherFleet) -> Callable[[BoxEntry], Awaitable[OtherFleet]]:
    async def said(box: BoxEntry) -> OtherFleet:
        if box.name == "west":
            raise AskingError("no route")
        return fleet

    return said


def test_the_verb_asks_at_once(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}"\n[[control.boxes]]\nname = "east"\n'
        f'url = "https://127.0.0.1:1"\ntoken_file = "{tmp_path}/token"\n'
    )
    shown = netboot_appliance("--config", config, "control", "boxes").stdout
    assert f"cannot read {tmp_path}/token: No such file or directory" in shown
    (tmp_path / "token").write_text("secret")
    (box,) = json.loads(netboot_appliance("--config", config, "control", "boxes", "--json").stdout)
    assert (box["name"], box["fleet"], box["heard"]) == ("east", None, None)
    assert "onnect" in box["why"]

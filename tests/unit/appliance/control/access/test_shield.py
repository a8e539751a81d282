"""What is around every request: names, sizes, headers, and errors that reveal nothing."""

import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from appliance.config.control import ListenAddress
from appliance.control import process
from appliance.control.access.shield import LARGEST_BODY, LARGEST_LIST
from appliance.errors import UserError
from tests.unit.appliance.control.pages import HOST, Site


@pytest.mark.parametrize(
    "host", ["10.77.0.1:8443", "box", "BOX:8443", "box.", "localhost:8443", "127.0.0.1", "[::1]:8443", "192.0.2.1"]
)
async def test_the_boxs_own_names_and_any_address_are_served(site: Site, host: str) -> None:
    assert (await site.browser(Host=host).get("/login")).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "box.evil.example",
        "evil.example:8443",
        "box@evil.example",
        "",
        "10.77.0.1.evil.example",
        "[",
        "x:y",
    ],
)
async def test_a_name_that_leads_here_is_not_enough(site: Site, host: str) -> None:
    answer = await site.browser(Host=host).get("/login")
    assert answer.status_code == 421
    assert "password" not in answer.text
    assert "[control] names" in answer.text


async def test_names_of_a_certificate_may_have_a_star(site: Site) -> None:
    site.context.names = ("*.example.org",)
    assert (await site.browser(Host="netboot.example.org").get("/login")).status_code == 200
    assert (await site.browser(Host="example.org").get("/login")).status_code == 421
    assert (await site.browser(Host="a.b.example.org").get("/login")).status_code == 421


@pytest.mark.parametrize("path", ["/login", "/nothing", "/static/style.css", "/static/nothing", "/api/v1/nothing"])
async def test_every_answer_tells_the_browser_to_trust_nobody_else(site: Site, path: str) -> None:
    headers = (await site.browser().get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    if not path.startswith("/static/"):
        assert headers["cache-control"] == "no-store"


async def test_a_request_has_sixteen_kilobytes_at_most_whatever_it_announces(site: Site) -> None:
    async def count(request: Request) -> Response:
        return Response(str(len(await request.body())))

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536

    site.app.add_route("/count", count, methods=["POST"])
    browser = site.browser()
    too_much = b"x" * (LARGEST_BODY + 1)
    assert (await browser.post("/count", content=too_much[1:])).text == str(LARGEST_BODY)
    assert (await browser.post("/count", content=too_much)).status_code == 413
    assert (await browser.post("/count", content=endless())).status_code == 413
    assert (await browser.post("/count", headers={"Content-Length": "-1"})).status_code == 400


@pytest.mark.parametrize("path", ["/login", "/api/v1/orders", "/allowlist", "/allowlist/import/"])
async def test_nobody_has_a_megabyte_read_before_the_login(site: Site, path: str) -> None:
    """Two of `&` held up everybody for two seconds."""
    headers = {"Content-Type": "application/json" if "api" in path else "application/x-www-form-urlencoded"}
    answer = await site.browser().post(path, content=b"&" * (1 << 20), headers=headers)
    assert answer.status_code == 413


async def test_only_a_list_may_be_larger_and_only_after_the_login(site: Site) -> None:
    read = 0

    async def list_() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(LARGEST_LIST // 65536 + 1):
            read += 65536
            yield b"&" * 65536

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    stranger = site.browser()
    assert (await stranger.post("/allowlist/import", content=list_(), headers=headers)).status_code == 303
    assert read == 0
    friend = await site.logged_in()
    assert (await friend.post("/allowlist/import", content=list_(), headers=headers)).status_code == 413
    assert read > LARGEST_LIST


async def test_a_request_with_two_lengths_ends_its_connection(site: Site) -> None:
    """What follows it may be the next request of somebody else, to a proxy that believes the other length."""
    headers = {"Content-Length": "4", "Transfer-Encoding": "chunked"}
    answer = await site.browser().post("/login", content=b"0\r\n\r\n", headers=headers)
    assert answer.status_code == 400
    assert answer.headers["connection"] == "close"


async def test_behind_a_proxy_the_first_address_counts(site: Site) -> None:
    site.set(behind_proxy=True, listen=ListenAddress("127.0.0.1:8080"))
    assert (await site.browser("10.77.0.9").get("/login")).status_code == 200
    for address in ("10.88.0.9", "::1", "unknown"):
        assert (await site.browser(address).get("/login")).status_code == 403


async def test_nothing_here_and_a_fault_reveal_nothing(site: Site) -> None:
    async def fail(_request: Request) -> None:
        raise RuntimeError("secret of the program")

    async def refuse(_request: Request) -> None:
        raise UserError("the disk is <full>", "make room")

    for path, route in (("/fail", fail), ("/api/v1/fail", fail), ("/refuse", refuse), ("/api/v1/refuse", refuse)):
        site.app.add_route(path, route)  # type: ignore[arg-type]
    browser = site.browser()
    page = await browser.get("/fail")
    assert page.status_code == 500
    assert "secret" not in page.text
    assert "journalctl -u netboot-appliance-control" in page.text
    assert page.headers["x-frame-options"] == "DENY"
    assert (await browser.get("/api/v1/fail")).json()["message"] == "A fault in netboot-appliance."
    missing = await browser.get("/nothing/<script>")
    assert missing.status_code == 404
    assert "nothing/" not in missing.text
    shown = await browser.get("/refuse")
    assert "the disk is &lt;full&gt;" in shown.text
    assert "make room" in shown.text
    assert (await browser.get("/api/v1/refuse")).json() == {"message": "the disk is <full>", "hint": "make room"}


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("", 200),
        ("10.77.0.9", 200),
        ("10.88.0.9", 403),
        ("10.77.0.9, 10.88.0.9", 403),
        ("10.88.0.9, 10.77.0.9", 200),
        ("nonsense", 403),
    ],
)
async def test_behind_a_proxy_the_last_address_that_it_names_counts(site: Site, forwarded: str, status: int) -> None:
    """What is before that, the visitor may have written."""
    site.set(behind_proxy=True, listen=ListenAddress("127.0.0.1:8080"))
    with socket.socket() as unused:
        config = process._Server(site.context, None, unused).config
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=("127.0.0.1", 50000))
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as proxy:
        assert (await proxy.get("/login", headers=headers)).status_code == status


async def test_without_a_proxy_nobody_is_believed_who_names_an_address(site: Site) -> None:
    with socket.socket() as unused:
        assert not process._Server(site.context, None, unused).config.proxy_headers

"""Who may look and who may change something, as browsers and programs see it: the real application, without sockets."""

from typing import Annotated

import pytest
from fastapi import Depends, Form
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from appliance.config.control import ListenAddress
from appliance.control.access import credentials, guard
from appliance.control.web import login, pages
from tests.unit.appliance.control.pages import HOST, PASSWORD, Site

HOUR = 3600.0


@pytest.fixture
def site(site: Site) -> Site:
    """With a page that shows something, and one that changes something."""

    async def look(name: Annotated[str, Depends(guard.viewer)]) -> str:
        return name

    async def change(
        name: Annotated[str, Depends(guard.administrator)], what: Annotated[str, Form()] = ""
    ) -> dict[str, str]:
        return {"by": name, "what": what}

    for path in ("/look", "/api/v1/look"):
        site.app.add_api_route(path, look)
    for path in ("/change", "/api/v1/change"):
        site.app.add_api_route(path, change, methods=["POST"])
    return site


def asks(dependant: Dependant, who: object) -> bool:
    return dependant.call is who or any(asks(each, who) for each in dependant.dependencies)


def test_whatever_changes_something_on_a_page_asks_who_does() -> None:
    routes = [
        route for router in (login.router, *pages.ROUTERS) for route in router.routes if isinstance(route, APIRoute)
    ]
    changes = [route for route in routes if not {*(route.methods or ())} <= {"GET", "HEAD"}]
    assert len(changes) > 10
    open_to_all = {route.path for route in changes if not asks(route.dependant, guard.administrator)}
    assert open_to_all == {"/login"}


async def form_of(site: Site, cookie: str | None) -> str:
    assert cookie
    return credentials.form_secret(cookie)


async def test_strangers_are_sent_to_the_login_and_back(site: Site) -> None:
    browser = site.browser()
    answer = await browser.get("/look?a=1&b=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/look%3Fa%3D1%26b%3D2")
    shown = await browser.get(answer.headers["location"])
    assert 'value="/look?a=1&amp;b=2"' in shown.text
    done = await browser.post("/login", data={"password": PASSWORD, "next": "/look?a=1&b=2"})
    assert (done.status_code, done.headers["location"]) == (303, "/look?a=1&b=2")
    assert (await browser.get("/look")).json() == "administrator"


async def test_programs_and_scripts_of_the_page_get_no_redirect(site: Site) -> None:
    browser = site.browser()
    answer = await browser.get("/api/v1/look")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["message"] == "log in first"
    assert "Authorization: Bearer TOKEN" in answer.json()["hint"]
    part = await browser.get("/look", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")
    stream = await browser.get("/look", headers={"Accept": "text/event-stream"})
    assert (stream.status_code, stream.text) == (401, "")


@pytest.mark.parametrize(
    "after", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:x", "/a\nb", "", "x" * 3000]
)
async def test_the_login_leads_nowhere_else(site: Site, after: str) -> None:
    answer = await site.browser().post("/login", data={"password": PASSWORD, "next": after})
    assert answer.status_code in (303, 422)
    assert answer.headers.get("location", "/") == "/"
    shown = await site.browser().get("/login", params={"next": after})
    assert "evil" not in shown.text


async def test_the_cookie_is_out_of_reach_for_scripts_other_sites_and_other_hosts(site: Site) -> None:
    answer = await site.browser().post("/login", data={"password": PASSWORD})
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name.startswith("__Host-")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=strict"} <= {each.strip() for each in rest.split(";")}
    assert "domain" not in rest.lower()


async def test_a_session_ends_by_logout_time_and_another_password(site: Site) -> None:
    browser = await site.logged_in()
    secret = await form_of(site, browser.cookies.get(guard.COOKIE))
    assert (await browser.post("/logout", data={"csrf": "wrong"})).status_code == 403
    kept = dict(browser.cookies)
    assert (await browser.post("/logout", data={"csrf": secret})).headers["location"] == "/login"
    # Whoever kept the cookie has nothing.
    assert (await site.browser(Cookie=f"{guard.COOKIE}={kept[guard.COOKIE]}").get("/look")).status_code == 303

    browser = await site.logged_in()
    site.now += 13 * HOUR
    assert (await browser.get("/look")).status_code == 303

    browser = await site.logged_in()
    with site.registry() as registry:
        credentials.set_password(registry, "another password")
    assert (await browser.get("/look")).status_code == 303


async def test_a_form_needs_the_secret_of_its_session(site: Site) -> None:
    browser, other = await site.logged_in(), await site.logged_in()
    secret = await form_of(site, browser.cookies.get(guard.COOKIE))
    assert (await browser.post("/change", data={"csrf": secret, "what": "x"})).json() == {
        "by": "administrator",
        "what": "x",
    }
    assert (await browser.post("/change", headers={"X-CSRF-Token": secret})).status_code == 200
    assert (await browser.post("/change", files={"f": b"x"}, data={"csrf": secret})).status_code == 200
    for attempt in (
        await browser.post("/change"),
        await browser.post("/change", data={"what": "x"}),
        await browser.post("/change", headers={"X-CSRF-Token": ""}),
        await browser.post("/change", headers={b"X-CSRF-Token": secret.encode() + b"\xff"}),
        await browser.post("/change", files={"csrf": secret.encode()}),
        await browser.post("/change", params={"csrf": secret}),
        await browser.post("/change", json={"csrf": secret}),
        await other.post("/change", data={"csrf": secret}),
    ):
        assert attempt.status_code == 403, attempt.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://10.77.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_of_another_site_is_refused_even_with_the_secret(site: Site, headers: dict[str, str]) -> None:
    browser = await site.logged_in()
    secret = await form_of(site, browser.cookies.get(guard.COOKIE))
    ours = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
    assert (await browser.post("/change", data={"csrf": secret}, headers=ours)).status_code == 200
    assert (await browser.post("/change", data={"csrf": secret}, headers=ours | headers)).status_code == 403
    # Nor can it log somebody in.
    assert (await site.browser().post("/login", data={"password": PASSWORD}, headers=headers)).status_code == 403


async def test_tokens_look_or_change_and_need_no_form(site: Site) -> None:
    with site.registry() as registry:
        reader = credentials.add_token(registry, "reader", read_only=True, now=site.now)
        writer = credentials.add_token(registry, "writer", read_only=False, now=site.now)
    reading = site.browser(Authorization=f"Bearer {reader}")
    assert (await reading.get("/api/v1/look")).json() == "reader"
    refused = await reading.post("/api/v1/change")
    assert refused.status_code == 403
    assert "the token 'reader' may only look" in refused.json()["message"]
    writing = site.browser(Authorization=f"bearer  {writer}")
    assert (await writing.post("/api/v1/change", data={"what": "x"})).json() == {"by": "writer", "what": "x"}
    with site.registry() as registry:
        credentials.remove_token(registry, "writer")
    assert (await writing.get("/api/v1/look")).status_code == 401


async def test_a_wrong_token_is_not_excused_by_a_session(site: Site) -> None:
    browser = await site.logged_in()
    assert (await browser.get("/api/v1/look", headers={"Authorization": "Bearer x"})).status_code == 401
    assert (await browser.get("/api/v1/look", headers={"Authorization": "Basic eDp4"})).status_code == 200


async def test_guests_look_where_that_is_allowed_and_change_nothing(site: Site) -> None:
    site.set(view_without_login=True)
    guest = site.browser()
    assert (await guest.get("/look")).json() == "guest"
    assert (await guest.post("/change")).status_code == 303
    assert (await guest.post("/api/v1/change")).status_code == 401
    forged = site.browser(Cookie=f"{guard.COOKIE}=x", **{"X-CSRF-Token": credentials.form_secret("x")})
    assert (await forged.post("/change")).status_code == 303


async def test_without_a_password_nobody_gets_in(site: Site) -> None:
    with site.registry() as registry:
        registry.sql.execute("DELETE FROM control")
    browser = site.browser()
    assert "There is no password yet" in (await browser.get("/login")).text
    for password in ("", "x"):
        assert (await browser.post("/login", data={"password": password})).status_code == 409
    assert (await browser.get("/look")).status_code == 303


async def test_behind_a_proxy_the_cookie_is_a_plain_one(site: Site) -> None:
    site.set(behind_proxy=True, listen=ListenAddress("127.0.0.1:8080"))
    browser = await site.logged_in()
    assert guard.PLAIN_COOKIE in browser.cookies
    assert (await browser.get("/look")).json() == "administrator"

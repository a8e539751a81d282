"""The page in a real Chromium that reaches the box and nothing else: live, readable for everybody, by keyboard."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from appliance.registry.database import Registry
from services.ethernet import MacAddress
from tests.netns.served import TIMEOUT
from tests.room.browser import browser_on
from tests.room.namespaces import Network
from tests.room.room import appliance_command
from tests.unit.appliance.control import many_pcs

ORIGIN = "https://10.77.0.1:8443"
SHOWN = TIMEOUT * 1000
"""Milliseconds for what must be shown."""


class Desk:
    """An administrator's browser, logged in, and what it asked for."""

    def __init__(self, browser: Browser, registry: Path, password: str) -> None:
        self.browser = browser
        self.registry = registry
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.context = self.new_context()
        self.page = self.new_page(self.context)
        self.page.goto(ORIGIN)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_label("Password").press("Enter")
        expect(self.page.get_by_role("navigation")).to_be_visible()

    def new_context(self, **settings: object) -> BrowserContext:
        context = self.browser.new_context(ignore_https_errors=True, **settings)  # type: ignore[arg-type]
        context.set_default_timeout(SHOWN)
        return context

    def new_page(self, context: BrowserContext) -> Page:
        page = context.new_page()
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def grow(self, pcs: int, before: int = 0) -> None:
        """Have the registry hold so many PCs."""
        many_pcs.fill(self.registry, pcs, time.time(), first=before)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    expect.set_options(timeout=SHOWN)
    directory = tmp_path_factory.mktemp("page")
    directory.chmod(0o755)
    configuration = directory / "config.toml"
    configuration.write_text(
        f'[server]\ndata = "{directory}"\n[control]\nnetworks = ["10.77.0.0/24"]\n'
        '[notify]\naddresses = ["json://10.77.0.1:9/nobody-listens"]\n'
    )
    command = [appliance_command(), "--config", str(configuration)]
    with Network() as network:
        box = network.host("box", "10.77.0.1/24", MacAddress.parse("52:54:00:00:00:01"))
        office = network.host("desk", "10.77.0.9/24", MacAddress.parse("52:54:00:00:00:09"))
        password = box.run([*command, "control", "password", "--random"], timeout=TIMEOUT).stdout.split()[-1]
        control = box.start("control", [*command, "control"], directory / "control.log")
        control.wait_for_log("the page is open", TIMEOUT)
        with browser_on(office, directory) as browser:
            yield Desk(browser, directory / "registry" / "registry.sqlite3", password)


def rows(page: Page, number: int) -> None:
    """Wait for so many PCs on the page."""
    expect(page.locator(".pcs > li")).to_have_count(number)


def faults(page: Page) -> list[str]:
    """What axe finds that is serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {json.dumps([node['html'] for node in each['nodes'][:3]])}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_an_open_page_follows_a_room_from_empty_to_five_thousand(desk: Desk) -> None:
    page = desk.page
    expect(page.get_by_role("heading", name="No PC has booted yet")).to_be_visible()
    assert faults(page) == []
    # It is this document that changes: nobody loads it again.
    page.evaluate("window.stays = true")
    before = 0
    for number in (1, 40, 500, 5000):
        desk.grow(number, before)
        rows(page, number)
        before = number
    assert page.evaluate("window.stays")
    expect(page.get_by_role("heading", level=1)).to_contain_text("of 5,000 on")
    expect(page.get_by_role("heading", name="Room 267")).to_be_attached()


@pytest.fixture(scope="module")
def full(desk: Desk) -> Desk:
    """A room of forty."""
    with Registry(desk.registry) as registry:
        for table in ("boots", "clients", "heartbeats", "allowed"):
            registry.sql.execute(f"DELETE FROM {table}")
        with registry.edit():
            pass
    desk.grow(40)
    desk.page.goto(ORIGIN)
    rows(desk.page, 40)
    return desk


def test_a_heartbeat_and_a_silence_are_seen_without_reloading(full: Desk) -> None:
    page, mac = full.page, many_pcs.pc(23)
    page.evaluate("window.stays = true")
    row = page.locator(f"#p{mac.bare}")
    expect(row).to_contain_text("silent")
    page.locator(f"#a{mac.bare}").focus()
    with Registry(full.registry) as registry:
        many_pcs.beat_again(registry, [23], time.time())
    expect(row).to_contain_text("computing 4 tasks")
    expect(row.locator("time")).to_contain_text("s ago")
    expect(page.get_by_role("heading", level=1)).to_contain_text("36 of 40 on, 33 compute")
    # Whoever walks through the page by keyboard stays where he is.
    assert page.evaluate("document.activeElement.id") == f"a{mac.bare}"
    with Registry(full.registry) as registry:
        many_pcs.beat_again(registry, [23], time.time() - 600)
    expect(row).to_contain_text("silent")
    expect(row).to_contain_text("10 min ago")
    expect(page.locator("#top")).to_contain_text("switch it on, and look at its cable")
    assert page.evaluate("window.stays")


def test_pcs_are_found_while_one_types(full: Desk) -> None:
    page = full.page
    page.get_by_label("Find a PC").fill("room 102")
    rows(page, 10)
    expect(page).to_have_url(f"{ORIGIN}/?text=room%20102&state=")
    page.get_by_label("Find a PC").fill("")
    rows(page, 40)
    page.get_by_role("link", name="1 failed").click()
    rows(page, 1)
    page.get_by_role("link", name="Show all").click()
    rows(page, 40)


def test_the_keyboard_reaches_every_control(full: Desk) -> None:
    page = full.page
    page.goto(ORIGIN)
    rows(page, 40)
    controls = page.evaluate(
        """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
        .filter((each) => each.type !== 'hidden' && each.checkVisibility())
        .map((each, number) => (each.dataset.number = number))"""
    )
    reached = []
    for _ in controls:
        page.keyboard.press("Tab")
        number, outline = page.evaluate(
            "() => [document.activeElement.dataset.number, getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        reached.append(number)
    assert {int(number) for number in reached if number is not None} == set(controls)
    page.keyboard.press("Tab")
    page.goto(ORIGIN)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_everybody_can_read_it(full: Desk, scheme: str, width: int) -> None:
    state = full.context.storage_state()
    context = full.new_context(storage_state=state, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = full.new_page(context)
    page.goto(ORIGIN)
    rows(page, 40)
    page.get_by_text("The figures of each day").click()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    context.close()


def test_the_button_that_tries_the_notices(full: Desk) -> None:
    page = full.page
    page.goto(f"{ORIGIN}/notices")
    page.evaluate("window.stays = true")
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status")).to_contain_text("Failed json://…")
    assert page.evaluate("window.stays")
    assert "nobody-listens" not in page.content()
    assert faults(page) == []


def test_nothing_was_asked_of_anybody_else_and_nothing_was_forbidden(full: Desk) -> None:
    assert full.asked != []
    assert [url for url in full.asked if not url.startswith(f"{ORIGIN}/")] == []
    assert full.complaints == []

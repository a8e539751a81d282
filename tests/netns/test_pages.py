"""The pages in a real browser, Chromium, at the real control process: by keyboard, on a phone, in dark and light, live.

Nothing here needs a namespace: the process listens on this machine's loopback. It is here because browsers are slow.
"""

import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, expect, sync_playwright

from appliance.config.file import load
from appliance.heartbeats import orders, store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.images.build_output import MOST_LINES, OutputFile
from appliance.registry.database import Registry
from appliance.registry.records import IgnoredRow
from services.boinc.condition import BoincMessage, Condition, Doing, to_json
from services.decision import Reason
from services.ethernet import MacAddress
from services.linux import atomic_file
from tests.room.processes import Process, wait_until
from tests.unit.appliance.cli.box_with_releases import NEW, BoxWithReleases
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, FACTS, FAILED, IDLE, fill
from tests.unit.ports import free_port

SECONDS = 60
"""How long to wait for what the page must show: the machine may be busy."""

PASSWORD = "correct horse battery"
HOSTILE = "<img src=x onerror=alert(1)>'\"><script>alert(2)</script>"
STRANGERS = ("00:14:22:00:00:01", "00:14:22:00:00:02")
PAGES = (
    f"/pcs/{COMPUTES}", f"/pcs/{FAILED}", f"/pcs/{IDLE}", "/refused", "/allowlist", "/allowlist?q=none",
    "/allowlist/entry?range=52:54:00:*", "/images", "/images/diff", "/log", "/log?follow=true", "/health",
)  # fmt: skip


CONTROL = """
import sys
from pathlib import Path
from appliance.cli.main import run
from appliance.images import build_unit
build_unit.DIRECTORY = Path(sys.argv[1]) / "unit"
sys.argv = ["netboot-appliance", "--config", sys.argv[1] + "/c.toml", "control"]
run()
"""
"""Runs `control`, which sees a build in this folder."""

SYSTEMCTL = "#!/bin/sh\ncat {folder}/state\n"


class Build:
    """A build of systemd's unit, as far as others see it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = 0
        (folder / "unit").mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "systemctl").write_text(SYSTEMCTL.format(folder=folder))
        (folder / "bin" / "systemctl").chmod(0o755)
        self.output = OutputFile(folder / "unit")
        self.begin()

    def begin(self) -> None:
        """Another run of the unit, in its first stage."""
        self.output.close()
        self._run += 1
        self._state("activating")
        self.output = OutputFile(self._folder / "unit")
        self._progress = [{"invocation": f"r{self._run}", "began": time.time() - 300, "stages": 7}]
        self.tell(stage="checks", number=1, step="checking what a build needs")

    def tell(self, **progress: object) -> None:
        """It has come so far."""
        self._progress.append({"progress": {"elapsed": 61.0, **progress}})
        self._write()

    def end(self, **end: object) -> None:
        """It has ended."""
        self._progress.append({**end, "ended": time.time()})
        self._write()
        self._state("inactive")

    def _state(self, active: str) -> None:
        atomic_file.write(self._folder / "state", f"ActiveState={active}\nInvocationID=r{self._run}\n".encode())

    def _write(self) -> None:
        lines = "".join(f"{json.dumps(line)}\n" for line in self._progress)
        atomic_file.write(self._folder / "unit" / "progress", lines.encode())


class Site:
    """The running control process, and its registry."""

    def __init__(self, folder: Path) -> None:
        box, port = BoxWithReleases(folder), free_port()
        box.configure(f'[control]\nlisten = "127.0.0.1:{port}"\nnetworks = ["127.0.0.0/8"]\n')
        self.configuration = folder / "c.toml"
        self.address = f"https://127.0.0.1:{port}"
        self.config = load(self.configuration)
        box.run("allow", "add", "52:54:00:*", "--label", "room 12")
        box.run("control", "password", "--stdin", stdin=f"{PASSWORD}\n")
        fill(self.config.registry)
        why = str(Reason.NOT_ALLOWED)
        now = time.time()
        with self.registry as registry, registry.transaction():
            registry.record_ignored([IgnoredRow(mac, "dhcp", why, now - 60, now - 5, 3) for mac in STRANGERS])
        self.hear(IDLE, 2, HOSTILE)
        self.build = Build(folder)
        self.build.output.hear(HOSTILE)

    @property
    def registry(self) -> Registry:
        return Registry(self.config.registry)

    def hear(self, mac: MacAddress, boot: int, message: str, facts: dict[str, str] = FACTS) -> None:
        """A heartbeat of an idle PC with this message of BOINC's."""
        now = time.time()
        said = Condition(Doing.IDLE, now, messages=(BoincMessage(now, HOSTILE, message, 2),))
        beat = StoredHeartbeat(mac, boot, now, facts | {"model": HOSTILE}, to_json(said))
        with self.registry as registry:
            store.write(registry, [beat])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    expect.set_options(timeout=1000 * SECONDS)
    folder = tmp_path_factory.mktemp("pages")
    site, log = Site(folder), folder / "control.log"
    command = ["env", f"PATH={folder}/bin:{os.environ['PATH']}", sys.executable, "-c", CONTROL, str(folder)]
    process = Process("control", command, log, "pages")
    try:
        wait_until(lambda: _listens(site.address), SECONDS, f"the page to listen; see {log}")
        yield site
        process.require()
    finally:
        process.stop()
        site.build.output.close()
    assert "a fault" not in log.read_text()


def _listens(address: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


class Person:
    """Somebody who is logged in. What goes wrong in the browser, such as a script of somebody else's, is kept."""

    def __init__(self, chromium: Browser, site: Site, **options: Any) -> None:
        self.context = chromium.new_context(ignore_https_errors=True, base_url=site.address, **options)
        self.context.set_default_timeout(1000 * SECONDS)
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("dialog", self._dismiss)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda said: self._hear(said.type, said.text))
        self.page.goto("/login")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{site.address}/")

    def _dismiss(self, dialog: Dialog) -> None:
        self.troubles.append(dialog.message)
        dialog.dismiss()

    def _hear(self, kind: str, words: str) -> None:
        # What somebody typed wrongly is a page with this status.
        if kind == "error" and "status of 422" not in words:
            self.troubles.append(words)


@pytest.fixture
def person(chromium: Browser, site: Site) -> Iterator[Callable[..., Person]]:
    """Lets people in, each with options of the browser; nothing may have gone wrong in the end."""
    people: list[Person] = []

    def come(**options: Any) -> Person:
        people.append(Person(chromium, site, **options))
        return people[-1]

    yield come
    for each in people:
        each.context.close()
        assert each.troubles == []


Come = Callable[..., Person]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_every_page_is_accessible_and_fits(person: Come, scheme: str, width: int) -> None:
    page = person(color_scheme=scheme, viewport={"width": width, "height": 850}).page
    axe, wrong = Axe(), []
    for path in PAGES:
        page.goto(path)
        found = axe.run(page).response["violations"]
        wrong += [(path, each["id"], each["nodes"][0]["html"][:120]) for each in found if each["impact"] != "minor"]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wrong.append((path, "wider than the window", ""))
        assert page.get_by_role("heading", level=1).count() == 1
    assert wrong == []


def test_a_refused_machine_is_allowed_by_keyboard_alone(person: Come, site: Site) -> None:
    page = person().page
    page.goto("/refused")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    label = page.get_by_label(f"Label for {STRANGERS[0]}")
    for _ in range(12):
        page.keyboard.press("Tab")
        if label.evaluate("field => field === document.activeElement"):
            break
    expect(label).to_be_focused()
    page.keyboard.type("desk <7>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text(f"Allowed {STRANGERS[0]} as desk <7>")
    expect(page.get_by_label(f"Label for {STRANGERS[0]}")).to_have_count(0)
    expect(page.get_by_label(f"Label for {STRANGERS[1]}")).to_be_visible()
    with site.registry as registry:
        entry = registry.allowlist().decide(MacAddress.parse(STRANGERS[0]))
    assert entry is not None
    assert entry.label == "desk <7>"


def test_a_pc_is_followed_and_ordered_about(person: Come, site: Site) -> None:
    page = person().page
    page.goto(f"/pcs/{COMPUTES}")
    expect(page.locator("#now")).to_contain_text("computing 1 task")
    page.get_by_role("button", name="Suspend").click()
    expect(page.locator("#orders-given")).to_contain_text("suspend")
    page.get_by_role("button", name=re.compile("Cancel order")).click()
    expect(page.locator("#orders-given")).to_contain_text("cancelled")
    # What ends a boot takes a second step.
    page.get_by_text("Power off now…").click()
    page.get_by_role("button", name="Power off now", exact=True).click()
    expect(page.locator("#orders-given")).to_contain_text("off")
    with site.registry as registry:
        assert [str(each.verb) for each in orders.latest(registry, COMPUTES, 5)] == ["off", "suspend"]
    site.hear(COMPUTES, 1, "it has no work now")
    expect(page.locator("#now")).to_contain_text("it has no work now")
    expect(page.locator("#now")).to_contain_text("idle")


def test_a_build_is_followed_line_by_line_to_its_end(person: Come, site: Site) -> None:
    page, build = person().page, site.build
    page.goto("/images")
    printed, status = page.locator("#printed"), page.locator("#build").get_by_role("status")
    expect(status).to_have_text("Stage 1 of 7: checks")
    expect(printed).to_contain_text(HOSTILE)
    build.tell(stage="chroot", number=4, step="Unpacking linux")
    for number in range(2, MOST_LINES + 100):
        build.output.hear(f"line {number}")
    expect(status).to_have_text("Stage 4 of 7: chroot")
    expect(page.locator("#build")).to_contain_text("Unpacking linux")
    expect(printed.locator("span").last).to_have_text(f"line {MOST_LINES + 99}")
    # As short as what is kept, and with its end in sight until somebody looks further up.
    expect(printed.locator("span")).to_have_count(MOST_LINES)
    below = "log => log.scrollHeight - log.clientHeight - log.scrollTop"
    assert printed.evaluate(below) < 20
    printed.focus()
    page.keyboard.press("Home")
    wait_until(lambda: printed.evaluate("log => log.scrollTop") == 0, SECONDS, "the log's beginning")
    build.output.hear("one more")
    expect(printed.locator("span").last).to_have_text("one more")
    assert printed.evaluate("log => log.scrollTop") == 0
    build.end(error={"message": f"no space {HOSTILE}", "hint": "make room", "tail": []})
    expect(page.locator("#build")).to_contain_text(f"The latest build made no release: no space {HOSTILE}")
    expect(page.locator("#build")).to_contain_text("make room")
    # The next one is followed as well, whoever begins it.
    build.begin()
    expect(status).to_have_text("Stage 1 of 7: checks")
    build.end(releases=[NEW])
    expect(page.locator("#build")).to_contain_text(f"The latest build made {NEW}, in 5 min.")
    assert page.locator("#build img").count() == 0


def test_all_of_it_works_without_scripts(person: Come, site: Site) -> None:
    page = person(java_script_enabled=False).page
    page.goto(f"/pcs/{FAILED}")
    page.get_by_text("Restart now…").click()
    page.get_by_role("button", name="Restart now", exact=True).click()
    expect(page.locator("#orders-given")).to_contain_text("reboot")
    page.goto("/allowlist")
    page.get_by_label("MAC address or range").fill("banana")
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("'banana' is not a MAC address")
    expect(page.get_by_label("MAC address or range")).to_have_value("banana")
    table = "MAC;Name\n00:14:22:00:01:01;Büro 1\n".encode("cp1252")
    page.get_by_label("File").set_input_files({"name": "pcs.csv", "mimeType": "text/csv", "buffer": table})
    page.get_by_role("button", name="See what changes").click()
    expect(page.get_by_role("heading", name="What pcs.csv would change")).to_be_visible()
    page.get_by_role("button", name="Import it").click()
    expect(page.get_by_role("cell", name="Büro 1", exact=True)).to_be_visible()
    site.build.begin()
    site.build.output.hear("Setting up linux")
    page.goto("/images")
    expect(page.locator("#build")).to_contain_text("Stage 1 of 7: checks")
    site.build.output.hear("Setting up boinc-client")
    page.get_by_role("link", name="Show how far it is now").click()
    expect(page.locator("#printed")).to_contain_text("Setting up boinc-client")


def test_on_a_phone_what_can_be_done_is_in_sight(person: Come) -> None:
    page = person(viewport={"width": 360, "height": 740}).page
    for path, name in (("/refused", f"Allow {STRANGERS[1]}"), ("/allowlist", "Change room 12")):
        page.goto(path)
        place = page.get_by_label(name, exact=True).bounding_box()
        assert place is not None
        assert place["x"] + place["width"] <= 360


def test_a_fault_is_cured_where_it_is_named(person: Come, site: Site) -> None:
    now = time.time()
    stopped = StoredHeartbeat(IDLE, 2, now, {"boinc": "stopped", "uptime": "7200"}, to_json(Condition(Doing.NO_ANSWER)))
    with site.registry as registry:
        store.write(registry, [stopped])
    page = person().page
    page.evaluate("window.confirm = (question) => { window.asked = question; return true }")
    fault = page.locator("#top li", has_text="BOINC does not run")
    expect(fault).to_contain_text(f"netboot-appliance order {IDLE} reboot")
    fault.get_by_role("button", name="Restart now").click()
    expect(page.get_by_role("status")).to_contain_text("Told: it follows within a minute and a half")
    assert page.evaluate("window.asked").startswith("Restart now? Tasks stop at once")
    with site.registry as registry:
        assert [str(each.verb) for each in orders.latest(registry, IDLE, 1)] == ["reboot"]
    site.hear(IDLE, 2, HOSTILE)


def test_what_was_refused_or_not_sent_is_said(chromium: Browser, site: Site) -> None:
    page = Person(chromium, site).page
    page.goto(f"/pcs/{IDLE}")
    page.route("**/orders", lambda route: route.fulfill(status=403) if route.request.method == "POST" else None)
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_role("alert")).to_contain_text("That was refused (403). Load the page again")
    page.unroute("**/orders")
    page.route("**/orders", lambda route: route.abort())
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("The box did not answer")).to_be_visible()
    page.context.close()


def test_what_a_pc_says_runs_nothing(person: Come, site: Site) -> None:
    page = person().page
    page.goto(f"/pcs/{IDLE}")
    expect(page.locator(".messages")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0


def test_the_doctor_is_run_from_the_page(person: Come) -> None:
    page = person().page
    page.goto("/health")
    page.get_by_role("button", name="Run the doctor").click()
    expect(page.get_by_text("It is examining this box")).to_be_visible()
    expect(page.get_by_text("Last examined")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("heading", name=re.compile("As it should be: |Errors: |Warnings: ")).first).to_be_visible()

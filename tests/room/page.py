"""The administrator's page of a virtual room, open in a real browser on the management host."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from services.ethernet import MacAddress
from tests.room.browser import browser_on
from tests.room.room import PAGE, Room

PASSWORD = "correct horse battery staple"

# What a person sees: all that the row of a PC has ever said, in order. It outlives the page's own changes.
_WATCH = """
window.addEventListener("DOMContentLoaded", () => {
  const said = window.said = {};
  const look = () => {
    for (const row of document.querySelectorAll("ul.pcs > li")) {
      const words = row.querySelector(".state").innerText.trim(), list = said[row.id] ??= [];
      if (list.at(-1) !== words) list.push(words);
    }
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
  look();
});
"""


class RoomPage:
    """The page of the room: logged in, and never loaded again."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def said(self, mac: MacAddress) -> list[str]:
        """All that the PC's row has said so far, each once."""
        # Evaluating also lets the browser's events through: a test does other things for minutes.
        found: list[str] = self.page.evaluate("row => window.said[row] ?? []", f"p{mac.bare}")
        return found

    def text(self) -> str:
        """All that the page says now."""
        return self.page.inner_text("main")

    def allow(self, mac: MacAddress, label: str) -> None:
        """Allow a machine that was refused, on a page of its own."""
        other = self.page.context.new_page()
        other.goto(f"{PAGE}/refused")
        other.get_by_label(f"Label for {mac}").fill(label)
        other.get_by_role("button", name=f"Allow {mac}").click()
        other.get_by_role("status").wait_for()
        other.close()

    def order(self, mac: MacAddress, button: str) -> None:
        """Press a button of the PC's own page."""
        other = self.page.context.new_page()
        other.goto(f"{PAGE}/pcs/{mac}")
        other.get_by_role("button", name=button, exact=True).click()
        other.get_by_role("cell", name=re.compile(f": {button.lower()}$")).first.wait_for()
        other.close()

    def photograph(self, path: Path) -> None:
        """Save what the window shows."""
        self.page.screenshot(path=path)


@contextmanager
def open_page(room: Room) -> Iterator[RoomPage]:
    """Set the password, log in on the management host, and open the page of the room."""
    room.set_page_password(PASSWORD)
    with browser_on(room.management, room.directory) as browser:
        yield log_in(browser)


def log_in(browser: Browser) -> RoomPage:
    """Log in with PASSWORD, which has been set, and open the page of the room."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1100, "height": 700})
    # An emulated PC may have both processors.
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(f"{PAGE}/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("#room")
    return RoomPage(page)

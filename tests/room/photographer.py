"""Takes pictures of a virtual room's page while its PCs boot: one each time the words about a PC begin anew.

`python -m tests.room.photographer DIRECTORY`, on the management host of the room. It ends when it is killed.
"""

import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.room.browser import CHROMIUM
from tests.room.page import log_in


def main() -> None:
    """Watch until killed."""
    directory = Path(sys.argv[1])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        room = log_in(browser)
        print("watching", flush=True)
        taken: list[str] = []
        while True:
            shown = room.page.eval_on_selector_all("ul.pcs .state", "all => all.map(each => each.innerText)")
            # "booting: kernel, vmlinuz 30 %" changes all the time.
            words = "-".join(each.split(",")[0].replace(": ", "-").replace(" ", "-") for each in shown) or "empty"
            if words not in taken:
                taken.append(words)
                room.photograph(directory / f"page-{len(taken):02}-{words[:60]}.png")
            time.sleep(1)


if __name__ == "__main__":
    main()

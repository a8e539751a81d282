"""A person at a browser on a host of the virtual room: Debian's Chromium without a window, driven by Playwright."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.room.namespaces import Namespace
from tests.room.processes import MARK

CHROMIUM = "/usr/bin/chromium"


@contextmanager
def browser_on(host: Namespace, directory: Path) -> Iterator[Browser]:
    """A browser that has the network of `host` and no other. `directory`: for a small script."""
    # Playwright talks to the browser through inherited pipes, so only the browser itself need be in the namespace.
    script = directory / f"chromium-on-{host.name}"
    script.write_text("#!/bin/sh\nexec " + " ".join(host.command([CHROMIUM])) + ' "$@"\n')
    script.chmod(0o755)
    with sync_playwright() as playwright:
        # The room's mark: what a killed test leaves is found by it. Chromium has no sandbox for root.
        environment: dict[str, str | float | bool] = {**os.environ, MARK: host.room}
        browser = playwright.chromium.launch(executable_path=script, args=["--no-sandbox"], env=environment)
        try:
            yield browser
        finally:
            browser.close()

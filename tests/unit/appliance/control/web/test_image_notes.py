"""What is known of a release beside its manifest, on the page."""

import time
from dataclasses import replace

from appliance.images import notes
from appliance.images.notes import BootTest, UpdateCheck
from image.updates import PackageUpdate
from tests.unit.appliance.cli.box_with_releases import NEW
from tests.unit.appliance.control.web.browser import Browser, text


async def test_what_is_known_of_updates_and_tests_is_shown(page: Browser) -> None:
    assert "Packages of the active one" not in text(await page.get("/images"))
    images = page.context.config.images
    hole = PackageUpdate("openssl", "1", "2", security=True)
    notes.keep_check(images, NEW, UpdateCheck(time.time() - 7300, (hole, replace(hole, security=False))))
    notes.keep_test(images, NEW, BootTest(1000.0, "it hung <b>", "uefi", "tcg", (), "/log"))
    shown = text(await page.get("/images"))
    assert "Packages of the active one: 2 updates, 1 of security; checked 2 h ago." in shown
    assert "bring them to the PCs: sudo netboot-appliance image update" in shown
    assert "kB failed" in shown or "B failed" in shown

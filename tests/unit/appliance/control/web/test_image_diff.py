"""Two releases beside each other on the page, with the values of `image diff`."""

import json
from pathlib import Path

from image import release
from tests.unit.appliance.cli.box_with_releases import NEW, OLD
from tests.unit.appliance.control.web.browser import Browser, text


def pack(images: Path, ident: str, packages: str) -> None:
    """Give a release these packages, and let its manifest say so."""
    path = images / ident
    (path / release.PACKAGES).write_text(packages)
    manifest = json.loads((path / release.MANIFEST).read_text())
    manifest["files"][release.PACKAGES]["size"] = len(packages)
    manifest["recipe"]["distribution"] = "bookworm" if ident == OLD else "trixie"
    (path / release.MANIFEST).write_text(json.dumps(manifest))


async def test_packages_sizes_and_settings_that_differ(page: Browser) -> None:
    images = page.context.config.images
    pack(images, OLD, "apt 2.6.1\nbash 5.2\ncurl 7.88\n")
    pack(images, NEW, "apt 2.6.2\nbash 5.2\nevil 1<b>0\n")
    assert "What differs between two releases" in text(await page.get("/images"))
    whole = await page.get("/images/diff")
    shown = text(whole)
    assert f"{OLD} {NEW} Built" in shown
    assert '[image] distribution "bookworm" "trixie"' in shown
    assert "microcode.img –" in shown
    assert "Packages: 1 added, 1 removed, 1 changed Package Before After" in shown
    assert "evil – 1<b>0 curl 7.88 – apt 2.6.1 2.6.2" in shown
    assert "<b>0" not in whole
    assert f"image diff {OLD} {NEW}" in shown
    other = text(await page.get(f"/images/diff?old={NEW}&new={NEW}"))
    assert "Packages: 0 added, 0 removed, 0 changed With each file" in other


async def test_what_is_not_there_is_said_on_the_page(page: Browser) -> None:
    assert "there is no release 'x<b>' choose two of the list" in text(await page.get("/images/diff?old=x<b>", 404))
    (page.context.config.images / NEW / release.PACKAGES).unlink()
    # A release that lacks a file is none.
    assert f"there is no release '{NEW}'" in text(await page.get(f"/images/diff?new={NEW}", 404))
    for path in page.context.config.images.glob(f"*/{release.MANIFEST}"):
        path.unlink()
    assert "There is no release yet." in text(await page.get("/images/diff"))

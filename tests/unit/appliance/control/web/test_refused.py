"""Machines that were refused: on the page and on the command line, and how one is allowed."""

import json
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.records import IgnoredRow
from appliance.view.strangers import gather_refused
from services.decision import Reason
from services.ethernet import MacAddress
from tests.unit.appliance.cli.box_with_releases import BoxWithReleases
from tests.unit.appliance.cli.room_of_pcs import COMPUTES
from tests.unit.appliance.control.web.browser import Browser, text

DELL, QEMU = "00:14:22:00:00:01", "02:00:00:00:00:07"


def refuse(registry: Registry) -> None:
    """Two machines: one by DHCP and by TFTP, one behind a made-up name; and refusals that are about something else."""
    why = str(Reason.NOT_ALLOWED)
    rows = [
        IgnoredRow(DELL, "dhcp", why, 100.0, 5000.0, 4),
        IgnoredRow("10.77.0.9", "tftp", why, 200.0, 4000.0, 2, "10.77.0.9", DELL),
        IgnoredRow(QEMU, "dhcp", why, 300.0, 6000.0, 1),
        IgnoredRow(str(COMPUTES), "dhcp", why, 300.0, 6000.0, 1),
        IgnoredRow("00:14:22:00:00:02", "dhcp", str(Reason.NO_LOADER), 300.0, 6000.0, 1),
        IgnoredRow("", "dhcp", why, 300.0, 6000.0, 90),
        IgnoredRow("ff:ff:ff:ff:ff:ff", "dhcp", why, 300.0, 6000.0, 1),
        IgnoredRow("<b>10.0.0.1", "http", why, 300.0, 6000.0, 1, "10.0.0.1"),
    ]
    with registry.transaction():
        registry.record_ignored(rows)


def test_a_machine_is_counted_once_with_all_that_it_asked(tmp_path: Path) -> None:
    (tmp_path / "oui.csv").write_text("MA-L,001422,Dell Inc.,Round Rock\n")
    with Registry(tmp_path / "r.sqlite3") as registry:
        refuse(registry)
        random, _, dell = gather_refused(registry, [tmp_path / "none", tmp_path])
    assert (random.mac, random.label, random.maker) == (QEMU, "", "random or virtual address")
    assert (dell.mac, dell.maker, dell.label, dell.count) == (DELL, "Dell Inc.", "Dell Inc.", 6)
    assert (dell.first_at, dell.last_at, dell.services, dell.address) == (100.0, 5000.0, ("dhcp", "tftp"), "10.77.0.9")


async def test_the_page_lists_them_and_allows_one_in_one_step(page: Browser) -> None:
    assert "Nobody was refused" in await page.get("/refused")
    with page.registry as registry:
        refuse(registry)
    shown = text(await page.get("/refused"))
    assert "2 machines" in shown
    assert f"{DELL} unknown 6 times" in shown
    assert "if the package ieee-data is missing" in shown
    assert await page.post("/refused", mac=DELL, label="desk 7") == f"/refused?allowed={DELL}"
    after = text(await page.get(f"/refused?allowed={DELL}"))
    assert f"Allowed {DELL} as desk 7." in after
    assert "1 machine," in after
    with page.registry as registry:
        entry = registry.allowlist().decide(MacAddress.parse(DELL))
        assert entry is not None
        assert entry.label == "desk 7"


async def test_with_htmx_the_list_comes_back_without_it(page: Browser) -> None:
    page.scripts = True
    with page.registry as registry:
        refuse(registry)
    part = await page.post("/refused", mac=DELL, label="")
    assert f"Allowed {DELL} ." in text(part).replace(f"{DELL}.", f"{DELL} .")
    assert "<html" not in part
    assert f'value="{DELL}"' not in part


@pytest.mark.parametrize(
    ("mac", "label", "words"),
    [
        ("00:14:22:00:00:99", "", "was not refused"),
        (str(COMPUTES), "", "is allowed already"),
        ("banana", "", "is not a MAC address"),
        (DELL, "room #12", "without #"),
        (DELL, "x" * 5000, "longer than"),
        (DELL, "two\nlines", "one line"),
    ],
)
async def test_what_cannot_be_allowed_is_said_and_what_was_typed_stays(
    page: Browser, mac: str, label: str, words: str
) -> None:
    with page.registry as registry:
        refuse(registry)
        before = registry.allowlist()
        shown = await page.post("/refused", 422, mac=mac, label=label)
        assert words in text(shown)
        assert registry.allowlist() == before
    if label == "room #12":
        assert f'value="{label}"' in shown


async def test_an_address_in_the_browser_is_not_repeated(page: Browser) -> None:
    assert "alert(1)" not in await page.get("/refused?allowed=<script>alert(1)</script>")


def test_on_the_command_line(tmp_path: Path) -> None:
    box = BoxWithReleases(tmp_path)
    assert box.run("allow", "refused") == "Nobody was refused.\n"
    with Registry(tmp_path / "registry" / "registry.sqlite3") as registry:
        refuse(registry)
    assert [each["mac"] for each in json.loads(box.run("allow", "refused", "--json"))] == [QEMU, str(COMPUTES), DELL]
    assert DELL in box.run("allow", "refused")
    assert box.run("allow", "add", "--refused", DELL, "--label", "desk 7") == f"allowed {DELL} (desk 7)\n"
    assert box.run("allow", "add", "--refused", QEMU) == f"allowed {QEMU}\n"
    for mac, words in (
        (DELL, "is allowed already"),
        ("00:14:22:00:00:99", "was not refused"),
        ("52:54:*", "not a MAC"),
    ):
        with pytest.raises(UserError, match=words):
            box.run("allow", "add", "--refused", mac)

"""The allowlist on the page: entries, and lists of a spreadsheet."""

import re

import pytest

from appliance.allowlist import BootSettings, Entry
from services.ethernet import MacRange
from tests.unit.appliance.control.web.browser import Browser, text

PC, ROOM = "00:14:22:00:00:01", "52:54:00:00:00:00/24"
TABLE = f'Price;Name;MAC;schedule\n7;"Büro; 1";{PC};night\n8;hall;{ROOM};\n'.encode("cp1252")


def entries(page: Browser) -> list[Entry]:
    with page.registry as registry:
        return list(registry.allowlist().entries)


async def test_an_entry_is_added_changed_and_removed_without_scripts(page: Browser) -> None:
    assert await page.post("/allowlist", range=PC, label="desk 7", schedule="night", timeout="0") == "/allowlist"
    new = Entry(MacRange.parse(PC), "desk 7", BootSettings(timeout=0, schedule="night"))
    assert new in entries(page)
    assert f"desk 7 {PC} 0 s night Change" in text(await page.get("/allowlist"))
    form = await page.get(f"/allowlist/entry?range={PC}")
    assert "No PC that has booted needs this entry." in text(form)
    assert 'value="desk 7"' in form
    changed = await page.post("/allowlist/entry", range=PC, label="desk 8", default="local")
    assert changed.startswith("/allowlist?q=")
    assert Entry(MacRange.parse(PC), "desk 8", BootSettings(entry="local")) in entries(page)
    assert await page.post("/allowlist/remove", range=PC) == "/allowlist"
    assert len(entries(page)) == 1
    assert "there is no entry" in text(await page.get(f"/allowlist/entry?range={PC}", 404))
    assert "there is no entry" in text(await page.post("/allowlist/remove", 404, range=PC))


async def test_before_a_removal_it_says_whom_it_costs(page: Browser) -> None:
    shown = text(await page.get(f"/allowlist/entry?range={ROOM}"))
    assert "7 PCs that have booted are allowed by this entry alone" in shown
    await page.post("/allowlist", range="52:54:00:00:00:01-52:54:00:00:00:06", label="row")
    assert "1 PC that has booted is allowed by" in text(await page.get(f"/allowlist/entry?range={ROOM}"))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"range": "banana"}, "is not a MAC address or range"),
        ({"range": PC, "timeout": "soon"}, "must be whole seconds"),
        ({"range": PC, "schedule": "nihgt"}, "there is no schedule 'nihgt'"),
        ({"range": PC, "default": "format"}, "is not an entry of the menu"),
        ({"range": PC, "root": "tftp"}, "must be one of nfs, http"),
        ({"range": PC, "label": "<b>#</b>"}, "without #"),
        ({"range": PC, "label": "x" * 10_000}, "longer than"),
        ({}, "is not a MAC address"),
    ],
)
async def test_bad_words_change_nothing_and_stay_in_the_form(page: Browser, typed: dict[str, str], words: str) -> None:
    before = entries(page)
    shown = await page.post("/allowlist", 422, **typed)
    assert words in text(shown)
    assert "<b>" not in shown
    if typed.get("range") == "banana":
        assert 'value="banana"' in shown
    assert entries(page) == before
    page.scripts = True
    part = await page.post("/allowlist", 422, **typed)
    assert words in text(part)
    assert "<html" not in part


async def test_a_bad_change_is_said_on_the_form_of_the_entry(page: Browser) -> None:
    shown = await page.post("/allowlist/entry", 422, range=ROOM, label="hall", timeout="-1")
    assert "must be whole seconds" in text(shown)
    assert 'value="-1"' in shown


def taken_from(preview: str) -> dict[str, str]:
    """What the form of a preview sends."""
    import html

    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', preview))
    lines = re.search(r'<textarea name="list" hidden>\n(.*?)</textarea>', preview, re.DOTALL)
    assert lines is not None
    return {name: html.unescape(value) for name, value in (hidden | {"list": lines[1]}).items()}


async def test_a_spreadsheet_is_shown_before_it_is_taken(page: Browser) -> None:
    before = entries(page)
    preview = await page.send("/allowlist/import", 200, files={"file": ("C:\\pcs.csv", TABLE)})
    shown = text(preview)
    assert "What pcs.csv would change" in shown
    assert "1 new entry, 1 changed , 0 as they are" in shown
    assert "Columns that are left out: Price" in shown
    assert f"{PC} Büro; 1 schedule=night" in shown
    assert f"{ROOM} room 12 hall" in shown
    assert entries(page) == before
    sent = {name: (None, value) for name, value in taken_from(preview).items()}
    await page.send("/allowlist/import/done", 303, files=sent)
    assert [each.label for each in entries(page)] == ["Büro; 1", "hall"]


async def test_somebody_else_may_have_changed_the_allowlist_meanwhile(page: Browser) -> None:
    preview = await page.send("/allowlist/import", 200, files={"file": ("pcs.csv", TABLE)})
    await page.post("/allowlist", range=PC, label="another")
    before = entries(page)
    sent = taken_from(preview)
    again = await page.post("/allowlist/import/done", 409, **sent)
    assert "changed in the meantime" in text(again)
    assert "0 new entries, 2 changed" in text(again)
    assert entries(page) == before
    await page.post("/allowlist/import/done", 303, **taken_from(again))
    assert [each.label for each in entries(page)] == ["Büro; 1", "hall"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"mac;label\nbanana;x\n", "pcs.csv:2: 'banana' is not a MAC address"),
        (b"PK\x03\x04\x00\x00", "it is not text"),
        (b"mac\n", "there are no entries in pcs.csv"),
        (b"", "there is no list"),
        (b"x" * 900_000, "more than 800 kB"),
    ],
)
async def test_a_bad_list_is_named_line_by_line(page: Browser, content: bytes, words: str) -> None:
    before = entries(page)
    assert words in text(await page.send("/allowlist/import", 422, files={"file": ("pcs.csv", content)}))
    assert entries(page) == before


async def test_typed_lines_are_a_list_too(page: Browser) -> None:
    assert "1 new entry" in text(await page.post("/allowlist/import", 200, text=f"{PC} desk 7\n"))


async def test_export_is_what_import_reads(page: Browser) -> None:
    await page.post("/allowlist", range=PC, label="=Büro")
    answer = await page.raw("/allowlist/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="allowlist.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbfrange,label")
    preview = text(await page.send("/allowlist/import", 200, files={"file": ("allowlist.csv", answer.content)}))
    assert "0 new entries, 0 changed , 2 as they are" in preview
    assert "52:54:00:00:00:00/24  room 12\n" in (await page.raw("/allowlist/export?form=txt")).text


async def test_thousands_of_entries_come_in_pages_and_are_found(page: Browser) -> None:
    with page.registry as registry:
        registry.allow(Entry(MacRange.parse(f"00:14:22:00:{n >> 8:02x}:{n & 255:02x}"), f"pc {n}") for n in range(450))
    first = text(await page.get("/allowlist"))
    assert "451 entries" in first
    assert "1 to 200 of 451 After" in first
    assert "401 to 451 of 451" in text(await page.get("/allowlist?begin=400"))
    assert text(await page.get("/allowlist?q=pc+449")).count("00:14:22:00") == 1
    assert "room 12" in text(await page.get("/allowlist?q=525400000009"))
    assert "No entry has" in await page.get("/allowlist?q=<script>")
    assert "<script>" not in (await page.get("/allowlist?q=<script>")).replace("<script src", "")


async def test_an_image_is_chosen_where_there_are_several(page: Browser) -> None:
    assert 'name="image"' not in await page.get("/allowlist")
    (page.config.parent / "images" / "lab").mkdir(parents=True, exist_ok=True)
    assert '<select name="image"' in await page.get("/allowlist")
    assert "there is no image" in text(await page.post("/allowlist", 422, range=PC, image="labb"))
    assert await page.post("/allowlist", range=PC, label="desk 7", image="lab") == "/allowlist"
    assert Entry(MacRange.parse(PC), "desk 7", BootSettings(image="lab")) in entries(page)
    assert "<option selected>lab</option>" in await page.get(f"/allowlist/entry?range={PC}")
    assert f"desk 7 {PC} image lab Change" in text(await page.get("/allowlist"))
    await page.post("/allowlist/entry", range=PC, label="desk 7", image="")
    assert Entry(MacRange.parse(PC), "desk 7") in entries(page)

"""The allowlist: entries with their labels and settings, and lists from spreadsheets."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance import allowlist
from appliance.admission import listing, spreadsheet
from appliance.admission.listing import BroughtList
from appliance.allowlist import Entry
from appliance.boot import allowed_edits
from appliance.config import images
from appliance.config.menu import KINDS
from appliance.control.context import Context
from appliance.control.web.forms import Administrator, Box, Viewer, answer, said, word
from appliance.control.web.templating import page
from appliance.errors import NotFoundError, OvertakenError, UserError
from appliance.registry.database import Registry
from appliance.view.allowed import EntryView, entry_views
from appliance.view.allowed_page import AllowedPage, ListPreview, allowed_page, covered, digest, preview

router = APIRouter(prefix="/allowlist", include_in_schema=False)

LARGEST = 800_000
"""Bytes of a list that the page takes. The verb takes any."""

_NOTHING = "nothing was changed"
_SETTINGS = ("default", "timeout", "root", "schedule", "image")
_FIELDS = ("range", "label", *_SETTINGS)


@router.get("")
async def show(request: Request, box: Box, _: Viewer, q: str = "", begin: int = 0) -> Response:
    """The entries, in pages, with those words. What the query says of a new entry is filled in already."""
    shown = await box.with_registry(lambda registry: _page(registry, q[:200], begin))
    typed = {name: request.query_params.get(name, "")[:200] for name in _FIELDS}
    return page(request, "allowlist.html", error=None, **_values(box, shown, q[:200], typed))


@router.post("")
async def add(request: Request, box: Box, who: Administrator) -> Response:
    """Add an entry, or change what is named of one that is there."""
    form = await request.form()
    error: UserError | None = None
    typed: dict[str, str] = {}
    try:
        typed = _typed(form)
        named = {name: typed[name] for name in _SETTINGS if typed[name]}
        label = typed["label"] or None
        done = await box.with_registry(
            lambda registry: allowed_edits.add(registry, box.config, typed["range"], label, named)
        )
        said("allowed", who, range=str(done.after.range), label=done.after.label)
    except UserError as raised:
        error = raised
    shown = await box.with_registry(lambda registry: _page(registry, "", 0))
    values = _values(box, shown, "", typed if error else None)
    return answer(request, "allowlist_main.html", "allowlist.html", "/allowlist", error, **values)


@router.get("/entry")
async def show_entry(request: Request, box: Box, _: Viewer, range: str = "") -> Response:
    """One entry, to change or to remove it."""
    found, many = await box.with_registry(lambda registry: _entry(registry, range))
    return page(request, "allowlist_entry.html", error=None, **_entry_values(box, found, many))


@router.post("/entry")
async def change(request: Request, box: Box, who: Administrator) -> Response:
    """Change an entry to what the form says; an empty field removes a setting."""
    form = await request.form()
    typed = _typed(form)
    found, many = await box.with_registry(lambda registry: _entry(registry, typed["range"]))
    named = {name: typed[name] for name in _SETTINGS}
    try:
        done = await box.with_registry(
            lambda registry: allowed_edits.change(registry, box.config, typed["range"], typed["label"], named)
        )
    except UserError as error:
        return page(request, "allowlist_entry.html", 422, error=error, **_entry_values(box, found, many, typed))
    said("entry changed", who, range=str(done.after.range), label=done.after.label, settings=str(done.after.settings))
    return RedirectResponse(f"/allowlist?{urlencode({'q': str(done.after.range)})}", 303)


@router.post("/remove")
async def remove(request: Request, box: Box, who: Administrator) -> Response:
    """Remove an entry."""
    form = await request.form()
    text = word(form, "range")
    done = await box.with_registry(lambda registry: allowed_edits.remove(registry, text))
    said("entry removed", who, range=str(done.range))
    return RedirectResponse("/allowlist", 303)


@router.post("/import")
async def read_list(request: Request, box: Box, _: Administrator) -> Response:
    """Show what a list would change; changes nothing."""
    try:
        async with request.form() as form:
            content, source = await _content(form)
        found = await box.with_registry(lambda registry: _preview(box, registry, content, source))
    except UserError as error:
        shown = await box.with_registry(lambda registry: _page(registry, "", 0))
        return page(request, "allowlist.html", 422, error=error, **_values(box, shown, ""))
    return page(request, "allowlist_import.html", found=found, source=source, error=None, here="/allowlist")


@router.post("/import/done")
async def take_list(request: Request, box: Box, who: Administrator) -> Response:
    """Take the list whose changes were shown, if the allowlist is still the one that it was compared with."""
    form = await request.form()
    text, source, known = (word(form, field, LARGEST) for field in ("list", "source", "digest"))
    try:
        new, many = await box.with_registry(lambda registry: _take(box, registry, text, source[:200], known))
    except OvertakenError as error:
        found = await box.with_registry(lambda registry: _preview(box, registry, text.encode(), source[:200]))
        values = {"found": found, "source": source[:200], "here": "/allowlist"}
        return page(request, "allowlist_import.html", 409, error=error, **values)
    said("list imported", who, entries=many, new=new)
    return RedirectResponse("/allowlist", 303)


@router.get("/export")
async def export(box: Box, _: Viewer, form: str = "csv") -> Response:
    """The whole allowlist as a table for a spreadsheet, or in the text form."""
    entries = await box.with_registry(lambda registry: registry.allowlist().entries)
    kind, text = ("csv", f"\ufeff{spreadsheet.write(entries)}") if form == "csv" else ("txt", allowlist.render(entries))
    headers = {"Content-Disposition": f'attachment; filename="allowlist.{kind}"'}
    media = "text/csv; charset=utf-8" if kind == "csv" else "text/plain; charset=utf-8"
    return Response(text.encode(), media_type=media, headers=headers)


def _page(registry: Registry, words: str, begin: int) -> AllowedPage:
    return allowed_page(registry.allowlist(), words, begin)


def _entry(registry: Registry, text: str) -> tuple[Entry, int]:
    """The entry of a range, and how many known PCs need it."""
    span, known = allowed_edits.entry_of(text).range, registry.allowlist()
    found = known.find(span)
    if found is None:
        raise NotFoundError(f"there is no entry {span}", "it may have been removed; see the allowlist")
    return found, len(covered(span, known, registry.known()))


def _read(box: Context, content: bytes, source: str) -> BroughtList:
    config = box.config
    return listing.read(content, source, config.schedules, config.menu.locked, images.known(config))


def _preview(box: Context, registry: Registry, content: bytes, source: str) -> ListPreview:
    brought = _read(box, content, source)
    if not brought.entries:
        raise UserError(f"there are no entries in {source}", _NOTHING)
    before = registry.allowlist()
    return preview(before, brought.entries, listing.compare(before, brought.entries), brought.unread)


def _take(box: Context, registry: Registry, text: str, source: str, known: str) -> tuple[int, int]:
    brought = _read(box, text.encode(), source)
    if digest(registry.allowlist()) != known:
        raise OvertakenError("the allowlist was changed in the meantime; nothing was imported", "look at it again")
    return registry.allow(brought.entries), len(brought.entries)


async def _content(form: FormData) -> tuple[bytes, str]:
    """The list that somebody chose as a file or typed, and what to call it."""
    file = form.get("file")
    if isinstance(file, UploadFile) and file.filename:
        content, name = await file.read(LARGEST + 1), file.filename
    else:
        content, name = word(form, "text", LARGEST).encode(), "the list"
    if len(content) > LARGEST:
        raise UserError(
            f"the list has more than {LARGEST // 1000} kB; {_NOTHING}", "import it with: netboot-appliance allow import"
        )
    if not content.strip():
        raise UserError("there is no list", f"choose a file, or type one; {_NOTHING}")
    return content, name.rsplit("/", 1)[-1].rsplit("\\", 1)[-1][:200]


def _typed(form: FormData) -> dict[str, str]:
    return {name: word(form, name) for name in _FIELDS}


def _choices(box: Context) -> dict[str, Any]:
    entries = [kind for kind in KINDS if kind not in box.config.menu.locked]
    return {
        "entries": entries,
        "schedules": sorted(box.config.schedules),
        "roots": allowlist.ROOTS,
        "images": images.known(box.config),
    }


def _values(box: Context, shown: AllowedPage, words: str, typed: Mapping[str, str] | None = None) -> dict[str, Any]:
    blank = dict.fromkeys(_FIELDS, "")
    query = f"q={quote(words)}&" if words else ""
    return _choices(box) | {
        "shown": shown, "words": words, "query": query, "typed": blank | dict(typed or {}), "here": "/allowlist",
    }  # fmt: skip


def _entry_values(box: Context, found: Entry, many: int, typed: Mapping[str, str] | None = None) -> dict[str, Any]:
    (view,) = entry_views([found])
    return _choices(box) | {"entry": view, "many": many, "typed": typed or _fields(view), "here": "/allowlist"}


def _fields(view: EntryView) -> dict[str, str]:
    values = {name: getattr(view, name) for name in _FIELDS}
    return {name: "" if value is None else str(value) for name, value in values.items()}

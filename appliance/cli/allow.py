"""`allow`: who may boot."""

import os
import shlex
import sys
import tempfile
from collections.abc import Sequence, Set
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from appliance import allowlist
from appliance.admission import listing, spreadsheet
from appliance.allowlist import Allowlist, Entry
from appliance.boot import allowed_edits
from appliance.boot.allowed_edits import NOTHING, AllowedEdit
from appliance.cli import allow_remove
from appliance.cli.arguments import JSON, MAC, RANGE, image_names, mac_address, schedule_names
from appliance.cli.output import say, show_json, show_table, show_text
from appliance.config import images
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.view.allowed import allowed_check, entry_views
from appliance.view.strangers import find_refused, gather_refused
from appliance.view.words import ago, size
from services.ethernet import MacRange
from services.linux import programs
from services.linux.programs import ProgramError

app = typer.Typer(
    name="allow",
    help="Choose which PCs may boot, by MAC address. While the list is empty, none may.",
    epilog="A running server picks up changes within a second.",
    no_args_is_help=True,
)
_RANGES = typer.Argument(
    metavar="MAC|RANGE...",
    help="MAC addresses or ranges, as in 52:54:00:aa:bb:cc, 52-54-00-aa-bb-cc, 5254.00aa.bbcc, 525400aabbcc; "
    "FIRST-LAST, '52:54:00:*' or 52:54:00:00:00:00/24.",
    show_default=False,
)
_LARGEST = 1 << 28
"""Bytes of a list: some millions of entries."""

_LABEL = typer.Option(help="A name of your choice.", show_default=False)
_DEFAULT = typer.Option(metavar="ENTRY", help="The menu entry that its PCs boot, such as local.", show_default=False)
_TIMEOUT = typer.Option(metavar="SECONDS", help="How long to show the menu (0: no menu).", show_default=False)
_ROOT = typer.Option(
    metavar="nfs|http",
    help="How its PCs get the live system: mounted by NFS, or loaded into memory by HTTP.",
    show_default=False,
)
_SCHEDULE = typer.Option(
    metavar="NAME",
    help="When its PCs compute: a schedule of the configuration.",
    show_default=False,
    autocompletion=schedule_names,
)
_IMAGE = typer.Option(
    metavar="NAME",
    help="The image that its PCs boot: a directory below /etc/netboot-appliance/images.",
    show_default=False,
    autocompletion=image_names,
)


@app.command(
    epilog='Examples: netboot-appliance allow add 52:54:00:aa:bb:cc --label "room 12, window"; '
    "netboot-appliance allow add 52:54:00:aa:bb:01 52:54:00:aa:bb:02 --label 'room 12'; "
    "netboot-appliance allow add 52:54:00:* --default local --timeout 5 --schedule night"
)
def add(
    context: typer.Context,
    ranges: Annotated[list[str], _RANGES],
    label: Annotated[str | None, _LABEL] = None,
    default: Annotated[str | None, _DEFAULT] = None,
    timeout: Annotated[str | None, _TIMEOUT] = None,
    root: Annotated[str | None, _ROOT] = None,
    schedule: Annotated[str | None, _SCHEDULE] = None,
    image: Annotated[str | None, _IMAGE] = None,
    refused: Annotated[
        bool,
        typer.Option("--refused", help="Only if it has asked and was refused; its maker becomes the label."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="A range wider than 52:54:00:*, too.")] = False,
) -> None:
    """Allow MAC addresses or ranges, or none of them if one is wrong. Options you leave out follow the configuration.

    If a range is allowed already, they stay as they are, as with `set`.
    """
    named = _named(default=default, timeout=timeout, root=root, schedule=schedule, image=image)
    config = load(context.obj)
    with Registry(config.registry) as registry:
        labels = [_refused_label(registry, each, label) if refused else label for each in ranges]
        for each in ranges:
            allowed_edits.require_new(config, each, label, named, wide=yes)
        for each, own in zip(ranges, labels, strict=True):
            _show_added(config, allowed_edits.add(registry, config, each, own, named, wide=yes))


def _refused_label(registry: Registry, text: str, label: str | None) -> str:
    known = find_refused(registry, mac_address(text, NOTHING))
    return known.label if label is None else label


def _show_added(config: Config, done: AllowedEdit) -> None:
    before, after = done.before, done.after
    _warn(config, after)
    if before is None:
        say(f"allowed {after.range}{_label(after)}{_count(after.range)}{_settings(after)}")
        return
    label_now = "" if before.label == after.label else f"; its label is now {after.label!r}"
    settings_now = "" if before.settings == after.settings else _settings(after) or "; it has no settings now"
    say(f"{after.range} was already allowed{label_now}{settings_now}")


@app.command(
    "set",
    epilog="Examples: netboot-appliance allow set 52:54:00:* --schedule night; netboot-appliance allow set 52:54:00:* "
    "--label 'room 12' --timeout ''",
)
def set_(
    context: typer.Context,
    range: Annotated[str, RANGE],
    label: Annotated[str | None, _LABEL] = None,
    default: Annotated[str | None, _DEFAULT] = None,
    timeout: Annotated[str | None, _TIMEOUT] = None,
    root: Annotated[str | None, _ROOT] = None,
    schedule: Annotated[str | None, _SCHEDULE] = None,
    image: Annotated[str | None, _IMAGE] = None,
) -> None:
    """Change an entry: what you name, and nothing else. '' removes a label or a setting."""
    named = _named(default=default, timeout=timeout, root=root, schedule=schedule, image=image)
    if label is None and not named:
        raise UserError(f"name what is to change; {NOTHING}", "see: netboot-appliance allow set --help")
    config = load(context.obj)
    with Registry(config.registry) as registry:
        after = allowed_edits.change(registry, config, range, label, named).after
    _warn(config, after)
    say(f"{after.range}{_label(after)}{_settings(after) or ': no settings of its own'}")


def _warn(config: Config, entry: Entry) -> None:
    if trouble := images.nothing_to_boot(config, entry.settings.image):
        say(f"warning: {trouble[0]} (do: {trouble[1]})", err=True)


def _named(**options: str | None) -> dict[str, str]:
    """The settings that were named, in the words of the text form."""
    return {key: value for key, value in options.items() if value is not None}


app.command(
    "remove",
    epilog="Examples: netboot-appliance allow remove 52:54:00:aa:bb:cc; netboot-appliance allow remove 52:54:00:* "
    "--when-idle",
)(allow_remove.remove)


@app.command("list", epilog="Example: netboot-appliance allow list --json")
def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the entries."""
    with _registry(context) as registry:
        entries = registry.allowlist().entries
    if as_json:
        show_json(entry_views(entries))
    else:
        rows = [(str(e.range), f"{e.range.size:,}", str(e.settings), e.label) for e in entries]
        show_table(("range", "addresses", "settings", "label"), rows, "Nobody may boot: the allowlist is empty.")


@app.command(epilog="Example: netboot-appliance allow refused. Allow one: netboot-appliance allow add --refused MAC")
def refused(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the machines that asked to boot and are not allowed, the one heard last first.

    Their makers are known if the package ieee-data is installed.
    """
    with _registry(context) as registry:
        found = gather_refused(registry)
    if as_json:
        show_json(found)
        return
    rows = [
        (
            each.mac,
            each.maker or "unknown",
            f"{each.count:,}",
            ago(each.last_at),
            ", ".join(each.services),
            each.address,
        )
        for each in found
    ]
    show_table(("MAC", "maker", "asked", "last", "by", "from"), rows, "Nobody was refused.")


@app.command(epilog="Example: netboot-appliance allow check 52:54:00:aa:bb:cc. Exit code: 0 allowed, 1 not.")
def check(context: typer.Context, mac: Annotated[str, MAC], as_json: Annotated[bool, JSON] = False) -> None:
    """Check whether a MAC address may boot, and which entry allows it."""
    address, config = mac_address(mac), load(context.obj)
    with Registry(config.registry) as registry:
        allowlist = registry.allowlist()
    entry = allowlist.decide(address)
    if as_json:
        show_json(allowed_check(allowlist, address))
    elif entry is None:
        say(f"{address} is not allowed: no entry contains it")
    else:
        say(f"{address} is allowed by {entry.range}{_label(entry)}{_settings(entry)}")
        if trouble := images.nothing_to_boot(config, entry.settings.image):
            say(f"but {trouble[0]}", f"do: {trouble[1]}")
    if entry is None:
        raise typer.Exit(1)


@app.command("import", epilog="Example: netboot-appliance allow import macs.txt (or - for standard input)")
def import_(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            help="The file, or - for standard input: one entry per line, in the format of `allow export`; or a "
            "spreadsheet's table, saved as CSV.",
            show_default=False,
        ),
    ],
) -> None:
    """Add all entries in a file, or none if any line is wrong.

    In a table the headings say what a column holds: range (or MAC address), label (or name), default, timeout, root,
    schedule, image; in any order, with commas, semicolons or tabs between them. Without headings: the range, then the
    label.

    An entry that is there already gets the label and the settings of its line, and keeps the others.
    """
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as source:
            content = source.read(_LARGEST + 1)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}", NOTHING) from None
    if len(content) > _LARGEST:
        raise UserError(f"cannot read {file}: it has more than {size(_LARGEST)}", NOTHING)
    config = load(context.obj)
    source = "standard input" if file == "-" else file
    brought = listing.read(content, source, config.schedules, config.menu.locked, images.known(config))
    with Registry(config.registry) as registry:
        new = registry.allow(brought.entries)
    known = len(brought.entries) - new
    say(f"imported {len(brought.entries)} entries: {new} new, {known} known")
    if brought.unread:
        say(f"columns that were left out: {', '.join(brought.unread)}", err=True)


@app.command(epilog="Examples: netboot-appliance allow export > macs.txt; netboot-appliance allow export --csv")
def export(
    context: typer.Context,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table for a spreadsheet.")] = False,
) -> None:
    """Print the entries in a format that `import` reads."""
    with _registry(context) as registry:
        entries = registry.allowlist().entries
    show_text(spreadsheet.write(entries).replace("\r\n", "\n") if as_csv else allowlist.render(entries))


@app.command(epilog="Uses $VISUAL or $EDITOR. Nothing is saved until every line is valid.")
def edit(context: typer.Context) -> None:
    """Edit the entries in your editor."""
    config = load(context.obj)
    with (
        Registry(config.registry) as registry,
        tempfile.NamedTemporaryFile("w+", prefix="allowlist-", suffix=".txt") as file,
    ):
        before = registry.allowlist()
        file.write(_EDIT_HEADER + allowlist.render(before.entries))
        file.flush()
        # One that the configuration has lost may stay: it is not what is edited here.
        schedules = {*config.schedules, *(entry.settings.schedule for entry in before.entries)}
        there = {*images.known(config), *before.images}
        after = _edited(Path(file.name), schedules, sorted(there))
        if Allowlist.of(after) == before:
            say(NOTHING)
        elif registry.replace_allowlist(before, after):
            _report_edit(before, Allowlist.of(after))
        else:
            raise UserError(
                "somebody else has changed the allowlist in the meantime", f"{NOTHING}; run allow edit again", code=1
            )


def _edited(file: Path, schedules: Set[str], there: Sequence[str]) -> list[Entry]:
    """The entries in the file once every line is valid, with these schedules, and images that are `there`; until then
    it is edited again, as visudo does."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "sensible-editor"
    while True:
        try:
            # Some editors write a new file in the place of the old one: the name is what counts, not the open file.
            programs.attend([*shlex.split(editor), str(file)])
            entries = allowlist.parse(file.read_text(encoding="utf-8"), "line")
            allowed_edits.check_schedules((entry.settings.schedule for entry in entries), schedules)
            allowed_edits.check_images((entry.settings.image for entry in entries), there)
            return entries
        except (OSError, ProgramError, UnicodeDecodeError) as error:
            raise UserError(f"the editor {editor!r} failed: {error}", f"{NOTHING}; set EDITOR") from None
        except UserError as error:
            say(f"error: {error.message}", err=True)
            if not sys.stdin.isatty() or not typer.confirm("Edit again?", default=True, err=True):
                raise UserError("the edit was not valid", NOTHING) from None


_EDIT_HEADER = """\
# One MAC address or range per line, then settings if you like, then a label. The settings are default=ENTRY,
# timeout=SECONDS, root=nfs|http, schedule=NAME and image=NAME. Everything after # is a comment.
"""


def _report_edit(before: Allowlist, after: Allowlist) -> None:
    old, new = ({e.range for e in entries.entries} for entries in (before, after))
    say(f"saved: {len(new - old)} added, {len(old - new)} removed, {len(new)} entries in all")


def _registry(context: typer.Context) -> Registry:
    path: Path = context.obj
    return Registry(load(path).registry)


def _label(entry: Entry) -> str:
    return f" ({entry.label})" if entry.label else ""


def _settings(entry: Entry) -> str:
    boots, schedule = str(replace(entry.settings, schedule="")), entry.settings.schedule
    return (f"; boots with {boots}" if boots else "") + (f"; computes by the schedule {schedule}" if schedule else "")


def _count(span: MacRange) -> str:
    return f": {span.size:,} addresses" if span.size > 1 else ""

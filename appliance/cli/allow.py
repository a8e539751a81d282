"""`allow`: who may boot."""

import os
import shlex
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from appliance import allowlist
from appliance.allowlist import Allowlist, BootSettings, Entry
from appliance.cli.arguments import JSON, MAC, mac_address
from appliance.cli.output import say, show_json, show_table, show_text, size
from appliance.config.file import load
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.view.allowed import entry_views
from services.ethernet import MacRange
from services.linux import programs
from services.linux.programs import ProgramError

app = typer.Typer(
    name="allow",
    help="Choose which PCs may boot, by MAC address. While the list is empty, none may.",
    epilog="A running server picks up changes within a second.",
    no_args_is_help=True,
)
_RANGE = typer.Argument(
    metavar="MAC|RANGE",
    help="A MAC address (52:54:00:aa:bb:cc, 52-54-00-aa-bb-cc, 5254.00aa.bbcc or 525400aabbcc) or a range "
    "(FIRST-LAST, 52:54:00:* or 52:54:00:00:00:00/24).",
    show_default=False,
)
_NOTHING = "nothing was changed"
_LARGEST = 1 << 28
"""Bytes of a list: some millions of entries."""
_AS_CONFIGURED = BootSettings()


@app.command(
    epilog='Examples: netboot-appliance allow add 52:54:00:aa:bb:cc --label "room 12, window"; '
    "netboot-appliance allow add 52:54:00:* --default local --timeout 5"
)
def add(
    context: typer.Context,
    range: Annotated[str, _RANGE],
    label: Annotated[str, typer.Option(help="A name of your choice.")] = "",
    default: Annotated[
        str, typer.Option(metavar="ENTRY", help="The menu entry that its PCs boot, such as local.")
    ] = "",
    timeout: Annotated[int | None, typer.Option(help="Seconds to show the menu (0: no menu).")] = None,
    root: Annotated[
        str,
        typer.Option(
            metavar="nfs|http", help="How its PCs get the live system: mounted by NFS, or loaded into memory by HTTP."
        ),
    ] = "",
) -> None:
    """Allow a MAC address or a range. Options you leave out follow the configuration."""
    entry = _entry(range, label, BootSettings(root, default, timeout))
    config = load(context.obj)
    if default in config.menu.locked:
        raise UserError(
            f"{default} is locked in [menu], and nobody will be there to type the password; {_NOTHING}",
            "choose another entry: netboot-appliance menu show",
        )
    with Registry(config.registry) as registry:
        before = registry.allowlist()
        registry.allow([entry])
    known = before.find(entry.range)
    if known is None:
        say(f"allowed {entry.range}{_label(entry)}{_count(entry.range)}{_settings(entry)}")
    else:
        label_now = "" if known.label == entry.label else f"; its label is now {label!r}"
        boots = str(entry.settings) or "as configured"
        settings_now = "" if known.settings == entry.settings else f"; it now boots {boots}"
        say(f"{entry.range} was already allowed{label_now}{settings_now}")


@app.command(epilog="Example: netboot-appliance allow remove 52:54:00:aa:bb:cc")
def remove(context: typer.Context, range: Annotated[str, _RANGE]) -> None:
    """Remove an entry. Any notation of the same range will do."""
    span = _entry(range, "").range
    with _registry(context) as registry:
        if not registry.disallow(span):
            holder = registry.allowlist().decide(span.first)
            hint = (
                f"it is allowed by {holder.range}{_label(holder)}; remove that, or use: netboot-appliance allow edit"
                if holder
                else "list the entries: netboot-appliance allow list"
            )
            raise UserError(f"there is no entry {span}; {_NOTHING}", hint)
        rest = registry.allowlist().decide(span.first)
    say(f"removed {span}{f' (still allowed by {rest.range}{_label(rest)})' if rest else ''}")


@app.command("list", epilog="Example: netboot-appliance allow list --json")
def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the entries."""
    with _registry(context) as registry:
        entries = registry.allowlist().entries
    if as_json:
        show_json(entry_views(entries))
    else:
        rows = [(str(e.range), f"{e.range.size:,}", str(e.settings), e.label) for e in entries]
        show_table(("range", "addresses", "boots", "label"), rows, "Nobody may boot: the allowlist is empty.")


@app.command(epilog="Example: netboot-appliance allow check 52:54:00:aa:bb:cc. Exit code: 0 allowed, 1 not.")
def check(context: typer.Context, mac: Annotated[str, MAC]) -> None:
    """Check whether a MAC address may boot, and which entry allows it."""
    address = mac_address(mac)
    with _registry(context) as registry:
        entry = registry.allowlist().decide(address)
    if entry is None:
        say(f"{address} is not allowed: no entry contains it")
        raise typer.Exit(1)
    say(f"{address} is allowed by {entry.range}{_label(entry)}{_settings(entry)}")


@app.command("import", epilog="Example: netboot-appliance allow import macs.txt (or - for standard input)")
def import_(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            help="The file, or - for standard input: one entry per line, in the format of `allow export`.",
            show_default=False,
        ),
    ],
) -> None:
    """Add all entries in a file, or none if any line is wrong."""
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as source:
            content = source.read(_LARGEST + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read {file}: {reason}", _NOTHING) from None
    if len(content) > _LARGEST:
        raise UserError(f"cannot read {file}: it has more than {size(_LARGEST)}", _NOTHING)
    entries = allowlist.parse(text, "standard input" if file == "-" else file)
    with _registry(context) as registry:
        new = registry.allow(entries)
    say(f"imported {len(entries)} entries: {new} new, {len(entries) - new} known")


@app.command(epilog="Example: netboot-appliance allow export > macs.txt")
def export(context: typer.Context) -> None:
    """Print the entries in the format that `import` reads."""
    with _registry(context) as registry:
        show_text(allowlist.render(registry.allowlist().entries))


@app.command(epilog="Uses $VISUAL or $EDITOR. Nothing is saved until every line is valid.")
def edit(context: typer.Context) -> None:
    """Edit the entries in your editor."""
    with _registry(context) as registry, tempfile.NamedTemporaryFile("w+", prefix="allowlist-", suffix=".txt") as file:
        before = registry.allowlist()
        file.write(_EDIT_HEADER + allowlist.render(before.entries))
        file.flush()
        after = _edited(Path(file.name))
        if Allowlist.of(after) == before:
            say(_NOTHING)
        elif registry.replace_allowlist(before, after):
            _report_edit(before, Allowlist.of(after))
        else:
            raise UserError(
                "somebody else has changed the allowlist in the meantime", f"{_NOTHING}; run allow edit again", code=1
            )


def _edited(file: Path) -> list[Entry]:
    """The entries in the file once every line is valid; until then it is edited again, as visudo does."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "sensible-editor"
    while True:
        try:
            # Some editors write a new file in the place of the old one: the name is what counts, not the open file.
            programs.attend([*shlex.split(editor), str(file)])
            return allowlist.parse(file.read_text(encoding="utf-8"), "line")
        except (OSError, ProgramError, UnicodeDecodeError) as error:
            raise UserError(f"the editor {editor!r} failed: {error}", f"{_NOTHING}; set EDITOR") from None
        except UserError as error:
            say(f"error: {error.message}", err=True)
            if not sys.stdin.isatty() or not typer.confirm("Edit again?", default=True, err=True):
                raise UserError("the edit was not valid", _NOTHING) from None


_EDIT_HEADER = """\
# One MAC address or range per line, then settings if you like, then a label. The settings are default=ENTRY,
# timeout=SECONDS and root=nfs|http. Everything after # is a comment.
"""


def _report_edit(before: Allowlist, after: Allowlist) -> None:
    old, new = ({e.range for e in entries.entries} for entries in (before, after))
    say(f"saved: {len(new - old)} added, {len(old - new)} removed, {len(new)} entries in all")


def _registry(context: typer.Context) -> Registry:
    path: Path = context.obj
    return Registry(load(path).registry)


def _entry(text: str, label: str, settings: BootSettings = _AS_CONFIGURED) -> Entry:
    try:
        return allowlist.entry_of(text, label, allowlist.settings(str(settings).split()))
    except ValueError as error:
        raise UserError(str(error), _NOTHING) from None


def _label(entry: Entry) -> str:
    return f" ({entry.label})" if entry.label else ""


def _settings(entry: Entry) -> str:
    return f"; boots with {entry.settings}" if entry.settings != _AS_CONFIGURED else ""


def _count(span: MacRange) -> str:
    return f": {span.size:,} addresses" if span.size > 1 else ""

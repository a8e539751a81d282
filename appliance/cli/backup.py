"""`backup` and `restore`: the configuration, the allowlist and the registry as one file."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.output import size
from appliance.config.file import load
from appliance.errors import UserError

app = typer.Typer()
_BACKUP_EPILOG = """Examples: sudo netboot-appliance backup; sudo netboot-appliance backup /media/usb/box.tar.gz;
sudo netboot-appliance backup - | ssh other 'umask 077; cat > box.tar.gz'"""
_RESTORE_EPILOG = """Example: sudo systemctl stop netboot-appliance; sudo netboot-appliance restore box.tar.gz;
sudo systemctl start netboot-appliance"""


@app.command(epilog=_BACKUP_EPILOG)
def backup(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            help="A new file, or - for standard output; without it netboot-appliance-HOST-DATE.tar.gz here.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Save the configuration, the allowlist and the registry in one file, also while the server runs.

    Not in it: the images, which `image build` makes again, and the PCs' BOINC state. A BOINC client must never be put
    back to an older state: the project's server notices, takes it for another computer, and its tasks are lost.
    """
    from appliance.backup import archive as backups

    config = load(context.obj)
    aside = file == "-"
    if aside:
        if sys.stdout.isatty():
            raise UserError("a backup is not for a terminal", "redirect it: netboot-appliance backup - > FILE")
        try:
            contents = backups.write(config, sys.stdout.buffer)
            sys.stdout.flush()
        except OSError as error:
            # Python would try once more at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise UserError(f"the backup is not complete: {error.strerror}", "it cannot be used", code=1) from error
        what = "standard output"
    else:
        target = Path(file or backups.default_name(datetime.now(UTC)))
        contents = backups.create(config, target)
        what = f"{target} ({size(target.stat().st_size)})"
    typer.echo(f"wrote {what}", err=aside)
    counts = f"allowlist entries: {contents.entries:,}, PCs: {contents.clients:,}"
    about = {
        backups.ALLOWLIST: "to read; `restore` takes it from the registry",
        backups.REGISTRY: f"schema {contents.manifest.schema}; {counts}",
    }
    for name, count in contents.files.items():
        typer.echo(f"  {name:17} {size(count):>9}  {about.get(name, '')}".rstrip(), err=aside)
    if backups.CONFIG not in contents.files:
        typer.echo(f"  (there is no {config.path}: the defaults are in force)", err=aside)
    typer.echo("It holds the account key and the PCs' passwords: keep it where only you can read it.", err=aside)


@app.command(epilog=_RESTORE_EPILOG)
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A backup.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and change nothing.")] = False,
) -> None:
    """Bring a backup into force: all of it, or nothing. The server must not run.

    What it replaces is kept beside it as *.before-restore-DATE. Nothing else is touched: images stay, and so does the
    PCs' BOINC state, which must never be put back to an older one. PCs that compute meanwhile go on: what the registry
    here knows about their boots is kept, if it can be read.
    """
    from appliance.backup.restore import restore as bring
    from appliance.backup.to_do import remaining

    done = bring(file, context.obj, dry_run=dry_run)
    config, manifest = done.config, done.manifest
    typer.echo(f"a backup of {manifest.host} of {manifest.made} (version {manifest.version}, schema {manifest.schema})")
    verb = "would restore" if dry_run else "restored"
    typer.echo(f"  {verb} {config.registry} (allowlist entries: {done.entries:,}, PCs: {done.clients:,})")
    if done.configured:
        typer.echo(f"  {verb} {config.path}")
    if done.boots_kept:
        typer.echo(f"  {'would keep' if dry_run else 'kept'} what is known here about the PCs' boots")
    for kept in done.kept:
        typer.echo(f"  kept {kept}")
    for task in remaining(done):
        typer.echo(f"to do: {task}")
    if dry_run:
        typer.echo("nothing was changed")
    else:
        typer.echo("next: netboot-appliance config check; systemctl start netboot-appliance")

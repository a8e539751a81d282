"""`backup` and `restore`: the configuration, the allowlist, the registry, and what is put into images, as one file."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.output import say
from appliance.config.file import load
from appliance.errors import UserError
from appliance.view.words import size

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
            help="A new file, or - for standard output. Default: netboot-appliance-HOST-DATE.tar.gz.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Save configuration, allowlist, registry, and what you put into images, in one file. The server may be running.

    Not included: the images, which `image build` can make again, and the PCs' BOINC state. A BOINC client must never
    go back to an older state: the project's server notices, treats it as another computer, and its tasks are lost.
    """
    from appliance.backup import archive as backups

    config = load(context.obj)
    to_stdout = file == "-"
    if to_stdout:
        if sys.stdout.isatty():
            raise UserError(
                "a backup cannot be written to a terminal", "redirect it: netboot-appliance backup - > FILE"
            )
        try:
            contents = backups.write(config, sys.stdout.buffer)
            sys.stdout.flush()
        except OSError as error:
            # Python would flush again at exit, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise UserError(f"the backup is incomplete: {error.strerror}", "do not use it", code=1) from error
        what = "standard output"
    else:
        target = Path(file or backups.default_name(datetime.now(UTC)))
        contents = backups.create(config, target)
        what = f"{target} ({size(target.stat().st_size)})"
    say(f"wrote {what}", err=to_stdout)
    counts = f"allowlist entries: {contents.entries:,}, PCs: {contents.clients:,}"
    about = {
        backups.ALLOWLIST: "for reading; `restore` uses the registry",
        backups.IMAGES: "what you put into images",
        backups.REGISTRY: f"schema {contents.manifest.schema}; {counts}",
    }
    for name, count in contents.files.items():
        say(f"  {name:17} {size(count):>9}  {about.get(name, '')}".rstrip(), err=to_stdout)
    if backups.CONFIG not in contents.files:
        say(f"  (there is no {config.path}: the box runs with the defaults)", err=to_stdout)
    if contents.left_out:
        say(f"  ({contents.left_out})", err=to_stdout)
    say("It contains the account key and the PCs' passwords: keep it where only you can read it.", err=to_stdout)


@app.command(epilog=_RESTORE_EPILOG)
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The backup file.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, but change nothing.")] = False,
) -> None:
    """Restore a backup: all of it, or nothing. Stop the server and the page first.

    The files it replaces are kept beside the new ones as *.before-restore-DATE. Nothing else is touched: the images
    stay, and so does the PCs' BOINC state, which must never go back to an older one. PCs that are computing carry on:
    what the registry here knows about their boots is kept, if it can be read.
    """
    from appliance.backup.restore import restore as restore_backup
    from appliance.backup.to_do import remaining

    done = restore_backup(file, context.obj, dry_run=dry_run)
    config, manifest = done.config, done.manifest
    say(f"backup of {manifest.host}, made {manifest.made} (version {manifest.version}, schema {manifest.schema})")
    verb = "would restore" if dry_run else "restored"
    say(f"  {verb} {config.registry} (allowlist entries: {done.entries:,}, PCs: {done.clients:,})")
    if done.configured:
        say(f"  {verb} {config.path}")
    if done.images:
        say(f"  {verb} {done.images}")
    if done.boots_kept:
        say(f"  {'would keep' if dry_run else 'kept'} what is known here about the PCs' boots")
    for kept in done.kept:
        say(f"  kept {kept}")
    for task in remaining(done):
        say(f"to do: {task}")
    if dry_run:
        say("nothing was changed")
    else:
        say("next: netboot-appliance config check; systemctl start netboot-appliance netboot-appliance-control")

"""The command line: `netboot-appliance [--config FILE] VERB`. One file a verb: parse, call one function, print."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from typer._completion_classes import completion_init

from appliance.cli import (
    allow,
    backup,
    boot,
    clients,
    config,
    doctor,
    exports,
    image,
    leases,
    menu,
    reload,
    serve,
    status,
)
from appliance.config import ENVIRONMENT, locate
from appliance.errors import UserError

app = typer.Typer(
    name="netboot-appliance",
    help="Boots rooms of idle PCs diskless into a Debian live system that computes for a BOINC project.",
    epilog="The usual order: config init, config check, image build, allow add MAC, serve.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command(
    "reload", epilog="Example: sudo netboot-appliance reload (systemctl reload netboot-appliance does the same)"
)(reload.reload)
app.command("status")(status.status)
app.add_typer(allow.app, name="allow")
app.add_typer(menu.app, name="menu")
app.add_typer(boot.app, name="boot")
app.add_typer(image.app, name="image")
app.add_typer(exports.app, name="exports")
app.add_typer(clients.app, name="clients")
app.add_typer(leases.app, name="leases")
app.add_typer(config.app, name="config")
app.add_typer(doctor.app, name="doctor")
app.command("backup", epilog=backup.BACKUP_EPILOG)(backup.backup)
app.command("restore", epilog=backup.RESTORE_EPILOG)(backup.restore)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"netboot-appliance {version('netboot-appliance')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", envvar=ENVIRONMENT, help="The configuration file.", show_default=False)
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = locate(config)


def run() -> None:
    """The entry point: every UserError becomes one message with its hint, and an exit code."""
    # The installation brings the shells' files (packaging/completion.py). Typer answers them only after this, or with
    # options that would install them a second time, in ~/.bashrc.
    completion_init()
    try:
        app()
    except UserError as error:
        typer.echo(f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        sys.exit(error.code)

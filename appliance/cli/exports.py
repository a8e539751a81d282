"""`exports`: what NFS exports, and to whom."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.output import say, show_json, show_text
from appliance.config.file import Config, load, tolerant
from appliance.errors import UserError
from appliance.exports import install
from appliance.exports.grants import ExportGrant
from appliance.view.exports import ExportsView, export_views

app = typer.Typer(
    name="exports",
    help="Show or change what NFS exports, and to whom. A running server keeps it up to date by itself.",
    no_args_is_help=True,
)


@app.command(epilog="Examples: netboot-appliance exports show; netboot-appliance exports show --json")
def show(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Print the export file as it should be now; with --json, what it says."""
    config = load(context.obj)
    backend, why = install.chosen(config)
    if as_json:
        _, grants = expected(config)
        exports = export_views(install.exports_now(config, grants))
        show_json(ExportsView(str(install.destination(config, backend)), backend.value, why, exports))
        return
    say(f"# {install.destination(config, backend)} ({why})", err=True)
    _, grants = expected(config)
    show_text(install.render(backend, install.exports_now(config, grants)))


@app.command(epilog="Example: sudo netboot-appliance exports apply")
def apply(context: typer.Context) -> None:
    """Write the box's own export file and make the NFS server read it. Other exports are left alone."""
    config = load(context.obj)
    done = install.install(config, *expected(config))
    path = install.destination(config, done.backend)
    state = "written and in force" if done.changed else "is up to date"
    say(f"{path} {state}: {done.directories} exports ({done.backend.value}: {done.why})")
    if done.left_out:
        raise UserError(done.left_out, "for the cause: netboot-appliance doctor", code=1)


@app.command(epilog="Example: sudo netboot-appliance exports withdraw")
def withdraw(context: typer.Context) -> None:
    """Stop exporting: empty the box's own export file and make the NFS server read it.

    For removing the program from a machine. Running PCs stop at once. A running server exports to them again.
    """
    config = tolerant(context.obj)
    backend, why = install.withdraw(config)
    if backend is None:
        say(f"nothing is exported: {why}")
    else:
        say(f"{install.destination(config, backend)} is empty: nothing is exported any longer")


def expected(config: Config) -> tuple[Sequence[IPv4Network], tuple[ExportGrant, ...]]:
    """Where PCs can be, and what they are granted, as the running server decides."""
    from appliance.exports.expected import expected_grants
    from appliance.network.interfaces import interfaces, networks
    from appliance.registry.database import Registry

    served = networks(config, interfaces(config))
    with Registry(config.registry) as registry:
        return served, expected_grants(served, registry)

"""`exports`: what NFS exports, and to whom."""

from collections.abc import Sequence
from ipaddress import IPv4Network

import typer

from appliance.config.file import Config, load, tolerant
from appliance.exports import install
from appliance.exports.grants import ExportGrant, exports_for

app = typer.Typer(
    name="exports",
    help="Show or change what NFS exports, and to whom. A running server keeps it up to date by itself.",
    no_args_is_help=True,
)


@app.command(epilog="Example: netboot-appliance exports show")
def show(context: typer.Context) -> None:
    """Print the export file as it should be now."""
    config = load(context.obj)
    backend, why = install.chosen(config)
    typer.echo(f"# {install.destination(config, backend)} ({why})", err=True)
    _, grants = _expected(config)
    typer.echo(install.render(backend, exports_for(config.images, config.state, grants)), nl=False)


@app.command(epilog="Example: sudo netboot-appliance exports apply")
def apply(context: typer.Context) -> None:
    """Write the box's own export file and make the NFS server read it. Other exports are left alone."""
    config = load(context.obj)
    done = install.install(config, *_expected(config))
    path = install.destination(config, done.backend)
    state = "written and in force" if done.changed else "is up to date"
    typer.echo(f"{path} {state}: {done.directories} exports ({done.backend.value}: {done.why})")


@app.command(epilog="Example: sudo netboot-appliance exports withdraw")
def withdraw(context: typer.Context) -> None:
    """Stop exporting: empty the box's own export file and make the NFS server read it.

    For removing the program from a machine. Running PCs stop at once. A running server exports to them again.
    """
    config = tolerant(context.obj)
    backend, why = install.withdraw(config)
    if backend is None:
        typer.echo(f"nothing is exported: {why}")
    else:
        typer.echo(f"{install.destination(config, backend)} is empty: nothing is exported any longer")


def _expected(config: Config) -> tuple[Sequence[IPv4Network], tuple[ExportGrant, ...]]:
    from appliance.exports.expected import expected_grants
    from appliance.network.interfaces import interfaces, networks
    from appliance.registry.database import Registry

    served = networks(config, interfaces(config))
    with Registry(config.registry) as registry:
        return served, expected_grants(served, registry)

"""`exports`: what is exported by NFS."""

import typer

from appliance import exports
from appliance.config import Config, load
from appliance.registry import Registry
from services.nfs.exports import Export

app = typer.Typer(
    help="What is exported by NFS, and to whom. The running server keeps it up to date by itself.", no_args_is_help=True
)


@app.command(epilog="Example: netboot-appliance exports show")
def show(context: typer.Context) -> None:
    """Print the export file that is wanted now, as it will be written."""
    config = load(context.obj)
    backend, why = exports.chosen(config)
    typer.echo(f"# {exports.destination(config, backend)} ({why})", err=True)
    typer.echo(exports.render(backend, _wanted(config)), nl=False)


@app.command(epilog="Example: sudo netboot-appliance exports apply")
def apply(context: typer.Context) -> None:
    """Write the box's own export file and make the NFS server read it. Nobody else's exports are touched."""
    config = load(context.obj)
    backend, why = exports.chosen(config)
    wanted = _wanted(config)
    changed = exports.install(config, backend, wanted)
    path = exports.destination(config, backend)
    live = sum(bool(e.clients) for e in wanted)
    typer.echo(
        f"{path} {'written and in force' if changed else 'is up to date'}: {live} exports ({backend.value}: {why})"
    )


def _wanted(config: Config) -> list[Export]:
    from appliance.network import interfaces, networks

    with Registry(config.registry) as registry:
        return exports.wanted_from_registry(config, networks(config, interfaces(config)), registry)

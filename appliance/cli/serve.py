"""`serve`: run the box."""

import asyncio
from typing import Annotated

import typer

from appliance.errors import UserError

app = typer.Typer()


@app.command()
def serve(
    context: typer.Context, debug: Annotated[bool, typer.Option("--debug", help="Log every offer and address.")] = False
) -> None:
    """Run the box: proxyDHCP, TFTP, HTTP and NFS exports. SIGTERM or Ctrl-C stops it, SIGHUP reloads the configuration.

    Exit code: 0 after SIGTERM, 1 if it cannot start or carry on, 2 if the configuration is wrong.
    """
    # Imported late, so that `serve --help` does not wait for the services.
    from appliance.server import logging_setup, systemd
    from appliance.server.daemon import serve as run

    logging_setup.configure(debug=debug)
    try:
        asyncio.run(run(context.obj))
    except UserError as error:
        systemd.status(f"not running: {error.message}{error.hint and f' ({error.hint})'}")
        raise

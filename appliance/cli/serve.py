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
    """Run the box: proxyDHCP, TFTP, HTTP, NFS exports. SIGTERM or Ctrl-C ends it, SIGHUP reloads the configuration.

    Exit code 0 after SIGTERM, 1 when it could not start or go on, 2 when the configuration is wrong.
    """
    # Without the services, what the program says of this verb is there at once.
    from appliance.server import logs, systemd
    from appliance.server.daemon import serve as run

    logs.configure(debug=debug)
    try:
        asyncio.run(run(context.obj))
    except UserError as error:
        systemd.status(f"not running: {error.message}{error.hint and f' ({error.hint})'}")
        raise

"""`serve`: run the box."""

import asyncio
from typing import Annotated

import typer


def serve(
    context: typer.Context, debug: Annotated[bool, typer.Option("--debug", help="Log every offer and address.")] = False
) -> None:
    """Run the box: proxyDHCP, TFTP, HTTP, NFS exports. SIGTERM or Ctrl-C ends it, SIGHUP reloads the configuration."""
    # The services cost half a second to import, which no other verb has to wait for.
    from appliance import logs
    from appliance.daemon import serve as run

    logs.configure(debug=debug)
    asyncio.run(run(context.obj))

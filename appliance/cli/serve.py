"""`serve`: run the box."""

import asyncio

import typer


def serve(context: typer.Context) -> None:
    """Run the box: proxyDHCP, TFTP, HTTP, NFS exports. SIGTERM or Ctrl-C ends it, SIGHUP reloads the configuration."""
    # The services cost half a second to import, which no other verb has to wait for.
    from appliance.daemon import configure_logging
    from appliance.daemon import serve as run

    configure_logging()
    asyncio.run(run(context.obj))

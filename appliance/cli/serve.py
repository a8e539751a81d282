"""`serve`: run the box."""

import asyncio
import sys
from typing import Annotated

import typer

from appliance.errors import UserError
from appliance.last_resort import FAULT

app = typer.Typer()


@app.command()
def serve(
    context: typer.Context, debug: Annotated[bool, typer.Option("--debug", help="Log every offer and address.")] = False
) -> None:
    """Run the box: proxyDHCP, TFTP, HTTP and NFS exports. SIGTERM or Ctrl-C stops it, SIGHUP reloads the configuration.

    Exit code: 0 after SIGTERM, 1 if it cannot start or carry on, 2 if the configuration is wrong, 70 after
    a fault of its own.
    """
    # Imported late, so that `serve --help` does not wait for the services.
    import structlog

    from appliance.process import logging_setup, systemd
    from appliance.server.daemon import serve as run

    logging_setup.configure(debug=debug)
    try:
        asyncio.run(run(context.obj))
    except UserError as error:
        systemd.status(f"not running: {error.message}{error.hint and f' ({error.hint})'}")
        raise
    except Exception:
        systemd.status("not running: it ended by a fault of its own; see: journalctl -u netboot-appliance")
        # On a terminal, the last resort writes the details into a file.
        if sys.stderr.isatty():
            raise
        structlog.get_logger("serve").critical("the server ended by a fault of its own", exc_info=True)
        raise typer.Exit(FAULT) from None

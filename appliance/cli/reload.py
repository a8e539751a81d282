"""`reload`: make the running server read its configuration again, and print the result."""

from typing import Annotated

import typer

from appliance.cli.output import say
from appliance.config.file import tolerant
from appliance.errors import UserError
from appliance.registry.reload_request import request_reload
from services.linux import programs
from services.linux.programs import ProgramError

app = typer.Typer()
_RESTART = ("systemctl", "restart", "netboot-appliance")
_RESTART_SECONDS = 120.0


@app.command(
    epilog="Examples: sudo netboot-appliance reload (systemctl reload netboot-appliance does the same); "
    "sudo netboot-appliance reload --or-restart"
)
def reload(
    context: typer.Context,
    or_restart: Annotated[
        bool, typer.Option("--or-restart", help="If only a restart puts it in force, restart the service.")
    ] = False,
) -> None:
    """Make the running server read its configuration again. If it is not valid, nothing changes, and neither if
    [server], [dhcp], [tftp] or [boot] differ: a running server cannot change those.

    Exit code: 0 if the new configuration is in force, 1 if it was rejected and the old one stays, 3 if no server is
    running.
    """
    # If the file is wrong, the server says so: then `status` shows it as well.
    config = tolerant(context.obj)
    result = request_reload(config)
    if result.restart and or_restart:
        say(result.error)
        try:
            programs.output(_RESTART, seconds=_RESTART_SECONDS)
        except ProgramError as error:
            raise UserError(f"the service could not be restarted: {error}", "run with sudo", code=1) from None
        say("restarted: the configuration is in force")
    elif result.error:
        raise UserError(f"not reloaded, the old configuration stays: {result.error}", result.hint, code=1)
    else:
        say("configuration reloaded")

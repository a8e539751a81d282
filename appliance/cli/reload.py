"""`reload`: make the running server read its configuration again, and print the result."""

import typer

from appliance.cli.output import say
from appliance.config.file import tolerant
from appliance.errors import UserError
from appliance.registry.reload_request import request_reload

app = typer.Typer()


@app.command(epilog="Example: sudo netboot-appliance reload (systemctl reload netboot-appliance does the same)")
def reload(context: typer.Context) -> None:
    """Make the running server read its configuration again. If it is not valid, nothing changes.

    Exit code: 0 if the new configuration is in force, 1 if it was rejected and the old one stays, 3 if no server is
    running.
    """
    # If the file is wrong, the server says so: then `status` shows it as well.
    config = tolerant(context.obj)
    result = request_reload(config)
    if result.error:
        raise UserError(f"not reloaded, the old configuration stays: {result.error}", result.hint, code=1)
    say("configuration reloaded")
    if result.note:
        say(f"warning: {result.note}", err=True)

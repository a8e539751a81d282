"""`reload`: have the running server read its configuration again, and say what came of it."""

import typer

from appliance.config.file import tolerant
from appliance.errors import UserError
from appliance.registry.reload_request import request_reload

app = typer.Typer()


@app.command(epilog="Example: sudo netboot-appliance reload (systemctl reload netboot-appliance does the same)")
def reload(context: typer.Context) -> None:
    """Have the running server read its configuration again. What does not load changes nothing.

    Exit code 0: the new configuration is in force. 1: it was rejected, the old one stays. 3: no server runs.
    """
    # What is wrong with the file is for the server to say, which then shows it in `status` as well.
    config = tolerant(context.obj)
    result = request_reload(config)
    if result.error:
        raise UserError(f"not reloaded, the old configuration stays: {result.error}", result.hint, code=1)
    typer.echo("configuration reloaded")
    if result.note:
        typer.echo(f"warning: {result.note}", err=True)

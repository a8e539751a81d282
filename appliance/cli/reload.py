"""`reload`: have the running server read its configuration again, and say what came of it."""

import os
import signal
import time
from pathlib import Path

import typer

from appliance.config.file import tolerant
from appliance.errors import UserError
from appliance.registry import reload_result
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder

app = typer.Typer()
_PATIENCE = 30.0
_LOOK_SECONDS = 0.05


@app.command(epilog="Example: sudo netboot-appliance reload (systemctl reload netboot-appliance does the same)")
def reload(context: typer.Context) -> None:
    """Have the running server read its configuration again. What does not load changes nothing.

    Exit code 0: the new configuration is in force. 1: it was rejected, the old one stays. 3: no server runs.
    """
    # What is wrong with the file is for the server to say, which then shows it in `status` as well.
    config = tolerant(context.obj)
    pid = holder(config.registry)
    if pid is None:
        raise UserError(
            f"no server runs on {config.server.data}",
            "start it: systemctl start netboot-appliance; after a change of [server] data: restart it",
            code=3,
        )
    begun = time.monotonic()
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        raise UserError(f"cannot signal the server (process {pid}): it is another user's", "run with sudo", 1) from None
    except ProcessLookupError:
        raise UserError("the server has just stopped", "look why: systemctl status netboot-appliance", 3) from None
    result = _await(config.registry, pid, begun)
    if result.error:
        raise UserError(f"not reloaded, the old configuration stays: {result.error}", result.hint, code=1)
    typer.echo("configuration reloaded")
    if result.note:
        typer.echo(f"warning: {result.note}", err=True)


def _await(path: Path, pid: int, begun: float) -> reload_result.ReloadResult:
    """What the server wrote down about a reload that began after this one was asked for."""
    with Registry(path) as registry:
        while time.monotonic() < begun + _PATIENCE:
            found = reload_result.read(registry)
            if found and found.begun >= begun:
                return found
            if holder(path) != pid:
                raise UserError("the server has just stopped", "look why: systemctl status netboot-appliance", code=3)
            time.sleep(_LOOK_SECONDS)
    raise UserError(
        f"the server (process {pid}) has not said within {_PATIENCE:.0f} s what came of the reload",
        "look at its log: journalctl -u netboot-appliance",
        code=1,
    )

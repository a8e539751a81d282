"""`control`: run the page, and say who may use it."""

import asyncio
import sys
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.output import say, show_json, show_table
from appliance.errors import UserError
from appliance.last_resort import FAULT
from appliance.view.words import moment

app = typer.Typer(
    name="control", help="Run the page and its API, and say who may use them.", invoke_without_command=True
)


@app.callback(epilog="Example: sudo netboot-appliance control")
def control(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Log every request.")] = False,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Run the page and its API, and say who may use them. Without a verb: run the page until SIGTERM or Ctrl-C.

    `serve` runs it by itself, and so does systemd: netboot-appliance-control. SIGHUP, or a change of the
    configuration's file, makes it read that again.
    """
    if context.invoked_subcommand is not None:
        return
    import structlog

    from appliance.control.process import control as run
    from appliance.process import logging_setup, systemd

    logging_setup.configure(debug=debug)
    try:
        asyncio.run(run(context.obj, supervised=supervised))
    except UserError as error:
        systemd.status(f"not running: {error.message}{error.hint and f' ({error.hint})'}")
        raise
    except Exception:
        systemd.status("not running: it ended by a fault of its own; see: journalctl -u netboot-appliance-control")
        if sys.stderr.isatty():
            raise
        structlog.get_logger("control").critical("the page ended by a fault of its own", exc_info=True)
        raise typer.Exit(FAULT) from None


@app.command(epilog="Example: netboot-appliance control fingerprint")
def fingerprint(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Print the page's address, and the SHA-256 fingerprint of its certificate. Makes the certificate if there is none.

    Compare it with what the browser shows when it warns of the box's own certificate.
    """
    import time

    from appliance.config.file import load
    from appliance.page import certificate
    from appliance.page.address import urls

    config = load(context.obj)
    found = None if config.control.behind_proxy else certificate.ensure(config, time.time())
    if as_json:
        show_json({"page": urls(config), "fingerprint": found.fingerprint if found else None})
        return
    say(*(f"page         {url}" for url in urls(config)))
    say(f"fingerprint  {found.fingerprint}" if found else "certificate  that of the reverse proxy")


@app.command(epilog="Example: sudo netboot-appliance control password")
def password(
    context: typer.Context,
    from_stdin: Annotated[bool, typer.Option("--stdin", help="Read it from standard input: one line.")] = False,
    random: Annotated[bool, typer.Option("--random", help="Make one, and print it.")] = False,
    if_none: Annotated[bool, typer.Option("--if-none", help="If there is one already, do and print nothing.")] = False,
) -> None:
    """Set the password of the page. All sessions end: whoever is logged in has to log in again."""
    from appliance.config.file import load
    from appliance.control.access import credentials
    from appliance.registry.database import Registry

    if from_stdin and random:
        raise UserError("--stdin and --random exclude each other", "name one of them")
    config = load(context.obj)
    with Registry(config.registry) as registry:
        if if_none and credentials.password_of(registry) is not None:
            return
        chosen = credentials.random_password() if random else credentials.check_password(_typed(from_stdin))
        credentials.set_password(registry, chosen)
    if random:
        say(f"the password of the page: {chosen}")
        say("it is not shown again; set another one with: netboot-appliance control password", err=True)
    else:
        say("the password is set; all sessions have ended")


def _typed(from_stdin: bool) -> str:
    import getpass

    if from_stdin or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password of the page: ")
    if getpass.getpass("Once more: ") != first:
        raise UserError("the passwords do not match", "run it again")
    return first


@app.command(epilog="Example: netboot-appliance control boxes --json")
def boxes(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Ask the other boxes of the configuration how their PCs are, as the page does."""
    import time

    from appliance.config.file import load
    from appliance.control.boxes.others import OtherBox, OtherBoxes

    config = load(context.obj)
    others = OtherBoxes(lambda: config, time.time)
    asyncio.run(others.look())
    found = others.all()
    if as_json:
        show_json(found)
        return

    def row(box: OtherBox) -> tuple[str, ...]:
        fleet = box.fleet
        numbers = (f"{fleet.on} of {fleet.known}", str(fleet.computing), str(fleet.stuck)) if fleet else ("", "", "")
        wrong = [box.why] if not fleet else [*([] if fleet.serving else ["it serves no boots"]), *fleet.trouble]
        return (box.name, box.url, *numbers, "; ".join(wrong))

    none = "The configuration names no other boxes: [[control.boxes]]."
    show_table(("box", "page", "on", "compute", "stuck", "trouble"), [row(each) for each in found], none)


token = typer.Typer(name="token", help="The tokens of programs that use the API.", no_args_is_help=True)
app.add_typer(token)


@token.command("add", epilog="Example: sudo netboot-appliance control token add grafana --read-only")
def token_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who uses it.", show_default=False)],
    read_only: Annotated[bool, typer.Option("--read-only", help="It may look, and change nothing.")] = False,
) -> None:
    """Make a token, and print it. It is not shown again. Programs send it as `Authorization: Bearer TOKEN`."""
    import time

    from appliance.config.file import load
    from appliance.control.access import credentials
    from appliance.registry.database import Registry

    with Registry(load(context.obj).registry) as registry:
        say(credentials.add_token(registry, name, read_only=read_only, now=time.time()))


@token.command("list", epilog="Example: sudo netboot-appliance control token list")
def token_list(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the tokens. Their secrets are not known: remove one that was lost, and make another."""
    from appliance.config.file import load
    from appliance.control.access import credentials
    from appliance.registry.database import Registry

    with Registry(load(context.obj).registry) as registry:
        found = credentials.tokens(registry)
    if as_json:
        show_json(found)
        return
    rows = [(each.name, "look" if each.read_only else "look and change", moment(each.added)) for each in found]
    show_table(("name", "may", "made"), rows, "There are no tokens.")


@token.command("remove", epilog="Example: sudo netboot-appliance control token remove grafana")
def token_remove(
    context: typer.Context, name: Annotated[str, typer.Argument(help="As listed.", show_default=False)]
) -> None:
    """Remove a token: whoever has it gets no answers any more."""
    from appliance.config.file import load
    from appliance.control.access import credentials
    from appliance.registry.database import Registry

    with Registry(load(context.obj).registry) as registry:
        if not credentials.remove_token(registry, name):
            raise UserError(f"there is no token {name!r}", "see them: netboot-appliance control token list")
    say(f"removed the token {name}")

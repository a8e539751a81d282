"""`notify`: what the administrator is told, and whether it arrives."""

import time
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import load
from appliance.registry.database import Registry
from appliance.view.words import ago, moment

app = typer.Typer(name="notify", help="Show and test the notices that the administrator gets.", no_args_is_help=True)


@app.command("test", epilog="Examples: netboot-appliance notify test; netboot-appliance notify test admin@example.org")
def try_(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(help="A mail address or a URL of apprise's. Default: all in the configuration.")
    ] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Send a test now, and show what each address answered.

    Exit code: 0 if all have taken it, 1 if not.
    """
    from appliance.control.notify import trial

    config = load(context.obj)
    those = trial.targets(config, address)
    answers = trial.run(config, those, time.time())
    if as_json:
        show_json(answers)
    else:
        for each in answers:
            say(f"{'sent' if each.taken else 'FAILED':6}  {each.address}: {each.answer}")
    if not all(each.taken for each in answers):
        raise typer.Exit(1)


@app.command("list", epilog="Example: netboot-appliance notify list --json")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many notices to list.")] = 20,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List the last notices: those that were sent, that wait, and that failed."""
    from appliance.control.notify.view import notice_views, summary

    config = load(context.obj)
    with Registry(config.registry) as registry:
        notices = notice_views(registry, limit)
    if as_json:
        show_json(notices)
        return
    none = "Nothing was told yet." if config.notify.targets else "Nobody is told anything: [notify] addresses is empty."
    rows = [(str(each.id), moment(each.made), each.rule, each.state, each.title) for each in notices]
    show_table(("number", "made", "rule", "state", "title"), rows, none)
    for each in notices:
        for line in summary(each):
            say(f"{each.id}  {line}")


@app.command(epilog="Example: netboot-appliance notify rules")
def rules(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the rules: what is told, and when it was told last."""
    from appliance.control.notify.view import rule_views

    config = load(context.obj)
    with Registry(config.registry) as registry:
        found = rule_views(registry, config.notify)
    if as_json:
        show_json(found)
        return
    rows = [
        (each.rule, each.setting, str(each.told or ""), ago(each.last) if each.last else "", each.about)
        for each in found
    ]
    show_table(("rule", "setting", "told now", "last told", "what it tells"), rows, "")
    if not config.notify.targets:
        say("", "Nobody is told anything: [notify] addresses is empty.")

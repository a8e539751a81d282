"""`status`: the services, the image, which PC booted what and how far it came."""

import time
from dataclasses import replace
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.firmware import show_firmware
from appliance.cli.output import say, show_json, show_table
from appliance.cli.room import held_in_words
from appliance.cli.schedule import in_words
from appliance.config.file import load, tolerant
from appliance.diagnosis.fault import grouped
from appliance.images.todays_recipe import cure
from appliance.images.update_check import RENEW
from appliance.registry.database import Registry
from appliance.registry.records import IgnoredRow
from appliance.registry.server_lock import holder
from appliance.view import status as views
from appliance.view.facts import gather
from appliance.view.image_checks import UpdateCheckView
from appliance.view.kept_work import LIST
from appliance.view.status import StatusView
from appliance.view.trials import gather_rollout
from appliance.view.words import ago, counted

app = typer.Typer()
_IGNORED_SHOWN = 10
_CLAIMS_SHOWN = 5
_NEXT_BOOTS_SHOWN = 10
_BOOTS_SHOWN = 200
_FAULTS_SHOWN = 20
_PCS_NAMED = 8


@app.command()
def status(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Show the services, the active image, and what each PC does: first those that need you.

    Shows 200 PCs, and 1,000 with --json; `clients list` has them all.

    Exit code: 0 if the server is running, 3 if not.
    """
    # A broken file must not hide what a running server does; without a server, the file is what is wrong.
    config = tolerant(context.obj)
    if holder(config.registry) is None:
        load(context.obj)
    with Registry(config.registry) as registry:
        now = time.time()
        box = replace(gather(config, registry, now), rollout=gather_rollout(config, registry, now))
    shown = views.status_view(box, now)
    if as_json:
        show_json(views.as_json(shown))
    else:
        _show_box(shown, now)
        _show_boots(shown)
        show_firmware(shown.firmware)
        _show_ignored(shown)
    if shown.server.pid is None:
        raise typer.Exit(3)


def _say_updates(found: UpdateCheckView) -> None:
    say(f"          {found.words}{f' (do: {RENEW})' if found.updates else ''}")


def _show_box(shown: StatusView, now: float) -> None:
    server = shown.server
    if server.pid is None:
        say("server    not running (start it: systemctl start netboot-appliance)")
    else:
        since = "" if server.started is None else f", started {ago(server.started)}"
        say(f"server    running as process {server.pid}{since}")
        on = ", ".join(f"{s['name']} {s['address']}:{s['port']}" for s in shown.services)
        say(f"services  {on}")
    if shown.page and shown.page.pid:
        say(f"page      {', '.join(shown.page.addresses)}")
        if rejected := shown.page.rejected:
            say(f"          REJECTED {ago(rejected.at)}, it keeps its old configuration: {rejected.error}")
    elif shown.page:
        say("page      not running (start it: systemctl start netboot-appliance-control)")
    for line in shown.trouble:
        say(f"network   PCs cannot reach the server: {line}")
    for line in shown.disk:
        say(f"disk      {line} (see: netboot-appliance doctor)")
    if shown.kept_work:
        say(f"kept      {shown.kept_work.words} (see: {LIST})")
    if rejected := shown.reload_rejected:
        say(f"reload    REJECTED {ago(rejected.at)}, the old configuration stays: {rejected.error}")
        if rejected.hint:
            say(f"          do: {rejected.hint}")
    if shown.leases:
        say(f"dhcp      server, {shown.leases.leased} of {shown.leases.addresses} addresses leased")
    if exports := shown.exports:
        state = f"NOT in force: {exports['error']}" if exports["error"] else exports["backend"]
        say(f"exports   {state} ({exports['why']})")
    for claim in shown.claims[:_CLAIMS_SHOWN]:
        say(f"claimed   {claim.words}, {ago(claim.at)} (see: netboot-appliance doctor)")
    if len(shown.claims) > _CLAIMS_SHOWN:
        say(f"claimed   … and {len(shown.claims) - _CLAIMS_SHOWN} more (status --json)")
    none = shown.image_error or "none is active (build one: netboot-appliance image build)"
    say(f"image     {shown.image.id if shown.image else none}")
    if shown.image_outdated:
        say(f"          not of today's recipe: {shown.image_outdated}", f"          do: {cure()}")
    if shown.image_check:
        _say_updates(shown.image_check)
    for image in shown.images:
        say(f"          {image.words}")
        if image.outdated:
            say(f"          not of today's recipe: {image.outdated}")
        if image.do:
            say(f"          do: {image.do}")
        if image.image_check:
            _say_updates(image.image_check)
    if canary := shown.rollout.canary_words(now):
        say(f"canary    {canary}")
    for back in shown.rollout.gone_back[:_NEXT_BOOTS_SHOWN]:
        say(f"went back {back.mac} {back.words} (again: netboot-appliance boot next {back.mac} --clear)")
    if len(shown.rollout.gone_back) > _NEXT_BOOTS_SHOWN:
        say(f"went back … and {len(shown.rollout.gone_back) - _NEXT_BOOTS_SHOWN} more (image canary)")
    for each in shown.next_boots[:_NEXT_BOOTS_SHOWN]:
        say(f"next boot {each.mac} starts {each.entry}{' (under way)' if each.taken else ''}")
    if len(shown.next_boots) > _NEXT_BOOTS_SHOWN:
        say(f"next boot … and {len(shown.next_boots) - _NEXT_BOOTS_SHOWN} more (status --json)")
    for schedule in shown.schedules:
        say(f"schedule  {schedule.name}: {in_words(schedule)}")
    for room in shown.held:
        say(f"held      {room.label}: {held_in_words(room)}")
    nobody = "nobody may boot yet (allow a PC: netboot-appliance allow add MAC)"
    allowed = shown.allowed
    addresses = counted(allowed.addresses, "MAC address", "MAC addresses")
    some = f"{addresses} in {counted(allowed.entries, 'entry', 'entries')}"
    say(f"allowed   {some if allowed.entries else nobody}")


def _show_boots(shown: StatusView) -> None:
    some = list(zip(shown.boots, shown.states, strict=True))[:_BOOTS_SHOWN]
    rows = [
        (boot.mac, shown.labels[boot.mac], now.words, boot.host_id, ago(boot.started), ago(now.heard))
        for boot, now in some
    ]
    say("")
    if shown.pcs.known:
        say(shown.pcs.words, "")
    show_table(("MAC", "label", "state", "BOINC host", "started", "last heard"), rows, "No PC has booted yet.")
    if more := shown.counted.clients + shown.counted.newcomers - len(rows):
        say(f"… and {more:,} more (netboot-appliance clients list)")
    if many := shown.forgotten.get("newcomers"):
        span = f"{shown.forgotten['lowest']} to {shown.forgotten['highest']}"
        say(
            f"{counted(many, 'other MAC address', 'other MAC addresses')} from {span} asked, got an offer and never"
            f" loaded anything; forgotten, the last {ago(shown.forgotten['last_at'])}"
        )
    failing = ((each.mac, each.diagnosis) for each in shown.boots if each.diagnosis and each.diagnosis.failing)
    wrong = grouped(failing)
    if wrong:
        say("", "What is wrong, and what to do:")
    for group in wrong[:_FAULTS_SHOWN]:
        say(f"{group.cause}: {group.named(_PCS_NAMED)}", f"  do: {group.cure}")


def _sender(row: IgnoredRow) -> str:
    """Where refused requests came from, as far as that is known."""
    return f"{row.sender} ({row.sender_mac})" if row.sender_mac else row.sender


def _show_ignored(shown: StatusView) -> None:
    if not shown.ignored:
        return
    say("", "Ignored requests, latest first:")
    latest = shown.ignored[:_IGNORED_SHOWN]
    rows = [
        (each.client or "(other names)", _sender(each), each.service, each.reason, str(each.count), ago(each.last_at))
        for each in latest
    ]
    show_table(("client", "sent from", "service", "reason", "times", "last"), rows, "")
    if len(shown.ignored) > _IGNORED_SHOWN:
        say(f"… and {len(shown.ignored) - _IGNORED_SHOWN} more (status --json)")
    if many := shown.forgotten.get("refusals"):
        say(f"{counted(many, 'other', 'others')}, of senders that came once: forgotten")

"""`status`: the services, the image, who booted what and how far."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from appliance.boot import next_boot
from appliance.cli.clients import boot_json, stage_words
from appliance.cli.firmware import learned_json, show_learned
from appliance.cli.output import ago, show_json, show_table
from appliance.config.file import Config, load, tolerant
from appliance.dhcp import leases
from appliance.doctor.finding import Severity
from appliance.doctor.storage import check_disk
from appliance.firmware import table
from appliance.firmware.knowledge import notable
from appliance.journal import recorder
from appliance.journal.timeline import CURES
from appliance.registry.database import IgnoredRow, Registry
from appliance.registry.server_lock import holder
from appliance.server import reload_result
from image.release import ReleaseError, current

app = typer.Typer()
_IGNORED_SHOWN = 10


@app.command()
def status(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False
) -> None:
    """Show the services, the active image, and every PC's latest boot. Exit code 0 when the server runs, 3 when not."""
    # A broken file must not hide what a server does meanwhile; without one, it is what is wrong.
    config = tolerant(context.obj)
    if holder(config.registry) is None:
        load(context.obj)
    with Registry(config.registry) as registry:
        facts = _facts(config, registry)
        boots = recorder.latest(registry)
        ignored = registry.ignored()
        learned = [(mac, k) for mac, rows in table.read(registry).items() for k in notable(rows)]
        allowlist = registry.allowlist()
    if as_json:
        facts["boots"] = [boot_json(boot) for boot in boots]
        facts["firmware"] = [learned_json(*each) for each in learned]
        facts["ignored"] = [_ignored_json(row) for row in ignored]
        show_json(facts)
    else:
        _show_facts(facts)
        rows = [
            (
                str(b.mac),
                entry.label if (entry := allowlist.decide(b.mac)) else "",
                stage_words(b),
                b.host_id,
                ago(b.started),
                ago(b.last_event),
            )
            for b in boots
        ]
        typer.echo("")
        show_table(("MAC", "label", "stage", "BOINC host", "started", "last heard"), rows, "No PC has booted yet.")
        if any(b.diagnosis(time.time()) for b in boots):
            typer.echo("\nWhat helps against Secure Boot: " + "; or ".join(CURES))
        show_learned(learned)
        if ignored:
            typer.echo("\nIgnored requests, the latest first:")
            lines = [(r.client, r.service, r.reason, str(r.count), ago(r.last_at)) for r in ignored[:_IGNORED_SHOWN]]
            show_table(("client", "service", "reason", "times", "last"), lines, "")
            if len(ignored) > _IGNORED_SHOWN:
                typer.echo(f"… and {len(ignored) - _IGNORED_SHOWN} more (status --json)")
    if facts["server"]["pid"] is None:
        raise typer.Exit(3)


def _facts(config: Config, registry: Registry) -> dict[str, Any]:
    known = registry.server()
    pid = holder(config.registry)
    reload = reload_result.read(registry) if pid else None
    try:
        release, broken = current(config.images), ""
    except ReleaseError as error:
        release, broken = None, str(error)
    allowed = registry.allowlist()
    return {
        "server": {"pid": pid, "started": known.get("started") if pid else None},
        "reload_rejected": asdict(reload) if reload and reload.error else None,
        "services": known.get("services", []) if pid else [],
        "trouble": known.get("trouble", []) if pid else [],
        "disk": [finding.what for finding in check_disk(config) if finding.severity is Severity.ERROR],
        "leases": _leases(registry, known.get("addresses", 0)) if pid else None,
        "exports": known.get("exports") if pid else None,
        "image": {"id": release.id, "created": release.created.timestamp()} if release else None,
        "image_error": broken,
        "next_boots": [{"mac": str(n.mac), "entry": n.entry, "taken": n.taken} for n in next_boot.all_of(registry)],
        "allowed": {"entries": len(allowed), "addresses": allowed.addresses},
    }


def _leases(registry: Registry, addresses: int) -> dict[str, int] | None:
    """How many addresses there are and how many of them are with PCs; None where another server gives them out."""
    if not addresses:
        return None
    return {"leased": len(leases.in_force(leases.load(registry), time.time())), "addresses": addresses}


def _show_facts(facts: dict[str, Any]) -> None:
    server, image, exports = facts["server"], facts["image"], facts["exports"]
    if server["pid"] is None:
        typer.echo("server    not running (start it with: systemctl start netboot-appliance)")
    else:
        typer.echo(f"server    running as process {server['pid']}, started {ago(server['started'])}")
        on = ", ".join(f"{s['name']} {s['address']}:{s['port']}" for s in facts["services"])
        typer.echo(f"services  {on}")
    for line in facts["trouble"]:
        typer.echo(f"network   PCs cannot reach the server: {line}")
    for line in facts["disk"]:
        typer.echo(f"disk      {line} (look: netboot-appliance doctor)")
    if rejected := facts["reload_rejected"]:
        typer.echo(f"reload    REJECTED {ago(rejected['at'])}, the old configuration stays: {rejected['error']}")
        if rejected["hint"]:
            typer.echo(f"          do: {rejected['hint']}")
    if leased := facts["leases"]:
        typer.echo(f"dhcp      server, {leased['leased']} of {leased['addresses']} addresses leased")
    if exports:
        state = (
            f"NOT in force: {exports['error']} ({exports['why']})"
            if exports["error"]
            else f"{exports['backend']} ({exports['why']})"
        )
        typer.echo(f"exports   {state}")
    none = facts["image_error"] or "none is active (make one with: netboot-appliance image build)"
    typer.echo(f"image     {image['id'] if image else none}")
    for each in facts["next_boots"]:
        typer.echo(f"next boot {each['mac']} starts {each['entry']}{' (under way)' if each['taken'] else ''}")
    allowed = facts["allowed"]
    nobody = "nobody may boot yet (allow a PC with: netboot-appliance allow add MAC)"
    some = f"MAC addresses: {allowed['addresses']:,}, in entries: {allowed['entries']:,}"
    typer.echo(f"allowed   {some if allowed['entries'] else nobody}")


def _ignored_json(row: IgnoredRow) -> dict[str, Any]:
    return {
        "client": row.client,
        "service": row.service,
        "reason": row.reason,
        "first_at": row.first_at,
        "last_at": row.last_at,
        "count": row.count,
    }

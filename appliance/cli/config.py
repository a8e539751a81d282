"""`config`: the configuration file."""

import contextlib
import os
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli import config_dhcp
from appliance.cli.output import say, show_json
from appliance.config import file as config
from appliance.config import images, sections
from appliance.config.template import TEMPLATE
from appliance.doctor.configuration import canary_for_nobody, for_nobody, lost_schedules, service_group, warnings
from appliance.errors import UserError
from appliance.images.todays_recipe import cure, outdated, unusable
from appliance.network.interfaces import found_interface
from appliance.registry.server_lock import holder
from appliance.schedules.name import unknown
from image import release
from image.release import ReleaseError
from services.linux import atomic_file
from services.linux.interfaces import interface_address

if TYPE_CHECKING:
    from appliance.doctor.projects_online import Answer

app = typer.Typer(name="config", help="Write, check and show the configuration file.", no_args_is_help=True)
app.command("dhcp", epilog="Example: netboot-appliance config dhcp dnsmasq --way pxe")(config_dhcp.dhcp)


@app.command(epilog="Example: sudo netboot-appliance config init")
def init(
    context: typer.Context,
    interface: Annotated[
        str | None, typer.Option(help="The interface that leads to the PCs. Default: the one with the default route.")
    ] = None,
) -> None:
    """Write a commented configuration file with the interface and address found here.

    Never overwrites a file that sets anything. Replaces the package's own file, in which every setting is a comment.
    """
    path: Path = context.obj
    text = _template(interface)
    written = config.parse(text, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)
    except FileExistsError:
        raise UserError(
            f"{path} exists already; nothing was changed", "edit it, or move it away and run config init again"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}", "run with sudo, or name another file with --config"
        ) from None
    say(f"wrote {path}")
    say("next: fill in [project], then: netboot-appliance config check")
    say(f"then: {_apply_command(written)}")


def _write(path: Path, text: str) -> None:
    """Make the file, in one step; raises FileExistsError if there is one that sets anything."""
    # The account key goes in there: only root and the service may read it.
    group = service_group() if os.geteuid() == 0 else None
    mode = 0o600 if group is None else 0o640
    with atomic_file.new_file(path, mode=mode, replace=path.exists() and _says_nothing(path)) as file:
        file.write(text.encode())
        if group is not None:
            os.fchown(file.fileno(), 0, group)


def _says_nothing(path: Path) -> bool:
    try:
        return _is_empty(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError):
        return False


def _is_empty(value: object) -> bool:
    """A section, however deep, in which no key is set."""
    return isinstance(value, dict) and all(map(_is_empty, value.values()))


def _apply_command(written: config.Config) -> str:
    """The command that makes the new configuration take effect here."""
    try:
        running = holder(written.registry) is not None
    except UserError:
        running = False
    if Path("/run/systemd/system").is_dir():
        verb = "reload" if running else "enable --now"
        return f"sudo systemctl {verb} netboot-appliance"
    return f"sudo netboot-appliance {'reload' if running else 'serve'}"


@app.command(
    epilog="Example: netboot-appliance config check --online. Exit code: 0 valid, 1 unusable for now, 2 invalid."
)
def check(
    context: typer.Context,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            help="Ask the projects, too: whether they can be reached and accept the key. One that accepts a weak key "
            "then lists a computer netboot-appliance-check.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check the configuration, and show what it means on this machine."""
    found = config.load(context.obj)
    unusable = None
    complaints = [*(warnings(found) if found.written else ()), *_overlays(found)]
    notes = list(_notes(found))
    try:
        _show_meaning(found, aloud=not as_json)
    except UserError as error:
        # The rest does not depend on what is wrong here.
        unusable = error
    if not as_json:
        for complaint in complaints:
            say(f"warning: {complaint}", err=True)
        for note in notes:
            say(f"note: {note}", err=True)
    answers = list(_ask(found, aloud=not as_json)) if online else []
    if as_json:
        document = {"file": str(found.path) if found.written else None, "warnings": complaints, "notes": notes}
        show_json(document | ({"projects": answers} if online else {}))
    if unusable is not None:
        raise unusable
    if any(answer.problem for answer in answers):
        raise typer.Exit(1)


def _overlays(found: config.Config) -> Iterator[str]:
    """What is wrong with the overlays."""
    from appliance.live.preview import overlay_faults

    for fault in overlay_faults(found):
        yield f"{fault.message}; {fault.hint}"


def _notes(found: config.Config) -> Iterator[str]:
    """What is not wrong, but may not be meant."""
    yield from _misspelt_addresses(found)
    yield from _outdated_image(found)
    if not found.registry.exists():
        return
    yield from _waiting(found)
    from appliance.images.rollout_table import heard_last
    from appliance.registry.database import Registry
    from appliance.view.image_states import gather_image_states

    try:
        with Registry(found.registry) as registry:
            allowlist, booted = registry.allowlist(), heard_last(registry)
        yield from for_nobody(found, allowlist)
        yield from canary_for_nobody(found, allowlist, booted)
        for name in lost_schedules(found, allowlist):
            message, hint = unknown(name, found.schedules)
            yield f"{message}, but a range of the allowlist has it, and its PCs compute at any time; {hint}"
        for image in gather_image_states(found, allowlist, time.time()):
            if image.trouble and image.entries:
                yield f"the image {image.words}; do: {image.do}"
    except UserError as unreadable:
        yield f"the allowlist was not looked at: {unreadable.message}"


def _waiting(found: config.Config) -> Iterator[str]:
    """What a running server takes over only when it is restarted."""
    from appliance.registry.database import Registry

    with contextlib.suppress(UserError):
        if holder(found.registry) is None:
            return
        with Registry(found.registry) as registry:
            started = registry.server().get("started_with")
        if not isinstance(started, dict):
            return
        if not found.server.interfaces:
            named = tuple(started.get("server", {}).get("interfaces", ()))
            found = replace(found, server=replace(found.server, interfaces=named))
        if names := sections.changed(started, found):
            yield (
                f"{sections.in_words(names)} changed since the server was started, and only a restart puts that in"
                " force: systemctl restart netboot-appliance"
            )


def _misspelt_addresses(found: config.Config) -> Iterator[str]:
    if any(not target.mail for target in found.notify.targets):
        from appliance.control.notify.sending import misspelt

        for target in found.notify.targets:
            if wrong := misspelt(target):
                yield f"[notify] addresses: {target.shown}: {wrong}"


def _ask(found: config.Config, *, aloud: bool) -> "Iterator[Answer]":
    from appliance.doctor.projects_online import ask
    from services.boinc.web import Web

    for answer in ask(found, Web(found.boinc.web_proxy, found.boinc.ca_file.pem)):
        if aloud:
            name = f" ({answer.name})" if answer.name else ""
            say(f"online    {answer.url}{name}: {answer.problem or 'the key is accepted'}")
            for line in filter(None, (answer.what_to_do and f"do: {answer.what_to_do}", answer.note)):
                say(f"          {line}")
        yield answer


def _show_meaning(found: config.Config, *, aloud: bool) -> None:
    """Show what it means here, if `aloud`; raises UserError if it cannot mean anything here."""
    from appliance.dhcp.subnets import subnets
    from appliance.network.interfaces import interfaces, networks

    served = interfaces(found)
    leased = subnets(found, served)
    if not aloud:
        return
    say(f"{found.path} is valid" if found.written else _NO_FILE.format(path=found.path))
    for interface in served:
        how = "" if found.server.interfaces else " (found; [server] interfaces is not set)"
        say(f"serves    {interface.name}, {interface.address}{how}")
    for subnet in leased:
        say(f"leases    {subnet.size} addresses in {subnet.network}")
    say(f"exports   inside {', '.join(map(str, networks(found, served)))}")
    if found.manager:
        say(f"manager   {found.manager.url}")
    for entry in found.all_projects:
        kind = ", backup" if entry.backup else ""
        whom = f", for {', '.join(entry.for_)}" if entry.for_ else ""
        say(f"project   {entry.account.url}{kind}{whom}")
    if not found.joined:
        say("project   none: the PCs will boot and wait")
    for name, schedule in found.schedules.items():
        say(f"schedule  {name}: {', '.join(schedule.windows)}; at the end: {schedule.at_end}")
    for each in found.live.exceptions:
        say(f"[live] has other settings for {', '.join(each.for_)}")
    for exception in found.boinc.exceptions:
        say(f"other preferences for {', '.join(exception.for_)}")


@app.command(epilog="Example: netboot-appliance config show")
def show(context: typer.Context) -> None:
    """Print the effective configuration, including defaults, as JSON. Secrets are not shown."""
    found = config.load(context.obj)
    if not found.written:
        say(_NO_FILE.format(path=found.path), err=True)
    show_json(config.redacted(found))


def _outdated_image(found: config.Config) -> Iterator[str]:
    for image in images.known(found):
        with contextlib.suppress(ReleaseError):
            if (active := release.current(found.images, image)) and (why := outdated(found, active)):
                yield f"the active image {active.id} is not of today's recipe: {why}; to build that: {cure(image)}"
            elif image in images.buildable(found) and (why := unusable(found, image)):
                yield f"the image {image} could not be built: {why}"


def _template(wanted: str | None) -> str:
    try:
        found = interface_address(wanted) if wanted else found_interface()
    except LookupError as error:
        raise UserError(str(error.args[0]), "name the interface that leads to the PCs with --interface") from None
    return TEMPLATE.format(interface=found.name, address=found.address, network=found.address.network)


_NO_FILE = "there is no configuration file {path}; these are the defaults"

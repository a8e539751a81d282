"""Arguments and options that several verbs have."""

import shlex
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from appliance.config import images
from appliance.config.file import load, locate, tolerant
from appliance.errors import UserError
from appliance.heartbeats import targets
from appliance.registry.database import Registry
from services.ethernet import MacAddress

JSON = typer.Option("--json", help="Print JSON, for scripts.")
MAC = typer.Argument(help="A MAC address.", show_default=False)


def mac_address(text: str, hint: str = "") -> MacAddress:
    """Read a MAC address in any common notation; raises UserError with `hint`."""
    try:
        return MacAddress.parse(text)
    except ValueError as error:
        raise UserError(str(error), hint) from None


def with_default(verb: str) -> type[TyperGroup]:
    """A group of verbs in which `verb` may be left out: what is no verb of the group are its arguments."""

    class DefaultVerb(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            return super().resolve_command(ctx, args if args[0] in self.commands else [verb, *args])

        def shell_complete(self, ctx: Any, incomplete: str) -> Any:
            verbs = super().shell_complete(ctx, incomplete)
            return verbs + self.commands[verb].params[0].shell_complete(ctx, incomplete)

    return DefaultVerb


def label_names(incomplete: str) -> list[str]:
    """What may follow at a Tab: the labels of the allowlist. Whatever is wrong, the shell gets none."""
    try:
        path = tolerant(locate(None)).registry
        if not path.exists():
            return []
        with Registry(path) as registry:
            known = targets.labels(registry.allowlist())
    except (UserError, OSError):
        return []
    return [quoted for label in known if (quoted := shlex.quote(label)).startswith(incomplete)]


def confirmed(question: str) -> None:
    """Go on only if somebody says yes; a script has to say so itself."""
    if not sys.stdin.isatty():
        nobody = f"this would {question}, and nobody is there to ask; nothing was changed"
        raise UserError(nobody, "if you mean it, add --yes")
    typer.confirm(f"{question[0].upper()}{question[1:]}?", abort=True, err=True)


def image_names(incomplete: str) -> list[str]:
    """What may follow at a Tab: the images that a range may name. Whatever is wrong, the shell gets none."""
    try:
        found = images.known(load(locate(None)))
    except UserError:
        return []
    return [name for name in found if name.startswith(incomplete)]


def schedule_names(incomplete: str) -> list[str]:
    """What may follow at a Tab: the schedules. Whatever is wrong, the shell gets none."""
    try:
        known = load(locate(None)).schedules
    except UserError:
        return []
    return sorted(name for name in known if name.startswith(incomplete))

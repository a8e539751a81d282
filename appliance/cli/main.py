"""The command line: `netboot-appliance [--config FILE] VERB`. One file per verb: parse, call one function, print."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer._click.exceptions import ClickException
from typer._completion_classes import completion_init
from typer.core import TyperGroup

from appliance import last_resort
from appliance.cli.output import say
from appliance.config.file import ENVIRONMENT, locate

_MODULES = {
    "serve": "serve",
    "control": "control",
    "reload": "reload",
    "status": "status",
    "allow": "allow",
    "schedule": "schedule",
    "room": "room",
    "live": "live",
    "menu": "menu",
    "boot": "boot",
    "image": "image",
    "exports": "exports",
    "state": "state",
    "clients": "clients",
    "boots": "boots",
    "events": "events",
    "order": "order",
    "wake": "wake",
    "history": "history",
    "leases": "leases",
    "notify": "notify",
    "config": "config",
    "doctor": "doctor",
    "backup": "backup",
    "restore": "backup",
}
"""The verbs in the order of the help, each with its module in appliance.cli."""


class _Verbs(Mapping[str, Any]):
    """Each verb's command by its name. Its module is imported when it is first asked for: `serve` answers 0.1 s sooner,
    and no verb pays for the imports of another."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            verbs = typer.Typer(rich_markup_mode=None)
            verbs.add_typer(import_module(f"appliance.cli.{_MODULES[name]}").app)
            self._known |= typer.main.get_group(verbs).commands
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


class _CommandLine(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Verbs()  # type: ignore[assignment]


app = typer.Typer(
    cls=_CommandLine,
    name="netboot-appliance",
    help="Boot rooms of idle PCs, without their disks, into a Debian live system that computes for a BOINC project.",
    epilog="The usual order: config init, config check, image build, allow add MAC, serve.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"netboot-appliance {version('netboot-appliance')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", envvar=ENVIRONMENT, help="The configuration file.", show_default=False)
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = locate(config)


def run() -> NoReturn:
    """The entry point. Whatever ends a verb becomes an exit code, and at most one error with its hint."""
    last_resort.run(_verb)


def _verb() -> int:
    """Do what the command line says; returns the exit code."""
    # The installation provides the shells' completion files (packaging/completion.py). Typer answers them only after
    # this call, or with options that would install them a second time, in ~/.bashrc.
    completion_init()
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        say("aborted", err=True)
        return 1
    except ClickException as error:
        # It quotes what was typed, or pasted.
        words = StringIO()
        error.show(words)
        say(*words.getvalue().rstrip("\n").split("\n"), err=True)
        return error.exit_code
    return code if isinstance(code, int) else 0

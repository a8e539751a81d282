"""Prints netboot-appliance(8) in man(7) macros, made from the help of the program's verbs.

This file adds what the verbs do not say themselves: files, exit codes. Installs nothing.
"""

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import typer.main

from appliance.cli.main import app

NAME = "netboot-appliance"

FILES = {
    "/etc/netboot-appliance/config.toml": "The configuration. It contains the project's account key.",
    "/etc/netboot-appliance/images": "Your packages, files and hooks for each image, in a directory named after it.",
    "/etc/netboot-appliance/live": "Your files and hooks that PCs get at their next boot, without a new image.",
    "/var/lib/netboot-appliance/images": "The live system's releases.",
    "/var/lib/netboot-appliance/image-keys": "The keys that sign images, and those that are trusted.",
    "/var/lib/netboot-appliance/state": "The work of each PC, in a directory named after its MAC address.",
    "/var/lib/netboot-appliance/volumes": "The file systems that hold that work, each in a file.",
    "/var/lib/netboot-appliance/registry": "The allowlist, the PCs and their boots. Only the program writes to it.",
    "/var/log/netboot-appliance": "Details of faults in the program, one file each; root's. The latest ten are kept.",
    "/opt/netboot-appliance": "The program.",
}
EXIT = {
    "0": "Success; the answer to a question is yes.",
    "1": "Failure; the answer to a question is no.",
    "2": "The command line or the configuration is wrong; nothing was changed.",
    "3": "What the verb's own help says: no server is running, no canary is open, there are updates, QEMU is missing.",
    "70": "A fault in the program. The error names a file with the details, which may contain secrets.",
    "130": "Ctrl-C ended it.",
    "141": "The program that read its output has ended.",
}


def page() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(app)
    context = root.context_class(root, info_name=NAME)
    lines = [
        f'.TH NETBOOT\\-APPLIANCE 8 "" "{NAME} {version(NAME)}" "System administration"',
        ".SH NAME",
        f"{_text(NAME)} \\- boots rooms of idle PCs diskless for BOINC",
        ".SH SYNOPSIS",
        f".B {_text(NAME)}",
        "[\\fB\\-\\-config\\fR \\fIFILE\\fR] \\fIVERB\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        *_paragraphs(root.help, root.epilog),
        ".SH OPTIONS",
        *_parameters(root, context),
        ".SH VERBS",
    ]
    for command in root.commands.values():
        lines += _command(command, context)
    lines += [".SH FILES", *_definitions(FILES), ".SH EXIT STATUS", *_definitions(EXIT)]
    lines += [".SH SEE ALSO", ".BR systemctl (1),", ".BR exports (5),", ".BR exportfs (8),", ".BR lb (1)"]
    return "\n".join(lines) + "\n"


def _command(command: Any, parent: Any) -> Iterator[str]:
    """One verb, or a group: what it is for, then its verbs."""
    context = command.context_class(command, info_name=command.name, parent=parent)
    verbs = getattr(command, "commands", {})
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {_text(context.command_path.removeprefix(NAME).strip())}"
    if not verbs or command.invoke_without_command:
        yield f"\\fB{_text(context.command_path)}\\fR {_text(usage)}"
    yield from _paragraphs(command.help, command.epilog)
    yield from _parameters(command, context)
    for verb in verbs.values():
        yield from _command(verb, context)


def _parameters(command: Any, context: Any) -> Iterator[str]:
    records = (p.get_help_record(context) for p in command.get_params(context) if p.name != "help")
    yield from _definitions(dict(filter(None, records)))


def _paragraphs(*texts: str | None) -> Iterator[str]:
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text or ""):
            if paragraph.strip():
                yield ".PP"
                yield _text(paragraph)


def _definitions(entries: dict[str, str]) -> Iterator[str]:
    for term, meaning in entries.items():
        yield ".TP"
        yield f".B {_text(term)}"
        yield _text(meaning)


def _text(text: str) -> str:
    """Running text on one line, with roff's own characters made harmless."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    print(page(), end="")

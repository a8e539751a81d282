"""Answers to the questions of Debian's packages (debconf-set-selections(1)), given before they are installed. PURE.

What PCs have at their boot, such as another keyboard for one room, is no matter of these.
"""

import re

_TYPES = ("boolean", "error", "multiselect", "note", "password", "select", "seen", "string", "text", "title")
_LINE = re.compile(r"(?P<owner>\S+)\s+(?P<question>\S+)\s+(?P<type>\S+)(?:\s.*)?", re.DOTALL)
_LOCALE = re.compile(r"(C|POSIX|[a-z]{2,3}_[A-Z]{2}(@[a-z]+)?)\.UTF-8(@[a-z]+)?")
_LAYOUT = re.compile(r"[a-z]{2,10}")
_VARIANT = re.compile(r"[A-Za-z0-9_-]{1,40}")


class PreseedError(Exception):
    """A text has no answers. `line` is its number, from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def check(text: str) -> None:
    """Raises PreseedError for a line that debconf would not take."""
    begun, whole = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not whole and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun = begun or number
        whole += line
        if line.endswith("\\"):
            whole = whole[:-1]
            continue
        match = _LINE.fullmatch(whole.strip())
        if match is None or match["type"] not in _TYPES:
            raise PreseedError(begun, f"{whole.strip()!r} is no answer: write PACKAGE QUESTION TYPE VALUE")
        begun, whole = 0, ""
    if whole:
        raise PreseedError(begun, "the last line goes on, and nothing follows")


def of_locale(locale: str) -> tuple[tuple[str, ...], str]:
    """Return the packages that make a locale such as `de_DE.UTF-8`, and the answers for them; raises ValueError."""
    if not _LOCALE.fullmatch(locale):
        raise ValueError(f"{locale!r} is not the name of a locale: write one such as de_DE.UTF-8")
    if locale == "C.UTF-8":
        return (), ""
    return ("locales",), (
        f"locales locales/locales_to_be_generated multiselect {locale} UTF-8\n"
        f"locales locales/default_environment_locale select {locale}\n"
    )


def of_keyboard(keyboard: str) -> tuple[tuple[str, ...], str]:
    """Return the packages that set the console's keyboard to a layout such as `de` or `de nodeadkeys`, and the answers
    for them; raises ValueError."""
    layout, _, variant = keyboard.partition(" ")
    if not _LAYOUT.fullmatch(layout) or (variant and not _VARIANT.fullmatch(variant)):
        raise ValueError(f"{keyboard!r} is no keyboard: write a layout, and perhaps a variant: de, or ch fr")
    question = "keyboard-configuration keyboard-configuration/"
    return ("console-setup", "keyboard-configuration"), (
        f"{question}modelcode string pc105\n"
        f"{question}layoutcode string {layout}\n"
        f"{question}variantcode string {variant}\n"
        f"{question}optionscode string\n"
        f"{question}xkb-keymap select {layout}{f'({variant})' if variant else ''}\n"
    )

r"""Text from outside as one line that is safe to show: names, options, reports and labels must not steer a terminal.

Used twice: where foreign text enters, so that nothing dangerous is stored, and where text is printed, because not all
of it came that way. What a terminal would act on becomes an escape in Python's notation: `\x1b`, `\n`, `\u202e`. A
backslash stays as it is, so the result can be passed through again, unchanged. It is for reading: it does not lead back
to the original. PURE.
"""

import re
import unicodedata
from collections.abc import Callable

LONGEST = 4096
"""Characters of a line, unless the caller asks for fewer."""

MOST_MARKS = 4
"""Combining marks on one letter. Written languages need three or four; a flood of them covers the lines above."""

_CUT = "…"
_CUT_ESCAPE = re.compile(r"\\(?:x[0-9a-f]?|u[0-9a-f]{0,3}|U[0-9a-f]{0,7})?$")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Not blank by their category, but terminals show nothing: fillers, joiners, variation selectors (Unicode's
# Default_Ignorable_Code_Point).
_HIDDEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# Marks that stand on nothing would stand on the words before this text.
_TOO_MANY_MARKS = re.compile(rf"^()m+|m{{{MOST_MARKS}}}m+")
_REMEMBERED = 4096


def printable(text: str, longest: int = LONGEST) -> str:
    """`text` on one line of at most `longest` characters, with `…` at its end if it was cut."""
    if len(text) <= longest and text.isascii() and text.isprintable():
        return text
    # Each character becomes one at least: what is behind these is cut in any case.
    shown = _shown(text[: longest + 1])
    if len(shown) <= longest:
        return shown
    return _CUT_ESCAPE.sub("", shown[: longest - len(_CUT)]) + _CUT


class _Letters(dict[int, str]):
    """What each character becomes, for str.translate: worked out once, for as many as are worth the memory."""

    def __init__(self, becomes: Callable[[str], str]) -> None:
        super().__init__()
        self._becomes = becomes

    def __missing__(self, number: int) -> str:
        found = self._becomes(chr(number))
        if len(self) < _REMEMBERED:
            self[number] = found
        return found


def _escaped(letter: str) -> str:
    number = ord(letter)
    if number < 0x100:
        return _NAMED.get(letter, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _harmless(letter: str) -> str:
    """The letter, unless it steers or cannot be seen: controls, directions of writing, ends of lines and paragraphs,
    spaces other than the usual one, surrogates, private and unassigned characters, fillers."""
    return _escaped(letter) if not letter.isprintable() or _HIDDEN.match(letter) else letter


_HARMLESS = _Letters(_harmless)
_KINDS = _Letters(lambda letter: "m" if unicodedata.category(letter).startswith("M") else "-")


def _shown(text: str) -> str:
    if text.isascii():
        return text.translate(_HARMLESS)
    pieces, at = [], 0
    for marks in _TOO_MANY_MARKS.finditer(text.translate(_KINDS)):
        start = marks.start() + (0 if marks[1] is not None else MOST_MARKS)
        pieces += [text[at:start].translate(_HARMLESS), *map(_escaped, text[start : marks.end()])]
        at = marks.end()
    return "".join([*pieces, text[at:].translate(_HARMLESS)])

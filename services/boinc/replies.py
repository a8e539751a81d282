"""The fields of BOINC's GUI RPC replies, read as tolerantly as they are written. PURE.

BOINC prints its XML line by line with printf, and reads it the same way: the text is bytes of no declared encoding,
some of it is not escaped, and a long reply may have been cut. So this is no XML parser. It looks for tags without
attributes and keeps what stands between a tag and its end. Document types, entities and attributes mean nothing to it.
One pass, whatever the bytes are; it never raises.
"""

import re
from collections.abc import Iterator

MOST_BYTES = 1 << 16
"""Of all replies in one heartbeat; what follows is not read."""

_MOST_ITEMS = 512
_DEEPEST = 12
_LONGEST_FIELD = 1000
_MOST_FIELDS = 100
"""Of one task or project; BOINC writes 30 to 50."""

_TAG = re.compile(r"<(/?)([a-z_0-9]{1,40})\s{0,4}(/?)>")
_MARKUP = re.compile(r"<!\[CDATA\[|\]\]>|<[^<>]{0,200}>")
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|(lt|gt|amp|quot|apos));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_ITEMS = {"cc_status": "boinc_gui_rpc_reply", "result": "results", "project": "projects", "msg": "msgs"}
"""What is collected, and in which element it stands."""

_RAW = "body"
"""The text of a message: it may hold tags of its own, which are none of ours."""

Fields = dict[str, str]
"""Of one item: the text of each element by its path, such as `active_task/fraction_done`. An empty element is "1"."""


def read_items(xml: bytes) -> Iterator[tuple[str, Fields]]:
    """Each item of the replies, by the name of its element: `cc_status`, `result`, `project`, `msg`. One that was cut
    has the fields that are whole."""
    return _Reader(xml[:MOST_BYTES].decode("latin-1")).items()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._path: list[str] = []
        self._began = 0
        self._whole = False
        self._kind = ""
        self._fields: Fields = {}
        self._depth = 0

    def items(self) -> Iterator[tuple[str, Fields]]:
        found = 0
        for tag in _TAG.finditer(self._text):
            closes, name, empty = tag[1], tag[2], tag[3]
            if self._path and self._path[-1] == _RAW and not self._ends_raw(closes, name):
                continue
            ended = self._close(name, tag.start()) if closes else self._open(name, bool(empty), tag.end())
            if ended:
                yield ended
                found += 1
                if found == _MOST_ITEMS:
                    return
        if last := self._finish():
            yield last

    def _ends_raw(self, closes: str, name: str) -> bool:
        return name == "boinc_gui_rpc_reply" or (bool(closes) and name in (_RAW, "msg", "msgs"))

    def _open(self, name: str, empty: bool, end: int) -> tuple[str, Fields] | None:
        ended = None
        if name == "boinc_gui_rpc_reply":
            # The reply before this one was cut, or it has ended.
            ended = self._finish()
            self._path.clear()
        if empty:
            self._keep([*self._path, name], "1")
            return ended
        if (parent := _ITEMS.get(name)) in self._path:
            # The item before this one has ended, or was cut.
            ended = self._finish() or ended
            del self._path[self._path.index(parent) + 1 :]
            self._kind, self._depth = name, len(self._path) + 1
        if len(self._path) < _DEEPEST:
            self._path.append(name)
            self._began, self._whole = end, True
        return ended

    def _close(self, name: str, at: int) -> tuple[str, Fields] | None:
        if name not in self._path:
            return None
        if self._path[-1] == name and self._whole:
            self._keep(self._path, _readable(self._text[self._began : min(at, self._began + 8 * _LONGEST_FIELD)]))
        while self._path.pop() != name:
            pass
        self._whole = False
        return self._finish() if self._kind and len(self._path) < self._depth else None

    def _keep(self, path: list[str], value: str) -> None:
        # Of fields with one name the first counts, as for BOINC Manager's lists.
        if self._kind and len(path) > self._depth and len(self._fields) < _MOST_FIELDS:
            self._fields.setdefault("/".join(path[self._depth :]), value)

    def _finish(self) -> tuple[str, Fields] | None:
        item = (self._kind, self._fields) if self._kind else None
        self._kind, self._fields = "", {}
        return item


def _readable(raw: str) -> str:
    """The text of an element without markup. BOINC escapes single bytes (`&#195;&#169;` is é), so the references are
    replaced before the bytes become letters: UTF-8 if they are that, else ISO 8859-1."""
    text = _REFERENCE.sub(_referred, _MARKUP.sub("", raw)).strip()[:_LONGEST_FIELD]
    try:
        return text.encode("latin-1").decode("utf-8")
    except ValueError:
        return text


def _referred(reference: "re.Match[str]") -> str:
    number, name = reference[1], reference[2]
    if name:
        return _NAMED[name]
    return chr(int(number)) if int(number) < 0x110000 else ""

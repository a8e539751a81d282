"""Writes the kept parts of the room: as HTML, from templates/room_parts.html, and its PCs as JSON.

Runs in the fleet's thread.
"""

from collections.abc import Sequence

from pydantic import TypeAdapter

from appliance.control.fleet.groups import PcGroup, on_of
from appliance.control.fleet.pcs import PcFacts
from appliance.control.fleet.rooms import Room
from appliance.control.web.plots import HEIGHT, WIDTH, figure, plot
from appliance.control.web.templating import macros
from appliance.view.clients import ClientView
from appliance.view.days import DayView

_NAMED = 6
"""PCs that are named for one fault."""


class RoomPen:
    """A Pen (appliance/control/fleet/watcher.py)."""

    def __init__(self) -> None:
        found = macros("room_parts.html")
        days = macros("plots.html")
        self._plots, self._figures = days["plots"], days["figures"]
        self._json = TypeAdapter(ClientView)
        self._row, self._head, self._top = found["row"], found["head"], found["top"]

    def row(self, pc: PcFacts) -> str:
        """The row of a PC."""
        return _on_one_line(self._row(pc))

    def head(self, group: PcGroup) -> str:
        """The heading of a group."""
        return _on_one_line(self._head(group, on_of(group.counts)))

    def top(self, room: Room) -> str:
        """What stands above the PCs."""

        def names(mac: str) -> str:
            label = room.pcs[mac].facts.label
            return f"{label} {mac}" if label else mac

        return _on_one_line(self._top(room, names, _NAMED))

    def days(self, days: Sequence[DayView]) -> tuple[str, ...]:
        """What the PCs did day by day, as plots and as a table; nothing if they did nothing."""
        plots = [
            plot("Computing", "core-hours", [(each.day, each.core_hours) for each in days]),
            plot("Credit", "cobblestones", [(each.day, each.credit) for each in days]),
            plot("Switched on", "hours", [(each.day, each.power_on_hours) for each in days]),
        ]
        if not any(each.bars for each in plots):
            return ()
        headings = ("Day (UTC)", "PCs", "core-hours", "credit", "hours on")
        rows = [
            (each.day, f"{each.pcs:,}", figure(each.core_hours), figure(each.credit), figure(each.power_on_hours))
            for each in reversed(days)
            if each.pcs
        ]
        return _on_one_line(self._plots(plots, WIDTH, HEIGHT)), _on_one_line(self._figures(headings, rows))

    def listed(self, pc: ClientView) -> bytes:
        """A PC as the API lists it."""
        return self._json.dump_json(pc)


def _on_one_line(html: str) -> str:
    # Of str: the pieces need not be marked as safe, which takes longer than all else here.
    return " ".join(str.split(html))

"""Line charts as SVG: logarithmic axes, grid, labels, a name at the end of each line. PURE."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 190, 44, 56
# The colours of Okabe and Ito, which colour-blind people can distinguish; ours first.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LABEL_GAP = 16.0


@dataclass(frozen=True)
class Chart:
    """Lines by name, each of points (x, y) above 0; others cannot be shown and are left out."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Points]


def render(chart: Chart) -> str:
    """The chart as an SVG document; ValueError when no point can be shown."""
    lines = {
        name: [(x, y) for x, y in points if x > 0 and y > 0 and math.isfinite(x * y)]
        for name, points in chart.lines.items()
    }
    shown = [point for points in lines.values() for point in points]
    if not shown:
        raise ValueError(f"{chart.title}: there is nothing to draw")
    across = _Axis([x for x, _ in shown], _LEFT, _WIDTH - _RIGHT)
    up = _Axis([y for _, y in shown], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 24, chart.title, size=15),
        *_grid(across, up),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, chart.x, anchor="middle"),
        _text(18, (_TOP + _HEIGHT - _BOTTOM) / 2, chart.y, anchor="middle", turned=True),
        *_lines(lines, across, up),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Axis:
    """A logarithmic scale, from the half power of ten below the smallest value to the one above the largest."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self.first, self.last = first, last
        self.low = math.floor(math.log10(min(values)) * 2 + 1e-9) / 2
        self.high = max(math.ceil(math.log10(max(values)) * 2 - 1e-9) / 2, self.low + 0.5)

    def place(self, value: float) -> float:
        """Where a value is, in pixels."""
        return self.first + (math.log10(value) - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[tuple[float, bool]]:
        """The values with a grid line, and whether they are labelled: 1, 2 and 5 if there is room."""
        wide = self.high - self.low <= 2.5
        found = []
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for digit in range(1, 10):
                value = digit * 10.0**power
                if self.low - 1e-9 <= math.log10(value) <= self.high + 1e-9:
                    found.append((value, digit == 1 or (wide and digit in (2, 5))))
        return found


def _grid(across: _Axis, up: _Axis) -> list[str]:
    parts = []
    for value, labelled in across.ticks():
        x = across.place(value)
        parts.append(_line(x, up.first, x, up.last, "#bbbbbb" if labelled else "#eeeeee"))
        if labelled:
            parts.append(_text(x, up.first + 18, _number(value), anchor="middle"))
    for value, labelled in up.ticks():
        y = up.place(value)
        parts.append(_line(across.first, y, across.last, y, "#bbbbbb" if labelled else "#eeeeee"))
        if labelled:
            parts.append(_text(across.first - 8, y + 4, _number(value), anchor="end"))
    return parts


def _lines(lines: Mapping[str, Points], across: _Axis, up: _Axis) -> list[str]:
    parts = []
    ends = []
    for number, (name, points) in enumerate(lines.items()):
        if not points:
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        placed = [(across.place(x), up.place(y)) for x, y in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        width = 3 if number == 0 else 1.8
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in placed]
        ends.append((placed[-1], name, colour))
    below = -math.inf
    for (x, y), name, colour in sorted(ends, key=lambda end: end[0][1]):
        below = max(y, below + _LABEL_GAP)  # names of lines that end close together go below each other
        parts.append(_text(max(x, across.last) + 10, below + 4, name, colour=colour))
        if max(x, across.last) - x > 1 or below - y > 1:
            parts.append(_line(x + 5, y, max(x, across.last) + 7, below, colour, dashed=True))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="2 3"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashes}/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    size: int = 13,
    colour: str = "#222222",
    turned: bool = False,
) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"{turn}>'
        f"{escape(text)}</text>"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"

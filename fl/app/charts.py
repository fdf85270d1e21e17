"""Small charts as SVG inside a page: lines, bars, and a grid of cells.

By hand rather than by a plotting library: a page of code against a dependency of 60 MB, and the pictures take their
colours from the page's style sheet, so that they follow a reader's light or dark theme. Every picture is 400 units wide
with 13-unit text, which a phone shows at nearly its true size, and scales with its column.

Colours have a second sign beside them, a dash or a label, for those who cannot tell them apart.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from fl.app.axis import Axis, tick_text

__all__ = [
    "STYLE",
    "WIDTH",
    "Bar",
    "Caption",
    "Level",
    "Line",
    "bar_chart",
    "cells",
    "group_chart",
    "line_chart",
    "picture",
    "standalone",
    "text",
]

WIDTH: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 392, 22, 222
_LEGEND_ROW: Final = 17
_CHARACTER: Final = 6.8
"""The width of a character of text, roughly: in the widest of the usual fonts."""

_LOG_ROOM: Final = 1.5

_LIGHT: Final = {
    "k0": "#5b6470",
    "k1": "#a04f00",
    "k2": "#1d4ed8",
    "k3": "#b5135b",
    "k4": "#0f7a3d",
    "k5": "#7c3aed",
    "grid": "#d9dde3",
}
_DARK: Final = {
    "k0": "#aab2bd",
    "k1": "#f0a04b",
    "k2": "#79a7ff",
    "k3": "#ff7db0",
    "k4": "#5fd08d",
    "k5": "#c4a5ff",
    "grid": "#3a414c",
}
_MARKS: Final = """
svg text { font-size: 13px; fill: currentColor }
svg .small { font-size: 11.5px }
svg .grid { stroke: var(--grid); stroke-width: 1 }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round }
svg .s0 { stroke: var(--k0) } svg .s1 { stroke: var(--k1) } svg .s2 { stroke: var(--k2) }
svg .s3 { stroke: var(--k3) } svg .s4 { stroke: var(--k4) } svg .s5 { stroke: var(--k5) }
svg .f0 { fill: var(--k0) } svg .f1 { fill: var(--k1) } svg .f2 { fill: var(--k2) }
svg .f3 { fill: var(--k3) } svg .f4 { fill: var(--k4) } svg .f5 { fill: var(--k5) }
"""


def _variables(colours: Mapping[str, str]) -> str:
    return "; ".join(f"--{name}: {colour}" for name, colour in colours.items())


STYLE: Final = f"""
:root {{ {_variables(_LIGHT)} }}
@media (prefers-color-scheme: dark) {{
  :root {{ {_variables(_DARK)} }}
}}
svg {{ display: block; width: 100%; height: auto; overflow: hidden }}{_MARKS}"""
"""What the pictures need of the page's style sheet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What stands for a picture where it is not seen.

    Args:
        name: unlike all others of the page: the picture's ids begin with it.
        title: what it is.
        description: what it shows.
    """

    name: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `colour` is 0 to 5; `dash` is an SVG dash pattern, empty for a whole line."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with a name."""

    label: str
    value: float
    colour: int
    dash: str = "7 3"


@dataclass(frozen=True, slots=True)
class Bar:
    """One horizontal bar of parts, each a length, a colour and an opacity; `note` stands over its end."""

    label: str
    parts: Sequence[tuple[float, int, float]]
    note: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a legend: a piece of line, or a box where `dash` is None."""

    label: str
    colour: int
    dash: str | None
    opacity: float = 1.0


def picture(caption: Caption, height: float, parts: Iterable[str]) -> str:
    """Returns an SVG element.

    Args:
        caption: for those who do not see it.
        height: in units.
        parts: SVG elements.
    """
    name = caption.name
    head = (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(caption.title)}</title>'
        f'<desc id="{name}-text">{escape(caption.description)}</desc>'
    )
    return "\n".join((head, *parts, "</svg>"))


def standalone(svg: str) -> str:
    """Returns a picture as the text of a file of its own: dark on white, in plain colours that every viewer knows."""
    marks = _MARKS
    for name, colour in _LIGHT.items():
        marks = marks.replace(f"var(--{name})", colour)
    head, rest = svg.removeprefix("<svg").split(">", 1)
    style = f"<style>{marks}svg text {{ font-family: sans-serif }}</style>"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg"{head}>{style}<rect width="100%" height="100%" fill="white"/>{rest}\n'
    )


def text(x: float, y: float, content: str, *, anchor: str = "start", small: bool = False) -> str:
    """Returns a text element; `anchor` is start, middle or end."""
    size = ' class="small"' if small else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{size}>{escape(content)}</text>'


def line_chart(
    caption: Caption,
    lines: Sequence[Line],
    levels: Sequence[Level] = (),
    *,
    x_label: str,
    y_label: str,
    highest: float | None = None,
    logarithmic: bool = False,
) -> str:
    """Returns lines over a common axis.

    Args:
        caption: as of `picture`.
        lines: one without a point is in the legend only.
        levels: horizontal lines.
        x_label: below the axis.
        y_label: above the other.
        highest: the top of the axis; None is a little above everything.
        logarithmic: for the upright axis; it is drawn from a power of ten, and all values must be above 0.
    """
    across = [x for line in lines for x, _ in line.points] or [0.0]
    values = [y for line in lines for _, y in line.points] + [level.value for level in levels]
    if logarithmic:
        lowest = 10.0 ** math.floor(math.log10(min(values)))
        upright = Axis(lowest, max(values) * _LOG_ROOM, _BOTTOM, _TOP, logarithmic=True)
    else:
        top = max(max(values) * 1.06, 1e-9) if highest is None else highest
        upright = Axis(0.0, top, _BOTTOM, _TOP)
    across_axis = Axis(min(across), max([*across, min(across) + 1]), _LEFT, _RIGHT)
    parts = [*_frame(upright, x_label=x_label, y_label=y_label)]
    parts += [
        text(across_axis.at(tick), _BOTTOM + 16, f"{tick:g}", anchor="middle")
        for tick in across_axis.ticks()
        if tick % 1 == 0
    ]
    for line in lines:
        if not line.points:
            continue
        points = " ".join(f"{across_axis.at(x):.1f},{upright.at(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline class="line s{line.colour}"{_dashes(line.dash)} points="{points}"/>')
    parts += _levels(levels, upright)
    entries = [_Entry(line.label, line.colour, line.dash) for line in lines]
    entries += [_Entry(level.label, level.colour, level.dash) for level in levels]
    legend, height = _legend(entries)
    return picture(caption, height, [*parts, *legend])


def group_chart(
    caption: Caption,
    groups: Sequence[tuple[str, Sequence[float]]],
    labels: Sequence[str],
    levels: Sequence[Level] = (),
    *,
    x_label: str,
    y_label: str,
    colour: int,
) -> str:
    """Returns upright bars in groups.

    Args:
        caption: as of `picture`.
        groups: each with its own label, and at most as many values as there are labels.
        labels: of the bars of a group; the first bar is the lightest.
        levels: horizontal lines.
        x_label: below the axis.
        y_label: above the other.
        colour: of all bars.
    """
    values = [value for _, group in groups for value in group] + [level.value for level in levels]
    upright = Axis(0.0, max([*values, 1.0]) * 1.06, _BOTTOM, _TOP)
    room = (_RIGHT - _LEFT) / max(1, len(groups))
    width = room * 0.84 / max(1, len(labels))
    parts = [*_frame(upright, x_label=x_label, y_label=y_label)]
    stride = max(1, math.ceil(len(groups) / 12))
    shades = [0.3 + 0.7 * member / max(1, len(labels) - 1) for member in range(len(labels))]
    for place, (label, group) in enumerate(groups):
        left = _LEFT + room * (place + 0.08)
        for member, value in enumerate(group):
            y = upright.at(value)
            parts.append(
                _box(
                    left + member * width,
                    y,
                    width=width * 0.92,
                    height=_BOTTOM - y,
                    colour=colour,
                    opacity=shades[member],
                )
            )
        if place % stride == 0:
            parts.append(text(_LEFT + room * (place + 0.5), _BOTTOM + 16, label, anchor="middle"))
    parts += _levels(levels, upright)
    boxes = [_Entry(label, colour, None, shade) for label, shade in zip(labels, shades, strict=True)]
    legend, height = _legend(boxes)
    more, height = _legend([_Entry(level.label, level.colour, level.dash) for level in levels], height)
    return picture(caption, height, [*parts, *legend, *more])


def bar_chart(caption: Caption, bars: Sequence[Bar], legend: Sequence[tuple[str, int, float]]) -> str:
    """Returns horizontal bars, each under its label.

    Args:
        caption: as of `picture`.
        bars: from top to bottom; one of them has a length.
        legend: what the colours and opacities mean.
    """
    longest = max(sum(length for length, _, _ in bar.parts) for bar in bars)
    across = Axis(0.0, longest, 4.0, _RIGHT)
    parts = []
    for place, bar in enumerate(bars):
        y = 16 + 42 * place
        parts += [text(4, y, bar.label), text(_RIGHT, y, bar.note, anchor="end", small=True)]
        so_far = 0.0
        for length, colour, opacity in bar.parts:
            start, end = across.at(so_far), across.at(so_far + length)
            parts.append(_box(start, y + 5, width=end - start, height=14, colour=colour, opacity=opacity))
            so_far += length
    entries, height = _legend(
        [_Entry(label, colour, None, opacity) for label, colour, opacity in legend], 42 * len(bars)
    )
    return picture(caption, height + 6, [*parts, *entries])


def cells(values: Sequence[float], *, columns: int, left: float, top: float, size: float, colour: int) -> Iterator[str]:
    """Yields a grid of cells, row by row, the darker the larger.

    Args:
        values: 0 to 1, a cell each.
        columns: cells in a row.
        left: where the grid begins, from the left.
        top: where it begins, from the top.
        size: of a cell.
        colour: 0 to 5.
    """
    # Cells of one shade are one path: a page of thousands of elements would be slow on a phone.
    shades: dict[int, list[str]] = {}
    for place, value in enumerate(values):
        x, y = left + place % columns * size, top + place // columns * size
        shade = min(15, int(value * 16))
        shades.setdefault(shade, []).append(f"M{x:.4g} {y:.4g}h{size:g}v{size:g}h-{size:g}z")
    for shade, paths in sorted(shades.items()):
        yield f'<path class="f{colour}" fill-opacity="{shade / 15:.2f}" d="{"".join(paths)}"/>'


def _frame(upright: Axis, *, x_label: str, y_label: str) -> Iterator[str]:
    for tick in upright.ticks():
        y = upright.at(tick)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield text(_LEFT - 5, y + 4, tick_text(tick), anchor="end")
    yield text(4, 11, y_label, small=True)
    yield text((_LEFT + _RIGHT) / 2, _BOTTOM + 31, x_label, anchor="middle", small=True)


def _levels(levels: Sequence[Level], upright: Axis) -> Iterator[str]:
    for level in levels:
        y = upright.at(level.value)
        style = f'class="line s{level.colour}"{_dashes(level.dash)}'
        yield f'<line {style} x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _box(x: float, y: float, *, width: float, height: float, colour: int, opacity: float = 1.0) -> str:
    shade = f' fill-opacity="{opacity:.2g}"' if opacity < 1 else ""
    return f'<rect class="f{colour}"{shade} x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="{height:.1f}"/>'


def _legend(entries: Sequence[_Entry], top: float = _BOTTOM + 40.0) -> tuple[list[str], float]:
    """Returns the entries, in as many columns as the longest has room for, and where they end."""
    widest = max((len(entry.label) for entry in entries), default=0)
    columns = max(1, min(3, int((_RIGHT - 4) / (38 + _CHARACTER * widest))))
    parts = []
    for place, entry in enumerate(entries):
        x, y = 4 + place % columns * ((_RIGHT - 4) / columns), top + 12 + place // columns * _LEGEND_ROW
        if entry.dash is None:
            parts.append(_box(x, y - 9, width=22, height=9, colour=entry.colour, opacity=entry.opacity))
        else:
            style = f'class="line s{entry.colour}"{_dashes(entry.dash)}'
            parts.append(f'<line {style} x1="{x:.1f}" x2="{x + 24:.1f}" y1="{y - 4:.1f}" y2="{y - 4:.1f}"/>')
        parts.append(text(x + 30, y, entry.label))
    return parts, top + 4 + math.ceil(len(entries) / columns) * _LEGEND_ROW


def _dashes(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""

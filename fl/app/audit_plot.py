"""The picture of an audit: what was spent, release by release, against the budget; an SVG without any library."""

import html
import math
from collections.abc import Iterator, Sequence
from typing import Final

from dp import AuditReport

__all__ = ["svg"]

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 40, 48
_MOST_POINTS: Final = 400
"""More than a line shows at this width."""

_LINES: Final = (
    ("promised", "#1b4f8f", "none"),
    ("realised", "#2e8b57", "6 3"),
    ("outsider", "#8a6d3b", "2 3"),
)
_BUDGET_COLOUR: Final = "#c0392b"
_FONT: Final = 'font-family="sans-serif"'


def svg(report: AuditReport) -> str:
    """Returns the picture as SVG text; without a header or a release, an empty frame."""
    budget = 0.0 if report.header is None else float(report.header.budget)
    title = "" if report.header is None else f"{report.header.scope}: epsilon so far, at delta {_delta(report)}"
    series = [
        (name, colour, dash, [getattr(release.so_far, name) for release in report.releases])
        for name, colour, dash in _LINES
    ]
    finite = [value for *_, values in series for value in values if math.isfinite(value)]
    step = _step(max([budget, *finite, 1e-6]) * 1.08 / 5)
    top = step * math.ceil(max([budget, *finite, 1e-6]) * 1.08 / step)
    plot = _Plot(len(report.releases), top)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="12" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="14">{html.escape(title)}</text>',
        *plot.axes(step),
    ]
    for place, (name, colour, dash, values) in enumerate(series):
        parts += plot.line(values, colour, dash)
        parts += plot.legend(place, name, colour, dash)
    parts += plot.budget(budget, place=len(series))
    return "\n".join((*parts, "</svg>", ""))


class _Plot:
    """Coordinates: releases to the right, epsilon upwards."""

    def __init__(self, releases: int, top: float) -> None:
        self._releases = releases
        self._top = top

    def axes(self, step: float) -> Iterator[str]:
        for tick in range(round(self._top / step) + 1):
            y = self._y(tick * step)
            yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e3e3"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick * step:g}</text>'
        stride = max(1, round(_step(self._releases / 8))) if self._releases else 1
        for number in range(stride, self._releases + 1, stride):
            x = self._x(number)
            yield f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{number}</text>'
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        yield f'<text x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">releases</text>'

    def line(self, values: Sequence[float], colour: str, dash: str) -> Iterator[str]:
        if values:
            kept = sorted({*range(0, len(values), -(-len(values) // _MOST_POINTS)), len(values) - 1})
            # From nothing; what has no bound goes along the top.
            points = [(self._x(0), self._y(0)), *((self._x(i + 1), self._y(min(values[i], self._top))) for i in kept)]
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            style = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
            yield f'<polyline {style} points="{text}"/>'

    def budget(self, budget: float, place: int) -> Iterator[str]:
        y = self._y(budget)
        yield (
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_BUDGET_COLOUR}" '
            'stroke-width="2"/>'
        )
        yield from self.legend(place, "budget", _BUDGET_COLOUR, "none")

    def legend(self, place: int, name: str, colour: str, dash: str) -> Iterator[str]:
        x, y = _LEFT + 16 + 110 * place, _TOP + 4
        yield (
            f'<line x1="{x}" x2="{x + 24}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        yield f'<text x="{x + 30}" y="{y + 4}">{name}</text>'

    def _x(self, number: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * number / max(1, self._releases)

    def _y(self, epsilon: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM - 16) * epsilon / self._top


def _step(rough: float) -> float:
    """Returns 1, 2 or 5 times a power of ten, at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * (1 - 1e-9))


def _delta(report: AuditReport) -> str:
    return "" if report.header is None else f"{float(report.header.delta):g}"

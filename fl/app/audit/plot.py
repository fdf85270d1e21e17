"""The picture of an audit: what was spent, release by release, against the budget."""

import math
from collections.abc import Sequence
from typing import Final

from dp import AuditReport
from fl.app.charts import Caption, Level, Line, line_chart, standalone

__all__ = ["svg"]

_MOST_POINTS: Final = 400
"""A line of this width does not show more."""

_LINES: Final = (("promised", 2, ""), ("realised", 4, "6 3"), ("outsider", 1, "2 3"))


def svg(report: AuditReport) -> str:
    """Returns the picture as SVG text; without a header or a release, an empty frame."""
    title, levels = "epsilon so far", []
    if report.header is not None:
        title = f"{report.header.scope}: epsilon so far, at delta {float(report.header.delta):g}"
        levels.append(Level("budget", float(report.header.budget), 3, dash=""))
    lines = [
        Line(name, _points([getattr(release.so_far, name) for release in report.releases]), colour, dash)
        for name, colour, dash in _LINES
    ]
    shown = [y for line in lines for _, y in line.points] + [level.value for level in levels]
    # A figure without a bound goes along the top.
    highest = max([1e-6, *filter(math.isfinite, shown)]) * 1.06
    chart = line_chart(
        Caption(
            name="audit",
            title=title,
            description=f"What {len(report.releases)} releases have spent, against the budget.",
        ),
        lines,
        levels,
        x_label="releases",
        y_label=title,
        highest=highest,
    )
    return standalone(chart)


def _points(values: Sequence[float]) -> list[tuple[float, float]]:
    """Returns the points of a line that begins at nothing."""
    if not values:
        return []
    kept = sorted({*range(0, len(values), -(-len(values) // _MOST_POINTS)), len(values) - 1})
    return [(0.0, 0.0), *((place + 1.0, values[place]) for place in kept)]

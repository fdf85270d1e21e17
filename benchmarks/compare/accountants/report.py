"""What the comparison of accountants says: which figures are valid, what is asserted, tables; pure functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.compare.accountants.peers import contest
from benchmarks.compare.report import seconds, table, times_text

Everything = Mapping[contest.Setting, Mapping[str, "Judged"]]

PEERS = ("opacus", "opacus-extended", "dp-accounting")
REFERENCE = "dp-accounting-pld"

ROUNDING = 1e-10
"""Relative, of a divergence: what a figure may be below the exact one and still be called valid."""

ALLOWED = 1e-9
"""Relative: what our epsilon may be above the smallest valid one of the peers, or off the exact Gaussian."""

TARGETS = {"epsilon": 5e-3, "rounds": 1.0, "sigma": 30e-3}
"""Seconds, by the first word of a timed task."""


@dataclass(frozen=True)
class Judged:
    """One contestant's figure in one setting.

    Args:
        epsilon: None if there is none.
        order: at which it was found, if it was.
        rdp: its divergence there, of all releases together.
        below: how far that is below the exact one, relative; not above 0 if it is not below.
    """

    epsilon: float | None
    order: float | None = None
    rdp: float | None = None
    below: float = 0.0

    @property
    def valid(self) -> bool:
        """Whether it is an upper bound; where there is no order (exact profiles), others judge."""
        return self.epsilon is not None and self.below <= ROUNDING


def judged(setting: contest.Setting, value: Mapping[str, Any], exact: Callable[[float, float, float], Any]) -> Judged:
    """Returns a figure with its judgement; `exact` takes q, sigma and order."""
    epsilon, order, rdp = value["epsilon"], value["order"], value["rdp"]
    if epsilon is None or not epsilon < float("inf"):
        return Judged(None)
    if order is None or rdp is None:
        return Judged(epsilon)
    truth = setting.count * exact(setting.q, setting.sigma, order)
    return Judged(epsilon, order, rdp, float((truth - rdp) / truth))


def smallest_valid(figures: Mapping[str, Judged]) -> float | None:
    """Returns the smallest valid epsilon of the peers, or None."""
    return min((figures[name].epsilon for name in PEERS if name in figures and figures[name].valid), default=None)


def violations(everything: Everything, gaussian: Callable[[float, int, float], Any]) -> list[str]:
    """Returns a line for everything that should not be; `gaussian` takes sigma, count and delta."""
    lines = []
    for setting, figures in everything.items():
        ours, theirs = figures["ours"], smallest_valid(figures)
        if not ours.valid:
            lines.append(f"{setting}: ours is no upper bound, or none at all: {ours}")
            continue
        if theirs is not None and ours.epsilon > theirs * (1 + ALLOWED):
            lines.append(f"{setting}: ours is {ours.epsilon!r}, above {theirs!r}")
        if setting.q == 1:
            exact = gaussian(setting.sigma, setting.count, setting.delta)
            if not exact <= ours.epsilon <= exact * (1 + ALLOWED):
                lines.append(f"{setting}: ours is {ours.epsilon!r}, the exact Gaussian {float(exact)!r}")
        if setting == contest.HEADLINE:
            lines += [
                f"{setting}: ours is {ours.epsilon!r}, not strictly below {name} with {figures[name].epsilon!r}"
                for name in PEERS
                if name in figures and figures[name].epsilon is not None and ours.epsilon >= figures[name].epsilon
            ]
    return lines


def summary(everything: Everything, versions: Mapping[str, str]) -> str:
    """Returns one row for each contestant: how many figures, how many upper bounds, how they compare with ours."""
    head = [
        "contestant",
        "version",
        "figures",
        "compared",
        "ours is smaller by >1 %",
        "median",
        "largest",
    ]
    rows = [head]
    for name in versions:
        found = [figures[name] for figures in everything.values()]
        gains = sorted(
            1 - figures["ours"].epsilon / figures[name].epsilon
            for figures in everything.values()
            if name != "ours" and figures[name].valid and figures[name].epsilon > 0
        )
        rows.append(
            [
                name,
                versions[name],
                str(sum(figure.epsilon is not None for figure in found)),
                str(sum(figure.epsilon is not None and figure.valid for figure in found)),
                str(sum(gain > 0.01 for gain in gains)) if gains else "",
                f"{100 * gains[len(gains) // 2]:.2g} %" if gains else "",
                f"{100 * gains[-1]:.3g} %" if gains else "",
            ]
        )
    return table(rows)


def values_table(
    everything: Mapping[contest.Setting, Mapping[str, Judged]], settings: Iterable[contest.Setting]
) -> str:
    """Returns epsilon of some settings: a row for each, a column for each contestant."""
    names = ["ours", *PEERS, REFERENCE]
    rows = [["q", "sigma", "T", "delta", *names]]
    for setting in settings:
        figures = everything[setting]
        shown = [cell(figures[name]) if name in figures else "" for name in names]
        rows.append([f"{setting.q:g}", f"{setting.sigma:g}", f"{setting.count:g}", f"{setting.delta:g}", *shown])
    return table(rows)


def cell(figure: Judged) -> str:
    return f"{figure.epsilon:.5g}" if figure.epsilon is not None and figure.valid else "-"


def times_table(fastest: Mapping[str, Mapping[str, float]], rounds: Mapping[str, int]) -> str:
    """Returns the timed tasks: ours, the target, and the peers as multiples of ours.

    Args:
        fastest: by contestant and task, CPU seconds.
        rounds: by contestant, how many rounds were timed.
    """
    peers = [name for name in PEERS if name in fastest]
    rows = [["task", "ours", "target", "", *(text for name in peers for text in (name, "x"))]]
    for task, ours in fastest["ours"].items():
        target = TARGETS[task.split(":")[0]]
        row = [title(task), seconds(ours), seconds(target), "met" if ours <= target else "MISSED"]
        for name in peers:
            figure = fastest[name][task]
            extrapolated = task == "rounds" and rounds[name] < contest.ROUNDS
            row += [seconds(figure) + (f" from {rounds[name]}" if extrapolated else ""), times_text(figure / ours)]
        rows.append(row)
    return table(rows)


def title(task: str) -> str:
    setting = contest.USUAL
    return {
        "rounds": f"epsilon of {contest.ROUNDS:,} rounds, all different",
        "sigma": f"sigma for epsilon = {contest.TARGET_EPSILON:g}, q = {setting.q:g}, T = {setting.count}",
    }.get(task, task)


def fastest_of(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the smallest figure of each task over the turns."""
    return {task: min(turn[task] for turn in turns) for task in turns[0]}


def by_setting(reports: Mapping[str, Mapping[str, Any]]) -> dict[contest.Setting, dict[str, Mapping[str, Any]]]:
    """Returns the contestants' values under each setting."""
    found: dict[contest.Setting, dict[str, Mapping[str, Any]]] = {}
    for name, report in reports.items():
        for value in report.get("values", ()):
            setting = contest.Setting(value["q"], value["sigma"], value["count"], value["delta"])
            found.setdefault(setting, {})[name] = value
    return found

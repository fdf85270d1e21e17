"""The search for the best order of a Renyi curve.

The bound is quasi-convex in the order, and its minimum lies between the orders of any fixed grid. The search goes down
a ladder of orders until the bound rises again; inside that bracket a polynomial through the logarithms of the known
divergences says where to look next, and what it finds there joins the known ones. Whatever is returned was computed
from the curve at one order, so that no step can make the result invalid, only larger than it might be.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from dp.accounting.order_hints import piece, sketch, smooth_to, steep_from
from dp.renyi.curve import RenyiCurve

__all__ = ["Best", "Objective", "best_order"]

_Array: TypeAlias = npt.NDArray[np.float64]

Objective: TypeAlias = Callable[[_Array, _Array], _Array]
"""Takes orders and the divergences there, and returns what is to be minimised."""

_LARGEST_SAMPLED_ORDER: Final = 10.0**4
"""A sum at this order has ten thousand terms for each sampled Gaussian."""

_NODES: Final = 6
"""Known orders that the polynomial goes through."""

_MOST_STEPS: Final = 30
"""Evaluations in the bracket; three are usual, and where the curve turns steep, ten."""

_SAME: Final = 1e-7
"""Orders (less 1) that differ relatively by so little give the same bound but for 1e-13 of it."""

_GOOD_PREDICTION: Final = 1e-9
"""Relative. A minimum is flat: where the polynomial was that close, the next step would gain the square of it."""

_POOR_PREDICTION: Final = 1e-4
"""Relative. Where a curve turns steep, the polynomial misleads until its nodes are near."""

_MANY: Final = 1024
"""From this number of different sampled Gaussians on, each order costs milliseconds, and a sketch has fewer."""


def _ladder() -> list[float]:
    below_2 = 1 + 1e-9 * 1.6 ** np.arange(44)
    above = np.rint(2 * 1.25 ** np.arange(80))
    # Not by np.unique, which loads numpy's masked arrays.
    return sorted({*below_2[below_2 < 1.9].tolist(), *above.tolist()})


_LADDER: Final = _ladder()

_SPREAD: Final = np.linspace(0.0, 1.0, 33)

_FEW: Final = 16
"""Up to this number, the whole ladder can be evaluated."""

_TINY: Final = 1e-300


class Best(NamedTuple):
    """The smallest value found, and the order at which the curve gives it."""

    value: float
    order: float


def best_order(
    curve: RenyiCurve,
    objective: Objective,
    guess: Callable[[float], float],
    *,
    also: Callable[[], Sequence[float]] = tuple,
) -> Best:
    """Returns the smallest value of a quasi-convex objective.

    Args:
        curve: the divergences.
        objective: what is minimised.
        guess: takes the divergence of order 2, above 0, and returns where to begin; a bad guess costs time only.
        also: returns orders near which to look, where there may be several minima.
    """
    ladder = _LADDER if not curve.sampled else [order for order in _LADDER if order <= _LARGEST_SAMPLED_ORDER]
    start = min(guess(max(curve.at(2.0), _TINY)), steep_from(curve))
    smooth = smooth_to(curve)
    if curve.pairs >= _MANY:
        # The best order of a sketch is near, and finding it there costs nothing.
        start = best_order(sketch(curve), objective, guess).order
        ladder = _ladder_around(start, ladder, smooth)
    search = _Search(curve, objective, smooth)
    if smooth < 2 and curve.pairs <= _FEW:
        # Bounds for samples of any mechanism rise, level off and rise again: there may be several minima.
        ladder = sorted({*ladder, *also()})
        start = min(ladder, key=search.value)
    search.refine(*search.bracket(ladder, start))
    return search.best()


def _ladder_around(guess: float, ladder: list[float], smooth: float) -> list[float]:
    """Returns a ladder with finer steps around `guess` and those of `ladder` farther away."""
    near = 1 + (guess - 1) * (1 + np.array([-0.2, -0.06, -0.02, -0.005, 0.0, 0.005, 0.02, 0.06, 0.2]))
    near[near > smooth] = np.rint(near[near > smooth])
    fine = [float(order) for order in np.unique(near) if ladder[0] <= order <= ladder[-1]]
    return [order for order in ladder if order < fine[0]] + fine + [order for order in ladder if order > fine[-1]]


class _Search:
    """What is known of one objective: its value at each order asked for so far."""

    def __init__(self, curve: RenyiCurve, objective: Objective, smooth: float) -> None:
        self._curve = curve
        self._smooth_to = smooth
        self._objective = objective
        self._values: dict[float, float] = {}

    def value(self, order: float) -> float:
        order = float(order)
        known = self._values.get(order)
        if known is None:
            rdp = np.array([self._curve.at(order)])
            value = float(self._objective(np.array([order]), rdp)[0])
            # What is no number is no bound, and never the smallest one.
            known = self._values[order] = math.inf if math.isnan(value) else value
        return known

    def best(self) -> Best:
        value, order = min((value, order) for order, value in self._values.items())
        return Best(value, order)

    def bracket(self, ladder: list[float], guess: float) -> tuple[float, float]:
        """Returns the rungs below and above the best one."""
        last = len(ladder) - 1
        here = min(max(bisect_left(ladder, guess), 1), last - 1)
        # From orders that give nothing the way is down.
        step = 1 if self.value(ladder[here + 1]) < self.value(ladder[here]) else -1
        while 0 <= here + step <= last and self._falls(ladder[here], ladder[here + step]):
            here += step
        return ladder[max(0, here - 1)], ladder[min(last, here + 1)]

    def _falls(self, order: float, towards: float) -> bool:
        return self.value(towards) < self.value(order) or self.value(order) == math.inf

    def refine(self, low: float, high: float) -> None:
        """Evaluates orders between two rungs until the best one is known."""
        # Between 1 and 2 there is no kink.
        if high <= max(2.0, self._smooth_to):
            self._refine_smooth(low, high)
        else:
            self._refine_kinked(low, high)

    def _refine_smooth(self, low: float, high: float) -> None:
        stuck = False
        for _ in range(_MOST_STEPS):
            order, predicted = (self._split(low, high), math.nan) if stuck else self._propose(low, high)
            if any(abs(order - known) <= _SAME * (order - 1) for known in self._values):
                return
            value = self.value(order)
            if abs(value - predicted) <= _GOOD_PREDICTION * abs(value):
                return
            width = high - low
            low, high = self._around_best()
            stuck = abs(value - predicted) > _POOR_PREDICTION * abs(value) and high - low > 0.5 * width

    def _split(self, low: float, high: float) -> float:
        """Returns a point in the wider of the two parts beside the best order."""
        best = self.best().order
        return best + 0.4 * (high - best if high - best > best - low else low - best)

    def _around_best(self) -> tuple[float, float]:
        known = sorted(self._values)
        here = known.index(self.best().order)
        return known[max(0, here - 1)], known[min(len(known) - 1, here + 1)]

    def _refine_kinked(self, low: float, high: float) -> None:
        """Finds the best integer, and then looks between it and its neighbours."""
        stuck = False
        for _ in range(_MOST_STEPS):
            best = self.best().order
            if best - low <= 1 and high - best <= 1:
                break
            order, predicted = (self._split(low, high), math.nan) if stuck else self._propose(low, high)
            order = round(order)
            if order in self._values or not low < order < high:
                order = math.floor(best) + 1 if high - best > best - low else math.ceil(best) - 1
                predicted = math.inf
            value, width = self.value(order), high - low
            low, high = self._around_best()
            stuck = abs(value - predicted) > _POOR_PREDICTION * abs(value) and high - low > 0.5 * width
        middle = self.best().order
        for left in (math.ceil(middle) - 1, math.floor(middle)):
            self.value(self._best_between(max(1, left)))

    def _best_between(self, left: int) -> float:
        """Returns the best order between an integer and the next."""
        curve = piece(self._curve, left)
        return self._zoom(curve, max(left, 1 + 1e-9), left + 1)[0]

    def _propose(self, low: float, high: float) -> tuple[float, float]:
        """Returns where the polynomial through the known orders around the best one is smallest, and that value."""
        centre = math.log(self.best().order - 1)
        finite = [order for order in self._values if 0 < self._curve.at(order) < math.inf]
        nearest = sorted(finite, key=lambda order: abs(math.log(order - 1) - centre))[:_NODES]
        nodes = np.log(np.array(nearest) - 1)
        heights = np.log([self._curve.at(order) for order in nearest])
        return self._zoom(lambda orders: np.exp(_polynomial(nodes, heights, np.log(orders - 1))), low, high)

    def _zoom(self, rdp: Callable[[_Array], _Array], low: float, high: float) -> tuple[float, float]:
        orders = values = np.empty(0)
        best = 0
        for _ in range(4):
            orders = 1 + (low - 1) * ((high - 1) / (low - 1)) ** _SPREAD
            orders[0], orders[-1] = low, high
            # A polynomial may run away beyond the nodes, and is no good there.
            with np.errstate(over="ignore", invalid="ignore"):
                values = self._objective(orders, rdp(orders))
            best = int(np.argmin(np.where(np.isnan(values), math.inf, values)))
            low, high = orders[max(0, best - 1)], orders[min(32, best + 1)]
        return float(orders[best]), float(values[best])


def _polynomial(nodes: _Array, heights: _Array, points: _Array) -> _Array:
    """Returns the values at `points` of the polynomial through the nodes (barycentric interpolation, second form)."""
    apart = nodes[:, None] - nodes
    np.fill_diagonal(apart, 1.0)
    weights = 1 / apart.prod(axis=1)
    distance = points[:, None] - nodes
    hit = distance == 0
    shares = weights / np.where(hit, 1.0, distance)
    values: _Array = shares @ heights / shares.sum(axis=1)
    at_point, at_node = np.nonzero(hit)
    values[at_point] = heights[at_node]
    return values

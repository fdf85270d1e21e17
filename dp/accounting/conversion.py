"""From a Renyi curve to (epsilon, delta).

Canonne, Kamath, Steinke 2020, Prop. 12: with rho the divergence of order alpha, for every alpha > 1

    epsilon = rho + log((alpha-1)/alpha) - (log delta + log alpha)/(alpha-1),
    log delta = (alpha-1) (rho - epsilon + log((alpha-1)/alpha)) - log alpha.

The results are rounded up: by 1e-12 of the divergence, and by what the sums may have lost.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.accounting.analytic_gaussian import rounded_up
from dp.accounting.order_search import Best, best_order
from dp.float_events import ignoring
from dp.renyi.curve import RenyiCurve

__all__ = ["best_delta", "best_epsilon"]

_Array = npt.NDArray[np.float64]

_CURVE_ROUNDING: Final = 1e-12
"""Relative, of the divergences."""

_DELTAS: Final = (0.5, 1e-5, 1e-20)

_SUM_ROUNDING: Final = 1e-15
"""Relative, of the largest term."""


def best_epsilon(curve: RenyiCurve, delta: float) -> Best:
    """Returns the smallest epsilon >= 0 that the curve gives for `delta`, rounded up, and the order that gives it."""
    log_delta = math.log(delta)

    def epsilon(orders: _Array, rdp: _Array) -> _Array:
        a = orders - 1
        return rdp - np.log1p(1 / a) - (log_delta + np.log(orders)) / a

    # For a Gaussian, whose curve is a line, it would be the best order but for two logarithms.
    value, order = best_order(curve, epsilon, lambda at_2: 1 + math.sqrt(-2 * log_delta / at_2))
    if math.isfinite(value):
        a = order - 1
        terms = curve.at(order) + math.log1p(1 / a) + (math.log(order) - log_delta) / a
        value += _CURVE_ROUNDING * curve.at(order) + _SUM_ROUNDING * terms
    return Best(max(0.0, value), order)


def best_delta(curve: RenyiCurve, epsilon: float) -> Best:
    """Returns the smallest delta <= 1 that the curve gives for `epsilon`, rounded up, and the order that gives it."""

    # Minus infinity, where it is beyond every float, is a delta of 0.
    @ignoring("over")
    def log_delta(orders: _Array, rdp: _Array) -> _Array:
        return (orders - 1) * (rdp - epsilon - np.log1p(1 / (orders - 1))) - np.log(orders)

    # Where the divergence has a dip, delta has a narrow one there, and epsilon a wide one.
    value, order = best_order(
        curve,
        log_delta,
        lambda at_2: max(1.0, epsilon / at_2) + 0.5,
        also=lambda: [best_epsilon(curve, delta).order for delta in _DELTAS],
    )
    # Minus infinity is beyond every rounding, and less infinity it would be no number.
    if -math.inf < value < 0:
        terms = (order - 1) * (curve.at(order) + epsilon) + 2 + math.log(order)
        value += _CURVE_ROUNDING * (order - 1) * curve.at(order) + _SUM_ROUNDING * terms
    return Best(rounded_up(math.exp(min(0.0, value))), order)

"""Sampling any mechanism of which only the Renyi curve is known: the published bounds for integer orders.

Both sums are of terms C(alpha, l) q^l (1-q)^(alpha-l) or C(alpha, l) q^l times e^((l-1) rho(l)), and what would add up
to 1 is taken out of them beforehand, so that no digit of q^2 is lost. Neither is ever worse than not sampling. Between
integers (alpha - 1) rho(alpha), which is convex for every mechanism, is at most linear.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.float_events import ignoring
from dp.renyi.binomials import log_binomials

__all__ = ["Curve", "PoissonSampledCurve", "SampledCurve", "WithoutReplacementCurve"]

_Array = npt.NDArray[np.float64]

Curve = Callable[[_Array], _Array]
"""Takes orders, each at least 1, and returns an upper bound on the Renyi divergence at each."""

_LOG_2: Final = math.log(2)
_LOG_3: Final = math.log(3)
_LOG_4: Final = math.log(4)


class SampledCurve(ABC):
    """The curve of a mechanism on a secret sample; a `Curve` itself.

    Args:
        inner: the curve of the mechanism without sampling.
        part: q, the probability or part of the sample, above 0 and below 1.
    """

    def __init__(self, inner: Curve, part: float) -> None:
        self._inner = inner
        self._part = part
        self._inner_at_integers = inner(np.array([2.0]))
        self._known: dict[int, float] = {1: 0.0}

    def __call__(self, orders: _Array) -> _Array:
        """Returns the bound at each order, shape as `orders`."""
        return np.minimum(self._inner(orders), [self._one(float(order)) for order in orders])

    def _one(self, order: float) -> float:
        low = math.floor(order)
        if order == low and low > 1:
            return self._moment(low) / (order - 1)
        if low == 1:
            # The line from 0 at alpha = 1 has the slope rho(2) everywhere.
            return self._moment(2)
        share = order - low
        return ((1 - share) * self._moment(low) + share * self._moment(low + 1)) / (order - 1)

    @ignoring("under")
    def _moment(self, order: int) -> float:
        """Returns (alpha - 1) rho(alpha) for an integer alpha."""
        if order not in self._known:
            total = float(np.logaddexp.reduce(self._log_terms(order, self._inner_moments(order))))
            unsampled = float(self._inner_moments(order)[-1])
            sampled = float(np.logaddexp(0.0, total))
            # Infinite terms may add up to no number, which is no bound.
            self._known[order] = unsampled if math.isnan(sampled) else min(unsampled, sampled)
        return self._known[order]

    def _inner_moments(self, order: int) -> _Array:
        """Returns (l - 1) rho(l) of the inner curve for l = 2..order."""
        have = len(self._inner_at_integers) + 1
        if order > have:
            # A little ahead of what is asked for, as the search for the best order goes on from there.
            more = self._inner(np.arange(have + 1, max(order, have + 4) + 1, dtype=np.float64))
            self._inner_at_integers = np.concatenate((self._inner_at_integers, more))
        return np.arange(1, order, dtype=np.float64) * self._inner_at_integers[: order - 1]

    @abstractmethod
    def _log_terms(self, order: int, moments: _Array) -> _Array:
        """Returns the logarithms of the terms for l = 2..order, whose sum is e^((alpha-1) rho) - 1."""


class PoissonSampledCurve(SampledCurve):
    """Zhu, Wang 2019, Theorem 5; add/remove, or zero-out where the noise is one party's."""

    def _log_terms(self, order: int, moments: _Array) -> _Array:
        part = np.arange(2, order + 1)
        weights = log_binomials(order)[2:] + part * math.log(self._part) + (order - part) * math.log1p(-self._part)
        # The theorem's first term, (1-q)^(alpha-1) (alpha q - q + 1), holds the binomial terms 0 and 1, and all of them
        # add up to 1: what is left is each other one times (3) e^((l-1) rho(l)) - 1.
        gains = _log_expm1(moments + np.where(part > 2, _LOG_3, 0.0))
        return np.asarray(weights + gains, dtype=np.float64)


class WithoutReplacementCurve(SampledCurve):
    """Wang, Balle, Kasiviswanathan 2019, Theorem 9, without a bound on the pure privacy loss; replace-one."""

    def _log_terms(self, order: int, moments: _Array) -> _Array:
        part = np.arange(2, order + 1)
        weights = log_binomials(order)[2:] + part * math.log(self._part)
        gains = moments + _LOG_2
        gains[0] = min(gains[0], _LOG_4 + _log_expm1(moments[:1])[0])
        return np.asarray(weights + gains, dtype=np.float64)


def _log_expm1(x: _Array) -> _Array:
    with np.errstate(divide="ignore"):
        return np.asarray(x + np.log(-np.expm1(-x)), dtype=np.float64)

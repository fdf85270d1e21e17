"""The exact privacy profile of the Gaussian mechanism (Balle, Wang 2018, Theorem 8).

With mu the L2 sensitivity over the standard deviation (for many releases the root of the sum of the squares), and Phi
the standard normal distribution function,

    delta(epsilon) = Phi(a) - e^epsilon Phi(b),   a = mu/2 - epsilon/mu,   b = a - mu.

With E(x) = e^(x^2) erfc(x) it is e^(-a^2/2) (E(-a/sqrt 2) - E(-b/sqrt 2)) / 2, in which nothing underflows.
"""

import math
import sys
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.accounting.roots import falling_root
from dp.float_events import ignoring
from dp.special import erfcx, erfcx_at, ndtr, ndtri

__all__ = ["SMALLEST_NORMAL", "gaussian_delta", "gaussian_epsilon", "rounded_up"]

_Array = npt.NDArray[np.float64]

SMALLEST_NORMAL: Final = sys.float_info.min
"""Below it floats lose digits."""

_SQRT_2: Final = math.sqrt(2)

_ROUNDING: Final = 1e-12
"""Relative; the rounding errors of the profile stay far below."""

_DEEPEST: Final = 39.0
"""From -a = 39 on delta is below e^-760, and no float."""


@cache
def _quadrature() -> tuple[_Array, _Array]:
    """Returns the nodes and weights of Gauss and Legendre; numpy's polynomials are loaded when they are needed."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    return nodes, weights


@ignoring("under")
def gaussian_delta(mu: float, *, epsilon: float) -> float:
    """Returns the exact delta for epsilon >= 0, never too small by rounding; 0 if it is below the smallest float.

    At infinity it is 0.
    """
    if mu == 0:
        return 0.0
    if epsilon == math.inf:
        return 0.0
    if mu == math.inf:
        return 1.0
    return min(1.0, rounded_up(math.exp(_log_delta(mu, epsilon)) * (1 + _ROUNDING)))


def rounded_up(delta: float) -> float:
    """Returns a delta at or above one that was rounded: a subnormal number has few digits. 0 stays 0."""
    return math.nextafter(delta, 1.0) if 0 < delta < SMALLEST_NORMAL else delta


@ignoring("under")
def gaussian_epsilon(mu: float, *, delta: float) -> float:
    """Returns the smallest epsilon >= 0 for `delta`, never too small by rounding.

    Args:
        mu: at least 0; at infinity there is no guarantee.
        delta: strictly between 0 and 1.

    Guarantees:
        Within 1e-11 of the exact value, relatively.
    """
    if mu == 0 or gaussian_delta(mu, epsilon=0.0) <= delta:
        return 0.0
    # As delta(epsilon) <= Phi(a), the root has Phi(a) >= delta.
    highest = mu * (mu / 2 - ndtri(delta)) * (1 + _ROUNDING)
    if highest == math.inf:
        return math.inf
    target = math.log(delta)
    found = falling_root(
        lambda epsilon: _log_delta(mu, epsilon) - target, low=0.0, high=highest, tolerance=1e-13 * highest
    )
    return found * (1 + _ROUNDING)


def _log_delta(mu: float, epsilon: float) -> float:
    a = mu / 2 - epsilon / mu
    if a < -_DEEPEST:
        return -math.inf
    x = -a / _SQRT_2
    if mu < 1:
        # The two terms agree in their first digits: their difference is the integral of -E'(t) = 2/sqrt(pi) - 2t E(t).
        nodes, weights = _quadrature()
        t = x + mu / _SQRT_2 * 0.5 * (1 + nodes)
        slope = 2 / math.sqrt(math.pi) - 2 * t * erfcx(t)
        return -a * a / 2 + math.log(mu / _SQRT_2 * 0.25 * float(weights @ slope))
    below = erfcx_at(x + mu / _SQRT_2)
    if a <= 0:
        return -a * a / 2 + math.log(0.5 * (erfcx_at(x) - below))
    return math.log(ndtr(a) - 0.5 * math.exp(-a * a / 2) * below)

"""The part of delta that is set aside for the samplers of noise, which are a little off their distributions.

If (epsilon, delta) holds for true noise, samples that are off by a total variation of v together give
(epsilon, delta + (1 + e^epsilon) v). So what is set aside depends on the epsilon that comes out.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.accounting.accountant import Bound, Method
from dp.checks import float_below
from dp.noise.samplers import TOTAL_VARIATION_BITS

__all__ = ["bound_with_samplers", "epsilons_with_samplers"]

_Array = npt.NDArray[np.float64]

_ROUNDING: Final = 1e-12
"""Relative: what may be lost in computing a share."""

_MOST_GUESSES: Final = 128
"""The first guess of the samplers' share is nearly always enough; where it keeps growing, nothing is finite."""


def epsilons_with_samplers(epsilon: Callable[[_Array], _Array], delta: Fraction, samples: _Array) -> _Array:
    """Returns the epsilons for noise from the samplers: each one's own share of delta is what was set aside for it.

    Args:
        epsilon: the epsilons for true noise, by the deltas, shapes (n,).
        delta: for which they are wanted.
        samples: of noise in each, shape (n,).

    Returns:
        The epsilons, shape (n,); infinite where the samplers use up delta.
    """
    whole = np.full(len(samples), float_below(delta))
    result = epsilon(whole)
    if not samples.any():
        return result
    guess = result
    for _ in range(_MOST_GUESSES):
        # A share for an epsilon a little larger: if what comes out is no larger than that, the share is enough for it.
        guess = result * (1 + 1e-9) + 1e-12
        with np.errstate(over="ignore", invalid="ignore"):
            share = np.where(samples > 0, (1 + np.exp(guess)) * np.ldexp(samples, -TOTAL_VARIATION_BITS), 0.0)
        left = whole - share * (1 + _ROUNDING)
        # Rounding towards a smaller delta, which is never wrong.
        left = np.where(share > 0, np.nextafter(left, 0.0), left)
        hopeless = ~(left > 0)
        result = np.where(hopeless, math.inf, epsilon(np.where(hopeless, whole, left)))
        if np.all((result <= guess) | hopeless):
            return result
    return np.where(result <= guess, result, math.inf)


def bound_with_samplers(
    epsilon: Callable[[float], Bound], delta: Fraction, samples: int, *, assumed: float | None = None
) -> Bound:
    """Returns the bound for noise from the samplers, of one composition and in exact numbers.

    Args:
        epsilon: the bound for true noise, by delta.
        delta: for which it is wanted.
        samples: of noise, in all.
        assumed: an epsilon whose share is set aside first, and steps of at least 1 from it; None for one a little above
            that of true noise, and steps as small. If no more comes out than was assumed, the share is enough.
    """
    step = 1.0
    if assumed is None or not samples:
        bound = epsilon(float_below(delta))
        if not samples:
            return bound
        step = 1e-9 * bound.value + 1e-12
        assumed = bound.value + step
    distance = Fraction(samples, 2**TOTAL_VARIATION_BITS)
    for _ in range(_MOST_GUESSES):
        try:
            left = delta - distance * (1 + Fraction(math.exp(assumed)))
        except OverflowError:
            left = Fraction(0)
        if left <= 0:
            break
        bound = epsilon(float_below(left))
        if bound.value <= assumed or bound.value == math.inf:
            return bound
        assumed = bound.value + step
    return Bound(math.inf, None, Method.NO_GUARANTEE)

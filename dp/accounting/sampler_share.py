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

__all__ = ["bound_under_target", "bound_with_samplers", "epsilons_with_samplers"]

_Array = npt.NDArray[np.float64]

_ROUNDING: Final = 1e-12
"""Relative: what may be lost in computing a share."""

_MOST_GUESSES: Final = 40
"""The first guess of the samplers' share is nearly always enough; where it keeps growing, nothing is finite.

What a ledger's records claim follows from this number: it must stay.
"""

_NO_GUARANTEE: Final = Bound(math.inf, None, Method.NO_GUARANTEE)


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


def bound_with_samplers(epsilon: Callable[[float], Bound], delta: Fraction, samples: int) -> Bound:
    """Returns the bound for noise from the samplers, of one composition: `epsilons_with_samplers` for a single one.

    Args:
        epsilon: the bound for true noise, by delta.
        delta: for which it is wanted.
        samples: of noise, in all.
    """
    bound = _NO_GUARANTEE

    def value(deltas: _Array) -> _Array:
        nonlocal bound
        bound = epsilon(float(deltas[0]))
        return np.array([bound.value])

    (result,) = epsilons_with_samplers(value, delta, np.array([float(samples)]))
    return bound if bound.value == result else _NO_GUARANTEE


def bound_under_target(epsilon: Callable[[float], Bound], *, delta: Fraction, samples: int, target: float) -> Bound:
    """Returns the bound for noise from the samplers, where the share of delta is that of a target, in exact numbers.

    Plans hold this figure, and ledgers what `epsilons_with_samplers` returns, to the bit: one search cannot replace
    the other.

    Args:
        epsilon: the bound for true noise, by delta.
        delta: for which it is wanted.
        samples: of noise, in all.
        target: the epsilon whose share is set aside. If more than that comes out, the share is that of more.
    """
    distance = Fraction(samples, 2**TOTAL_VARIATION_BITS)
    assumed = target
    # Each step assumes at least 1 more, so that it is soon more than delta has room for.
    while True:
        try:
            left = delta - distance * (1 + Fraction(math.exp(assumed)))
        except OverflowError:
            return _NO_GUARANTEE
        if left <= 0:
            return _NO_GUARANTEE
        bound = epsilon(float_below(left))
        if bound.value <= assumed or bound.value == math.inf:
            return bound
        assumed = bound.value + 1

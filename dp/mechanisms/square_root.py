"""Square roots of exact numbers, as floats that are not below them: a bound that was rounded down is none."""

import math
from fractions import Fraction
from typing import Final

__all__ = ["root_above"]

_BITS: Final = 120
"""Of the root before it becomes a float: so many more than 53 that rounding twice is rarely seen."""


def root_above(square: Fraction) -> float:
    """Returns a float that is at least the square root, and the root itself where a float is.

    Args:
        square: above 0; its root is within the range of normal floats.

    Guarantees:
        The result's square, in exact arithmetic, is at least `square`; the result is less than two steps of the floats
        above the root.
    """
    missing = _BITS - (square.numerator.bit_length() - square.denominator.bit_length()) // 2
    unit = 1 << max(0, missing)
    # The least integer whose square is not below.
    root = Fraction(math.isqrt(math.ceil(square * unit * unit) - 1) + 1, unit)
    near = float(root)
    return near if near >= root else math.nextafter(near, math.inf)

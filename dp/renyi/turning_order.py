"""Where the divergence of a sampled Gaussian turns steep, to more digits than a float has.

At alpha = 1 + t, t = 2 sigma^2 log((1-q)/q), the last term of the binomial sum is as large as (1-q)^alpha. The ratio of
the two has the logarithm alpha (alpha - 1 - t)/2sigma^2, which is the difference of two numbers that may be 10^5 each:
with t as one float it would be wrong in the eleventh digit. Here t is the sum of two floats.
"""

from decimal import Context, Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["turning_order"]

_Array = npt.NDArray[np.float64]

_SPLITTER: Final = 2.0**27 + 1
"""Dekker 1971: cuts a float into two halves, whose products are exact."""

_STEP: Final = 32
"""Logarithms are looked up at multiples of 1/32, from 1/2 to 2."""


def turning_order(probability: _Array, *, noise_multiplier: _Array) -> tuple[_Array, _Array]:
    """Returns t as the nearest float or so and a rest.

    Args:
        probability: q, above 0 and below 1.
        noise_multiplier: sigma, from 1e-150 to 1e150, shape as q.
    """
    square, square_rest = _product(noise_multiplier, noise_multiplier)
    log, log_rest = _log(probability)
    high, rest = _product(square, log)
    rest += square * (log_rest - np.log1p(-probability)) + square_rest * log
    total = high + rest
    return -2 * total, -2 * (rest - (total - high))


def _log(x: _Array) -> tuple[_Array, _Array]:
    """Returns log x as a float and a rest, which together are right to 1e-18 of 1."""
    mantissa, exponent = np.frexp(x)
    near = np.rint(mantissa * _STEP).astype(np.intp)
    row = near - _STEP // 2
    # Multiples of 2^-26, and so exact.
    high = _HIGH[row] - exponent * _HIGH[0]
    return high, np.log1p((mantissa * _STEP - near) / near) + (_LOW[row] - exponent * _LOW[0])


def _table() -> tuple[_Array, _Array]:
    """Returns the logarithms from 1/2 on, each as a multiple of 2^-26 and a rest."""
    exact = Context(prec=40)
    logs = [exact.ln(exact.divide(Decimal(i), Decimal(_STEP))) for i in range(_STEP // 2, _STEP + 1)]
    high = [round(float(log) * 2**26) / 2**26 for log in logs]
    low = [float(exact.subtract(log, Decimal(part))) for log, part in zip(logs, high, strict=True)]
    return np.array(high), np.array(low)


_HIGH, _LOW = _table()


def _product(a: _Array, b: _Array) -> tuple[_Array, _Array]:
    """Returns a b as the nearest float and the rest."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(x: _Array) -> tuple[_Array, _Array]:
    shifted = _SPLITTER * x
    high = shifted - (shifted - x)
    return high, x - high

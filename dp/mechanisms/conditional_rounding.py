"""Rounding a real vector to integers of a bounded length: what each participant does before it adds its noise.

Source: Kairouz, Liu, Steinke 2021, section 3 and Algorithm 1. Each coordinate is rounded up or down at random, with the
coordinate itself as the mean, and all of it again until the result is no longer than the bound of
`dp.mechanisms.rounding`. The bound is a bound on integers and is checked in integers: what privacy follows from does
not rest on any float.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dp.checks import check_count, check_real
from dp.errors import InvalidParameterError
from dp.mechanisms.lattice import add_rounded
from dp.noise.keystream import Keystream, WordSource
from dp.noise.table import Integers

__all__ = ["round_within", "squared_length"]

_MOST_ROUNDINGS: Final = 1000
"""A vector that was clipped is rounded again with a probability of beta at most, e^-1/2 and in practice far less."""

_MAX_NORM: Final = 2**96

_CHUNK: Final = 2**14

_DIRECT: Final = 2**23
"""2**14 squares of smaller integers add up to less than 2**60."""

_LARGEST: Final = 2**44
"""What is added up in two halves of 22 bits each."""

_HALF: Final = 22


def round_within(vector: npt.NDArray[Any], scale: float, squared_norm: int) -> Integers:
    """Returns the vector on the integers, rounded at random, no longer than the bound.

    Args:
        vector: float32 or float64, shape (d,), finite; its norm times `scale` is the c' that the bound is made from.
        scale: steps of the lattice for one unit of the vector, above 0.
        squared_norm: B2, the largest squared L2 norm of the result.

    Returns:
        int64, shape (d,), new.

    Raises:
        InvalidParameterError: the vector is refused, or too long for the bound: it was not clipped.

    Guarantees:
        The squared L2 norm of the result is at most `squared_norm`, in exact arithmetic.
    """
    return _round_within(vector, scale, squared_norm, Keystream.fresh())


def _round_within(vector: npt.NDArray[Any], scale: float, squared_norm: int, source: WordSource) -> Integers:
    """Rounds with the words of a given source: the same words give the same integers."""
    scale = check_real("scale", scale, low=0.0, open_low=True)
    squared_norm = check_count("squared_norm", squared_norm, low=1, high=_MAX_NORM)
    if not isinstance(vector, np.ndarray) or vector.ndim != 1 or vector.dtype not in (np.float32, np.float64):
        raise InvalidParameterError("vector", type(vector).__name__, "a float32 or float64 array of shape (d,)")
    if not vector.size:
        raise InvalidParameterError("vector", "empty", "of at least one entry")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = np.multiply(vector, scale, dtype=np.float64)
    rounded = np.zeros(len(vector), np.int64)
    for _ in range(_MOST_ROUNDINGS):
        add_rounded(rounded, "vector", values=scaled, spacing=1.0, source=source)
        if squared_length(rounded) <= squared_norm:
            return rounded
        rounded.fill(0)
    raise InvalidParameterError("vector", "too long", "clipped before it is rounded: no rounding keeps to the bound")


def squared_length(vector: Integers) -> int:
    """Returns the squared L2 norm of integers up to 2**44 in magnitude, exactly.

    Raises:
        InvalidParameterError: an entry is larger.
    """
    total = 0
    for start in range(0, len(vector), _CHUNK):
        part = vector[start : start + _CHUNK]
        most = max(int(part.max()), -int(part.min()))
        if most < _DIRECT:
            total += int(np.dot(part, part))
        elif most <= _LARGEST:
            high, low = part >> _HALF, part & ((1 << _HALF) - 1)
            total += (int(np.dot(high, high)) << 2 * _HALF) + (int(np.dot(high, low)) << (_HALF + 1))
            total += int(np.dot(low, low))
        else:
            raise InvalidParameterError("vector", "too large", f"of integers up to {_LARGEST} in magnitude")
    return total

"""Real arrays as float64 without silent loss, how large their entries are, and roots that are not below the true ones.

float64 holds every float16 and float32 and every integer up to 2**53 exactly. In half precision squares overflow from
256 on, in single precision from 2**64 on, so nothing is computed before values are float64.
"""

import math
from fractions import Fraction
from typing import Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from dp.errors import InvalidParameterError

__all__ = ["Vector", "as_float64", "largest_magnitude", "root_above"]

Vector: TypeAlias = npt.NDArray[np.float64]

_LARGEST_FLOAT_BYTES: Final = 8
"""Wider floats than float64 hold values that it does not."""

_ROOT_BITS: Final = 120
"""A root has this many bits before it becomes a float of 53: so it is rarely rounded twice."""

_EXACT_INTEGER_LIMIT: Final = 2**53
"""Every integer up to here in magnitude is a float64; the next one is not."""


def as_float64(parameter: str, array: object, *, copy: bool) -> Vector:
    """Returns the array as float64, in the machine's byte order and in C order, every value exact.

    Args:
        parameter: what errors call the array.
        array: a numpy array of floats up to 64 bits or of integers up to 2**53 in magnitude, of any shape, not empty.
        copy: always make a new array; if False, only where the dtype or the order is another.

    Raises:
        InvalidParameterError: it is none. The text never holds an entry.
    """
    # What a masked array hides would be released with the rest.
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise InvalidParameterError(parameter, type(array).__name__, "a numpy array")
    if array.size == 0:
        raise InvalidParameterError(parameter, f"of shape {array.shape}", "not empty")
    if array.dtype.kind in "iu":
        if int(array.min()) < -_EXACT_INTEGER_LIMIT or int(array.max()) > _EXACT_INTEGER_LIMIT:
            raise InvalidParameterError(parameter, "an integer that float64 cannot hold", "from -2**53 to 2**53")
    elif array.dtype.kind != "f" or array.dtype.itemsize > _LARGEST_FLOAT_BYTES:
        allowed = "of float16, float32, float64 or integers: convert it first"
        raise InvalidParameterError(parameter, f"of {array.dtype}", allowed)
    # A signalling NaN warns when it is widened; the caller refuses it like any other.
    with np.errstate(invalid="ignore"):
        return cast("Vector", array.astype(np.float64, order="C", copy=copy, subok=False))


def largest_magnitude(parameter: str, values: Vector) -> float:
    """Returns the largest magnitude of an entry.

    Args:
        parameter: what errors call the array.
        values: of any shape, not empty.

    Raises:
        InvalidParameterError: an entry is NaN or infinite. Setting it to zero instead would hide a broken computation,
            and a client that has one should not take part.
    """
    # Both find NaN, and neither makes a copy.
    largest = max(float(values.max()), -float(values.min()))
    if not math.isfinite(largest):
        raise InvalidParameterError(parameter, "NaN or infinity", "finite: drop out of this round instead")
    return largest


def root_above(square: Fraction) -> float:
    """Returns a float that is at least the square root, and the root itself where a float is.

    Args:
        square: above 0; its root is within the range of normal floats.

    Guarantees:
        The result's square, in exact arithmetic, is at least `square`; the result is less than two steps of the floats
        above the root.
    """
    missing = _ROOT_BITS - (square.numerator.bit_length() - square.denominator.bit_length()) // 2
    unit = 1 << max(0, missing)
    # The least integer whose square is not below.
    root = Fraction(math.isqrt(math.ceil(square * unit * unit) - 1) + 1, unit)
    near = float(root)
    return near if near >= root else math.nextafter(near, math.inf)

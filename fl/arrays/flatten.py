"""A model's arrays to one float64 vector and back, with nothing lost unsaid.

float64 holds every float16, bfloat16 and float32 and every integer up to 2**53 exactly; whatever it cannot
hold, or the original dtype cannot take back, is refused.
"""

import math
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.arrays.bfloat16 import LARGEST, is_bfloat16, narrowed, widened
from fl.arrays.schema import Arrays, ArraySchema, ArraySpec, NamedArrays
from fl.checks import check_number
from fl.errors import SchemaMismatchError
from fl.float_events import ignoring
from secagg import InvalidInputError, InvalidParameterError

__all__ = ["flatten", "restore"]

_EXACT_INTEGER_LIMIT: Final = 2**53
"""Every integer up to here in magnitude is a float64; the next one is not."""


@ignoring("under")
def flatten(arrays: Arrays, schema: ArraySchema) -> npt.NDArray[np.float64]:
    """Copies all arrays into one new vector, in the schema's order.

    Args:
        arrays: the container that `schema` describes.
        schema: what the arrays must look like.

    Returns:
        float64, of length `schema.size`; every value exact.

    Raises:
        SchemaMismatchError: the arrays do not fit the schema.
        InvalidInputError: a value is NaN or infinite, or an integer beyond 2**53 in magnitude. The text
            names the array, never the value.

    Cost:
        One pass over the arrays and one allocation of 8 bytes an element.
    """
    _check_schema(schema)
    checked = schema.check(arrays)
    vector = np.empty(schema.size, dtype=np.float64)
    offset = 0
    for entry, array in zip(schema.entries, checked, strict=True):
        target = vector[offset : offset + entry.size]
        offset += entry.size
        if entry.is_float:
            # A signalling NaN warns when it is widened; it is refused one line below like any other.
            with np.errstate(invalid="ignore"):
                target.reshape(entry.shape)[...] = widened(array) if is_bfloat16(entry.dtype) else array
            if not np.isfinite(target).all():
                raise InvalidInputError(
                    f"array {entry.name!r}", "it holds NaN or infinity", "finite: drop out of this round instead"
                )
        else:
            if entry.size and not _is_exact(array):
                raise InvalidInputError(
                    f"array {entry.name!r}",
                    "it holds an integer that float64 cannot represent",
                    "between -2**53 and 2**53",
                )
            target.reshape(entry.shape)[...] = array
    return vector


@ignoring("under")
def restore(vector: npt.NDArray[np.float64], schema: ArraySchema, *, tolerance: float = 0.0) -> NamedArrays:
    """Cuts a vector into the schema's arrays.

    Integers are rounded half to even.

    Args:
        vector: float64, one-dimensional, of length `schema.size`.
        schema: what to build.
        tolerance: how far off a value may be, such as a codec's error bound: one that is out of its dtype's range by
            no more is moved to the range's end. Infinity is for an error without a bound, as of noise.

    Returns:
        A list or dict of new arrays in native byte order; none shares memory with `vector`.

    Raises:
        SchemaMismatchError: the vector has the wrong type, shape or dtype.
        InvalidInputError: a value is NaN or infinite, or out of the range of its array's dtype by more than that.
        InvalidParameterError: the tolerance is no number from 0 on.
    """
    _check_schema(schema)
    if not isinstance(vector, np.ndarray) or vector.dtype != np.float64 or vector.shape != (schema.size,):
        offered = f"{vector.dtype} of shape {vector.shape}" if isinstance(vector, np.ndarray) else type(vector).__name__
        raise SchemaMismatchError("vector", offered, f"float64 of shape ({schema.size},)")
    if not (isinstance(tolerance, float) and tolerance == math.inf):
        tolerance = check_number("tolerance", tolerance, low=0)
    arrays = []
    offset = 0
    for entry in schema.entries:
        arrays.append(_convert(vector[offset : offset + entry.size], entry, tolerance).reshape(entry.shape))
        offset += entry.size
    return schema.rebuild(arrays)


def _check_schema(schema: object) -> None:
    if not isinstance(schema, ArraySchema):
        raise InvalidParameterError("schema", type(schema).__name__, "an ArraySchema: see ArraySchema.of")


def _is_exact(array: npt.NDArray[Any]) -> bool:
    return int(array.min()) >= -_EXACT_INTEGER_LIMIT and int(array.max()) <= _EXACT_INTEGER_LIMIT


def _convert(values: npt.NDArray[np.float64], entry: ArraySpec, tolerance: float) -> npt.NDArray[Any]:
    if not np.isfinite(values).all():
        raise InvalidInputError(f"array {entry.name!r}", "its part of the vector holds NaN or infinity", "finite")
    if not entry.size:
        return values.astype(entry.dtype)
    if is_bfloat16(entry.dtype):
        converted, beyond = narrowed(values, entry.dtype)
        if beyond.any():
            _check_excess(values, entry, limits=(-LARGEST, LARGEST), tolerance=tolerance)
        return converted
    limits: np.finfo[Any] | np.iinfo[Any]
    if entry.is_float:
        limits, rounded = np.finfo(entry.dtype), values
        # An overflow to infinity is found here and raised as ours, not left to a warning.
        with np.errstate(over="ignore"):
            converted = values.astype(entry.dtype)
        fits = bool(np.isfinite(converted).all())
    else:
        limits, rounded = np.iinfo(entry.dtype), np.rint(values)
        # Compared as Python integers: float64 rounds the limits of 64-bit types up to a value that does not fit.
        fits = int(limits.min) <= int(rounded.min()) and int(rounded.max()) <= int(limits.max)
        converted = rounded.astype(entry.dtype) if fits else rounded
    if fits:
        return converted
    ends = (float(limits.min), float(limits.max)) if entry.is_float else (int(limits.min), int(limits.max))
    _check_excess(values, entry, limits=ends, tolerance=tolerance)
    above, below = rounded >= float(limits.max), rounded <= float(limits.min)
    moved = np.where(above | below, 0.0, rounded).astype(entry.dtype)
    moved[above], moved[below] = limits.max, limits.min
    return moved


def _check_excess(
    values: npt.NDArray[np.float64], entry: ArraySpec, *, limits: tuple[float, float], tolerance: float
) -> None:
    """Refuses values that are out of the range by more than the tolerance."""
    excess = max(
        Fraction(limits[0]) - Fraction(values.min().item()), Fraction(values.max().item()) - Fraction(limits[1])
    )
    if excess > tolerance:
        raise InvalidInputError(
            f"array {entry.name!r}", f"a value is out of the range of {entry.dtype}", f"in the range of {entry.dtype}"
        )

"""Real vectors on the integers: rounding to the multiples of a power of two, and back.

Multiplying a float by a power of two is exact, so that nothing about a value is left in its last bits but the
multiple that it was rounded to.
"""

from fractions import Fraction
from typing import Final

import numpy as np

from dp.errors import InvalidParameterError
from dp.mechanisms.float_vectors import Vector, largest_magnitude
from dp.noise.keystream import WordSource
from dp.noise.table import Integers

__all__ = ["LARGEST_ROUNDED", "add_rounded", "exact_multiple", "from_lattice"]

LARGEST_ROUNDED: Final = 2**61
"""Magnitudes on the lattice that are rounded. Two of them and noise below 2**45 are together far from 2**63."""

_RANDOM_BITS: Final = 53
"""The bits of a float64's fraction that can matter: at 1/2 and above it has no more."""

_CHUNK: Final = 2**13
"""Coordinates handled at a time: the scratch buffers, 8 bytes each, stay in a core's own cache."""


def add_rounded(total: Integers, parameter: str, *, values: Vector, spacing: float, source: WordSource) -> None:
    """Adds the values, each rounded at random to a multiple of the spacing, to a vector of such multiples.

    With y the fraction of value / spacing in units of 2**-53 and k uniform on 0, ..., 2**53 - 1, it is rounded up where
    k < y, else down: the mean is the value, to 2**-53 of the spacing.

    Args:
        total: multiples, shape (d,); added to in place.
        parameter: what errors call the values.
        values: shape (d,), finite, at most 2**61 times the spacing in magnitude.
        spacing: a power of two.
        source: where the words come from, one for each value.

    Raises:
        InvalidParameterError: a value is NaN, infinite or too large; nothing was added.

    Guarantees:
        What is added to a coordinate is one of the two integers next to value / spacing, or the integer that this is;
        so it is less than 1 away, whatever the words are.
    """
    if largest_magnitude(parameter, values) > LARGEST_ROUNDED * spacing:
        allowed = f"of entries up to {LARGEST_ROUNDED * spacing!r}: clip what has no smaller bound of its own"
        raise InvalidParameterError(parameter, "too large", allowed)
    steps = 1 / spacing
    size = min(_CHUNK, len(values))
    word_buffer = np.empty(size, np.uint64)
    scaled_buffer = np.empty(size, np.float64)
    whole_buffer = np.empty(size, np.float64)
    # A value far below the spacing may underflow: it is rounded to 0 or 1 in any case.
    with np.errstate(under="ignore"):
        for start in range(0, len(values), _CHUNK):
            part = values[start : start + _CHUNK]
            words, scaled, whole = word_buffer[: len(part)], scaled_buffer[: len(part)], whole_buffer[: len(part)]
            np.multiply(part, steps, out=scaled)
            np.floor(scaled, out=whole)
            np.subtract(scaled, whole, out=scaled)
            np.multiply(scaled, 2.0**_RANDOM_BITS, out=scaled)
            source.fill(words)
            np.right_shift(words, np.uint64(64 - _RANDOM_BITS), out=words)
            chunk = total[start : start + _CHUNK]
            chunk += whole.astype(np.int64)
            # The comparison is made in float64, which holds every k < 2**53.
            chunk += words < scaled


def from_lattice(multiples: Integers, spacing: float) -> Vector:
    """Returns multiples of the spacing as floats: exactly up to 2**53 of it, rounded to float64 above.

    Rounding there depends on the multiple alone, so it tells nothing more.
    """
    return np.multiply(multiples, spacing, dtype=np.float64)


def exact_multiple(value: float, *, spacing: float) -> Fraction:
    """Returns how many times the spacing goes into the value, without rounding."""
    return Fraction(value) / Fraction(spacing)

"""Clipping to an L2 norm, with a promise that holds in exact arithmetic.

Noise is calibrated to what one participant can change, so the bound on a clipped vector must be true of the floats
that are there, not only of the formula: x * (C / norm), computed in floats, is longer than C in about half of all
cases. Here

* the norm is computed in float64, whatever the dtype was, in sums of 2**13 squares that are added exactly. A sum of so
  many squares is off by less than a relative 2**-40, in any order of additions, so the norm by less than 2**-41 and
  a rounding. Where squares would leave the range of a float, the vector is scaled by a power of two before;
* a vector is scaled to C (1 - 2**-38). The errors of the norm, of the factor and of each product, 2**-41, three times
  2**-53 and 2**-53, are less than that margin together, and products that underflow add less than 2**-1000;
* a vector is left as it is if its norm is at most C, exactly: where the computed norm is too near to C to tell, the
  squares are added without any rounding.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dp.checks import check_member, check_real, check_sequence
from dp.errors import InvalidParameterError
from dp.float_events import ignoring
from dp.mechanisms.float_vectors import Vector, as_float64, largest_magnitude, root_above
from dp.vocabulary import Relation

__all__ = ["CLIP_RANGE", "Clipped", "ClippedLayers", "check_clip_norm", "clip", "clip_layers"]

CLIP_RANGE: Final = (2.0**-500, 2.0**500)
"""Clip norms: within it no square of one leaves the range of a float."""

_UNSCALED: Final = (2.0**-450, 2.0**450)
"""Largest entries with whose squares no sum overflows, and beside which a square that underflows is nothing."""

_CHUNK: Final = 2**13
"""Squares that are summed in floats. The error bound is for this many; so few are also summed in one thread."""

_NORM_ERROR: Final = 2.0**-40
"""Relative; a computed norm is off by less."""

_SHORTER: Final = 1 - 2.0**-38
"""What is scaled becomes that much shorter than the clip norm, so that it is not longer after all rounding."""

_SPLITTER: Final = 2.0**27 + 1
"""Dekker's: halves of a float's 53 bits, whose products are exact."""

_EXACT_FROM: Final = 2.0**-480
"""Relative to the clip norm: squares of smaller entries underflow in part, and are not exact any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Clipped:
    """A vector whose L2 norm is bounded.

    Attributes:
        vector: float64, new and read-only; the promise is about these values.
        norm: the norm before, to a relative 2**-40 or 2**-1074; the largest float where it is beyond. As private as the
            vector.
        clipped: whether the vector had to be scaled. As private as the vector.
        norm_bound: the clip norm. The L2 norm of `vector` is at most that, in exact arithmetic.

    Security:
        Nothing but the bound is in the repr.
    """

    vector: Vector = field(repr=False)
    norm: float = field(repr=False)
    clipped: bool = field(repr=False)
    norm_bound: float

    def l2_sensitivity(self, relation: Relation) -> float:
        """Returns how far a sum of such vectors can be from that of a neighbour: twice the bound under replace-one."""
        return _sensitivity(self.norm_bound, relation)


@dataclass(frozen=True, slots=True, eq=False)
class ClippedLayers:
    """Arrays each of which has a bounded L2 norm, and so all of them together.

    Attributes:
        vectors: one for each layer, float64, in its shape, new and read-only.
        norms: the layers' norms before, as `Clipped.norm`.
        clipped: which layers had to be scaled.
        norm_bounds: the layers' clip norms.
        norm_bound: at least the root of the sum of their squares, rounded up. The L2 norm of all entries together is
            at most that, in exact arithmetic.

    Security:
        Nothing but the bounds is in the repr.
    """

    vectors: tuple[Vector, ...] = field(repr=False)
    norms: tuple[float, ...] = field(repr=False)
    clipped: tuple[bool, ...] = field(repr=False)
    norm_bounds: tuple[float, ...]
    norm_bound: float

    def l2_sensitivity(self, relation: Relation) -> float:
        """Returns how far a sum of such layers, all together, can be from that of a neighbour."""
        return _sensitivity(self.norm_bound, relation)


@ignoring("under")
def clip(vector: npt.NDArray[Any], clip_norm: float) -> Clipped:
    """Returns the vector, scaled down to the clip norm if it is longer.

    Args:
        vector: shape (d,), d at least 1; floats up to 64 bits, or integers up to 2**53 in magnitude; finite.
        clip_norm: C, from 2**-500 to 2**500.

    Returns:
        A copy: as it is if its norm is at most C, else scaled to a norm from C (1 - 2**-37) to C.

    Raises:
        InvalidParameterError: the vector or the clip norm is refused.

    Guarantees:
        The norm of the result is at most C in exact arithmetic. Clipping it again changes nothing.

    Cost:
        One new array and four passes over it. A vector whose norm is within 2**-38 of C takes a hundred times as long,
        a tenth of a second for a million entries.
    """
    if isinstance(vector, np.ndarray) and vector.ndim != 1:
        raise InvalidParameterError("vector", f"of shape {vector.shape}", "one-dimensional: one participant's")
    bound = check_clip_norm("clip_norm", clip_norm)
    return Clipped(*_clipped("vector", vector, bound), bound)


@ignoring("under")
def clip_layers(layers: Sequence[npt.NDArray[Any]], clip_norms: Sequence[float]) -> ClippedLayers:
    """Returns each layer scaled down to its own clip norm if it is longer.

    Args:
        layers: arrays as of `clip`, but of any shape; at least one.
        clip_norms: one for each of them, as of `clip`.

    Returns:
        Copies, as of `clip`, and the joint bound.

    Raises:
        InvalidParameterError: a layer or a clip norm is refused, or there are not as many of either.

    Guarantees:
        As of `clip`, for each layer; and the norm of all of them together is at most `norm_bound`.
    """
    some = "a list or tuple of arrays, at least one"
    if not check_sequence("layers", layers, allowed=some):
        raise InvalidParameterError("layers", type(layers).__name__, some)
    one_each = f"a list or tuple of {len(layers)}, one for each layer"
    if len(check_sequence("clip_norms", clip_norms, allowed=one_each)) != len(layers):
        raise InvalidParameterError("clip_norms", len(clip_norms), one_each)
    bounds = tuple(check_clip_norm(f"clip_norms[{place}]", norm) for place, norm in enumerate(clip_norms))
    parts = [
        _clipped(f"layers[{place}]", layer, bound)
        for place, (layer, bound) in enumerate(zip(layers, bounds, strict=True))
    ]
    vectors, norms, scaled = zip(*parts, strict=True)
    joint = root_above(sum((Fraction(bound) ** 2 for bound in bounds), Fraction(0)))
    return ClippedLayers(vectors, norms, scaled, bounds, joint)


def check_clip_norm(parameter: str, clip_norm: object) -> float:
    """Returns the clip norm as a float in its range."""
    return check_real(parameter, clip_norm, low=CLIP_RANGE[0], high=CLIP_RANGE[1])


def _sensitivity(norm_bound: float, relation: Relation) -> float:
    # Two vectors of a norm differ by at most twice that norm; and twice a float is a float.
    return norm_bound * (2 if check_member("relation", relation, Relation) is Relation.REPLACE_ONE else 1)


def _clipped(parameter: str, array: object, bound: float) -> tuple[Vector, float, bool]:
    """Returns the clipped copy, the norm before, and whether it was scaled."""
    values = as_float64(parameter, array, copy=True)
    largest = largest_magnitude(parameter, values)
    # Underflow is accounted for; a caller's own settings must not make an error of it.
    with np.errstate(under="ignore"):
        mantissa, exponent = _norm(values, largest)
        norm = _ldexp(mantissa, exponent)
        exceeds = norm > bound * (1 - 2 * _NORM_ERROR)
        if exceeds and norm < bound * (1 + 2 * _NORM_ERROR):
            exceeds = _exceeds(values, bound)
        if exceeds:
            if exponent:
                np.ldexp(values, -exponent, out=values)
            values *= bound / mantissa * _SHORTER
    values.flags.writeable = False
    return values, norm, exceeds


def _norm(values: Vector, largest: float) -> tuple[float, int]:
    """Returns m and e, the norm being m 2**e within a relative 2**-40; e is 0 unless squares would leave the floats."""
    if largest == 0:
        return 0.0, 0
    if _UNSCALED[0] <= largest <= _UNSCALED[1]:
        return math.sqrt(_sum_of_squares(values)), 0
    exponent = math.frexp(largest)[1]
    return math.sqrt(_sum_of_squares(np.ldexp(values, -exponent))), exponent


def _sum_of_squares(values: Vector) -> float:
    flat = values.reshape(-1)
    parts = (flat[start : start + _CHUNK] for start in range(0, len(flat), _CHUNK))
    return math.fsum(float(np.dot(part, part)) for part in parts)


def _exceeds(values: Vector, bound: float) -> bool:
    """Returns whether the norm is above the bound, exactly; True also where that cannot be told without rounding.

    Args:
        values: of about that norm.
        bound: the clip norm.
    """
    flat = values.reshape(-1)
    if np.any((flat != 0) & (np.abs(flat) < bound * _EXACT_FROM)):
        return True
    exponent = math.frexp(bound)[1]
    limit = _exact_square(np.array([math.ldexp(bound, -exponent)]))
    squares = (
        _exact_square(np.ldexp(flat[start : start + _CHUNK], -exponent)) for start in range(0, len(flat), _CHUNK)
    )
    # fsum rounds once, at the end, so its sign is that of the exact difference.
    return math.fsum(chain((-part for part in limit), chain.from_iterable(squares))) > 0


def _exact_square(values: Vector) -> Iterator[float]:
    """Returns floats whose sum is exactly the sum of the squares; the values are at most 2 and no square underflows."""
    # Veltkamp's split: each half has 26 bits at most.
    spread = values * _SPLITTER
    high = spread - (spread - values)
    low = values - high
    return chain((high * high).tolist(), (2 * high * low).tolist(), (low * low).tolist())


def _ldexp(mantissa: float, exponent: int) -> float:
    try:
        return math.ldexp(mantissa, exponent)
    except OverflowError:
        return sys.float_info.max

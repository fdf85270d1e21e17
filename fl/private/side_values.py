"""Side values: what a client sends beside its model, under the same mask and the same noise.

A loss, a count of examples, a metric: each is declared in the plan with its range, so that everybody knows what one
client can change. It becomes one more coordinate of the private vector. A value u in [low, high] is sent as

    (u - middle) / half * share * clip,   middle = (low + high) / 2,  half = (high - low) / 2,

and is then rotated, rounded and made noisy together with the model. A larger share means less noise on the side value
and a little more on the model, as the norm bound of the whole vector is clip * sqrt(1 + sum of share**2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fl.checks import check_number, is_number, plain
from secagg import InvalidInputError, InvalidParameterError

__all__ = ["WEIGHT", "SideValue", "joint_factor", "read_side_values", "scaled_side_values"]

WEIGHT: Final = "weight"
"""The side value that a weighted mean has of its own: the noisy sum of the weights is its denominator."""

_LARGEST: Final = 2.0**100
_MOST: Final = 1000

_NARROWEST: Final = 2.0**-40
"""The smallest width of a range, relative to its larger end. A float64 then still tells its two ends well apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideValue:
    """One declared side value.

    Args:
        name: what it is called, at most 100 characters.
        low: the least that a client may report.
        high: the most, above `low`.
        share: its part of the clip norm, above 0 and at most 1.

    Raises:
        InvalidParameterError: a field is of the wrong type or out of range.
    """

    name: str
    low: float
    high: float
    share: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", plain(self.name))
        if type(self.name) is not str or not 1 <= len(self.name) <= 100 or not self.name.isprintable():
            raise InvalidParameterError("name", self.name, "a printable str of 1 to 100 characters")
        for name in ("low", "high", "share"):
            number = check_number(f"side value {self.name}: {name}", getattr(self, name), low=-_LARGEST, high=_LARGEST)
            object.__setattr__(self, name, number)
        if not self.low < self.high:
            raise InvalidParameterError(f"side value {self.name}: high", self.high, f"above low, {self.low}")
        if not self.high - self.low >= max(abs(self.low), abs(self.high)) * _NARROWEST or self.half < 1 / _LARGEST:
            raise InvalidParameterError(f"side value {self.name}: high", self.high, f"not so near to low, {self.low}")
        if not 2.0**-20 <= self.share <= 1:
            raise InvalidParameterError(f"side value {self.name}: share", self.share, "from 2**-20 to 1")

    @property
    def middle(self) -> float:
        """The middle of the range. It is sent as zero."""
        return self.low + (self.high - self.low) / 2

    @property
    def half(self) -> float:
        """Half of the range's width. An end of the range is sent as plus or minus the whole share."""
        return (self.high - self.low) / 2


def joint_factor(declared: Sequence[SideValue]) -> float:
    """Returns by what the norm of the whole vector can exceed the clip norm.

    Raises:
        InvalidParameterError: two have one name, or there are more than a thousand.
    """
    names = [side.name for side in declared]
    if len(set(names)) < len(names) or len(names) > _MOST:
        raise InvalidParameterError("side_values", names, f"at most {_MOST} of different names")
    return math.sqrt(1 + math.fsum(side.share**2 for side in declared))


def scaled_side_values(
    declared: Sequence[SideValue], values: Mapping[str, float], clip: float
) -> npt.NDArray[np.float64]:
    """Returns one coordinate for each declared side value.

    Args:
        declared: in the order of the coordinates.
        values: one number for each of them, by name.
        clip: the round's clip norm.

    Raises:
        InvalidInputError: a value is missing, undeclared, not finite or out of its range; the value is not in the text.
    """
    if not isinstance(values, Mapping):
        raise InvalidInputError("side_values", f"a {type(values).__name__}", "a mapping of names to numbers")
    unlike = {side.name for side in declared} ^ set(values)
    if unlike:
        # A number that the plan does not know has no noise on it, and so is sent in no form.
        problem = f"{min(map(str, unlike))!r} is missing or undeclared"
        raise InvalidInputError("side_values", problem, "as the plan declares: nothing else gets noise")
    coordinates = np.empty(len(declared))
    for place, side in enumerate(declared):
        value = values[side.name]
        if not is_number(value):
            raise InvalidInputError(f"side value {side.name}", f"a {type(value).__name__}", "a number")
        # NaN is in no range.
        if not side.low <= value <= side.high:
            raise InvalidInputError(
                f"side value {side.name}", "out of its declared range", f"from {side.low:g} to {side.high:g}"
            )
        coordinates[place] = (float(value) - side.middle) / side.half * (side.share * clip)
    return coordinates


def read_side_values(
    declared: Sequence[SideValue], coordinates: npt.NDArray[np.float64], clip: float, contributions: int
) -> dict[str, float]:
    """Returns the noisy sums of the side values.

    Args:
        declared: in the order of the coordinates.
        coordinates: the sums of what `scaled_side_values` returned.
        clip: the round's clip norm.
        contributions: over how many contributions; each has the middle of the range as its zero.
    """
    return {
        side.name: float(coordinate) / (side.share * clip) * side.half + contributions * side.middle
        for side, coordinate in zip(declared, coordinates, strict=True)
    }

"""Arrays that are clipped on their own, within one mean: counters and statistics, whose size is not that of weights.

The grid of a mean has one clip, C. An array whose own clip is c is cut to it and sent as x * C / c, and its part of the
mean comes back as y * c / C. So its grid has as many steps as every other array's, for 2c instead of 2C.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fl.arrays.schema import ArraySchema
from fl.checks import check_number
from secagg import InvalidParameterError

__all__ = ["ClipsByName", "OwnClips"]

ClipsByName: TypeAlias = Mapping[str | int, float] | tuple[tuple[str | int, float], ...]
"""The clips of some arrays by name: a mapping, or its items."""

_RANGE: Final = (2.0**-500, 2.0**500)
_CLIP: Final = struct.Struct("<Qd")
_ROUNDING: Final = 1 + 2.0**-48


@dataclass(frozen=True, slots=True)
class OwnClips:
    """Which parts of a flat vector are clipped on their own.

    Args:
        clip: C, of all others.
        parts: the place among the arrays, the beginning, the end and the clip of each.
    """

    clip: float
    parts: tuple[tuple[int, int, int, float], ...]

    @classmethod
    def of(cls, clips: ClipsByName, schema: ArraySchema, *, clip: float) -> "OwnClips":
        """Returns the parts of some arrays.

        Args:
            clips: by name, each from 2**-500 to 2**500.
            schema: of all arrays.
            clip: C.

        Raises:
            InvalidParameterError: a name is no array's, or a clip is out of its range.
        """
        left = _by_name(clips)
        parts, offset = [], 0
        for place, entry in enumerate(schema.entries):
            if entry.name in left:
                own = check_number(f"clips[{entry.name!r}]", left.pop(entry.name), low=_RANGE[0], high=_RANGE[1])
                parts.append((place, offset, offset + entry.size, own))
            offset += entry.size
        if left:
            raise InvalidParameterError("clips", min(map(str, left)), "names of arrays of the schema")
        return cls(clip, tuple(parts))

    @property
    def widest(self) -> float:
        """By what an error of an entry can be larger than on the grid of C, at least 1."""
        return max([1.0, *(own / self.clip * _ROUNDING for _, _, _, own in self.parts)])

    def encode(self) -> bytes:
        """Returns bytes that differ where any clip does; empty if there is none."""
        return b"".join(_CLIP.pack(place, own) for place, _, _, own in self.parts)

    def split(self, vector: npt.NDArray[np.float64]) -> Iterator[tuple[npt.NDArray[np.float64], float]]:
        """Yields each stretch of a vector of all arrays, as a view, with its clip."""
        done = 0
        for _, start, end, own in self.parts:
            yield vector[done:start], self.clip
            yield vector[start:end], own
            done = end
        yield vector[done:], self.clip

    def bring_to_one(self, vector: npt.NDArray[np.float64]) -> None:
        """Cuts the parts to their clips and scales them to C, in place."""
        for _, start, end, own in self.parts:
            part = vector[start:end]
            np.clip(part, -own, own, out=part)
            part *= self.clip / own

    def bring_back(self, vector: npt.NDArray[np.float64]) -> None:
        """Undoes the scaling, in place."""
        for _, start, end, own in self.parts:
            vector[start:end] *= own / self.clip


def _by_name(clips: ClipsByName) -> dict[str | int, float]:
    try:
        return dict(clips)
    except (TypeError, ValueError):
        raise InvalidParameterError("clips", type(clips).__name__, "a mapping of arrays' names to numbers") from None

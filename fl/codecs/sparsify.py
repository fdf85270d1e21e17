"""Random-k: everyone sends the same random coordinates, so that the sum of what is sent is a selection of the sum.

Source: Konecny et al. 2016 §2 (random mask), with one mask for the whole session; Stich, Cordonnier, Jaggi 2018 §2.

The subset is drawn from the AES-128-CTR keystream of SHA-256(label || seed). Each coordinate gets a key, a 64-bit
little-endian word, and the k coordinates with the smallest keys are selected. If the k-th and the next smallest key are
equal, all keys are drawn again, further along the stream.

Guarantees:
    The subset is exactly uniform for uniform words: exchanging two coordinates' keys exchanges the coordinates in the
    subset and changes neither the keys' probability nor whether they are drawn again.

Top-k by magnitude is not here. Its positions depend on the client's data and would have to be sent beside the values:
the server would learn where each single client's update is large, which masks do not hide, and values at unlike
positions have no sum.
"""

import hashlib
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from fl.checks import check_integer
from fl.float_events import ignoring
from secagg import InvalidInputError, InvalidParameterError, LocalError, Suite
from secagg.primitives import SEEK_BYTES, keystream

__all__ = ["PositionsLeakError", "RandomK", "sparsifier"]

SEED_BYTES: Final = 32
_LABEL: Final = b"fl random-k mask 1"
_MAX_LENGTH: Final = 2**32


class PositionsLeakError(LocalError, ValueError):
    """A selection by value was asked for. Field: `method`."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method

    def __str__(self) -> str:
        return (
            f"{self.method} is refused: which coordinates a client selects by value tells the server where its update "
            "is large, and positions cannot be masked; use random-k, with error feedback"
        )


def sparsifier(method: str, length: int, kept: int, seed: bytes) -> "RandomK":
    """Returns the sparsifier of a method's name, as a configuration names it.

    Args:
        method: "random-k".
        length: as of `RandomK`.
        kept: as of `RandomK`.
        seed: as of `RandomK`.

    Raises:
        PositionsLeakError: the method is "top-k".
        InvalidParameterError: it is another, or a parameter is out of its range.
    """
    if isinstance(method, str) and method == "top-k":
        raise PositionsLeakError(method)
    if not isinstance(method, str) or method != "random-k":
        raise InvalidParameterError("method", method, "'random-k'")
    return RandomK(length, kept, seed)


class RandomK:
    """One session's selection of coordinates.

    Args:
        length: of the vectors, 1 to 2**32.
        kept: k, how many coordinates are sent, 1 to `length`.
        seed: 32 public bytes that everyone in the session has, such as a hash of the session's context.

    Raises:
        InvalidParameterError: a parameter is out of its range.

    Security:
        The selection is public and does not depend on data. It never raises a norm, so a vector that was clipped before
        is clipped after, and sensitivities are those of the clip norm. Scale the mean, with `spread`, and not what a
        client sends: length / kept times the vector would have length / kept times the sensitivity.

    Cost:
        For a length of 2**20 11 ms and 32 MB while it is made; then one pass over what is kept.
    """

    __slots__ = ("_indices", "_length")

    def __init__(self, length: int, kept: int, seed: bytes) -> None:
        length = check_integer("length", length, low=1, high=_MAX_LENGTH)
        kept = check_integer("kept", kept, low=1, high=length)
        if type(seed) is not bytes or len(seed) != SEED_BYTES:
            raise InvalidParameterError("seed", type(seed).__name__, f"{SEED_BYTES} bytes")
        self._length = length
        self._indices = _subset(length, kept, hashlib.sha256(_LABEL + seed).digest())
        self._indices.flags.writeable = False

    @property
    def length(self) -> int:
        """Entries of a vector."""
        return self._length

    @property
    def kept(self) -> int:
        """Entries of a selection."""
        return len(self._indices)

    @property
    def indices(self) -> npt.NDArray[np.intp]:
        """The selected coordinates in rising order, shape (kept,), read-only."""
        return self._indices

    def select(self, vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns the selected entries, unscaled.

        Args:
            vector: float64, shape (length,), finite.

        Returns:
            A new array of shape (kept,).

        Raises:
            InvalidInputError: the vector is unusable.
        """
        _check("vector", vector, self._length)
        return vector[self._indices]

    @ignoring("under")
    def spread(self, values: npt.NDArray[np.float64], *, unbiased: bool) -> npt.NDArray[np.float64]:
        """Returns the vector that a selection, or a mean of selections, stands for; zero elsewhere.

        Args:
            values: float64, shape (kept,), finite.
            unbiased: whether to multiply by length / kept, so that over random masks the result is the vector on
                average. Right without error feedback; with it, False: the residual holds the rest.

        Returns:
            A new array of shape (length,).

        Raises:
            InvalidInputError: the values are unusable, or scaling overflows.
            InvalidParameterError: `unbiased` is no bool.
        """
        _check("values", values, self.kept)
        if not isinstance(unbiased, bool | np.bool_):
            raise InvalidParameterError("unbiased", type(unbiased).__name__, "a bool")
        if unbiased:
            with np.errstate(over="ignore"):
                values = values * (self._length / self.kept)
            _check("values", values, self.kept)
        vector = np.zeros(self._length)
        vector[self._indices] = values
        return vector


def _subset(length: int, kept: int, key: bytes) -> npt.NDArray[np.intp]:
    start, size = 0, 8 * length
    while True:
        keys = np.frombuffer(keystream(Suite.AES_128_CTR, key, length=size, offset=start), "<u8")
        chosen = _smallest(keys, kept)
        if chosen is not None:
            return chosen
        start += -(-size // SEEK_BYTES) * SEEK_BYTES


def _smallest(keys: npt.NDArray[np.uint64], kept: int) -> npt.NDArray[np.intp] | None:
    """Returns where the `kept` smallest keys are, in rising order, or None if a tie leaves that open."""
    largest = np.partition(keys, kept - 1)[kept - 1]
    chosen = np.flatnonzero(keys <= largest)
    return chosen if len(chosen) == kept else None


def _check(name: str, vector: npt.NDArray[np.float64], length: int) -> None:
    if not isinstance(vector, np.ndarray) or vector.dtype != np.float64 or vector.shape != (length,):
        raise InvalidInputError(name, "it is of another type or shape", f"float64 of shape ({length},)")
    # Both are NaN if an entry is; no array of booleans is made.
    with np.errstate(invalid="ignore"):
        finite = math.isfinite(vector.min()) and math.isfinite(vector.max())
    if not finite:
        raise InvalidInputError(name, "it, or what is made of it, holds NaN or infinity", "finite")

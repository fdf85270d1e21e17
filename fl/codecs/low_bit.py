"""A mean at one to eight bits a coordinate: rotated vectors on a coarse grid, for rounds without noise.

Notation: C is `clip_norm`, n the padded dimension, s = C / sqrt(n), and L the levels of the `Quantizer`. A client
scales its vector down to the norm C if it is longer, rotates it, and hands it to a `Quantizer` whose grid has L + 1
points from -R to R, R = range_factor * s. The server decodes the mean of the rotated vectors and rotates it back.
Rotation makes coordinates that are like those of a normal distribution with the standard deviation s at most
(`fl.codecs.rotation`), whatever the vector is; without it one large entry would stretch the grid for all others (Suresh
et al. 2017 §3; Vargaftik et al. 2021).

Bits: the modulus is the smallest that holds clients * (2**bits - 1), of bits + ceil(log2(clients)) bits at most, and L
the largest number of levels whose sum it holds, 2**bits - 1 at least. Weights need no room: the quantiser scales by
w / weight_cap before it rounds, and a client of that weight has (w / weight_cap) * L steps. So a cap that is far above
the levels is refused, with the bits that it needs.

Range: with S survivors of one weight and z standard normal, a coordinate's squared error is about s**2 times

    V / S + B,   V = E[(z - a)(b - z); |z| <= range_factor],   B = E[(|z| - range_factor)**2; |z| > range_factor],

V the variance of rounding between the grid's points a and b around z, B what clipping takes off everybody's coordinate.
A wide range makes V large, a narrow one B. `best_range_factor` has the least sum; its B is a bias, mostly towards zero.
`unbiased_range_factor` is so wide that in most rounds nothing is clipped at all: then the mean is unbiased, as rounding
is, and so can one bit be, at several times the error.
"""

import hashlib
import math
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.checks import check_integer, check_number
from fl.codecs.quantize import Quantizer
from fl.codecs.rotation import Rotation, padded
from fl.float_events import ignoring
from secagg import InvalidInputError

__all__ = ["LowBit", "best_range_factor", "expected_squared_error", "unbiased_range_factor"]

_MAX_BITS: Final = 8
_MAX_CLIENTS: Final = 2**32
_MAX_LEVELS: Final = 2**64
_MOST_LEVELS: Final = 2 ** (_MAX_BITS + 1) - 1
"""The most levels that a `LowBit` has. With one more, a modulus of one bit less would do."""

_NORMS: Final = (2.0**-400, 2.0**400)
"""Squares of numbers near the clip norm neither overflow nor vanish, and the range is one that a `Quantizer` takes."""

_FACTORS: Final = (2.0**-6, 2.0**16)
"""The largest is sqrt(n) for the longest vector: no coordinate exceeds the norm, so a wider range has no use."""

_STEPS: Final = 16
"""The best range is sought on multiples of 1/16. The error is flat there, and so no two computers disagree."""

_WIDEST: Final = 12
"""Where to stop seeking: the best for 2**32 clients and the most levels is below 9."""

_MANY_LEVELS: Final = 16
"""From here on V is (2 range_factor / L)**2 / 6, as if z were uniform between two points."""

_LABEL: Final = b"fl low bit 1"
_SETTINGS: Final = struct.Struct("<QBdQQd")


@dataclass(frozen=True, slots=True)
class LowBit:
    """A weighted mean over one cohort at few bits a coordinate.

    Args:
        dimension: entries of a vector, 1 to 2**32: of the flattened arrays, or of a selection (`fl.codecs.sparsify`).
        bits: what a client says about a coordinate, 1 to 8.
        clip_norm: C; longer vectors are scaled to it. 2**-400 to 2**400. Much above the usual norm it wastes bits.
        clients: the most clients in one sum, 1 to 2**32.
        weight_cap: the largest weight of a client, 1 to 2**63 - 1.
        seed: 32 public bytes that everyone in the session has; they fix the rotation, so take others in each session.
        range_factor: R / s, 2**-6 to 2**16. None is the best for `clients`.

    Raises:
        InvalidParameterError: a parameter is out of its range.
        GridTooCoarseError: so few bits leave a client of weight 1 less than a step: the usual error of a mean of such
            clients would exceed the range. `needed` is of `bits`.

    Security:
        As of `Quantizer`: the server learns the mean and the sum of the weights. There is no noise, so nothing more is
        promised: what a mean tells about one client is not bounded.
    """

    dimension: int
    bits: int
    clip_norm: float
    clients: int
    weight_cap: int
    seed: bytes
    range_factor: float | None = None
    quantizer: Quantizer = field(init=False, repr=False, compare=False)
    rotation: Rotation[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", check_integer("bits", self.bits, low=1, high=_MAX_BITS))
        object.__setattr__(self, "clients", check_integer("clients", self.clients, low=1, high=_MAX_CLIENTS))
        object.__setattr__(self, "clip_norm", check_number("clip_norm", self.clip_norm, low=_NORMS[0], high=_NORMS[1]))
        length = padded(self.dimension)
        object.__setattr__(self, "dimension", int(self.dimension))
        modulus_bits = (self.clients * (2**self.bits - 1)).bit_length()
        levels = (2**modulus_bits - 1) // self.clients
        factor = self.range_factor
        factor = best_range_factor(levels, survivors=self.clients) if factor is None else factor
        object.__setattr__(
            self, "range_factor", check_number("range_factor", factor, low=_FACTORS[0], high=_FACTORS[1])
        )
        largest = self.clip_norm / math.sqrt(length) * factor
        quantizer = Quantizer(largest, modulus_bits, self.clients, self.weight_cap)
        quantizer.check_fineness(self.bits)
        object.__setattr__(self, "quantizer", quantizer)
        object.__setattr__(self, "weight_cap", quantizer.weight_cap)
        object.__setattr__(self, "rotation", Rotation(self.dimension, self.seed, np.float64))

    @property
    def modulus_bits(self) -> int:
        """m: the session's sums are taken modulo 2**m."""
        return self.quantizer.modulus_bits

    @property
    def levels(self) -> int:
        """L, the largest word of one client: the grid has one point more."""
        return self.quantizer.levels

    @property
    def vector_length(self) -> int:
        """Words in a client's vector: `SessionParams.vector_length`."""
        return self.rotation.padded_dimension + self.quantizer.weight_digits

    @property
    def digest(self) -> bytes:
        """32 bytes that differ where any setting does, for the session's context."""
        settings = _SETTINGS.pack(
            self.dimension, self.bits, self.clip_norm, self.clients, self.weight_cap, self.range_factor
        )
        # Every part has a fixed length, so their concatenation is unambiguous.
        return hashlib.sha256(_LABEL + settings + self.seed).digest()

    @ignoring("under")
    def error_bound(self, survivors: int, *, total_weight: int) -> float:
        """Returns what no entry of the mean (of vectors no longer than `clip_norm`) is ever off by.

        It is the L2 norm of all that rounding adds and the range cuts off, and so far above the usual error. It is a
        `tolerance` for `fl.restore`.

        Args:
            survivors: S, the clients in the sum.
            total_weight: the sum of their weights.

        Raises:
            InvalidParameterError: a number is out of its range.
        """
        rounding = self.quantizer.error_bound(survivors, total_weight) * math.sqrt(self.rotation.padded_dimension)
        return rounding + self.clip_norm + self.rotation.norm_error(rounding + 2 * self.clip_norm)

    def encode(self, vector: npt.NDArray[np.float64], weight: int) -> npt.NDArray[Any]:
        """Returns the words that a client masks.

        What they stand for, for error feedback, is `decode` of these words as the sum of one survivor.

        Args:
            vector: float64, shape (dimension,), finite, of a norm that a float64 can hold the square of.
            weight: 0 to `weight_cap`.

        Returns:
            `vector_length` words, each at most `levels`, in the smallest unsigned dtype for `modulus_bits`.

        Raises:
            InvalidInputError: the vector or the weight is unusable; no word was made.
        """
        if not isinstance(vector, np.ndarray) or vector.dtype != np.float64 or vector.shape != (self.dimension,):
            allowed = f"float64 of shape ({self.dimension},)"
            raise InvalidInputError("vector", "it is of another type or shape", allowed)
        # Not by the BLAS, which starts threads for so little.
        with np.errstate(over="ignore", invalid="ignore"):
            norm = math.sqrt(float(np.einsum("i,i->", vector, vector)))
        if not math.isfinite(norm):
            problem = "it holds NaN or infinity, or its norm is too large"
            raise InvalidInputError("vector", problem, "finite: drop out of this round instead")
        if norm > self.clip_norm:
            vector = vector * (self.clip_norm / norm)
        return self.quantizer.encode(self.rotation.forward(vector), weight)

    @ignoring("under")
    def decode(self, total: npt.NDArray[Any], survivors: int) -> tuple[npt.NDArray[np.float64], int]:
        """Returns the weighted mean of the clipped vectors, and the sum of the weights.

        Args:
            total: the session's sum, `vector_length` unsigned words.
            survivors: how many clients it sums.

        Returns:
            The mean, float64, shape (dimension,), and the exact total weight.

        Raises:
            InvalidParameterError: `survivors` is not from 1 to `clients`.
            InvalidInputError: `total` cannot be such a sum, or its total weight is 0.
        """
        if isinstance(total, np.ndarray) and total.shape != (self.vector_length,):
            raise InvalidInputError("total", f"it has shape {total.shape}", f"of shape ({self.vector_length},)")
        mean, total_weight = self.quantizer.decode(total, survivors)
        return self.rotation.inverse(mean), total_weight


def expected_squared_error(range_factor: float, levels: int, survivors: int) -> float:
    """Returns V / S + B: a coordinate's expected squared error over the variance of a normal coordinate.

    It is the normalised mean squared error of the mean of S equal vectors of the norm C and no padding.

    Args:
        range_factor: as of `LowBit`.
        levels: L, 1 to 2**64.
        survivors: S, 1 to 2**32.

    Raises:
        InvalidParameterError: a parameter is out of its range.
    """
    factor = check_number("range_factor", range_factor, low=_FACTORS[0], high=_FACTORS[1])
    levels = check_integer("levels", levels, low=1, high=_MAX_LEVELS)
    survivors = check_integer("survivors", survivors, low=1, high=_MAX_CLIENTS)
    clipped = 2 * ((1 + factor * factor) * _tail(factor) - factor * _density(factor))
    # The two terms cancel where the tail is long gone.
    return _rounding_variance(factor, levels) / survivors + max(clipped, 0.0)


def best_range_factor(levels: int, *, survivors: int) -> float:
    """Returns the range factor with the least `expected_squared_error`, a multiple of 1/16.

    Args:
        levels: L, 1 to 511.
        survivors: S, 1 to 2**32.

    Raises:
        InvalidParameterError: a parameter is out of its range.
    """
    levels = check_integer("levels", levels, low=1, high=_MOST_LEVELS)
    return _best_range_factor(levels, check_integer("survivors", survivors, low=1, high=_MAX_CLIENTS))


@lru_cache(maxsize=64)
def _best_range_factor(levels: int, survivors: int) -> float:
    factors = [step / _STEPS for step in range(1, _STEPS * _WIDEST + 1)]
    return min(factors, key=lambda factor: expected_squared_error(factor, levels, survivors))


def unbiased_range_factor(dimension: int, clients: int, probability: float = 1e-6) -> float:
    """Returns a range factor with which no coordinate of any client is clipped, but for that probability.

    By Hoeffding's bound for each coordinate and the union bound, over the rotation's random signs, for any vectors of
    the clip norm that were there before the seed.

    Args:
        dimension: as of `LowBit`.
        clients: as of `LowBit`.
        probability: of one round, above 0 and below 1.

    Raises:
        InvalidParameterError: a parameter is out of its range.
    """
    length = padded(dimension)
    clients = check_integer("clients", clients, low=1, high=_MAX_CLIENTS)
    probability = check_number("probability", probability, low=0.0, high=1.0, open_low=True, open_high=True)
    hoeffding = math.sqrt(2 * (math.log(2 * length * clients) - math.log(probability)))
    # A coordinate is never larger than the norm; the hair is for the rounding of the rotation.
    return min(hoeffding, math.sqrt(length)) * (1 + 2.0**-30)


def _rounding_variance(factor: float, levels: int) -> float:
    step = 2 * factor / levels
    if levels >= _MANY_LEVELS:
        return step * step / 6 * (1 - 2 * _tail(factor))
    total = 0.0
    for index in range(levels):
        low, high = -factor + index * step, -factor + (index + 1) * step
        # The moments of a standard normal variable between the two.
        mass = _tail(low) - _tail(high)
        first = _density(low) - _density(high)
        second = mass + low * _density(low) - high * _density(high)
        total += (low + high) * first - low * high * mass - second
    return total


def _density(point: float) -> float:
    return math.exp(-point * point / 2) / math.sqrt(2 * math.pi)


def _tail(point: float) -> float:
    return math.erfc(point / math.sqrt(2)) / 2

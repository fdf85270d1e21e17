"""Real vectors to integer words whose sum cannot wrap, and the sum back to a weighted mean.

Notation: m is `modulus_bits`, n `clients`, W `weight_cap`, C `clip`, and L `levels`. A client with
vector x and weight w sends, for each coordinate, the word

    q = round_stochastically(v),   v = (x + C) / (2C) * (w / W) * L,   0 <= q <= L,

and then w itself in base L + 1, lowest digit first. Every word is at most L, and

    n * L <= 2**m - 1 < n * (L + 1)   with   L = floor((2**m - 1) / n),

so the sum of n clients never wraps, and no finer grid could promise that: the modulus is filled.
Over the survivors the sum of v is L / (2C * W) * sum(w * (x + C)), hence

    mean = sum(q) * 2C * W / (L * sum(w)) - C,

where sum(w) is an exact integer. The weight scales x + C rather than x, so that a client of weight 0
sends only zeros. The server learns sum(w) and the mean, and no client's weight.

Unbiased: with y = 2**53 * (v - floor(v)), a word is rounded up when k < y, for k uniform on
0 … 2**53 - 1. That has probability ceil(y) / 2**53: exactly v - floor(v) when y is an integer, which
holds for every float64 v >= 1/2, and too large by less than 2**-53 for the others.

Error of a coordinate of the mean, S survivors: each rounding error lies in (-1, 1) with mean 0 (up to
2**-53) and variance f(1 - f) <= 1/4, f the fraction, and they are independent. Scaled by
g = 2C * W / (L * sum(w)) this gives

    |error| < S * g   and   variance <= (S / 4) * g**2,

beside the rounding of float64 itself: with u = 2**-53 the three operations that make v err by a
factor within 1 ± 4u of a value of at most 2C, those that make the mean likewise, and the subtraction of C
adds one more u: together less than 2**-48 * (C + S * g), see `Quantizer.error_bound`.
"""

import math
import secrets
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from fl.checks import check_integer, check_number, is_integer
from fl.errors import GridTooCoarseError, ModulusTooSmallError
from fl.float_events import ignoring
from secagg import InvalidInputError

__all__ = ["Quantizer"]

_MAX_MODULUS_BITS: Final = 64
_MAX_CLIENTS: Final = 2**32
_MAX_WEIGHT_CAP: Final = 2**63 - 1
"""A numpy int64 holds every weight."""

_CLIP_RANGE: Final = (2.0**-500, 2.0**500)
"""Within it no product or quotient of this file over- or underflows float64."""

_CHUNK: Final = 2**14
"""Coordinates handled at a time: the three scratch buffers (8 bytes each) stay in a core's own cache."""

_RANDOM_BITS: Final = 53
"""A float64 of 1/2 or more has no fraction bits below the 53rd, so more random bits would decide nothing."""

_SEED_BYTES: Final = 32
_ZERO_NONCE: Final = bytes(16)
"""Block counter and nonce of ChaCha20. A seed is drawn for one vector and never used again."""


@dataclass(frozen=True, slots=True)
class Quantizer:
    """The grid on which the clients of one session agree.

    Args:
        clip: C; coordinates beyond [-C, C] are moved to its ends. 2**-500 to 2**500.
        modulus_bits: m; the session's sums are taken modulo 2**m, 1 to 64.
        clients: n, the most clients whose words are summed (the cohort's size), 1 to 2**32.
        weight_cap: W; the largest weight a client may have, 1 to 2**63 - 1.

    Raises:
        InvalidParameterError: a parameter is out of its range.
        ModulusTooSmallError: the modulus does not hold the sum of all clients, even on the coarsest grid.

    A grid may be far too coarse for the weights: the codecs that are built on it call `check_fineness`.

    Guarantees:
        The words of up to `clients` honest clients sum to at most 2**modulus_bits - 1.
    """

    clip: float
    modulus_bits: int
    clients: int
    weight_cap: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", check_number("clip", self.clip, low=_CLIP_RANGE[0], high=_CLIP_RANGE[1]))
        object.__setattr__(
            self, "modulus_bits", check_integer("modulus_bits", self.modulus_bits, low=1, high=_MAX_MODULUS_BITS)
        )
        object.__setattr__(self, "clients", check_integer("clients", self.clients, low=1, high=_MAX_CLIENTS))
        object.__setattr__(
            self, "weight_cap", check_integer("weight_cap", self.weight_cap, low=1, high=_MAX_WEIGHT_CAP)
        )
        largest = 2**self.modulus_bits - 1
        fills = self.clients * self.levels <= largest < self.clients * (self.levels + 1)
        if self.levels < 1 or not fills:
            raise ModulusTooSmallError(self.clients, self.weight_cap, self.modulus_bits, self.clients.bit_length())

    @property
    def levels(self) -> int:
        """L, the largest word of one client."""
        return _levels(self.modulus_bits, self.clients)

    @property
    def weight_digits(self) -> int:
        """How many words carry the weight: the digits of `weight_cap` in base levels + 1."""
        base = self.levels + 1
        digits, reach = 1, base
        while reach <= self.weight_cap:
            digits, reach = digits + 1, reach * base
        return digits

    @property
    def word_dtype(self) -> np.dtype[Any]:
        """The smallest unsigned dtype that holds `modulus_bits` bits."""
        return np.dtype(f"uint{max(8, 1 << (self.modulus_bits - 1).bit_length())}")

    def check_fineness(self, bits_each: int = 0) -> None:
        """Refuses a grid on which the usual error of a mean of clients of weight 1 exceeds the clip.

        With C the clip and S clients in the sum, one of weight 1 has L / W steps for 2C. Rounding has a variance of 1/6
        of a squared step, on average over where between two points a value lies. So the squared error of the mean is
        2 C^2 W^2 / (3 L^2 S) on average.

        Args:
            bits_each: for a codec that has bits a coordinate instead of a modulus: how many it has. 0 is for others.

        Raises:
            GridTooCoarseError: with the bits that are needed.
        """
        parameter, bits = ("bits", bits_each) if bits_each else ("modulus_bits", self.modulus_bits)
        needed = bits
        while self._is_too_coarse(_levels(self._modulus_of(needed) if bits_each else needed, self.clients)):
            needed += 1
        if needed > bits:
            raise GridTooCoarseError(self.clients, self.weight_cap, self.modulus_bits, needed, parameter)

    def _modulus_of(self, bits_each: int) -> int:
        return (self.clients * ((1 << bits_each) - 1)).bit_length()

    def _is_too_coarse(self, levels: int) -> bool:
        return 2 * self.weight_cap**2 > 3 * levels**2 * self.clients

    def error_bound(self, survivors: int, total_weight: int) -> float:
        """Returns what no coordinate of the mean (of clipped vectors) is ever off by: (1 + 2**-48) S g + 2**-48 C.

        Args:
            survivors: S, the clients in the sum.
            total_weight: the sum of their weights.
        """
        survivors = check_integer("survivors", survivors, low=1, high=self.clients)
        total_weight = check_integer("total_weight", total_weight, low=1, high=survivors * self.weight_cap)
        step = 2 * Fraction(self.clip) * self.weight_cap / (self.levels * total_weight)
        bound = survivors * step + Fraction(1, 2**48) * (survivors * step + Fraction(self.clip))
        # float() rounds to nearest, which may be below.
        return math.nextafter(float(bound), math.inf)

    def clipped_count(self, vector: npt.NDArray[np.float64]) -> int:
        """Returns how many coordinates `encode` would move to an end of [-clip, clip]."""
        _check_vector(vector)
        return int(np.count_nonzero(np.abs(vector) > self.clip))

    def check_weight(self, weight: int) -> int:
        """Returns the weight as a Python int.

        Args:
            weight: a Python or numpy integer (no bool), 0 to `weight_cap`.

        Raises:
            InvalidInputError: it is anything else. The text does not tell the weight, which is secret.
        """
        if not is_integer(weight):
            raise InvalidInputError("weight", f"it is a {type(weight).__name__}", "an integer")
        if not 0 <= weight <= self.weight_cap:
            problem = "it is negative" if weight < 0 else "it is over the cap"
            raise InvalidInputError("weight", problem, f"from 0 to weight_cap = {self.weight_cap}")
        return int(weight)

    @ignoring("under")
    def encode(self, vector: npt.NDArray[np.float64], weight: int) -> npt.NDArray[Any]:
        """Returns a client's words: one for each coordinate, then `weight_digits` for the weight.

        Args:
            vector: x, float64, one-dimensional, finite.
            weight: w, 0 to `weight_cap`.

        Returns:
            Words of `word_dtype`, of length len(vector) + `weight_digits`, each at most `levels`.

        Raises:
            InvalidInputError: the vector or the weight is unusable; no word was made.

        Cost:
            One pass in constant scratch memory, and 8 bytes of ChaCha20 keystream a coordinate.
        """
        return self._encode(vector, weight, secrets.token_bytes(_SEED_BYTES))

    def _encode(self, vector: npt.NDArray[np.float64], weight: int, rand: bytes) -> npt.NDArray[Any]:
        """`encode` as a function of its 32 random bytes."""
        weight = self.check_weight(weight)
        _check_vector(vector)
        words = np.empty(len(vector) + self.weight_digits, dtype=self.word_dtype)
        self._round(vector, weight, rand, words[: len(vector)])
        rest = weight
        for position in range(len(vector), len(words)):
            rest, words[position] = divmod(rest, self.levels + 1)
        return words

    def _round(self, vector: npt.NDArray[np.float64], weight: int, rand: bytes, words: npt.NDArray[Any]) -> None:
        # One factor, rounded once: (w / W) * L / (2C).
        factor = float(Fraction(weight * self.levels, self.weight_cap) / (2 * Fraction(self.clip)))
        # The largest float64 that is at most L. Bounding v by it bounds q by L in integers too: v can have a
        # fraction, and so be rounded up, only below 2**53, where `top` is L itself.
        top = float(self.levels)
        if int(top) > self.levels:
            top = math.nextafter(top, 0.0)
        stream = Cipher(algorithms.ChaCha20(rand, _ZERO_NONCE), mode=None).encryptor()
        length = min(_CHUNK, len(vector))
        zeros = memoryview(bytes(8 * length))
        keystream = np.empty(length, dtype="<u8")
        scaled_buffer = np.empty(length, dtype=np.float64)
        whole_buffer = np.empty(length, dtype=np.float64)
        up_buffer = np.empty(length, dtype=np.bool_)
        for start in range(0, len(vector), _CHUNK):
            part = vector[start : start + _CHUNK]
            k, scaled = keystream[: len(part)], scaled_buffer[: len(part)]
            whole, up = whole_buffer[: len(part)], up_buffer[: len(part)]
            np.clip(part, -self.clip, self.clip, out=scaled)
            np.add(scaled, self.clip, out=scaled)
            np.multiply(scaled, factor, out=scaled)
            np.minimum(scaled, top, out=scaled)
            np.floor(scaled, out=whole)
            # Both steps are exact: the fraction of a float64, and its product with a power of two.
            np.subtract(scaled, whole, out=scaled)
            np.multiply(scaled, 2.0**_RANDOM_BITS, out=scaled)
            stream.update_into(zeros[: 8 * len(part)], k.view(np.uint8).data)
            np.right_shift(k, 64 - _RANDOM_BITS, out=k)
            # The comparison is made in float64, which holds every k < 2**53.
            np.less(k, scaled, out=up)
            chunk = words[start : start + len(part)]
            np.copyto(chunk, whole, casting="unsafe")
            np.add(chunk, up, out=chunk, casting="unsafe")

    @ignoring("under")
    def decode(self, total: npt.NDArray[Any], survivors: int) -> tuple[npt.NDArray[np.float64], int]:
        """Returns the weighted mean, and the sum of the weights, from the sum of the survivors' words.

        Args:
            total: the sum modulo 2**modulus_bits; any unsigned dtype, one-dimensional.
            survivors: how many clients' words it sums, 1 to `clients`.

        Returns:
            The mean (float64, `weight_digits` shorter than `total`) and the exact total weight.

        Raises:
            InvalidParameterError: `survivors` is out of its range.
            InvalidInputError: `total` cannot be such a sum, or the total weight is 0, so that there is no mean.
        """
        survivors = check_integer("survivors", survivors, low=1, high=self.clients)
        if not isinstance(total, np.ndarray) or total.dtype.kind != "u" or total.ndim != 1:
            raise InvalidInputError("total", "it is of another type", "a one-dimensional array of unsigned integers")
        if len(total) < self.weight_digits:
            raise InvalidInputError("total", "it is too short", f"at least {self.weight_digits} words long")
        if int(total.max()) > survivors * self.levels:
            raise InvalidInputError(
                "total",
                f"a word exceeds what {survivors} clients can sum to",
                "the sum of words that this quantizer encoded; a client sent others, or the parameters differ",
            )
        length = len(total) - self.weight_digits
        total_weight = sum(int(digit) * (self.levels + 1) ** power for power, digit in enumerate(total[length:]))
        if total_weight > survivors * self.weight_cap:
            raise InvalidInputError(
                "total",
                f"the weights sum to more than {survivors} clients may have",
                "the sum of words that this quantizer encoded; a client sent others, or the parameters differ",
            )
        if total_weight == 0:
            raise InvalidInputError(
                "total",
                "every survivor has weight 0, so there is no mean",
                "a sum with a positive weight: skip the round",
            )
        # One factor, rounded once: 2C * W / (L * sum(w)).
        factor = float(2 * Fraction(self.clip) * self.weight_cap / (self.levels * total_weight))
        mean = total[:length].astype(np.float64)
        np.multiply(mean, factor, out=mean)
        np.subtract(mean, self.clip, out=mean)
        return mean, total_weight


def _levels(modulus_bits: int, clients: int) -> int:
    return ((1 << modulus_bits) - 1) // clients


def _check_vector(vector: npt.NDArray[np.float64]) -> None:
    if not isinstance(vector, np.ndarray) or vector.dtype != np.float64 or vector.ndim != 1:
        raise InvalidInputError("vector", "it is of another type", "a one-dimensional array of float64")
    for start in range(0, len(vector), _CHUNK):
        if not np.isfinite(vector[start : start + _CHUNK]).all():
            raise InvalidInputError("vector", "it holds NaN or infinity", "finite: drop out of this round instead")

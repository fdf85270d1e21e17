"""The discrete Gaussian where sigma is too large for a table of all its values.

Source: Canonne, Kamath, Steinke 2020, algorithm 3, with a discrete Gaussian in place of the discrete Laplace.

Let a magnitude be m = y 2**b + z, with z in [0, 2**b). Draw y with probability proportional to
exp(-(y 2**b)**2 / (2 sigma**2)), which is a table's work: one side of a discrete Gaussian of variance sigma**2 / 4**b,
0 included at full weight. Draw z uniformly. Accept with probability exp(-z (z + 2 y 2**b) / (2 sigma**2)): the
exponents add up to m**2, so that accepted magnitudes have probabilities proportional to exp(-m**2 / (2 sigma**2)). Add
a uniform sign and refuse minus zero, and these are the discrete Gaussian's.
"""

import math
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.noise.keystream import WordSource
from dp.noise.table import CHUNK, Integers, Table, signed
from dp.noise.weights import exp_minus

__all__ = ["LargeGaussian", "coarse_bits"]

_LARGEST_COARSE_VARIANCE: Final = 2**24
"""The sigma of y is between 2**11 and 2**12: a sample in 5,000 to 10,000 is rejected, and the table is small."""

_MARGIN: Final = 2.0**-32
"""By so much a uniform number's first bits have to be clear of the bound. They are at least 36, so the bits after them
add less than 2**-36; and rounding to float64 is wrong by a few 2**-53, as all numbers compared are at most 1."""

_MORE_BITS: Final = 128
"""Drawn in two words where a float64 does not decide; with at least 36 bits before them that is 164."""


def coarse_bits(variance: Fraction) -> int:
    """Returns b, the number of a magnitude's low bits that are drawn uniformly: the least with a small table for y."""
    # variance <= 2**24 4**b, for the least such b.
    quotient = math.ceil(variance / _LARGEST_COARSE_VARIANCE)
    return ((quotient - 1).bit_length() + 1) // 2


class LargeGaussian:
    """Draws from the discrete Gaussian with a large sigma.

    Args:
        coarse: the table of y: its weights are those of 0, 1, 2, ... under variance / 4**coarse_bits(variance), each
            once.
        variance: sigma**2, up to 2**80, so that 36 bits of a word are left beside z.

    Guarantees:
        Rejection at most doubles the total variation of what it starts from, as almost nothing is rejected. A
        probability of acceptance is compared with 164 bits or more and is itself wrong by less than 2**-162. So the
        samples are within 2**-141 of the discrete Gaussian if y is within 2**-142.
    """

    __slots__ = ("_coarse", "_low_bits", "_rate", "_twice_variance")

    def __init__(self, coarse: Table, variance: Fraction) -> None:
        self._coarse = coarse
        self._low_bits = coarse_bits(variance)
        self._twice_variance = 2 * variance
        self._rate = float(1 / self._twice_variance)

    def draw(self, out: Integers, source: WordSource) -> None:
        """Overwrites `out` with samples, in chunks; a rejected one is drawn again before the next chunk."""
        for start in range(0, len(out), CHUNK):
            chunk = out[start : start + CHUNK]
            values, accepted = self._propose(len(chunk), source)
            chunk[:] = values
            missing = np.flatnonzero(~accepted)
            while missing.size:
                values, accepted = self._propose(missing.size, source)
                chunk[missing[accepted]] = values[accepted]
                missing = missing[~accepted]

    def _propose(self, size: int, source: WordSource) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Returns samples, and which of them are accepted.

        The words are: one for each y and sign, more for ties; one for each z and the first bits of the uniform number
        that decides; two more for each of these that is not clear.
        """
        words = np.empty(size, np.uint64)
        source.fill(words)
        magnitudes = self._coarse.draw(words, source)
        fine = np.empty(size, np.uint64)
        source.fill(fine)
        low = fine & np.uint64((1 << self._low_bits) - 1)
        uniform = fine >> np.uint64(self._low_bits)
        magnitudes <<= np.uint64(self._low_bits)
        magnitudes += low
        # z (z + 2 y 2**b) = z (2 m - z). All integers up to here are exact in a float64: m is below 2**45.
        low_float = low.astype(np.float64)
        exponents = magnitudes.astype(np.float64)
        exponents *= 2.0
        exponents -= low_float
        exponents *= low_float
        exponents *= self._rate
        # 1 - x <= exp(-x): whatever is below is accepted, whatever the further bits of the uniform number are.
        bounds = np.subtract(1.0 - _MARGIN, exponents, out=exponents)
        accepted = uniform.astype(np.float64) * 2.0 ** (self._low_bits - 64) < bounds
        # One sample in some thousands: exactly, in integers.
        for place in np.flatnonzero(~accepted).tolist():
            accepted[place] = self._accept(int(magnitudes[place]), int(low[place]), int(uniform[place]), source)
        # -0 is refused: else 0 would be twice as likely as it should be.
        accepted &= (magnitudes != 0) | (words & np.uint64(1) == 0)
        return signed(magnitudes, words=words), accepted

    def _accept(self, magnitude: int, low: int, uniform: int, source: WordSource) -> bool:
        more = np.empty(2, np.uint64)
        source.fill(more)
        uniform = uniform << _MORE_BITS | int(more[0]) << 64 | int(more[1])
        exponent = low * (2 * magnitude - low) / self._twice_variance
        return uniform < exp_minus(exponent, 64 - self._low_bits + _MORE_BITS)

"""Noise on the integers: the discrete Gaussian and the Skellam distribution, exactly, from secret uniform words.

Floating-point noise leaks through its least significant bits whatever generator made it (Mironov 2012), and the
generators of numerical libraries are predictable. Here samples are integers by construction, their distribution is
that of the proof up to a total variation that is part of delta, and their randomness is AES under a key from the
operating system.

Guarantees:
    One sample's distribution is within a total variation of 2**-100 of the named one, for every variance allowed, if
    the keystream is uniform. The steps, each argued where it is made, add up to less than 2**-140:

    * tails that a table leaves out: below 2**-199 (`dp.noise.weights`);
    * the weights' rounding: below 2**-180 (`gaussian_weights`, `skellam_weights`);
    * the thresholds' rounding: below 2**-142, for fewer than 2**18 of them (`thresholds_of`);
    * comparing with them: nothing, ties are extended to all bits (`Table`);
    * zero: nothing, folding counts it once and the sign of zero says nothing;
    * rejection above sigma = 10**4: at most a factor of 2 (`LargeGaussian`).

    For a mechanism that is (epsilon, delta)-private with true noise, n of these samples give delta at most
    delta + (1 + e**epsilon) n 2**-100: `total_variation` is n 2**-100.

Security:
    How long a call takes depends a little on the samples, as ties, crowded buckets and rejections cost more. A sampler
    should not run where an adversary can time single calls and adapts to them.
"""

from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from dp.checks import check_count, check_fraction
from dp.errors import InvalidParameterError
from dp.noise.keystream import Keystream, WordSource
from dp.noise.large_gaussian import LargeGaussian, coarse_bits
from dp.noise.table import CHUNK, Integers, Table, signed, thresholds_of
from dp.noise.weights import gaussian_weights, skellam_weights

__all__ = [
    "LARGEST_TABLE_VARIANCE",
    "LARGEST_VARIANCE",
    "SMALLEST_VARIANCE",
    "TOTAL_VARIATION_BITS",
    "discrete_gaussian",
    "skellam",
    "total_variation",
]

TOTAL_VARIATION_BITS: Final = 100
"""One sample is within 2**-100 of its distribution in total variation."""

SMALLEST_VARIANCE: Final = Fraction(1, 2**80)
"""Below it hardly a sample in 2**80 would differ from 0: that is no noise but a mistake in units."""

LARGEST_VARIANCE: Final = 2**80
"""The largest variance of the discrete Gaussian. Samples stay below 2**45, so floats hold them exactly."""

LARGEST_TABLE_VARIANCE: Final = 10**8
"""Up to sigma = 10**4 all values are in one table; Skellam noise ends here."""

_LARGEST_SIZE: Final = 2**40
"""Samples of one call, eight terabytes of them."""


def discrete_gaussian(variance: Fraction | int, size: int) -> Integers:
    """Draws secret noise: the discrete Gaussian, P(k) proportional to exp(-k**2 / (2 variance)).

    Source: Canonne, Kamath, Steinke 2020.

    Args:
        variance: the parameter sigma**2, exact, from 2**-80 to 2**80. It is the distribution's variance almost
            exactly from sigma = 1 on; a smaller one is below it.
        size: how many samples, up to 2**40.

    Returns:
        Independent samples, shape (size,), dtype int64.

    Raises:
        InvalidParameterError: a parameter is out of range, or the variance is a float.

    Guarantees:
        The module's.

    Cost:
        10 ns a sample to sigma = 1000, 20 to 10**4, 40 above, in one thread. The table of a variance that was not used
        lately takes up to some tenths of a second and 5 MB; the last few are kept.
    """
    return _discrete_gaussian(variance, size, Keystream.fresh())


def skellam(variance: Fraction | int, size: int) -> Integers:
    """Draws secret noise: the Skellam distribution, the difference of two Poissons of half the variance each.

    Source: Agarwal, Kairouz, Liu 2021.

    Args:
        variance: mu, exact, from 2**-80 to 10**8.
        size: how many samples, up to 2**40.

    Returns:
        Independent samples, shape (size,), dtype int64.

    Raises:
        InvalidParameterError: a parameter is out of range, or the variance is a float.

    Guarantees:
        The module's.

    Cost:
        That of `discrete_gaussian`.
    """
    return _skellam(variance, size, Keystream.fresh())


def total_variation(samples: int) -> Fraction:
    """Returns by how much the joint distribution of some samples may be off, at most, in total variation.

    Args:
        samples: of all noise that a guarantee speaks of: rounds times clients times coordinates.

    Raises:
        InvalidParameterError: the count is out of range.
    """
    return Fraction(check_count("samples", samples, low=0, high=2**TOTAL_VARIATION_BITS), 2**TOTAL_VARIATION_BITS)


def _discrete_gaussian(variance: Fraction | int, size: int, source: WordSource) -> Integers:
    """Draws from a given source: the same words give the same samples."""
    sigma2 = _checked_variance(variance, LARGEST_VARIANCE, "2**80: choose a coarser lattice")
    out = np.empty(check_count("size", size, low=0, high=_LARGEST_SIZE), np.int64)
    if sigma2 > LARGEST_TABLE_VARIANCE:
        coarse = _one_sided_gaussian_table(sigma2 / 4 ** coarse_bits(sigma2))
        LargeGaussian(coarse, sigma2).draw(out, source)
    else:
        _draw_symmetric(_gaussian_table(sigma2), out, source)
    return out


def _skellam(variance: Fraction | int, size: int, source: WordSource) -> Integers:
    """Draws from a given source: the same words give the same samples."""
    # A table of all values is what there is; noise that wide makes up for the rounding of a coarser lattice with ease.
    advice = "10**8: choose a coarser lattice, which costs next to nothing there, or the discrete Gaussian"
    mu = _checked_variance(variance, LARGEST_TABLE_VARIANCE, advice)
    out = np.empty(check_count("size", size, low=0, high=_LARGEST_SIZE), np.int64)
    _draw_symmetric(_skellam_table(mu), out, source)
    return out


def _draw_symmetric(table: Table, out: Integers, source: WordSource) -> None:
    """Overwrites `out` with a table's values under random signs, in chunks."""
    buffer = np.empty(min(CHUNK, len(out)), np.uint64)
    for start in range(0, len(out), CHUNK):
        chunk = out[start : start + CHUNK]
        words = buffer[: len(chunk)]
        source.fill(words)
        chunk[:] = signed(table.draw(words, source), words=words)


def _checked_variance(value: object, largest: int, limit: str) -> Fraction:
    variance = check_fraction("variance", value)
    if variance < SMALLEST_VARIANCE:
        raise InvalidParameterError("variance", value, "at least 2**-80: smaller noise is none")
    if variance > largest:
        raise InvalidParameterError("variance", value, f"at most {limit}")
    return variance


# A plan has one variance for its vectors and perhaps one for a side value; a table is up to 5 MB.
@lru_cache(maxsize=8)
def _gaussian_table(variance: Fraction) -> Table:
    return Table(thresholds_of(_folded(gaussian_weights(variance))))


@lru_cache(maxsize=8)
def _skellam_table(variance: Fraction) -> Table:
    return Table(thresholds_of(_folded(skellam_weights(variance))))


@lru_cache(maxsize=8)
def _one_sided_gaussian_table(variance: Fraction) -> Table:
    return Table(thresholds_of(gaussian_weights(variance)))


def _folded(weights: list[int]) -> list[int]:
    """Returns the weights of the magnitudes: 0 has one sign, all others have two."""
    return [weights[0], *(2 * weight for weight in weights[1:])]

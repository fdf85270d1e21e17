"""The noise distributions and the samplers once more, slowly, from mpmath, fractions and single AES blocks.

Nothing here is shared with the package. `ChosenWords` stands in for a keystream where a test chooses the words.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import count

import mpmath
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from mpmath import mp

AWKWARD = Fraction(1234567891011, 98765432109)
TINY = Fraction(1, 100)
CHUNK = 8192
"""The order in which words are used is part of the vectors: a chunk's first words, then what its samples need more."""


class ChosenWords:
    """A source of words that a test has chosen; it must use them all."""

    def __init__(self, words: Iterable[int]) -> None:
        self.left = list(words)

    def fill(self, words: np.ndarray) -> None:
        assert len(words) <= len(self.left), "more words were drawn than expected"
        words[:] = self.left[: len(words)]
        del self.left[: len(words)]


def first_word(u: int, sign: int = 0) -> int:
    """Returns the word with the leading 63 of u's 160 bits, and a sign."""
    return u >> 97 << 1 | sign


def more_words(u: int) -> list[int]:
    """Returns the two words that begin with u's other 97 bits."""
    rest = u % 2**97 << 31
    return [rest >> 64, rest % 2**64]


def real(value: Fraction) -> mpmath.mpf:
    return mp.mpf(value.numerator) / value.denominator


def gaussian_sum(variance: Fraction) -> mpmath.mpf:
    """The sum over all integers: by itself where few terms count, by Poisson summation where few of those do."""
    sigma2 = real(variance)
    if variance < 1:
        return 1 + 2 * sum(mp.exp(-k * k / (2 * sigma2)) for k in range(1, 60))
    return mp.sqrt(2 * mp.pi * sigma2) * (1 + 2 * sum(mp.exp(-2 * mp.pi**2 * sigma2 * j * j) for j in range(1, 8)))


def gaussian_pmf(variance: Fraction, k: int) -> mpmath.mpf:
    return mp.exp(-(mp.mpf(k) ** 2) / (2 * real(variance))) / gaussian_sum(variance)


def skellam_pmf(variance: Fraction, k: int) -> mpmath.mpf:
    mu = real(variance)
    if variance < 10**5:
        return mp.exp(-mu) * mp.besseli(k, mu)
    # Where mpmath's series gets too slow: the mean of exp(mu (cos x - 1) - i k x) on a line through the saddle point,
    # where it is a narrow Gaussian without cancellation. With so many points on the circle exp(-20**2 / 2) is left out.
    sigma = mp.sqrt(mu)
    height, points = mp.asinh(k / mu), int(20 * sigma)
    places = (mp.mpc(height, 2 * mp.pi * j / points) for j in range(-70, 71))
    return sum(mp.exp(mu * (mp.cosh(x) - 1) - k * x) for x in places).real / points


def words_of(seed: bytes) -> Iterator[int]:
    """The keystream's words, out of single block encryptions."""
    encryptor = Cipher(algorithms.AES(seed[:16]), modes.ECB()).encryptor()  # noqa: S305 - single blocks are the oracle
    for counter in count(int.from_bytes(seed[16:], "big")):
        block = encryptor.update((counter % 2**128).to_bytes(16, "big"))
        yield int.from_bytes(block[:8], "little")
        yield int.from_bytes(block[8:], "little")


def thresholds(probability: Callable[[int], mpmath.mpf]) -> list[int]:
    """Returns 2**160 times the distribution function of 0, 1, 2, ..., rounded, as far as it is below 2**160."""
    cumulative, unit = mp.mpf(0), mp.mpf(2) ** 160
    found: list[int] = []
    for k in count():
        cumulative += probability(k) * unit
        rounded = int(mp.floor(cumulative + mp.mpf(1) / 2))
        if rounded >= 2**160:
            return found
        found.append(rounded)
    raise AssertionError


def by_table(table: list[int], first_words: list[int], stream: Iterator[int]) -> list[int]:
    """Inversion, one sample after the other: two more words where 63 bits equal a threshold's."""
    leading = {threshold >> 97 for threshold in table}
    values = []
    for word in first_words:
        u = word >> 1 << 97
        if word >> 1 in leading:
            u |= (next(stream) << 64 | next(stream)) >> 31
        values.append(bisect_right(table, u))
    return values


def chunks(size: int) -> list[int]:
    return [min(CHUNK, size - start) for start in range(0, size, CHUNK)]


def symmetric_samples(pmf: Callable[[Fraction, int], mpmath.mpf], variance: Fraction, size: int, seed: bytes) -> list:
    """Draws as the package should for variances that have a table of their own."""
    stream = words_of(seed)
    with mpmath.workprec(260):
        table = thresholds(lambda k: pmf(variance, k) * (2 if k else 1))
    samples = []
    for chunk in chunks(size):
        words = [next(stream) for _ in range(chunk)]
        magnitudes = by_table(table, words, stream)
        samples += [-m if word & 1 else m for m, word in zip(magnitudes, words, strict=True)]
    return samples


def large_gaussian_samples(variance: Fraction, size: int, seed: bytes) -> list[int]:
    """Draws as the package should for larger variances: y 2**b + z, accepted or drawn again."""
    stream = words_of(seed)
    b = next(b for b in count() if variance <= 2**24 * 4**b)
    with mpmath.workprec(260):
        half = (1 + gaussian_sum(variance / 4**b)) / 2
        coarse = real(variance / 4**b)
        table = thresholds(lambda y: mp.exp(-mp.mpf(y * y) / (2 * coarse)) / half)
    numerator, denominator = (2 * variance).as_integer_ratio()
    clear = numerator * (2**32 - 1)
    samples: list[int] = []
    for chunk in chunks(size):
        missing = list(range(chunk))
        drawn = [0] * chunk
        while missing:
            words = [next(stream) for _ in missing]
            heights = by_table(table, words, stream)
            fine = [next(stream) for _ in missing]
            rejected = []
            for place, y, word, low_word in zip(missing, heights, words, fine, strict=True):
                z, uniform = low_word % 2**b, low_word >> b
                m = y * 2**b + z
                exponent = z * (z + 2 * y * 2**b) * denominator
                # So many bits are clear of 1 - x, by 2**-32 or more; both sides are multiplied up to integers.
                if uniform * numerator << 32 < clear - (exponent << 32) << 64 - b:
                    accepted = True
                else:
                    uniform = uniform << 128 | next(stream) << 64 | next(stream)
                    with mpmath.workprec(260):
                        accepted = uniform < mp.exp(-mp.mpf(exponent) / numerator) * mp.mpf(2) ** (192 - b)
                if accepted and (m or not word & 1):
                    drawn[place] = -m if word & 1 else m
                else:
                    rejected.append(place)
            missing = rejected
        samples += drawn
    return samples

"""A distribution on 0, 1, 2, ... as a table of 160-bit thresholds, and drawing from it many times a microsecond.

The rule is inversion. Let T_k = 2**160 P(K <= k), rounded to an integer, and u be uniform in [0, 2**160): then the
number of thresholds at or below u is k with probability (T_k - T_{k-1}) / 2**160, exactly.

Almost never are all the 160 bits needed. The leading 63 of them and a sign bit are one word of the keystream:

* A guide table is indexed by the first bits of u. For a bucket of u that holds no threshold or one, its entry is made
  so that adding u carries into the result's field exactly where u has reached the threshold: one look-up, one addition
  and one shift.
* A bucket with more thresholds has an entry that says so, and its u's are searched for in the thresholds' leading bits.
* Where u's leading 63 bits *are* those of a threshold, they do not decide: the other 97 bits are drawn and compared.

All three give the same result as comparing 160 bits, so only the rounding of the thresholds is an approximation.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.errors import InvalidParameterError
from dp.noise.keystream import Words, WordSource

__all__ = ["CHUNK", "THRESHOLD_BITS", "Integers", "Table", "signed", "thresholds_of"]

THRESHOLD_BITS: Final = 160
"""Bits of a threshold: with fewer than 2**18 of them, rounding moves less than 2**-142 of the probability."""

CHUNK: Final = 1 << 13
"""Samples that are drawn together: their words and intermediate results stay in the second-level cache."""

_LEADING_BITS: Final = 63
"""Bits of u in a sample's first word; the lowest bit of the word is the sign."""

_REST_BITS: Final = THRESHOLD_BITS - _LEADING_BITS
_THRESHOLD_BYTES: Final = THRESHOLD_BITS // 8

_SMALLEST_GUIDE_BITS: Final = 12
_LARGEST_GUIDE_BITS: Final = 17

Integers = npt.NDArray[np.int64]


def thresholds_of(weights: Sequence[int]) -> list[int]:
    """Returns the thresholds T_0 <= T_1 <= ... of the distribution with these weights.

    Args:
        weights: proportional to the probabilities of 0, 1, ...; at least 0, their sum above 0.

    Returns:
        2**160 P(K <= k) to the nearest integer, for k from 0 up; those that equal 2**160, where all of u's values are
        below, are left out.

    Guarantees:
        Each threshold is wrong by at most 1/2, so each probability by at most 2**-160: for n thresholds the total
        variation is at most n 2**-160.
    """
    total = sum(weights)
    double = 2 * total
    rounded = (((partial << THRESHOLD_BITS + 1) + total) // double for partial in accumulate(weights))
    return [threshold for threshold in rounded if threshold >> THRESHOLD_BITS == 0]


class Table:
    """The samples of one distribution on 0, 1, 2, ..., n.

    Args:
        thresholds: T_0 <= T_1 <= ... <= T_{n-1}, each in [0, 2**160); T_n = 2**160 is understood. At most
            2**18 - 2, the largest value that the guide's entries have room for.

    Attributes:
        largest: n, the largest value.

    Raises:
        InvalidParameterError: there are too many thresholds.

    Cost:
        Memory: up to 1 MB, and 28 bytes for each threshold.
    """

    __slots__ = ("_exact", "_guide", "_guide_bits", "_leading", "largest")

    def __init__(self, thresholds: Sequence[int]) -> None:
        self.largest = len(thresholds)
        if self.largest >= _mark(_LARGEST_GUIDE_BITS):
            raise InvalidParameterError("thresholds", self.largest, f"fewer than {_mark(_LARGEST_GUIDE_BITS)}")
        # As bytes: as many integers would take three times the memory, and they are read once in a blue moon.
        self._exact = b"".join(threshold.to_bytes(_THRESHOLD_BYTES, "big") for threshold in thresholds)
        leading = (threshold >> _REST_BITS for threshold in thresholds)
        self._leading: Words = np.fromiter(leading, np.uint64, self.largest)
        # Two buckets for each value leave few of them with more than one threshold.
        self._guide_bits = min(max(_SMALLEST_GUIDE_BITS, self.largest.bit_length() + 1), _LARGEST_GUIDE_BITS)
        self._guide = _guide(self._leading, self._guide_bits)
        # Tables are cached and shared.
        self._leading.flags.writeable = self._guide.flags.writeable = False

    def threshold(self, k: int) -> int:
        """Returns T_k, all 160 bits of it, for k below n."""
        return int.from_bytes(self._exact[k * _THRESHOLD_BYTES : (k + 1) * _THRESHOLD_BYTES], "big")

    def draw(self, words: Words, source: WordSource) -> Words:
        """Returns one value for each word.

        Args:
            words: uniform, one for each sample; the lowest bit of a word is not used.
            source: where the words come from: two more are taken for each tie, in the order of the ties.

        Returns:
            The values, as a new array.
        """
        shift = np.uint64(_LEADING_BITS - self._guide_bits)
        u = words >> np.uint64(1)
        # The bucket is u's first bits, which are the word's. As an index numpy wants them signed.
        bucket = (words >> np.uint64(64 - self._guide_bits)).view(np.int64)
        # Every bucket has its entry, so nothing is clipped; this mode only spares numpy's copy for undoing.
        values = np.take(self._guide, bucket, mode="clip")
        values += u
        # What is left of the field: 0 where u equals the threshold of its bucket in all bits compared.
        below = values << np.uint64(self._guide_bits + 1)
        values >>= shift
        undecided = values == np.uint64(_mark(self._guide_bits))
        undecided |= below == 0
        places = np.flatnonzero(undecided)
        if places.size:
            values[places] = self._search(u[places], source)
        return values

    def _search(self, u: Words, source: WordSource) -> Words:
        """Returns the values for the leading bits `u`, by search and, where they tie, by more bits."""
        if not self.largest:
            return np.zeros_like(u)
        values = np.searchsorted(self._leading, u, side="right").astype(np.uint64)
        # Where the value is 0 this looks at the largest threshold, which is above u and no tie.
        ties = np.flatnonzero(self._leading[values.view(np.int64) - 1] == u)
        for place in ties.tolist():
            rest = np.empty(2, np.uint64)
            source.fill(rest)
            bits = (int(rest[0]) << 64 | int(rest[1])) >> (128 - _REST_BITS)
            exact = int(u[place]) << _REST_BITS | bits
            values[place] = bisect_right(range(self.largest), exact, key=self.threshold)
        return values


def signed(magnitudes: Words, *, words: Words) -> Integers:
    """Returns the magnitudes, in place, with the signs that the words' lowest bits say: 1 is minus."""
    sign = (words & np.uint64(1)).view(np.int64)
    np.negative(sign, out=sign)
    values: Integers = magnitudes.view(np.int64)
    # -x is x with all bits flipped, plus 1; and flipping all bits is adding -1 without carries.
    values ^= sign
    values -= sign
    return values


def _mark(guide_bits: int) -> int:
    """Returns the value field of an entry whose bucket has more than one threshold: all ones, larger than any value."""
    return (1 << guide_bits + 1) - 1


def _guide(leading: Words, guide_bits: int) -> Words:
    """Returns the guide table: (u + entry) >> shift is the number of thresholds at or below u, modulo 2**64.

    Args:
        leading: the thresholds' first 63 bits.
        guide_bits: the table has 2**guide_bits buckets; a threshold is looked up by its first guide_bits bits.
    """
    shift = _LEADING_BITS - guide_bits
    buckets = (leading >> np.uint64(shift)).astype(np.int64)
    held = np.bincount(buckets, minlength=1 << guide_bits)
    before = np.cumsum(held) - held
    number = np.arange(1 << guide_bits, dtype=np.uint64)
    entries = before.astype(np.uint64) << np.uint64(shift)
    one = np.flatnonzero(held == 1)
    # The distance from the threshold to the bucket's end: u carries into the value's field from the threshold on.
    entries[one] += (number[one] + np.uint64(1) << np.uint64(shift)) - leading[before[one]]
    entries[held > 1] = np.uint64(_mark(guide_bits) << shift)
    # u still has its bucket's number in its first bits.
    return entries - (number << np.uint64(shift))

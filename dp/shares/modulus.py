"""How large a modulus has to be for a noisy sum not to wrap.

After a random rotation, a coordinate of the sum of n vectors of length at most c' is a sub-Gaussian variable of
variance at most c'^2 n^2 / d, which it has if they are all the same. The n roundings add at most 1/4 each, and the
noise of each client its variance v. With all of it taken for normal, and one vector for each client,

    P(some coordinate leaves the 2^m values about 0) = d erfc(2^(m-1) / sqrt(2 V)),   V = n (c'^2 n / d + 1/4 + v).

Solved for the scale s = c' / clip, with sigma = sqrt(v) / s and k = sqrt(2) erfcinv(p / d), this is the formula of
Kairouz, Liu, Steinke 2021, section 4: s = sqrt(2^2m - n k^2) / (2 k sqrt(clip^2 n^2 / d + n sigma^2)).

A sum that wraps is useless, and no less private: an estimate is good enough.
"""

import math
from typing import Final

from dp.special import erfcinv

__all__ = [
    "WRAP_PROBABILITY",
    "bit_wrap_probability",
    "largest_sum_variance",
    "needed_bits",
    "sum_variance",
    "wrap_probability",
]

WRAP_PROBABILITY: Final = 1e-6
"""The largest probability that a round's sum wraps: one round in a million comes out useless."""


def sum_variance(
    scaled_clip: float, *, dimension: int, clients: int, local_variance: float, vectors_per_client: int = 1
) -> float:
    """Returns V, the largest variance of a coordinate of the sum.

    Args:
        scaled_clip: c', the clip norm in steps of the lattice.
        dimension: d, after padding.
        clients: n, all that are invited.
        local_variance: v, of the noise of each in a coordinate.
        vectors_per_client: that each adds up, all of them of that length and rounded on their own.
    """
    vectors = clients * vectors_per_client
    return vectors * (scaled_clip * scaled_clip * (vectors / dimension) + 0.25) + clients * local_variance


def wrap_probability(modulus_bits: int, *, dimension: int, variance: float) -> float:
    """Returns the probability that a sum with this V wraps in one of its coordinates, at most 1."""
    return min(1.0, dimension * math.erfc(2.0 ** (modulus_bits - 1) / math.sqrt(2 * variance)))


def bit_wrap_probability(modulus_bits: int, *, clients: int, local_variance: float) -> float:
    """Returns the probability that a sum of noisy values in {-1, +1}, all of them alike, wraps."""
    room = 2.0 ** (modulus_bits - 1) - clients
    return 1.0 if room <= 0 else math.erfc(room / math.sqrt(2 * clients * local_variance))


def needed_bits(dimension: int, *, probability: float, variance: float) -> float:
    """Returns the m, not rounded, with which a sum with this V wraps with this probability."""
    return 1 + math.log2(_deviations(dimension, probability) * math.sqrt(variance))


def largest_sum_variance(modulus_bits: int, *, dimension: int, probability: float) -> float:
    """Returns the V with which a sum modulo 2**modulus_bits wraps with this probability."""
    return (2.0 ** (modulus_bits - 1) / _deviations(dimension, probability)) ** 2


def _deviations(dimension: int, probability: float) -> float:
    """Returns k: a normal variable is k standard deviations away with probability p/d."""
    return math.sqrt(2) * erfcinv(probability / dimension)

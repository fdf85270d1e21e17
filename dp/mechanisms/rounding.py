"""Rounding to the integers under a norm bound, and what that makes of a sensitivity.

Each coordinate of a vector of length c' (the clip norm in steps of the lattice) is rounded up or down at random, with
the coordinate itself as the mean, and all of it again until the result is no longer than

    D^2 = min((c' + sqrt d)^2, c'^2 + d / 4 + sqrt(2 log(1 / beta)) (c' + sqrt(d) / 2))

(Kairouz, Liu, Steinke 2021, section 3). The first is never exceeded, the second with a probability of at most beta.
Squared lengths of integer vectors are integers, so the floor of D^2 is the same bound; it is what a client enforces,
and what privacy follows from, however its vector came about. At client level only: if examples are what is protected,
the roundings of a sum with and without one of them differ by more.
"""

import math
from typing import Final

__all__ = ["LIKELY", "largest_l1", "scaled_clip_of", "squared_norm_bound"]

LIKELY: Final = math.exp(-0.5)
"""The usual beta. The bound on the probability is loose: hardly any rounding is ever repeated."""


def squared_norm_bound(scaled_clip: float, dimension: int, *, beta: float) -> int:
    """Returns B2, the largest squared length that a rounded vector may have.

    Args:
        scaled_clip: c', the largest length before rounding, above 0.
        dimension: d.
        beta: an upper bound on the probability that a rounding has to be repeated, above 0 and below 1.
    """
    return math.floor(_squared_length(scaled_clip, dimension, beta))


def largest_l1(squared_norm: int, *, dimension: int) -> int:
    """Returns B1, the largest L1 norm of integer vectors of at most this squared L2 norm."""
    return min(math.isqrt(dimension * squared_norm), squared_norm)


def scaled_clip_of(inflation: float, dimension: int, *, beta: float) -> float:
    """Returns the c' from which on the inflation is at most this: D / c', by which the noise has to be larger.

    Args:
        inflation: above 1.
        dimension: d.
        beta: as of `squared_norm_bound`.
    """
    root, deviation = math.sqrt(dimension), math.sqrt(-2 * math.log(beta))
    # D^2 = f^2 c'^2 with the second form of D, as a quadratic equation.
    excess = inflation * inflation - 1
    constant = dimension / 4 + deviation * root / 2
    second = (deviation + math.sqrt(deviation * deviation + 4 * excess * constant)) / (2 * excess)
    return min(root / (inflation - 1), second)


def _squared_length(scaled_clip: float, dimension: int, beta: float) -> float:
    root = math.sqrt(dimension)
    likely = math.sqrt(-2 * math.log(beta)) * (scaled_clip + root / 2)
    return min((scaled_clip + root) ** 2, scaled_clip * scaled_clip + dimension / 4 + likely)

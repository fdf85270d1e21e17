"""The two noise distributions in integers: weights proportional to the probabilities, in exact arithmetic.

Everything here is Python integers in fixed point, every rounding is downwards by less than one unit of the last
place, and each function says how far its weights can be from the truth. Weights are for 0, 1, 2, ..., N and the
distributions are symmetric: the weight of -k is that of k.

What lies beyond N has probability at most 2**-199 (`_TAIL_BITS`).
"""

import math
from fractions import Fraction
from typing import Final

__all__ = ["exp_minus", "gaussian_weights", "skellam_weights"]

_TAIL_BITS: Final = 200
"""Each tail that is left out has at most 2**-200 of the probability."""

_WEIGHT_BITS: Final = 384
"""Bits after the point in all intermediate results."""

_FIRST_WEIGHT_BITS: Final = 256
"""The backward recurrence starts here and grows: rounding costs at most 2**-247 of a weight in each step."""


def exp_minus(exponent: Fraction, bits: int) -> int:
    """Returns 2**bits * exp(-exponent), wrong by less than two units.

    Args:
        exponent: at least 0.
        bits: after the point, at least 1.

    Cost:
        10 microseconds for 200 bits.
    """
    # 2**bits exp(-x) < 1 from here on; below, x has few bits before the point.
    if exponent >= bits:
        return 0
    # exp(-x) = exp(-x / 2**h)**(2**h), with x / 2**h below 2**-8 so that the series gains 8 bits with each term.
    halvings = 8 + (exponent.numerator // exponent.denominator).bit_length()
    # x is truncated by a unit, each of fewer than `point` terms by one, and each of the h squarings doubles the error
    # and adds a unit: below (2 + point) 2**(h + 1) units in all, which is less than 2**guard.
    guard = halvings + 16 + bits.bit_length()
    point = bits + guard
    x = (exponent.numerator << point) // (exponent.denominator << halvings)
    total = term = 1 << point
    k = 1
    while term := (term * x >> point) // k:
        total += -term if k & 1 else term
        k += 1
    for _ in range(halvings):
        total = total * total >> point
    return total >> guard


def gaussian_weights(variance: Fraction) -> list[int]:
    """Returns weights proportional to exp(-k**2 / (2 variance)): the discrete Gaussian's.

    Source: Canonne, Kamath, Steinke 2020, definition 1.

    Args:
        variance: the parameter sigma**2, above 0. (From sigma = 1 on it is the variance but for one part in 10**6.)

    Returns:
        The weights of 0, 1, ..., N as multiples of 2**-384, the first of them 1.

    Guarantees:
        With sigma at most 10**4 the weights differ from the truth by less than 2**-300 of the sum of all of them,
        together.

        *Tail*: P(X >= m) <= exp(-m**2 / (2 sigma**2)), and N is chosen from that. It is Chernoff's bound, since
        E[exp(t X)] is exp(t**2 sigma**2 / 2) times the sum of exp(-x**2 / (2 sigma**2)) over the integers shifted by
        t sigma**2, divided by that over the integers; and no shift has a larger sum (Poisson summation).

        *Rounding*: exp(-1/(2 sigma**2)) and its square are wrong by less than 2 units each. Ratio k, which is
        exp(-(2 k + 1) / (2 sigma**2)), is the first times k of the second, all below 1: wrong by less than 3 (k + 1)
        units. Weight k is a product of k ratios and so wrong by less than 3 (k + 1)**2 units; N + 1 < 2**18 of them
        sum up to less than 2**54 units of 2**-384.
    """
    tail = 2 * variance * Fraction(math.log(2) * (1 + 2**-40)) * (_TAIL_BITS + 1)
    last = math.isqrt(math.ceil(tail)) + 1
    ratio = exp_minus(1 / (2 * variance), _WEIGHT_BITS)
    step = exp_minus(1 / variance, _WEIGHT_BITS)
    weight = 1 << _WEIGHT_BITS
    weights = [weight]
    for _ in range(last):
        weight = weight * ratio >> _WEIGHT_BITS
        ratio = ratio * step >> _WEIGHT_BITS
        weights.append(weight)
    return weights


def skellam_weights(variance: Fraction) -> list[int]:
    """Returns weights proportional to I_k(variance): the difference of two Poissons of half the variance each.

    The modified Bessel functions by Miller's backward recurrence, I_{k-1} = I_{k+1} + (2 k / mu) I_k (DLMF 10.29.1,
    §3.6(iii)), which needs no e**mu: since I_0 + 2 I_1 + 2 I_2 + ... = e**mu (DLMF 10.35.5), dividing by the sum of all
    weights normalises.

    Args:
        variance: mu, above 0.

    Returns:
        The weights of 0, 1, ..., N, in no particular unit.

    Guarantees:
        With sigma at most 10**4 the weights differ from the truth by less than 2**-180 of the sum of all of them,
        together.

        *Tail*: P(X >= m) <= exp(mu (cosh t - 1) - m t) for every t, least where mu sinh t = m. N is chosen from that.

        *Start*: setting the term after N to 0 instead of I_{N+1} gives, up to a factor, I_k +- K_k I_{N+1} / K_{N+1},
        since (-1)**k K_k is the other solution of the recurrence. K_k rises with k, so each term is wrong by at most
        I_{N+1}, which is below 2**-200 e**mu; together below 2 N 2**-200.

        *Rounding*: all terms are positive, and I_{k-1} >= I_{k+1}, so none is less than the first two of the
        recurrence, 2**256 and 2**256 times 2 N / mu > 2**-9. Hence no step adds more than 2**-247 to the relative
        error; together below 2**-229.

        *1/mu* is rounded to 384 bits, which is another mu, at most 2**-383 mu**2 larger. Two Poissons are no further
        apart in total variation than their means, so this is below 2**-329.
    """
    last = _last_of_skellam(variance)
    inverse = (variance.denominator << _WEIGHT_BITS) // variance.numerator
    after, weight = 0, 1 << _FIRST_WEIGHT_BITS
    weights = [weight]
    for k in range(last, 0, -1):
        after, weight = weight, after + (2 * k * inverse * weight >> _WEIGHT_BITS)
        weights.append(weight)
    weights.reverse()
    return weights


def _last_of_skellam(variance: Fraction) -> int:
    mu = float(variance)
    least = (_TAIL_BITS + 1) * math.log(2)

    def falls_short(m: int) -> bool:
        # sqrt(m**2 + mu**2) - mu without cancellation; floats are good to 2**-40 here, and one bit of 200 is to spare.
        return m * math.asinh(m / mu) - m * m / (math.hypot(m, mu) + mu) < least

    high = 2
    while falls_short(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if falls_short(middle) else (low, middle)
    return high

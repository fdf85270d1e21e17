r"""Renyi divergence of the discrete Gaussian on a Poisson sample.

Let N be the discrete Gaussian of parameter s^2 on Z^d, v a vector of integers with |v|^2 <= D^2, q the sampling
probability, and L(x) = e^((2<x,v> - |v|^2) / 2s^2) the likelihood ratio of the shifted noise. Everything depends on
sigma = s/D alone, the noise multiplier. The divergence is the larger of the two directions, and that is the one under
N, log(E_N[(1 - q + qL)^alpha]) / (alpha - 1): Theorem 5 of Mironov, Talwar, Zhang 2019 needs a map that exchanges the
noise and the shifted noise and is its own inverse, and x -> v - x is one on the integers too.

* **Integer orders.** E_N[L^k] = e^(k(k-1)|v|^2/2s^2) exactly for integers k: completing the square shifts the sum over
  the integers by kv, which are integers. So the binomial sum, and with it the divergence, is that of the continuous
  Gaussian, and largest at |v| = D.

* **Between integers**, first way: (alpha - 1) times the divergence is convex in alpha, hence at most linear.

* Second way. By Poisson's summation formula, E_N[f(<x,v>)] is at most the sum over m in Z^d of the Fourier transform of
  the continuous Gaussian's density times f = (1 - q + qL)^alpha, at m. For m = 0 it is the continuous Gaussian's
  expectation, which grows with |v|. f is analytic where |<y,v>| < pi s^2, y being the imaginary part of x, and there
  |f| at most f of the real part. Moving the path of integration by y takes the transform at m down to
  e^(|y|^2/2s^2 - 2 pi <m,y>) of that at 0. With m split into its part along v, of length |k|/|v| with k = <m,v>, and
  the rest m', the best y leaves, with c = 2 pi^2 s^2,

      e^(-c |m'|^2 - c (|k| - 1/4) / |v|^2),   or   e^(-c |m'|^2) for k = 0.

  For each k the m' form a shifted lattice, whose sum of Gaussians is at most that of the lattice itself, and so at most
  that of Z^d. Coordinates where v is 0 do not matter, so that d <= D^2. With C = 2 pi^2 sigma^2 the m other than 0 add
  at most the part R of the first, where

      1 + R = e^(2 e^-C / (1 - e^-3C)) (1 + 2 e^(-3C/4) / (1 - e^-C)),   for C >= 1,

  and log(1 + R) / (alpha - 1) is added to the continuous Gaussian's divergence. At sigma = 1 R is 8e-7, at 1.5 7e-15.

* Third way, below order 2, for little noise. (a + b)^alpha is at most (a + b)(a^(alpha-1) + b^(alpha-1)), as powers up
  to 1 are subadditive. With a = 1 - q and b = qL, E_N[L] = 1, E_N[L^(alpha-1)] <= 1, and E_N[L^alpha] at most that of
  the continuous Gaussian (Canonne, Kamath, Steinke 2020). And the divergence is never above that without sampling.
"""

import math
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.float_events import ignoring
from dp.renyi.sampled_gaussian import largest_real_order, poisson_gaussian_rdp

__all__ = ["largest_smooth_order", "poisson_discrete_gaussian_rdp", "root_ratio_below"]

_Array = npt.NDArray[np.float64]

_NEGLIGIBLE: Final = 1e-13
"""Relative, of the divergence: what is added between integers and does not count."""

_LITTLE: Final = 1e-2
"""Relative, of the divergence of order 2: with more, the best order is likely to be an integer."""

_NEAREST_TO_1: Final = 1 + 2.0**-10
"""Smaller orders get the divergence of this one, as it rises with the order: there is a division by alpha - 1."""

_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_STEPS: Final = 40
"""Of the golden section: 1e-8 of the interval."""

_MOST_SIGMA: Final = 1e150
"""No larger noise multiplier is told apart."""


@ignoring("over", "under")
def poisson_discrete_gaussian_rdp(order: float, probability: _Array, noise_multiplier: _Array) -> _Array:
    """Returns a bound on the divergence of one order for many pairs of sampling probability and noise multiplier.

    Args:
        order: alpha, at least 1; at 1 it bounds the Kullback-Leibler divergence.
        probability: q of each pair, in [0, 1], shape (n,).
        noise_multiplier: sigma of each pair, the root of variance over squared sensitivity, above 0, shape (n,).

    Returns:
        The bounds, shape (n,).

    Guarantees:
        Exact at integer orders up to rounding: that of the continuous Gaussian, with the accuracy of
        `poisson_gaussian_rdp`. An upper bound between them.

    Cost:
        That of `poisson_gaussian_rdp`; three times it for sigma below 2 or so, between integers.
    """
    if order > 1 and order == math.floor(order):
        return poisson_gaussian_rdp(order, probability, noise_multiplier)
    near = max(order, _NEAREST_TO_1)
    rdp = poisson_gaussian_rdp(near, probability, noise_multiplier)
    added = _log_sum_of_others(noise_multiplier) / (near - 1)
    matters = ~(added <= _NEGLIGIBLE * rdp)
    rdp += added
    if matters.any():
        q, sigma = probability[matters], noise_multiplier[matters]
        ways = [rdp[matters], _interpolated(order, q, sigma), _unsampled(near, sigma)]
        if near < 2:
            ways.append(_least_little_noise(near, q, sigma))
        rdp[matters] = np.where(q > 0, np.minimum.reduce(ways), 0.0)
    return rdp


def largest_smooth_order(probability: _Array, *, noise_multiplier: _Array) -> float:
    """Returns the order up to which little is added between integers, for all pairs; 1 if there is none."""
    at_2 = poisson_gaussian_rdp(2.0, probability, noise_multiplier)
    if np.any(_log_sum_of_others(noise_multiplier) > _LITTLE * at_2):
        return 1.0
    return largest_real_order(noise_multiplier)


def root_ratio_below(variance: Fraction, squared_sensitivity: int) -> float:
    """Returns the root of the quotient, at most some units in the last place below it and never above."""
    quotient = variance / squared_sensitivity
    # Scaled by a power of 4, so that neither the quotient nor its root leaves the floats.
    shift = (quotient.numerator.bit_length() - quotient.denominator.bit_length()) // 2
    scaled = math.sqrt(quotient / Fraction(4) ** shift) * (1 - 2.0**-51)
    return min(_MOST_SIGMA, math.ldexp(scaled, shift)) if shift < 1000 else _MOST_SIGMA


def _interpolated(order: float, q: _Array, sigma: _Array) -> _Array:
    """Returns the bound that is linear between the integers beside an order, times the order less 1."""
    low = math.floor(order)
    above = poisson_gaussian_rdp(low + 1.0, q, sigma)
    if low == 1:
        # At alpha = 1 the product (alpha - 1) rho is 0, so that the line through both ends is rho(2) itself.
        return above
    share = order - low
    below = poisson_gaussian_rdp(float(low), q, sigma)
    return ((1 - share) * (low - 1) * below + share * low * above) / (order - 1)


@ignoring("divide")
def _unsampled(order: float, sigma: _Array) -> _Array:
    bound: _Array = 0.5 * order / sigma / sigma
    return bound


def _least_little_noise(order: float, q: _Array, sigma: _Array) -> _Array:
    """Returns the least of the third way's bounds at this order and larger ones below 2.

    The divergence rises with the order, so that they all bound it. The bound, a convex function of alpha - 1 over
    alpha - 1, falls first.
    """
    low, high = np.full(q.shape, order), np.full(q.shape, 2.0)
    least = _little_noise(low, q, sigma)
    for _ in range(_STEPS):
        reach = _GOLDEN * (high - low)
        left, right = high - reach, low + reach
        at_left, at_right = _little_noise(left, q, sigma), _little_noise(right, q, sigma)
        least = np.minimum(least, np.minimum(at_left, at_right))
        falls = at_right < at_left
        low, high = np.where(falls, left, low), np.where(falls, high, right)
    return least


@ignoring("divide", "invalid", "under")
def _little_noise(order: _Array, q: _Array, sigma: _Array) -> _Array:
    """Returns the third way's bound, for orders below 2."""
    a = order - 1
    log_q, log_rest = np.log(q), np.log1p(-q)
    unsampled = 0.5 * order / sigma / sigma
    terms = [order * log_rest, log_rest + a * log_q, log_q + a * log_rest, order * log_q + a * unsampled]
    bound: _Array = np.logaddexp.reduce(terms) / a
    return np.where(np.isnan(bound), math.inf, bound)


def _log_sum_of_others(sigma: _Array) -> _Array:
    """Returns log(1 + R), infinite where it is not bounded."""
    c = 2 * math.pi**2 * np.minimum(sigma, 1e3) ** 2
    bounded = c >= 1
    c = np.where(bounded, c, 1.0)
    rest = 2 * np.exp(-c) / -np.expm1(-3 * c) + np.log1p(2 * np.exp(-0.75 * c) / -np.expm1(-c))
    return np.where(bounded, rest, math.inf)

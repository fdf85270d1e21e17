"""Renyi divergences of noise that is added in shares: the published bounds.

`dp.renyi.skellam_numerical` has a second bound for Skellam noise, which is smaller where it can be had.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.errors import UnsupportedEventError
from dp.events import Composed, DistributedDiscreteGaussian, Event, SampledWithoutReplacement, Skellam
from dp.float_events import ignoring
from dp.renyi.sampled_curves import WithoutReplacementCurve

__all__ = ["distributed_discrete_gaussian_rdp", "has_shares", "ratio", "shares_rdp", "skellam_rdp"]

_Array = npt.NDArray[np.float64]

_MOST_SHARES: Final = 2**20
"""Shares beyond this number are taken for further processing: the bound has been rising long before."""

_NO_TAU_FROM: Final = 10.0**3
"""From this variance on tau is below e^-9000, which as a float is 0."""

_LARGEST_ORDER: Final = 2.0**40
"""Far above every order that an accountant asks for."""

_MOST_TURNS: Final = 2**12
"""Curves of at most this many numbers of shares are small: 100 kB."""

_ROW: Final = 2**10
"""Running sums go over rows of this many terms and then over the rows, to round 2**11 times instead of 2**20."""


def skellam_rdp(orders: _Array, event: Skellam) -> _Array:
    """Returns the divergence bound of Agarwal, Kairouz, Liu 2021, section 3, for vectors of integers.

    With sensitivities D1, D2 and central variance mu:

        alpha D2^2 / 2 mu + min(((2 alpha - 1) D2^2 + 6 D1) / 4 mu^2, 3 D1 / 2 mu).

    The theorem is for integer alpha. The divergences that can be evaluated (`dp.renyi.skellam_numerical`) are
    below the formula at orders between integers too, but that is not proved: the accountant uses it at integers.

    Args:
        orders: alphas, above 1, float64, shape (n,).
        event: variance and sensitivities.

    Returns:
        The bounds, shape (n,), float64.
    """
    lead, slope, constant, flat = _skellam_terms(event)
    bounds: _Array = orders * lead + np.minimum((2 * orders - 1) * slope + constant, flat)
    return bounds


@lru_cache(maxsize=256)
def _skellam_terms(event: Skellam) -> tuple[float, float, float, float]:
    """Returns D2^2 / 2 mu, D2^2 / 4 mu^2, 6 D1 / 4 mu^2 and 3 D1 / 2 mu; remembered, as orders come singly."""
    return (
        ratio(event.squared_sensitivity, 2 * event.variance),
        ratio(event.squared_sensitivity, 4 * event.variance**2),
        ratio(6 * event.l1_sensitivity, 4 * event.variance**2),
        ratio(3 * event.l1_sensitivity, 2 * event.variance),
    )


def distributed_discrete_gaussian_rdp(orders: _Array, event: DistributedDiscreteGaussian) -> _Array:
    """Returns the divergence bound of Kairouz, Liu, Steinke 2021, for the sum of n discrete Gaussian shares.

    With D_i the sensitivities over the standard deviation of the sum, dimension d and

        tau = 10 sum over k = 1..n-1 of exp(-2 pi^2 sigma^2 k / (k + 1)),    sigma^2 the variance of one share,

    it is the least of

        alpha D2^2 / 2 + tau d,    alpha (D2^2 + 2 D1 tau + tau^2 d) / 2,    alpha (D2 + sqrt(d) tau)^2 / 2.

    More shares are less divergence, as they only add noise to the sum of the first; the formula forgets that, as tau
    grows. So the least over all 1 <= i <= n is taken.

    Args:
        orders: alphas, above 1, float64, shape (n,).
        event: shares, variance of a share, sensitivities and dimension.

    Returns:
        The bounds, shape (n,), float64. They never rise with the number of shares.

    Cost:
        For n shares some 100 n ns the first time; a million of them are as many as count.
    """
    curves = _small_curves(event) or _curves(event)
    at = np.searchsorted(curves.turns, orders)
    first = orders * curves.squared[at] / 2 + curves.excess[at]
    bounds: _Array = np.minimum(first, orders * (curves.other / 2))
    return bounds


@dataclass(frozen=True, slots=True, eq=False)
class _Curves:
    """What the bounds of one event have in common for all orders.

    `squared` is D2^2 and `excess` tau d, for 1, 2, ... shares. The first bound falls with the shares up to as many as
    there are `turns` below alpha, and then rises, for D2^2 falls ever more slowly and tau grows ever faster. `other` is
    the least D2^2 + 2 D1 tau + tau^2 d or (D2 + sqrt(d) tau)^2.

    Numbers of shares at which no order turns are left out: of a million usually nearly all.
    """

    squared: _Array
    excess: _Array
    turns: _Array
    other: float


@lru_cache(maxsize=512)
def _small_curves(event: DistributedDiscreteGaussian) -> _Curves | None:
    """Returns the curves of an event if they are small, which those of nearly all are: many of them are remembered."""
    curves = _curves(event)
    return curves if curves.turns.size <= _MOST_TURNS else None


@lru_cache(maxsize=4)
def _curves(event: DistributedDiscreteGaussian) -> _Curves:
    shares = min(event.shares, _MOST_SHARES)
    dimension = float(event.dimension)
    squared_of_one = ratio(event.squared_sensitivity, event.local_variance)
    if _first_term(event.local_variance) == 0:
        # Then tau is 0 however many shares there are.
        least = squared_of_one / shares
        return _Curves(np.array([least]), np.zeros(1), np.zeros(0), min(least, math.sqrt(least) ** 2))
    tau = _tau(float(event.local_variance), shares)
    n = np.arange(1, shares + 1, dtype=np.float64)
    squared = squared_of_one / n
    absolute = event.l1_sensitivity / math.sqrt(event.local_variance) / np.sqrt(n)
    with np.errstate(over="ignore"):
        second = (squared + 2 * absolute * tau + tau * tau * dimension).min()
        third = ((np.sqrt(squared) + math.sqrt(dimension) * tau) ** 2).min()
    excess = dimension * tau
    # D2^2 may be too small to differ from one n to the next: then its part does not matter, and neither does the turn.
    with np.errstate(divide="ignore", invalid="ignore"):
        turns = np.nan_to_num(np.diff(excess) / (-np.diff(squared) / 2), nan=math.inf, posinf=math.inf)
    # No order is below 1 or above the last: the turns before and after these are all passed, or none is.
    first, last = np.searchsorted(turns, (1.0, _LARGEST_ORDER))
    kept = slice(first, last + 1)
    return _Curves(squared[kept].copy(), excess[kept].copy(), turns[first:last].copy(), float(min(second, third)))


def _first_term(local_variance: Fraction) -> float:
    """Returns the largest term of tau, that of k = 1."""
    return math.exp(-(math.pi**2) * min(float(local_variance), _NO_TAU_FROM))


@ignoring("under")
def _tau(local_variance: float, shares: int) -> _Array:
    """Returns tau for 1, 2, ..., `shares` shares."""
    k = np.arange(shares, dtype=np.float64)
    terms = np.exp(-2 * math.pi**2 * min(local_variance, _NO_TAU_FROM) * (k / (k + 1)))
    terms[0] = 0
    rows = np.zeros((-(-shares // _ROW), _ROW))
    rows.flat[:shares] = terms
    sums = np.cumsum(rows, axis=1)
    sums[1:] += np.cumsum(sums[:-1, -1])[:, None]
    tau: _Array = 10 * sums.ravel()[:shares]
    return tau


def has_shares(event: Event) -> bool:
    """Returns whether participants added the noise of an event, or of a part of it."""
    if isinstance(event, Composed):
        return any(has_shares(part) for part, _ in event.events)
    if isinstance(event, SampledWithoutReplacement):
        return has_shares(event.event)
    return isinstance(event, Skellam | DistributedDiscreteGaussian)


def shares_rdp(orders: _Array, event: Event) -> _Array:
    """Returns the published bounds for an event all of whose noise is added in shares.

    Args:
        orders: integers, as the theorem on Skellam noise is for no others; at least 2, float64, shape (n,).
        event: Skellam or discrete Gaussian shares, several of these composed, or a sample of them.

    Returns:
        The bounds, shape (n,), float64.

    Raises:
        UnsupportedEventError: the event is none of these.
    """
    if isinstance(event, Skellam):
        return skellam_rdp(orders, event)
    if isinstance(event, DistributedDiscreteGaussian):
        return distributed_discrete_gaussian_rdp(orders, event)
    if isinstance(event, Composed):
        return np.asarray(sum(count * shares_rdp(orders, part) for part, count in event.events), dtype=np.float64)
    if not isinstance(event, SampledWithoutReplacement):
        raise UnsupportedEventError(event, "its noise is not added in shares")
    if event.sample == event.population:
        return shares_rdp(orders, event.event)
    if event.sample == 0:
        return np.zeros(orders.shape)
    inner = event.event
    part = event.sample / event.population
    return WithoutReplacementCurve(lambda inner_orders: shares_rdp(inner_orders, inner), part)(orders)


def ratio(numerator: int | Fraction, denominator: Fraction) -> float:
    """Returns the quotient, rounded once; infinity if it is too large for a float."""
    try:
        return float(numerator / denominator)
    except OverflowError:
        return math.inf

"""Renyi divergence of the Gaussian mechanism on a Poisson sample: exact up to rounding, for integer and real orders.

Source: Mironov, Talwar, Zhang 2019, sections 3.1 to 3.3. With N = N(0, sigma^2), q the sampling probability and

    r(z) = q (e^((2z-1)/2sigma^2) - 1),   the likelihood ratio less 1, of mean 0 under N,

the divergence of order alpha is log(E_N[(1 + r)^alpha]) / (alpha - 1), and it is the larger of the two directions
(their Theorem 5). Everything below computes E[(1 + r)^alpha] - 1 from terms that are all positive, so nothing cancels:

* integer orders: the binomial sum, in which the parts that add up to 1 are left out;
* real orders: quadrature of (1 + r)^alpha - 1 - alpha r, which is convex in r and so never negative;
* real orders for which that takes too many nodes (sigma below 0.07, or alpha in the thousands): (alpha - 1) times the
  divergence is convex in alpha, hence at most linear between integers. That is an upper bound, not the value.

The series in wide use take the difference of a number near 1 and 1 (q^2 is lost where q is tiny) or drop the signs of
alternating terms.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.float_events import ignoring
from dp.renyi.binomials import log_binomials
from dp.renyi.turning_order import turning_order

__all__ = ["largest_real_order", "poisson_gaussian_rdp"]

_Array = npt.NDArray[np.float64]

_TAIL: Final = 10.0
"""Quadrature ends this many standard deviations outside the means: e^-50 of the mass is beyond."""

_MOST_NODES: Final = 2**15
"""Where a pair would need more, its real orders are interpolated. At sigma = 0.3 that is from alpha = 1468 on."""

_WHOLE_SUM: Final = 64
"""Up to here an integer order's sum is not worth cutting short."""

_TERMS_PER_NODE: Final = 3
"""What a node of the quadrature costs, in terms of the sum."""

_CHUNK: Final = 2**15
"""Numbers worked on at once: the temporaries of one chunk stay in the cache of a core."""

_SERIES_BELOW: Final = 0.6
"""|r| max(alpha, 4) up to here is summed as a series, above as a difference that loses one digit at most."""

_MENDED_FROM: Final = 1500.0
"""alpha log(1/q) up to here may cancel in an exponent: that leaves an error of 3e-13."""

_APART_FROM: Final = 50.0
"""alpha log(1 + r) from which on (1 + r)^alpha, at least e^50, outweighs alpha (1 + r) in every digit."""

_SERIES_TERMS: Final = 20
"""0.15^20 < 1e-16 (alpha near 1), and 0.6^20/20! is far below (alpha large)."""

_SMALLEST_SIGMA: Final = 1e-100
"""Below it 1/sigma^2 may overflow, and infinity is an upper bound."""

_LARGEST_SIGMA: Final = 1e150
"""Above it 1/sigma^2 may vanish, and the divergence at this sigma is an upper bound."""


@ignoring("under")
def poisson_gaussian_rdp(order: float, probability: _Array, noise_multiplier: _Array) -> _Array:
    """Returns the divergence of one order for many pairs of sampling probability and noise multiplier.

    Args:
        order: alpha, at least 1; at 1 it is the Kullback-Leibler divergence.
        probability: q of each pair, in [0, 1], shape (n,).
        noise_multiplier: sigma of each pair, above 0, shape (n,).

    Returns:
        The divergences, shape (n,).

    Guarantees:
        Relative error below 1e-12 for q from 1e-8 to 1/2 and sigma from 0.3 to 50, at integer orders to 10**4 and real
        ones to `largest_real_order`; between integers above that, an upper bound with the same error. Never negative.

    Cost:
        About 0.1 ms for one pair; 10 ns for each pair and unit of an integer order, 30 ns for each pair and node.
    """
    rdp = np.zeros(probability.shape)
    tiny = noise_multiplier < _SMALLEST_SIGMA
    rdp[tiny & (probability > 0)] = math.inf
    whole = (probability == 1.0) & ~tiny
    rdp[whole] = 0.5 * order / noise_multiplier[whole] ** 2
    rest = np.flatnonzero((probability > 0) & (probability < 1) & ~tiny)
    if rest.size:
        rdp[rest] = _between(order, probability[rest], np.minimum(noise_multiplier[rest], _LARGEST_SIGMA))
    return rdp


def largest_real_order(noise_multiplier: _Array) -> float:
    """Returns the order up to which real orders are exact for all of the noise multipliers; above, integers only."""
    sigma = np.minimum(noise_multiplier, _LARGEST_SIGMA)
    return float(np.min(_MOST_NODES * _spacing(sigma) - 2 * _TAIL * sigma))


def _between(order: float, q: _Array, sigma: _Array) -> _Array:
    """Returns the divergences for 0 < q < 1."""
    nodes = np.ceil((max(order, 2.0) + 2 * _TAIL * sigma) / _spacing(sigma))
    if order > 1 and order == math.floor(order):
        summed = order < np.maximum(_WHOLE_SUM, _TERMS_PER_NODE * nodes)
        return _either(
            summed,
            lambda part: _integer_order(int(order), q[part], sigma[part]),
            order=order,
            q=q,
            sigma=sigma,
            nodes=nodes,
        )
    lines = nodes > _MOST_NODES
    return _either(
        lines, lambda part: _interpolated(order, q[part], sigma[part]), order=order, q=q, sigma=sigma, nodes=nodes
    )


def _either(
    first: npt.NDArray[np.bool_],
    way: Callable[[npt.NDArray[np.bool_]], _Array],
    *,
    order: float,
    q: _Array,
    sigma: _Array,
    nodes: _Array,
) -> _Array:
    """Returns what `way` gives for the pairs that are `first`, and quadrature for all others."""
    rdp = np.empty(q.shape)
    if first.any():
        rdp[first] = way(first)
    if not first.all():
        rdp[~first] = _real_order(order, q[~first], sigma[~first], nodes[~first])
    return rdp


def _interpolated(order: float, q: _Array, sigma: _Array) -> _Array:
    low = math.floor(order)
    above = _integer_order(low + 1, q, sigma)
    if low == 1:
        # At alpha = 1 the product (alpha - 1) rho is 0, so that the line through both ends is rho(2) itself.
        return above
    share = order - low
    below = _integer_order(low, q, sigma)
    return ((1 - share) * (low - 1) * below + share * low * above) / (order - 1)


# --- Integer orders: sum over k >= 2 of C(alpha, k) q^k (1-q)^(alpha-k) (e^(k(k-1)/2sigma^2) - 1) ---


def _integer_order(order: int, q: _Array, sigma: _Array) -> _Array:
    odds, per_unit = np.log(q) - np.log1p(-q), 0.5 / (sigma * sigma)
    lengths = _terms(order, odds, per_unit)
    turn, turn_rest = turning_order(q, noise_multiplier=sigma)
    rdp = np.empty(q.shape)
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        k = np.arange(2, length + 1, dtype=np.float64)
        row = log_binomials(order)[2 : length + 1]
        for part in _parts(members, int(length)):
            unit = k * per_unit[part, None]
            # log(e^x - 1) = x + log(1 - e^-x), which does not overflow; and x + k log(q/(1-q)) without cancellation.
            missing = np.log(-np.expm1((1 - k) * unit))
            terms = unit * (((k - 1) - turn[part, None]) - turn_rest[part, None]) + (row + missing)
            scale = terms.max(axis=1)
            total = np.log(np.exp(terms - scale[:, None]).sum(axis=1)) + scale + order * np.log1p(-q[part])
            rdp[part] = np.logaddexp(0.0, total) / (order - 1)
    return rdp


def _terms(order: int, odds: _Array, per_unit: _Array) -> npt.NDArray[np.int64]:
    """Returns how many terms each pair's sum needs: `order`, or fewer where the others are proved to be negligible.

    The terms are at most U(k) = k log(alpha q/(1-q)) - log k! + k(k-1)/2sigma^2, since C(alpha, k) <= alpha^k/k!. Its
    increments are convex in k, so that none from K to alpha exceeds the larger of the two at the ends: where both are
    below 0, what is left out after K is at most a geometric series.
    """
    lengths = np.full(odds.shape, order, dtype=np.int64)
    if order <= _WHOLE_SUM:
        return lengths
    slope = odds + math.log(order)
    last = slope - math.log(order) + (2 * order - 2) * per_unit
    first_term = _upper_log_term(2, slope, per_unit) + math.log(1 - 1 / order) + np.log(-np.expm1(-2 * per_unit))
    length = 8
    while length < order:
        after = slope - math.log(length + 2) + 2 * (length + 1) * per_unit
        step = np.maximum(after, last)
        falling = step < 0
        left_out = _upper_log_term(length + 1, slope, per_unit) - np.log(-np.expm1(np.where(falling, step, -1.0)))
        # e^-40 < 1e-17 of the smallest that the sum can be.
        enough = falling & (left_out < first_term - 40) & (lengths == order)
        lengths[enough] = length
        length *= 2
    return lengths


def _upper_log_term(k: int, slope: _Array, per_unit: _Array) -> _Array:
    return k * slope - math.lgamma(k + 1) + k * (k - 1) * per_unit


# --- Real orders: trapezoid, which converges geometrically for an analytic integrand ---


def _spacing(sigma: _Array) -> _Array:
    # The Gaussian factor wants spacing 0.6 sigma for an error of e^-55. The logarithm of 1 + r has its nearest
    # singularity pi sigma^2 off the real axis: spacing 0.5 sigma^2 leaves e^-39.
    return np.minimum(0.6 * sigma, 0.5 * sigma * sigma)


def _real_order(order: float, q: _Array, sigma: _Array, nodes: _Array) -> _Array:
    rdp = np.empty(q.shape)
    # Pairs that need about equally many nodes are worked on together.
    by_need = np.argsort(nodes, kind="stable")
    start = 0
    while start < len(by_need):
        stop = start + 1
        while stop < len(by_need) and (stop + 1 - start) * nodes[by_need[stop]] <= _CHUNK:
            stop += max(1, (stop - start) // 4)
        stop = min(stop, len(by_need))
        part = by_need[start:stop]
        rdp[part] = _quadrature(order, q[part, None], sigma[part, None], int(nodes[part[-1]]))
        start = stop
    return rdp


def _quadrature(order: float, q: _Array, sigma: _Array, nodes: int) -> _Array:
    """Returns the divergences of one chunk; q and sigma have shape (n, 1).

    With a = alpha - 1, L = log(1 + r) and w the log density, the sum is of ((1 + r)^alpha - 1 - alpha r) e^w / a,
    scaled by e^-s so that its largest term is about 1. The division by a makes alpha = 1 an order like any other.
    """
    a = order - 1
    # The mass is around z = alpha, and that of r^2, to which the integrand is proportional for tiny q, around z = 2.
    spacing = (max(order, 2.0) + 2 * _TAIL * sigma) / nodes
    z = spacing * np.arange(nodes + 1) - _TAIL * sigma
    x = (z - 0.5) / (sigma * sigma)
    r = q * np.expm1(np.minimum(x, 700.0))
    ratio = np.log1p(r)
    if x[:, -1].max() > 700:
        # Where e^x would overflow, r is q e^x as exactly as a float can tell.
        ratio = np.where(x > 700, np.maximum(ratio, np.log(q) + x), ratio)
    density = -0.5 * (z / sigma) ** 2
    exponent = density + order * ratio
    if order * -math.log(float(q.min())) > _MENDED_FROM:
        _mend_steep(exponent, order, q=q, sigma=sigma, z=z)
    scale = np.maximum(exponent.max(axis=1, keepdims=True), density.max(axis=1, keepdims=True))
    weight = density - scale
    unit = np.exp(weight)

    small = np.abs(r) * max(order, 4.0) < _SERIES_BELOW
    near = np.where(small, r, 0.0)
    value = (0.5 * order) * near * near * _series(order, near) * unit
    if not small.all():
        if order > _WHOLE_SUM:
            # The terms may add up to 1/alpha of each, where no digits can be spared.
            power = order * ratio
            close = (np.expm1(np.minimum(power, _APART_FROM)) - order * np.minimum(r, 2.0)) * unit
            large = np.where(power > _APART_FROM, np.exp(exponent - scale), close) / a
        elif order >= 2:
            large = (np.exp(exponent - scale) - order * np.exp(weight + ratio)) / a + unit
        else:
            # Where x > 700, r itself is cut off above, and is 1 + r as exactly as a float can tell.
            linear = np.where(x > 700, np.exp(weight + ratio), r * unit)
            large = np.exp(weight + ratio) * _grown(a, ratio) - linear
            if a > 0:
                # Where the power overflows, the whole term does not: the scale has it in it.
                large = np.where(a * ratio > 700, np.exp(exponent - scale) / a - linear, large)
        value = np.where(small, value, large)

    with np.errstate(divide="ignore"):
        log_mean = np.log(value.sum(axis=1) * spacing[:, 0] / (math.sqrt(2 * math.pi) * sigma[:, 0])) + scale[:, 0]
    rdp: _Array = np.exp(log_mean) if a == 0 else np.logaddexp(0.0, log_mean + math.log(a)) / a
    return rdp


def _grown(a: float, ratio: _Array) -> _Array:
    """Returns (e^(a L) - 1) / a, which is L at a = 0; cut off where it overflows."""
    if a == 0:
        return ratio
    grown: _Array = np.expm1(np.minimum(a * ratio, 700.0)) / a
    return grown


def _mend_steep(exponent: _Array, order: float, *, q: _Array, sigma: _Array, z: _Array) -> None:
    """Writes -z^2/2sigma^2 + alpha L into `exponent` where q e^x is above 1 - q and the two may be 10^5 each.

    There L is log(1-q) + y + log1p(e^-y), y = (2z - 1 - t)/2sigma^2 with t the turning order, so that the exponent is
    alpha (alpha-1-t)/2sigma^2 less (z-alpha)^2/2sigma^2 and what is no longer large.
    """
    turn, turn_rest = turning_order(q, noise_multiplier=sigma)
    per_unit = 0.5 / (sigma * sigma)
    first = int(np.argmax((2 * z > 1 + turn).any(axis=0)))
    z, exponent = z[:, first:], exponent[:, first:]
    y = (2 * z - 1 - turn) * per_unit
    at_order = order * ((order - 1 - turn) - turn_rest) * per_unit
    rest = order * (np.log1p(np.exp(-np.abs(y))) + np.log1p(-q))
    np.copyto(exponent, at_order - (z - order) ** 2 * per_unit + rest, where=y > 0)


def _series(order: float, r: _Array) -> _Array:
    """Returns 2/(alpha (alpha-1) r^2) times sum over k >= 2 of C(alpha, k) r^k, by Horner's rule."""
    total = np.ones_like(r)
    for k in range(_SERIES_TERMS + 1, 1, -1):
        total *= r
        total *= (order - k) / (k + 1)
        total += 1
    return total


def _parts(members: npt.NDArray[np.intp], width: int) -> Iterator[npt.NDArray[np.intp]]:
    size = max(1, _CHUNK // width)
    for start in range(0, len(members), size):
        yield members[start : start + size]

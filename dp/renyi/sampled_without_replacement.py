"""Renyi divergence of the Gaussian mechanism on a sample of a fixed size, drawn without replacement.

Let P = N(1, sigma^2) and N = N(0, sigma^2), with sigma the noise over the *replace-one* sensitivity, and g = m/n the
sampled part. For every pair of neighbours and every order t >= 1 of the hockey-stick divergence H_t, whichever of the
two outputs comes first (Balle, Barthe, Gaboardi 2018, Theorem 9; as dominating pairs: Zhu, Dong, Wang 2022),

    H_{1 + g(t-1)}(output || neighbour's output) <= g H_t(P || N) = H_{1 + g(t-1)}((1-g) N + g P || N),

and below 1 the same holds with the two exchanged. A Renyi divergence is an integral over all hockey-stick divergences
with positive weights: with f(u) = u^alpha - 1 - alpha (u - 1), e^((alpha-1) rho) - 1 is the integral over t > 0 of
f''(t) times (H_t - max(0, 1-t)). Its part above 1 comes to E_N[f(1+s); s > 0], s being the likelihood ratio less 1, and
its part below to E_N[(1+s) f(1/(1+s)); s > 0]. They add up to a product, with L = log(1 + s):

    e^((alpha-1) rho) - 1 <= E_N[(e^(alpha L) - 1) (1 - e^(-(alpha-1) L)); z > 1/2],
    s(z) = g (e^((2z-1)/2sigma^2) - 1).

No term is negative, real orders are as good as integers, and at g = 1 it is the Gaussian's own alpha/2sigma^2. The
bound of Wang, Balle, Kasiviswanathan 2019, Theorem 27, for integer orders, is up to four times as large.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.float_events import ignoring

__all__ = ["gaussian_without_replacement_rdp"]

_Array = npt.NDArray[np.float64]

_TAIL: Final = 10.0
"""Standard deviations beyond the farthest mean: e^-50 of the mass is farther out."""

_LEFT: Final = -16.0
"""The integrand falls as e^(3u) to the left: e^-48."""

_MOST_NODES: Final = 2**17
"""Beyond them (tiny sigma, large alpha) the bound without sampling is used: it hardly differs there."""

_CHUNK: Final = 2**15
"""Numbers worked on at once: the temporaries of one chunk stay in the cache of a core."""

_SMALLEST_SIGMA: Final = 1e-3
_LARGEST_SIGMA: Final = 1e150
"""Outside of these a float or the quadrature may overflow; the divergence only falls as sigma grows."""


@ignoring("under")
def gaussian_without_replacement_rdp(order: float, fraction: _Array, noise_multiplier: _Array) -> _Array:
    """Returns a bound on the divergence of one order for many pairs of sampled part and noise multiplier.

    Args:
        order: alpha, at least 1; at 1 it bounds the Kullback-Leibler divergence.
        fraction: m/n of each pair, in [0, 1], shape (n,).
        noise_multiplier: sigma over the replace-one sensitivity, above 0, shape (n,).

    Returns:
        The bounds, shape (n,), never above alpha/2sigma^2.

    Guarantees:
        Upper bounds; the integral above is evaluated with a relative error below 1e-12 for fractions from 1e-8, sigma
        from 0.3 to 50 and orders to 1000; at 10**4, where the curve turns steep, below 3e-11.

    Cost:
        About 0.1 ms for one pair.
    """
    with np.errstate(over="ignore", divide="ignore"):
        whole = 0.5 * order / noise_multiplier / noise_multiplier
    rdp = np.where(fraction > 0, whole, 0.0)
    sigma = np.minimum(noise_multiplier, _LARGEST_SIGMA)
    nodes = np.ceil((_TAIL - _LEFT + order / np.maximum(sigma, _SMALLEST_SIGMA)) / _spacing(sigma))
    inside = np.flatnonzero((fraction > 0) & (fraction < 1) & (sigma >= _SMALLEST_SIGMA) & (nodes <= _MOST_NODES))
    by_need = inside[np.argsort(nodes[inside], kind="stable")]
    start = 0
    while start < len(by_need):
        # The last of a chunk needs the most nodes; a chunk is as many pairs as fit with the nodes of the first, or one.
        size = max(1, int(_CHUNK // nodes[by_need[start]]))
        part = by_need[start : start + size]
        start += size
        bound = _quadrature(order, fraction[part, None], sigma[part, None], int(nodes[part[-1]]))
        rdp[part] = np.minimum(whole[part], bound)
    return rdp


def _spacing(sigma: _Array) -> _Array:
    # In u: softplus has its singularities pi off the real axis, the Gaussian wants 0.6, and the logarithm's singularity
    # is pi sigma off: errors of e^-39.
    return np.minimum(0.5, 0.5 * sigma)


def _quadrature(order: float, g: _Array, sigma: _Array, nodes: int) -> _Array:
    """Returns the bounds of one chunk; g and sigma have shape (n, 1).

    The half line z > 1/2 is z = 1/2 + sigma log(1 + e^u), on which the trapezoid converges geometrically.
    """
    a = order - 1
    spacing = (_TAIL - _LEFT + order / sigma) / nodes
    u = spacing * np.arange(nodes + 1) + _LEFT
    distance = np.logaddexp(0.0, u)
    x = distance / sigma
    ratio = np.log1p(g * np.expm1(np.minimum(x, 700.0)))
    if x[:, -1].max() > 700:
        ratio = np.where(x > 700, np.maximum(ratio, np.log(g) + x), ratio)
    # The derivative of softplus is e^(u - softplus(u)).
    density = -0.5 * (distance + 0.5 / sigma) ** 2 + u - distance
    lower = ratio if a == 0 else -np.expm1(-a * ratio) / a
    logs = density + order * ratio
    scale = logs.max(axis=1)
    value = np.exp(logs - scale[:, None]) * -np.expm1(-order * ratio) * lower
    with np.errstate(divide="ignore"):
        log_mean = np.log(value.sum(axis=1) * spacing[:, 0] / math.sqrt(2 * math.pi)) + scale
    rdp: _Array = np.exp(log_mean) if a == 0 else np.logaddexp(0.0, log_mean + math.log(a)) / a
    return rdp

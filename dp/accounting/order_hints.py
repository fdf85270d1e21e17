"""What the search for the best order knows of a curve beforehand: where to begin, and how finely to look.

A bad hint costs time only: every bound is computed from the curve itself.
"""

import math

import numpy as np
import numpy.typing as npt

from dp.float_events import ignoring
from dp.renyi.curve import RenyiCurve
from dp.renyi.sampled_curves import Curve
from dp.renyi.sampled_discrete_gaussian import largest_smooth_order, poisson_discrete_gaussian_rdp
from dp.renyi.sampled_gaussian import largest_real_order, poisson_gaussian_rdp
from dp.renyi.sampled_gaussians import SampledGaussians

__all__ = ["piece", "sketch", "smooth_to", "steep_from"]

_Array = npt.NDArray[np.float64]


def smooth_to(curve: RenyiCurve) -> float:
    """Returns the order up to which the curve is as exact between integers as at them; above, it has kinks there."""
    if not all(term.smooth for term, _ in curve.others):
        return 1.0
    poisson = [part for part in curve.sampled_gaussians if part.formula is poisson_gaussian_rdp]
    discrete = [part for part in curve.sampled_gaussians if part.formula is poisson_discrete_gaussian_rdp]
    return min(
        *(largest_real_order(part.noise_multiplier) for part in poisson),
        *(largest_smooth_order(part.part, noise_multiplier=part.noise_multiplier) for part in discrete),
        math.inf,
        math.inf,
    )


def steep_from(curve: RenyiCurve) -> float:
    """Returns an order above which some sampled Gaussian gains little from sampling: its curve rises steeply."""
    return min((float(_steep_from(sampled).min()) for sampled in curve.sampled_gaussians), default=math.inf)


def piece(whole: RenyiCurve, left: int) -> Curve:
    """Returns a bound for orders between an integer and the next that takes no time.

    (alpha - 1) rho(alpha) is convex, and so below the chord; formulas without cost are evaluated.
    """
    smooth = [(term, count) for term, count in whole.others if term.smooth and term.quick is term.curve]
    slope = whole.precision / 2

    def exact(orders: _Array) -> _Array:
        total: _Array = slope * orders
        for term, count in smooth:
            total += count * term.curve(orders)
        return total

    ends = np.array([left, left + 1.0])
    low, high = (ends - 1) * (np.array([whole.at(end) for end in ends]) - exact(ends))

    def curve(orders: _Array) -> _Array:
        between: _Array = exact(orders) + (low + (orders - left) * (high - low)) / (orders - 1)
        return between

    return curve


def sketch(curve: RenyiCurve) -> RenyiCurve:
    """Returns a curve of nearly the same shape and far fewer sampled Gaussians. It is no bound."""
    return curve.with_sampled([_sketch(sampled) for sampled in curve.sampled_gaussians])


def _sketch(sampled: SampledGaussians) -> SampledGaussians:
    """Returns the geometric means of groups that turn steep at about the same order and have about the same noise.

    The groups of those that turn steep first, which decide where all together do, are the smallest.
    """
    part, sigma, count = sampled.part, sampled.noise_multiplier, sampled.count
    by_steepness = np.argsort(_steep_from(sampled))
    ends = np.unique(np.rint(np.geomspace(1, sampled.size, 64))).astype(np.int64)[:-1]
    groups = [
        group
        for alike in np.split(by_steepness, ends)
        for group in np.array_split(alike[np.argsort(sigma[alike])], 8)
        if group.size
    ]
    return SampledGaussians(
        sampled.formula,
        np.array([np.exp(np.log(part[group]).mean()) for group in groups]),
        np.array([np.exp(np.log(sigma[group]).mean()) for group in groups]),
        np.array([count[group].sum() for group in groups]),
    )


@ignoring("under")
def _steep_from(sampled: SampledGaussians) -> _Array:
    # At alpha = 2 sigma^2 log(1/q), q^alpha e^(alpha^2/2sigma^2), the last term of the binomial sum, is 1.
    with np.errstate(over="ignore"):
        return np.asarray(1 - 2 * sampled.noise_multiplier**2 * np.log(sampled.part), dtype=np.float64)

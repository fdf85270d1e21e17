"""One more upper bound: privacy loss distributions by Google's dp-accounting (the optional extra `pld`).

Tighter than Renyi curves by some per cent, and a hundred to a thousand times as slow: `dp.accounting.pld_size` predicts
how large they would be, and refuses what would take minutes or gigabytes. It is asked about compositions of Gaussians
of which some are Poisson-sampled; without sampling the exact profile is known.

The library rounds privacy losses up: its results are upper bounds but for the rounding of its Fourier transforms. A
power of a transform multiplies that by the number of releases. What it may come to is set aside: it is taken off the
delta that is asked about, and added to one that is answered.
"""

import importlib
import importlib.util
import math
from typing import Any, Final

import numpy as np

from dp.accounting.pld_size import SampledRelease, check_size
from dp.errors import MissingExtraError
from dp.renyi.curve import RenyiCurve
from dp.renyi.sampled_gaussian import poisson_gaussian_rdp

__all__ = ["check_installed", "pld_delta", "pld_epsilon"]

_ROUNDING: Final = 1e-11
"""Of delta, whatever is composed."""

_ROUNDING_OF_A_RELEASE: Final = 2e-15
"""Of delta, for each release: about nine units in the last place of 1."""

_SMALLEST_PROBABILITY: Final = 1e-290
"""Below it a loss may be 0 as a float, which the library has no grid for."""

_LARGEST_NOISE: Final = 1e100
"""Above it likewise."""


def check_installed() -> None:
    """Checks that the library is there; it is imported only when a bound is asked for.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("dp_accounting") is None:
        raise MissingExtraError("pld", "dp_accounting")


def pld_epsilon(curve: RenyiCurve, delta: float) -> float | None:
    """Returns an upper bound on epsilon, or None if there is none for one of the events or for this delta.

    Raises:
        ComputationTooLargeError: it would take minutes or gigabytes.
    """
    releases = _releases(curve)
    if releases is None or delta <= (rounding := _rounding(releases)):
        return None
    check_size(releases)
    with np.errstate(all="ignore"):
        return float(_composed(releases).get_epsilon(delta - rounding))


def pld_delta(curve: RenyiCurve, epsilon: float) -> float | None:
    """Returns an upper bound on delta, or None if there is none for one of the events.

    Raises:
        ComputationTooLargeError: it would take minutes or gigabytes.
    """
    releases = _releases(curve)
    if releases is None:
        return None
    check_size(releases)
    with np.errstate(all="ignore"):
        return max(0.0, float(_composed(releases).get_delta(epsilon))) + _rounding(releases)


def _releases(curve: RenyiCurve) -> list[SampledRelease] | None:
    """Returns everything that was released as sampled Gaussians, or None if it is something else or beyond the grid."""
    if curve.others or curve.infinite or not curve.sampled_gaussians:
        return None
    if any(part.formula is not poisson_gaussian_rdp for part in curve.sampled_gaussians):
        return None
    releases = [
        SampledRelease(float(probability), float(noise_multiplier), int(count))
        for part in curve.sampled_gaussians
        for probability, noise_multiplier, count in zip(part.part, part.noise_multiplier, part.count, strict=True)
    ]
    if curve.precision > 0:
        # Those that are not sampled are one, with everybody in its sample.
        releases.append(SampledRelease(1.0, 1 / math.sqrt(curve.precision), 1))
    told = all(one.probability >= _SMALLEST_PROBABILITY and one.noise_multiplier <= _LARGEST_NOISE for one in releases)
    return releases if told else None


def _rounding(releases: list[SampledRelease]) -> float:
    return max(_ROUNDING, _ROUNDING_OF_A_RELEASE * sum(one.count for one in releases))


def _composed(releases: list[SampledRelease]) -> Any:
    library = importlib.import_module("dp_accounting")
    accountants = importlib.import_module("dp_accounting.pld")
    # One pair of distributions decides for each event, and it is that of add/remove: a Gaussian's depends on the noise
    # multiplier alone, and Poisson sampling is accepted for add/remove and for zero-out, where it is the same.
    accountant = accountants.PLDAccountant(library.NeighboringRelation.ADD_OR_REMOVE_ONE)
    for one in releases:
        inner = library.GaussianDpEvent(one.noise_multiplier)
        accountant.compose(library.PoissonSampledDpEvent(one.probability, inner), one.count)
    return accountant

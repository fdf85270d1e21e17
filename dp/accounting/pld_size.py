"""How much a privacy loss distribution would cost, told before anything of it is made.

Google's dp-accounting keeps the losses of an event on a grid, from the loss at one far end of the noise to that at the
other. With sigma the noise multiplier these ends are 10/sigma + 1/2sigma^2 apart from zero, less log(1/q) at the upper
one: little noise makes a long grid. Composing n of them convolves a grid with itself and cuts off what Chernoff's bound
proves to be negligible. The same bound, with the moments of the loss itself in the place of those of its grid, tells
the length of what is left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.errors import ComputationTooLargeError
from dp.float_events import ignoring

__all__ = [
    "MOST_BITS",
    "MOST_DIFFERENT",
    "MOST_POINTS",
    "MOST_WORK",
    "LossGrid",
    "SampledRelease",
    "check_size",
    "loss_grid",
]

_Array = npt.NDArray[np.float64]

MOST_POINTS: Final = 2**21
"""Of one grid: about half a gigabyte of temporaries, and eight seconds."""

MOST_WORK: Final = 2**23
"""Points of all grids that are made on the way: about fifteen seconds."""

MOST_DIFFERENT: Final = 2**8
"""Sampled Gaussians that differ: each takes a convolution, however short."""

MOST_BITS: Final = 2**23
"""Of the power of a short grid's length to the number of releases, which the library evaluates as an integer."""

_SHORT: Final = 1000
"""Points up to which the library does so."""

_INSTEAD: Final = "ask an accountant without pld=True, or account for fewer or noisier releases"

_SPACING: Final = 1e-4
"""Between two losses of the grid: the library's default."""

_ENDS: Final = 10.07
"""Standard deviations to the ends of the noise: half of e^-50 is beyond each."""

_NODES: Final = 2**12

_TRUNCATED: Final = math.log(2 / 1e-15)
"""What the library cuts off a composition."""

_ORDERS: Final = np.arange(1, 21)
"""Over the length of the grid, the orders that the library tries in Chernoff's bound."""

_SPREAD: Final = 0.125
"""Rounding a loss to two points of the grid adds a variance of 1/4 to it at most, in points."""


_MOST_TOLD: Final = 1e9
"""Longer grids are called infinite: so little noise is no bump any more on `_NODES` points."""


@dataclass(frozen=True, slots=True)
class SampledRelease:
    """A Poisson-sampled Gaussian, and how often it was released: at least once."""

    probability: float
    noise_multiplier: float
    count: int


@dataclass(frozen=True, slots=True)
class LossGrid:
    """How many points one sampled Gaussian's distribution takes.

    Attributes:
        single: points for one release; infinite where a float cannot tell.
        composed: points for all its releases together.
    """

    single: float
    composed: float


@ignoring("divide", "invalid", "over", "under")
def loss_grid(release: SampledRelease) -> LossGrid:
    """Returns the length of the grids of a sampled Gaussian: the longer of the two directions.

    Guarantees:
        Between half and four times what the library takes; the tests compare them.
    """
    probability, sigma = release.probability, np.float64(release.noise_multiplier)
    per_unit = 1 / sigma / sigma
    ends = per_unit * np.array([-0.5 - _ENDS * sigma, 0.5 + _ENDS * sigma])
    low, high = _loss(probability, ends)
    single = (high - low) / _SPACING + 3
    if not single < _MOST_TOLD:
        return LossGrid(math.inf, math.inf)
    x = np.linspace(-_ENDS * sigma, 1 + _ENDS * sigma, _NODES)
    loss = _loss(probability, (x - 0.5) * per_unit)
    without, with_it = (-0.5 * ((x - mean) / sigma) ** 2 for mean in (0.0, 1.0))
    mixture = np.logaddexp(np.log1p(-probability) + without, math.log(probability) + with_it)
    composed = max(
        _composed(release.count, losses=losses, log_density=log_density, single=float(single))
        for losses, log_density in ((loss - low, mixture), (high - loss, without))
    )
    return LossGrid(float(single), composed)


def check_size(releases: Sequence[SampledRelease]) -> None:
    """Checks that the distributions of Poisson-sampled Gaussians, and their composition, can be made in seconds.

    Raises:
        ComputationTooLargeError: one grid would have more than `MOST_POINTS`, or all together more than `MOST_WORK`, or
            there are more than `MOST_DIFFERENT`, or a short grid is composed too often for `MOST_BITS`.
    """
    _check("privacy loss distribution: different sampled releases", len(releases), MOST_DIFFERENT)
    work = square = 0.0
    for release in releases:
        grid = loss_grid(release)
        if grid.single <= _SHORT:
            bits = release.count * math.log2(grid.single)
            _check("privacy loss distribution: bits of the power of its grid's length", bits, MOST_BITS)
        # What is composed grows as the root of the sum of squares, as standard deviations do.
        square += grid.composed * grid.composed
        _check("privacy loss distribution: points of its grid", max(grid.composed, math.sqrt(square)), MOST_POINTS)
        work += grid.single + grid.composed + math.sqrt(square)
        _check("privacy loss distribution: points of all grids on the way", work, MOST_WORK)


def _check(reason: str, predicted: float, allowed: int) -> None:
    if not predicted <= allowed:
        raise ComputationTooLargeError(reason, predicted, allowed, _INSTEAD)


def _loss(probability: float, unsampled: _Array) -> _Array:
    return np.logaddexp(np.log1p(-probability), math.log(probability) + unsampled)


def _composed(count: int, *, losses: _Array, log_density: _Array, single: float) -> float:
    """Returns the points between the two bounds of Chernoff; losses are above that of the grid's first point."""
    points = losses / _SPACING
    orders = np.concatenate((-_ORDERS, _ORDERS)) / single
    log_density = log_density - np.logaddexp.reduce(log_density)
    moments = np.logaddexp.reduce(log_density + orders[:, None] * points, axis=1) + _SPREAD * orders * orders
    bounds = (count * moments + _TRUNCATED) / orders
    upper = min(float(bounds[orders > 0].min()), single * count)
    lower = max(float(bounds[orders < 0].max()), 0.0)
    return max(upper - lower + 1, single)

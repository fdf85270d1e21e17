"""What a round releases, and what follows from it: the mean, and the next clip norm."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dp import Unit
from dp import clip as clip_to
from fl.arrays.flatten import restore
from fl.arrays.schema import NamedArrays
from fl.errors import NoMeanError
from fl.float_events import ignoring
from fl.private.plan import PrivatePlan
from fl.private.side_values import WEIGHT
from secagg import InvalidInputError

__all__ = ["NO_MEAN_STDDEVS", "PrivateSum"]

NO_MEAN_STDDEVS: Final = 3.0
"""A noisy denominator below so many standard deviations of its noise is no denominator: without any weight it would be
taken for one in one round of 740, and above it the mean is off by a third in as many."""


@dataclass(frozen=True, slots=True, eq=False)
class PrivateSum:
    """What a round releases, and all that it releases.

    Attributes:
        plan: the training's.
        survivors: whose vectors are in the sum.
        clip: the round's clip norm.
        update: the noisy sum of the clipped and weighted updates, float64, shape (schema.size,).
        side_values: the noisy sums of the side values, by name.
        clip_bits: the noisy sum of the clip bits, each -1 or +1; None without adaptive clipping.
    """

    plan: PrivatePlan
    survivors: int
    clip: float
    update: npt.NDArray[np.float64]
    side_values: Mapping[str, float]
    clip_bits: int | None

    @property
    def denominator(self) -> float:
        """What makes the sum a mean: the survivors, or the noisy sum of the weights over their cap."""
        if self.plan.weight_cap > 1:
            return self.side_values[WEIGHT] / self.plan.weight_cap
        return float(self.survivors)

    @property
    def denominator_stddev(self) -> float:
        """The standard deviation of the noise in `denominator`. It is public: it follows from plan and survivors."""
        if self.plan.weight_cap == 1:
            return 0.0
        weight = next(side for side in self.plan.side_values if side.name == WEIGHT)
        # In steps of the lattice: each survivor's noise, and at most a quarter for its rounding.
        steps = math.sqrt(self.survivors * (float(self.plan.noise.local_variance) + 0.25))
        coordinate = steps / self.plan.scale(self.clip)
        return coordinate / (weight.share * self.clip) * weight.half / self.plan.weight_cap

    @ignoring("under")
    def mean(self, denominator: float | None = None, *, within_clip: bool | None = None) -> NamedArrays:
        """Returns the mean update, in the shapes and dtypes of the schema.

        What is done here follows from released and public numbers alone, and costs no privacy. An entry that noise
        moved out of the range of its array's dtype becomes the end of the range.

        Args:
            denominator: a public number to divide by; None is `denominator`. Where single examples are protected there
                is none: the number of examples is private, so a public one has to be given.
            within_clip: whether to shorten a mean that is longer than the clip norm, as no mean of clipped updates is.
                None does so where `denominator` is noisy, and so may be far too small. Elsewhere the mean is unbiased
                as it is, and much longer than the clip norm where it has many coordinates.

        Raises:
            NoMeanError: the noisy denominator is below `NO_MEAN_STDDEVS` of its standard deviations.
            InvalidInputError: a denominator has to be given, or the given one is not above 0, or too near to it.
        """
        if denominator is None:
            if self.plan.noise.unit is Unit.EXAMPLE:
                raise InvalidInputError("denominator", "none was given", "a public number: that of examples is private")
            denominator = self.denominator
            floor = NO_MEAN_STDDEVS * self.denominator_stddev
            # NaN is above nothing.
            if not denominator > floor:
                raise NoMeanError(denominator, floor)
            within_clip = self.plan.weight_cap > 1 if within_clip is None else within_clip
        if not 0 < denominator < math.inf:
            raise InvalidInputError("denominator", "not above 0, or not finite", "a number above 0")
        with np.errstate(all="ignore"):
            mean = self.update / denominator
        if not np.isfinite(mean).all():
            raise InvalidInputError("denominator", "so small that the mean is not finite", "a larger number")
        if within_clip:
            # The nearest point of the ball: never farther from any point of it, so not from the true mean.
            mean = clip_to(mean, self.clip).vector
        return restore(mean, self.plan.schema, tolerance=math.inf)

    def next_clip(self) -> float:
        """Returns the next round's clip norm."""
        adaptive = self.plan.adaptive_at(self.clip)
        if adaptive is None or self.clip_bits is None:
            return self.clip
        return adaptive.updated(self.clip_bits, self.survivors).clip_norm

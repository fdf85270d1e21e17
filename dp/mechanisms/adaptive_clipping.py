"""A clip norm that follows a quantile of the participants' norms, at the price of one more noisy coordinate.

Source: Andrew, Thakkar, McMahan, Ramaswamy 2021, section 2. Each participant says with one bit whether its norm was at
most the clip norm C: b = 1/2 if so, else -1/2. From the noisy sum of the bits over m contributors,

    b~ = sum / m + 1/2,    C <- C exp(-eta (b~ - gamma)),

so C moves until the part gamma of the norms is at most C. Here the bit is an integer like everything under secure
aggregation: 2b, which is -1 or +1, with integer noise of variance (2 sigma_b)**2 in the sum, sigma_b being the noise in
the sum of the b.

How far 2b can change (twice as far as b):

| relation | the neighbour | change of 2b | noise over it |
|---|---|---|---|
| zero-out | sends 0, no bit | 1 | 2 sigma_b |
| add/remove | sends nothing | 1 | 2 sigma_b |
| replace-one | has the other bit | 2 | sigma_b |

Bit and update are one Gaussian release of two parts, each in units of its own noise. For the round as a whole to have
the noise multiplier z, the update's must be

    z_update = (z**-2 - (noise over the bit's change)**-2)**(-1/2),

which is more than z and needs z < 2 sigma_b (under replace-one, z < sigma_b). Multipliers are over the sensitivity
*under the relation*, here as everywhere. A reader who counts in clip norms has twice the figures under replace-one, and
there the formula has 2 sigma_b again: it is the same noise.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Self

import numpy as np

from dp.checks import check_count, check_fraction, check_member, check_real
from dp.errors import InvalidParameterError, UnsupportedEventError
from dp.events import (
    Composed,
    DiscreteGaussian,
    DistributedDiscreteGaussian,
    Event,
    Skellam,
)
from dp.float_events import ignoring
from dp.mechanisms.clipping import CLIP_RANGE
from dp.mechanisms.float_vectors import root_above
from dp.vocabulary import Relation

__all__ = ["AdaptiveClipping"]

_STDDEV_RANGE: Final = (2.0**-20, 2.0**39)
"""The largest noise in the sum of the bits: twice it is within what the samplers make."""

_LARGEST_COUNT: Final = 2**32
_LARGEST_SUM: Final = 2**62
"""The largest sum of bits with noise: more than any contributors and any noise are together."""

_LARGEST_STEP: Final = 700.0
"""The largest step of the clip norm's logarithm: no exponential leaves the floats, and one step crosses every range."""

_USUAL_SHARE: Final = 20
"""sigma_b is usually m / 20 (section 3): the median is then told from the 45 % quantile."""


@dataclass(frozen=True, slots=True)
class AdaptiveClipping:
    """The clip norm of a round, and how it moves to the next.

    Args:
        clip_norm: C, 2**-500 to 2**500.
        bit_stddev: sigma_b, the standard deviation of the noise in the sum of the b, the +-1/2; 2**-20 to 2**39.
        quantile: gamma, the part of the norms that shall be at most C; 0 to 1.
        learning_rate: eta, above 0 and at most 10.
        smallest: C never goes below; 2**-500 to `clip_norm`.
        largest: C never goes above; `clip_norm` to 2**500.

    Raises:
        InvalidParameterError: a parameter is out of its range.

    Guarantees:
        The clip norm of a round is a function of noisy sums of earlier rounds, and so costs nothing more; its bits cost
        what `event` adds to the update's.
    """

    clip_norm: float
    bit_stddev: float
    quantile: float = 0.5
    learning_rate: float = 0.2
    smallest: float = CLIP_RANGE[0]
    largest: float = CLIP_RANGE[1]

    def __post_init__(self) -> None:
        clip_norm = check_real("clip_norm", self.clip_norm, low=CLIP_RANGE[0], high=CLIP_RANGE[1])
        values = {
            "clip_norm": clip_norm,
            "bit_stddev": check_real("bit_stddev", self.bit_stddev, low=_STDDEV_RANGE[0], high=_STDDEV_RANGE[1]),
            "quantile": check_real("quantile", self.quantile, low=0.0, high=1.0),
            "learning_rate": check_real("learning_rate", self.learning_rate, low=0.0, high=10.0, open_low=True),
            "smallest": check_real("smallest", self.smallest, low=CLIP_RANGE[0], high=clip_norm),
            "largest": check_real("largest", self.largest, low=clip_norm, high=CLIP_RANGE[1]),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def for_contributors(cls, clip_norm: float, contributors: int) -> Self:
        """Returns the usual setting for about this many contributors a round: sigma_b is a twentieth of them.

        Args:
            clip_norm: C to start from.
            contributors: m, 1 to 2**32.
        """
        return cls(clip_norm, check_count("contributors", contributors, low=1, high=_LARGEST_COUNT) / _USUAL_SHARE)

    def bit(self, norm: float) -> int:
        """Returns 2b, what a participant adds as one more integer coordinate: 1 if its norm is at most C, else -1.

        Args:
            norm: before clipping, as of `Clipped.norm`; at least 0 and finite.

        Raises:
            InvalidParameterError: the norm is NaN, infinite or below 0. The text does not tell it.
        """
        # Not by check_real, whose error would hold the norm.
        if (
            isinstance(norm, bool)
            or not isinstance(norm, float | int | np.floating | np.integer)
            or not 0 <= norm < math.inf
        ):
            raise InvalidParameterError("norm", type(norm).__name__, "a number, at least 0 and finite")
        return 1 if norm <= self.clip_norm else -1

    @ignoring("under")
    def updated(self, noisy_sum: int, contributors: int) -> Self:
        """Returns the clipping of the next round.

        Args:
            noisy_sum: of all contributors' 2b, with noise: an integer up to 2**62 in magnitude.
            contributors: m, how many bits are in the sum; public, 1 to 2**32. Under add/remove nobody is told how many
                there are, and the number expected takes its place.

        Raises:
            InvalidParameterError: an argument is out of its range, or the sum is no integer.
        """
        total = check_count("noisy_sum", noisy_sum, low=-_LARGEST_SUM, high=_LARGEST_SUM)
        m = check_count("contributors", contributors, low=1, high=_LARGEST_COUNT)
        # Noise, or one client that sends anything, may put it anywhere: no step is longer than the bits' own longest.
        fraction_below = min(1.0, max(0.0, total / (2 * m) + 0.5))
        step = -self.learning_rate * (fraction_below - self.quantile)
        moved = self.clip_norm * math.exp(min(max(step, -_LARGEST_STEP), _LARGEST_STEP))
        return replace(self, clip_norm=min(max(moved, self.smallest), self.largest))

    @property
    def bit_variance(self) -> Fraction:
        """The parameter of the noise in the sum of the 2b, all shares together: (2 sigma_b)**2, exactly."""
        return (2 * Fraction(self.bit_stddev)) ** 2

    def local_bit_variance(self, shares: int) -> Fraction:
        """Returns the parameter of one participant's share of that noise, exactly.

        Args:
            shares: how many honest shares are in the sum at least: the minimum of survivors less the colluders.

        Raises:
            InvalidParameterError: there is no share.
        """
        return self.bit_variance / check_count("shares", shares, low=1, high=_LARGEST_COUNT)

    def bit_sensitivity(self, relation: Relation) -> int:
        """Returns how far one participant can change the sum of the 2b: 2 under replace-one, else 1."""
        return 2 if check_member("relation", relation, Relation) is Relation.REPLACE_ONE else 1

    def update_noise_multiplier(self, noise_multiplier: float, relation: Relation) -> float:
        """Returns the multiplier for the update, with which the round as a whole has the one given.

        Args:
            noise_multiplier: z, noise over sensitivity under the relation, as of `dp.Gaussian`; above 0.
            relation: the neighbouring relation.

        Returns:
            z_update, above z, rounded up.

        Raises:
            InvalidParameterError: the bit alone would be too little noise for z: z is not below 2 sigma_b (under
                replace-one, sigma_b).

        Guarantees:
            z_update**-2 + (noise over the bit's change)**-2 <= z**-2, exactly.
        """
        multiplier = check_real("noise_multiplier", noise_multiplier, low=0.0, open_low=True)
        bit = self.bit_variance / self.bit_sensitivity(relation) ** 2
        whole = Fraction(multiplier) ** 2
        if whole >= bit:
            allowed = f"below {math.sqrt(bit):.6g}, the bit's noise over its sensitivity, {relation}"
            raise InvalidParameterError("noise_multiplier", multiplier, allowed)
        return root_above(whole * bit / (bit - whole))

    def event(self, update: Event, bit_variance: Fraction | None = None) -> Composed:
        """Returns a round as the accountant sees it: the update, and beside it the bit with noise of the same kind.

        The divergences add up. With the multiplier of `update_noise_multiplier`, a `DiscreteGaussian` round has the
        curve of one `Gaussian` with z; noise in shares has the slightly larger one of its kind.

        Args:
            update: the update's event: `DiscreteGaussian`, `Skellam` or `DistributedDiscreteGaussian`. Its relation and
                unit are the bit's too, and so are its shares.
            bit_variance: of all honest noise in the sum of the 2b, if it is not `bit_variance`, as with more survivors
                than were counted on; above 0.

        Raises:
            UnsupportedEventError: the update is of another kind, such as a sampled one: sample what this returns.
            InvalidParameterError: the variance is out of range.
        """
        variance = self.bit_variance if bit_variance is None else check_fraction("bit_variance", bit_variance)
        return Composed(((update, 1), (self._bit_event(update, variance), 1)))

    def _bit_event(self, update: Event, variance: Fraction) -> Event:
        match update:
            case DiscreteGaussian(relation=relation, unit=unit):
                return DiscreteGaussian(variance, self.bit_sensitivity(relation) ** 2, relation, unit)
            case Skellam(relation=relation, unit=unit):
                change = self.bit_sensitivity(relation)
                return Skellam(variance, change**2, change, relation, unit)
            case DistributedDiscreteGaussian(shares=shares, relation=relation, unit=unit):
                change = self.bit_sensitivity(relation)
                return DistributedDiscreteGaussian(variance / shares, shares, change**2, change, 1, relation, unit)
        raise UnsupportedEventError(update, "the bit has noise on the integers, of one party or in shares")

"""The Gaussian mechanism for real vectors, in central or local privacy, without floating-point noise.

Noise that is a float gives its input away through its last bits (Mironov 2012), however good its seed is. Here the
vector is rounded to the multiples of a public power of two, a discrete Gaussian on the integers is added, and the sum
is multiplied by that power again, which is exact: what is released is a multiple for every input, and its distribution
is that of the proof.

    mechanism = GaussianMechanism(1.0, 1.1, 1000, Relation.ADD_REMOVE, Unit.EXAMPLE)
    released = mechanism.release_sum(gradients)     # one vector for each example
    accountant.compose(PoissonSampled(0.01, mechanism.event))

**Rounding is part of the sensitivity.** Let g be the spacing, d the dimension, D the L2 sensitivity of what is to be
released, and R(x) the rounded vector x/g. Every coordinate of R(x) is less than 1 away from x/g, so, for every x, y and
whatever the two roundings' randomness was,

    |R(x) - R(y)|_2 < |x - y|_2 / g + 2 sqrt(d).

* `release` rounds one vector f(data), a function that has the sensitivity D: |f(data) - f(neighbour)|_2 <= D gives at
  most D/g + 2 sqrt(d) on the lattice.
* `release_sum` clips each participant's vector to C, rounds it, and adds integers, which is exact. A neighbour differs
  in one summand: under zero-out and add/remove R(x) against 0, which is R(0), so that |x - 0| <= C = D; under
  replace-one R(x) against R(y), with |x - y| <= 2C = D. Again at most D/g + 2 sqrt(d). No sum of floats is made, whose
  rounding would have to be part of the sensitivity too.

The roundings of all others have the same distribution for both neighbours and may be thought of as known. So the bound
needs no luck with the rounding and nothing secret about it, which is why it holds for examples as for clients; it is
not the smaller bound of *conditional* rounding, which is for whole clients only.

**The price.** The noise's variance on the lattice is z**2 S, with the noise multiplier z and S = ceil((D/g +
2 sqrt(d))**2), so that the event's Renyi curve is that of continuous noise with multiplier z (Canonne, Kamath, Steinke
2020, Theorem 4), alpha / 2z**2, exactly. What rounding costs is that the variance is larger than (z D)**2 by a relative
S (g/D)**2 - 1; g is the largest power of two that keeps this to `max_price`, a millionth unless more is allowed.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy.typing as npt

from dp.checks import check_count, check_member, check_real
from dp.errors import InvalidParameterError
from dp.events import DiscreteGaussian
from dp.float_events import ignoring
from dp.mechanisms.clipping import CLIP_RANGE, clip
from dp.mechanisms.float_vectors import Vector, as_float64, root_above
from dp.mechanisms.lattice import LARGEST_ROUNDED, add_rounded, exact_multiple, from_lattice
from dp.noise.keystream import Keystream, WordSource
from dp.noise.samplers import LARGEST_VARIANCE, SMALLEST_VARIANCE, discrete_gaussian
from dp.noise.table import Integers
from dp.vocabulary import Relation, Unit

__all__ = ["MAX_PRICE", "GaussianMechanism"]

MAX_PRICE: Final = 1e-6
"""What rounding may add to the variance of the noise, relatively, unless more is allowed: nothing that is seen."""

_SMALLEST_PRICE: Final = 2.0**-30
"""Finer lattices would gain nothing, and the sensitivity would not be far below the largest multiple."""

_LARGEST_DIMENSION: Final = 2**40


@dataclass(frozen=True, slots=True)
class GaussianMechanism:
    """Adds Gaussian noise to one real vector, or to a sum of them.

    Args:
        l2_sensitivity: D, in the vector's own units, *under the relation*: the clip norm under zero-out and add/remove,
            twice the clip norm under replace-one. 2**-500 to 2**500.
        noise_multiplier: z, the noise's standard deviation over that sensitivity, as of `dp.Gaussian`; above 0.
        dimension: d, entries of the vector, 1 to 2**40.
        relation: the neighbouring relation.
        unit: what one participant is.
        max_price: what rounding may add to the variance, relatively: 2**-30 to 1. The lattice is the coarser, and large
            multipliers in large dimensions have the more room, the more that is.

    Attributes:
        spacing: g, a power of two; public.
        squared_sensitivity: S, on the lattice.
        variance: of the noise on the lattice, exactly; in the vector's units it is that times g**2.

    Raises:
        InvalidParameterError: a parameter is out of range; among others a noise multiplier for which the sampler's
            range is too small on so fine a lattice: more than 130 in dimension 10**6, or 4 in 10**9, may be.

    Guarantees:
        A release is private as `event` says, under `relation`, for `unit`; with the samplers' total variation of
        dimension * 2**-100, which costs delta (1 + e**epsilon) times that.

    Security:
        An error is an answer, too, and no noise protects it: a caller that lets others see which inputs are refused
        should make sure that none is.
    """

    l2_sensitivity: float
    noise_multiplier: float
    dimension: int
    relation: Relation
    unit: Unit
    max_price: float = MAX_PRICE
    spacing: float = field(init=False)
    squared_sensitivity: int = field(init=False)
    variance: Fraction = field(init=False)

    def __post_init__(self) -> None:
        sensitivity = check_real("l2_sensitivity", self.l2_sensitivity, low=CLIP_RANGE[0], high=CLIP_RANGE[1])
        multiplier = check_real("noise_multiplier", self.noise_multiplier, low=0.0, open_low=True)
        dimension = check_count("dimension", self.dimension, low=1, high=_LARGEST_DIMENSION)
        check_member("relation", self.relation, Relation)
        check_member("unit", self.unit, Unit)
        price = check_real("max_price", self.max_price, low=_SMALLEST_PRICE, high=1.0)
        spacing = _largest_spacing(sensitivity, dimension, price)
        squared = _squared_sensitivity(sensitivity, dimension, spacing)
        variance = Fraction(multiplier) ** 2 * squared
        if not SMALLEST_VARIANCE <= variance <= LARGEST_VARIANCE:
            least, most = (math.sqrt(limit / squared) for limit in (SMALLEST_VARIANCE, LARGEST_VARIANCE))
            allowed = f"from {least:.3g} to {most:.3g} in this dimension; a larger max_price allows more noise"
            raise InvalidParameterError("noise_multiplier", multiplier, allowed)
        values = {
            "l2_sensitivity": sensitivity,
            "noise_multiplier": multiplier,
            "dimension": dimension,
            "max_price": price,
            "spacing": spacing,
            "squared_sensitivity": squared,
            "variance": variance,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def event(self) -> DiscreteGaussian:
        """What one release is to the accountant."""
        return DiscreteGaussian(self.variance, self.squared_sensitivity, self.relation, self.unit)

    @property
    def price(self) -> float:
        """By how much, relatively, the variance is above that of continuous noise."""
        return float(_price(self.squared_sensitivity, self.l2_sensitivity, self.spacing))

    @property
    def clip_norm(self) -> float:
        """C, the norm that `release_sum` clips to: the sensitivity, or half of it under replace-one."""
        return self.l2_sensitivity / (2 if self.relation is Relation.REPLACE_ONE else 1)

    @property
    def largest_value(self) -> float:
        """The largest magnitude of an entry that `release` takes."""
        return LARGEST_ROUNDED * self.spacing

    @property
    def largest_count(self) -> int:
        """The most vectors that `release_sum` adds up; millions and more."""
        return LARGEST_ROUNDED // (math.ceil(exact_multiple(self.clip_norm, spacing=self.spacing)) + 1)

    @ignoring("under")
    def release(self, vector: npt.NDArray[Any]) -> Vector:
        """Returns one vector with noise.

        Args:
            vector: f(data), shape (dimension,), finite, entries up to `largest_value`; dtypes as of `dp.clip`. The L2
                sensitivity must hold for f as it is computed: if f adds floats up, their rounding is part of it.

        Returns:
            float64, shape (dimension,): multiples of `spacing`, exactly up to 2**53 of it; larger ones are rounded to
            float64 after the noise.

        Raises:
            InvalidParameterError: the vector is refused; nothing was released.

        Cost:
            30 nanoseconds an entry, and 16 bytes.
        """
        return self._release(vector, discrete_gaussian(self.variance, self.dimension), Keystream.fresh())

    @ignoring("under")
    def release_sum(self, vectors: Iterable[npt.NDArray[Any]]) -> Vector:
        """Returns the sum of clipped vectors, with noise.

        For local privacy it is a sum of one. For a mean, divide by a public number.

        Args:
            vectors: *one for each participant* of the unit: one for each example where that is the unit. Each as of
                `release`, but of any norm: it is clipped to `clip_norm`. None at all is a sum of zero, as an empty
                sample has to look like any other. They are taken one by one, so they may be made as they are needed.

        Returns:
            As `release`.

        Raises:
            InvalidParameterError: a vector is refused, or there are more than `largest_count`; nothing was released.

        Cost:
            10 nanoseconds an entry of each vector, and what `release` costs.
        """
        return self._release_sum(vectors, discrete_gaussian(self.variance, self.dimension), Keystream.fresh())

    def _release(self, vector: object, noise: Integers, words: WordSource) -> Vector:
        """`release` as a function of the noise, which is overwritten, and of the words that rounding takes."""
        values = as_float64("vector", vector, copy=False)
        self._check_shape(values)
        add_rounded(noise, "vector", values=values, spacing=self.spacing, source=words)
        return from_lattice(noise, self.spacing)

    def _release_sum(self, vectors: object, noise: Integers, words: WordSource) -> Vector:
        """`release_sum` as a function of the noise, which is overwritten, and of the words that rounding takes."""
        if not isinstance(vectors, Iterable) or isinstance(vectors, str | bytes | bytearray | memoryview):
            raise InvalidParameterError("vectors", type(vectors).__name__, "arrays, one for each participant")
        try:
            several = iter(vectors)
        except (RuntimeError, TypeError, ValueError):
            raise InvalidParameterError("vectors", type(vectors).__name__, "arrays, one for each participant") from None
        for place, vector in enumerate(several):
            if place >= self.largest_count:
                allowed = f"at most {self.largest_count}; a larger max_price allows more"
                raise InvalidParameterError("vectors", f"more than {self.largest_count}", allowed)
            try:
                values = clip(vector, self.clip_norm).vector
                self._check_shape(values)
            except InvalidParameterError as error:
                raise InvalidParameterError(f"vectors[{place}]", error.offered, error.allowed) from None
            # Not too large: no entry is above the clip norm.
            add_rounded(noise, "vector", values=values, spacing=self.spacing, source=words)
        return from_lattice(noise, self.spacing)

    def _check_shape(self, values: Vector) -> None:
        if values.shape != (self.dimension,):
            raise InvalidParameterError("vector", f"of shape {values.shape}", f"of shape ({self.dimension},)")


def _squared_sensitivity(sensitivity: float, dimension: int, spacing: float) -> int:
    rounding = Fraction(root_above(Fraction(4 * dimension)))
    return math.ceil((exact_multiple(sensitivity, spacing=spacing) + rounding) ** 2)


def _price(squared_sensitivity: int, sensitivity: float, spacing: float) -> Fraction:
    return squared_sensitivity / exact_multiple(sensitivity, spacing=spacing) ** 2 - 1


def _largest_spacing(sensitivity: float, dimension: int, max_price: float) -> float:
    """Returns the largest power of two whose price is not above `max_price`; the same on every machine."""
    # The price is at least 4 sqrt(d) g/D: above the power of two that this starts from, none can do.
    exponent = math.frexp(max_price * sensitivity / math.sqrt(16 * dimension))[1]
    while True:
        spacing = math.ldexp(1.0, exponent)
        squared = _squared_sensitivity(sensitivity, dimension, spacing)
        if _price(squared, sensitivity, spacing) <= max_price:
            return spacing
        exponent -= 1

"""From events to one Renyi curve: which formula belongs to which event, and their sum.

Renyi divergences of one order add up under adaptive composition, epsilons do not: everything is added here, as curves,
before anything is converted. An event without a formula is refused; `dp.renyi.formulas` has the formulas.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dp.errors import UnsupportedEventError
from dp.events import (
    Composed,
    DiscreteGaussian,
    Event,
    Gaussian,
    NonPrivate,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.float_events import ignoring
from dp.renyi.distributed import skellam_rdp
from dp.renyi.formulas import FORMULAS, published_skellam_rdp
from dp.renyi.sampled_curves import Curve, PoissonSampledCurve, SampledCurve, WithoutReplacementCurve
from dp.renyi.sampled_discrete_gaussian import poisson_discrete_gaussian_rdp, root_ratio_below
from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
from dp.renyi.sampled_gaussians import SampledGaussian, SampledGaussians
from dp.renyi.sampled_without_replacement import gaussian_without_replacement_rdp
from dp.renyi.skellam_numerical import numerical_skellam_rdp
from dp.vocabulary import Relation

__all__ = ["OtherCurve", "RenyiCurve", "check_supported", "total_variation_of"]

_Array: TypeAlias = npt.NDArray[np.float64]

_INNER_NUMERICAL_TO: Final = 64
"""The numerical bound of a sampled mechanism is evaluated at integers up to here: each takes milliseconds."""

_KEPT: Final = 2**8
"""Events whose formula is remembered: a bound for a sampled mechanism is a table that grows as it is used."""


_ONE_PARTY: Final = (Gaussian, DiscreteGaussian)
"""Mechanisms whose noise does not depend on who takes part, so that a participant can be in the sample or not."""

_SAMPLED: Final = (PoissonSampled, SampledWithoutReplacement)

_KNOWN: Final = frozenset({Gaussian, NonPrivate, Composed, *_SAMPLED, *FORMULAS})


@dataclass(frozen=True, slots=True)
class _Precision:
    """A Gaussian release: all of them together are one, with the sum of 1/sigma^2."""

    value: float


@dataclass(frozen=True, slots=True, eq=False)
class OtherCurve:
    """Any other curve.

    Without `smooth`, it has kinks at integers. `quick` is an upper bound that takes no time, and often the same.
    """

    curve: Curve
    quick: Curve
    smooth: bool


@dataclass(frozen=True, slots=True)
class _Infinite:
    """No guarantee at all."""


_Term: TypeAlias = _Precision | SampledGaussian | OtherCurve | _Infinite


def check_supported(event: Event) -> None:
    """Checks that there is a valid bound for `event`.

    Raises:
        UnsupportedEventError: there is none.
    """
    # Unknown events need not hash, so they are met before the cache is asked.
    if not _KNOWN.issuperset(_kinds(event)):
        raise UnsupportedEventError(event)
    _terms(event)


class RenyiCurve:
    """The sum of the curves of many events: an upper bound on the Renyi divergence of all of them together.

    Args:
        events: how often each event happened.
        quick_from: above this order published formulas do, even where there is a tighter numerical bound.

    Raises:
        UnsupportedEventError: there is no valid bound for one of them.

    Attributes:
        nothing: nothing was released at all.
        infinite: one of the events has no guarantee at all.
        precision: the sum of 1/sigma^2 of the Gaussian releases that are not sampled.
        sampled_gaussians: the sampled ones, those with one formula together.
        others: every other curve, and how often it is added.
        sampled: whether sampling gains anything.
        unsampled_precision: the sum of 1/sigma^2 if every release is a continuous Gaussian, sampled or not, else None.
            Without sampling they are together one Gaussian release with that precision, which is an upper bound too.
    """

    def __init__(self, events: Mapping[Event, int], quick_from: float = math.inf) -> None:
        counts: dict[_Term, int] = {}
        for event, count in events.items():
            if count:
                for term, times in _terms(event):
                    counts[term] = counts.get(term, 0) + times * count
        sampled = [(term, count) for term, count in counts.items() if isinstance(term, SampledGaussian)]
        self.nothing = not counts
        self.infinite = _Infinite() in counts
        self.precision = math.fsum(term.value * count for term, count in counts.items() if isinstance(term, _Precision))
        self.others = [(term, count) for term, count in counts.items() if isinstance(term, OtherCurve)]
        self.sampled_gaussians: Sequence[SampledGaussians] = [
            SampledGaussians.of(sampled, formula) for formula in {term.formula for term, _ in sampled}
        ]
        self.sampled = bool(sampled) or any(isinstance(term.curve, SampledCurve) for term, _ in self.others)
        self.unsampled_precision: float | None = None
        discrete = any(part.formula is poisson_discrete_gaussian_rdp for part in self.sampled_gaussians)
        if not self.others and not self.infinite and not discrete:
            self.unsampled_precision = self.precision + math.fsum(part.precision() for part in self.sampled_gaussians)
        self._quick_from = quick_from
        self._known: dict[float, float] = {}

    @ignoring("under")
    def __call__(self, orders: _Array) -> _Array:
        """Returns the bound at each order, at least 1, shape as `orders`; at 1, on the Kullback-Leibler divergence."""
        if self.infinite:
            return np.full(orders.shape, math.inf)
        rdp = 0.5 * self.precision * orders
        quick = orders > self._quick_from
        for term, count in self.others:
            for part, curve in ((quick, term.quick), (~quick, term.curve)):
                if part.any():
                    # As a float: numpy 1 makes an array of objects of a count beyond 64 bits.
                    rdp[part] += float(count) * curve(orders[part])
        for sampled in self.sampled_gaussians:
            rdp += [sampled.rdp(float(order)) for order in orders]
        # What is no number is no bound: no guarantee is known there.
        return np.where(np.isnan(rdp), math.inf, rdp)

    @property
    def pairs(self) -> int:
        """How many sampled Gaussians differ; each costs time at every order."""
        return sum(sampled.size for sampled in self.sampled_gaussians)

    @ignoring("under")
    def at(self, order: float) -> float:
        """Returns the bound at one order; equal questions are answered from memory."""
        known = self._known.get(order)
        if known is None:
            known = self._known[order] = float(self(np.array([order]))[0])
        return known

    def with_sampled(self, sampled_gaussians: Sequence[SampledGaussians]) -> "RenyiCurve":
        """Returns a curve with other sampled Gaussians in the place of its own."""
        other = copy(self)
        other.sampled_gaussians = sampled_gaussians
        other._known = {}
        return other

    def total_variation(self) -> float:
        """Returns an upper bound on the total variation distance of the outputs on neighbours.

        The sum of the distances of the releases. For a Gaussian that is erf(mu/sqrt 8), sampling scales it, and for any
        other curve it follows from the Kullback-Leibler divergence.
        """
        if self.infinite:
            return 1.0
        total = math.erf(math.sqrt(self.precision / 8)) + math.fsum(
            sampled.discrete_total_variation()
            if sampled.formula is poisson_discrete_gaussian_rdp
            else sampled.total_variation()
            for sampled in self.sampled_gaussians
        )
        rest = math.fsum(count * float(term.curve(np.ones(1))[0]) for term, count in self.others)
        return min(1.0, total + total_variation_of(rest))


def total_variation_of(kl_divergence: float) -> float:
    """Returns a bound on the total variation: the better of Pinsker's and Bretagnolle and Huber's inequality."""
    return min(math.sqrt(kl_divergence / 2), math.sqrt(-math.expm1(-kl_divergence)))


def _kinds(event: object) -> Iterator[type]:
    yield type(event)
    if isinstance(event, _SAMPLED):
        yield from _kinds(event.event)
    elif isinstance(event, Composed):
        for part, _ in event.events:
            yield from _kinds(part)


@lru_cache(maxsize=_KEPT)
def _terms(event: Event) -> tuple[tuple[_Term, int], ...]:
    if isinstance(event, Gaussian):
        return ((_Precision(_precision(event.noise_multiplier)), 1),)
    if isinstance(event, Composed):
        return tuple((term, times * count) for part, count in event.events if count for term, times in _terms(part))
    if isinstance(event, PoissonSampled):
        return _poisson_terms(event)
    if isinstance(event, SampledWithoutReplacement):
        return _without_replacement_terms(event)
    if isinstance(event, NonPrivate):
        return ((_Infinite(), 1),)
    formula = FORMULAS[type(event)]

    def curve(orders: _Array) -> _Array:
        return formula(orders, event)

    if not isinstance(event, Skellam):
        return ((OtherCurve(curve, curve, smooth=True), 1),)

    def published(orders: _Array) -> _Array:
        return published_skellam_rdp(orders, event)

    # Where the numerical bound is the smaller one, it is at all orders near.
    at_2 = np.array([2.0])
    smooth = float(numerical_skellam_rdp(at_2, event)[0]) <= float(skellam_rdp(at_2, event)[0])
    return ((OtherCurve(curve, published, smooth), 1),)


def _poisson_terms(event: PoissonSampled) -> tuple[tuple[_Term, int], ...]:
    inner, probability = event.event, event.probability
    if event.relation is Relation.REPLACE_ONE:
        raise UnsupportedEventError(event, "the bounds for Poisson sampling are for add/remove and zero-out")
    for kind in _kinds(inner):
        if kind in _SAMPLED:
            raise UnsupportedEventError(event, "a sample of a sample has no bound here")
        if kind not in (*_ONE_PARTY, Composed, NonPrivate):
            raise UnsupportedEventError(event, "Poisson sampling is not proved to amplify noise that participants add")
    if probability == 0:
        return ()
    if probability == 1:
        return _terms(inner)
    sigma = _noise_multiplier(inner)
    if sigma is not None:
        return ((SampledGaussian(poisson_gaussian_rdp, probability, sigma), 1),)
    discrete = _only_discrete_gaussian(inner)
    if discrete is not None:
        sigma = root_ratio_below(discrete.variance, discrete.squared_sensitivity)
        return ((SampledGaussian(poisson_discrete_gaussian_rdp, probability, sigma), 1),)
    return _any_sampled(PoissonSampledCurve, inner, probability)


def _without_replacement_terms(event: SampledWithoutReplacement) -> tuple[tuple[_Term, int], ...]:
    inner, part = event.event, event.sample / event.population
    if any(kind in _SAMPLED for kind in _kinds(inner)):
        raise UnsupportedEventError(event, "a sample of a sample has no bound here")
    if part == 0:
        return ()
    if part == 1:
        return _terms(inner)
    sigma = _noise_multiplier(inner)
    if sigma is not None:
        return ((SampledGaussian(gaussian_without_replacement_rdp, part, sigma), 1),)
    return _any_sampled(WithoutReplacementCurve, inner, part)


def _any_sampled(kind: type[SampledCurve], inner: Event, part: float) -> tuple[tuple[_Term, int], ...]:
    # The sums take the curve at every integer up to the order.
    curve = RenyiCurve({inner: 1}, quick_from=_INNER_NUMERICAL_TO)
    if curve.infinite:
        return ((_Infinite(), 1),)
    sampled = kind(curve, part)
    return ((OtherCurve(sampled, sampled, smooth=False), 1),)


def _noise_multiplier(event: Event) -> float | None:
    """Returns that of the one Gaussian release that `event` amounts to; None if it is no Gaussian."""
    terms = _terms(event)
    if not terms or not all(isinstance(term, _Precision) for term, _ in terms):
        return None
    if isinstance(event, Gaussian):
        return event.noise_multiplier
    precision = math.fsum(term.value * count for term, count in terms if isinstance(term, _Precision))
    return 1 / math.sqrt(precision) if precision > 0 else None


def _only_discrete_gaussian(event: Event) -> DiscreteGaussian | None:
    """Returns the one release of a discrete Gaussian that `event` amounts to; None if it is anything else or more.

    Of several, the later ones may depend on what the first released, and the proof for one does not carry over.
    """
    if isinstance(event, DiscreteGaussian):
        return event
    if isinstance(event, Composed):
        happened = [(part, count) for part, count in event.events if count and _terms(part)]
        if len(happened) == 1 and happened[0][1] == 1:
            return _only_discrete_gaussian(happened[0][0])
    return None


def _precision(noise_multiplier: float) -> float:
    return 1 / noise_multiplier / noise_multiplier

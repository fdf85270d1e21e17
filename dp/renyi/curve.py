"""From events to one Renyi curve: which formula belongs to which event, and their sum.

Renyi divergences of one order add up under adaptive composition, epsilons do not: everything is added here, as curves,
before anything is converted. An event without a formula is refused. A formula for a further kind of event is one line
in `_FORMULAS`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dp.errors import UnsupportedEventError
from dp.events import (
    Composed,
    DiscreteGaussian,
    DistributedDiscreteGaussian,
    Event,
    Gaussian,
    NonPrivate,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.renyi.distributed import distributed_discrete_gaussian_rdp, ratio, skellam_rdp
from dp.renyi.sampled_curves import Curve, PoissonSampledCurve, SampledCurve, WithoutReplacementCurve
from dp.renyi.sampled_gaussian import largest_real_order, poisson_gaussian_rdp
from dp.renyi.sampled_without_replacement import gaussian_without_replacement_rdp
from dp.renyi.skellam_numerical import LARGEST_VARIANCE, numerical_skellam_rdp
from dp.special import erf
from dp.vocabulary import Relation

__all__ = ["RenyiCurve", "check_supported", "discrete_gaussian_rdp"]

_Array: TypeAlias = npt.NDArray[np.float64]

_INNER_NUMERICAL_TO: Final = 64
"""The numerical bound of a sampled mechanism is evaluated at integers up to here: each takes milliseconds."""

_KEPT: Final = 2**15
"""Events whose formula is remembered; a bound for a sampled mechanism is a table that grows as it is used."""


def discrete_gaussian_rdp(orders: _Array, event: DiscreteGaussian) -> _Array:
    """Returns alpha Delta2^2 / 2sigma^2 (Canonne, Kamath, Steinke 2020, Theorem 4: that of the continuous Gaussian)."""
    return orders * ratio(event.squared_sensitivity, 2 * event.variance)


def _published_skellam_rdp(orders: _Array, event: Skellam) -> _Array:
    """Returns the published bound, a theorem for integer orders; between them as far as convexity carries it."""
    low = np.floor(orders)
    at_low, at_next = skellam_rdp(np.maximum(low, 2.0), event), skellam_rdp(low + 1, event)
    # Infinity times 0 at an integer is no bound, so integers are taken apart.
    with np.errstate(invalid="ignore"):
        line = (low + 1 - orders) * (low - 1) * at_low + (orders - low) * low * at_next
    return np.where((low > 1) & (orders > low), line / np.where(low > 1, orders - 1, 1), at_low)


def _skellam_rdp(orders: _Array, event: Skellam) -> _Array:
    """Returns the smaller of the published bound and the numerical one, which is for every order."""
    published = _published_skellam_rdp(orders, event)
    # The numerical bound stays that of the largest variance it is made for. For far more noise the published one, at
    # most alpha D2^2/2mu (1 + 3/alpha), is smaller.
    if event.variance > 8 * LARGEST_VARIANCE:
        return published
    return np.minimum(published, numerical_skellam_rdp(orders, event))


_FORMULAS: Final[Mapping[type[Event], Callable[[_Array, Any], _Array]]] = {
    DiscreteGaussian: discrete_gaussian_rdp,
    DistributedDiscreteGaussian: distributed_discrete_gaussian_rdp,
    Skellam: _skellam_rdp,
}
"""For each kind of event without an own path below: orders and event to upper bounds on the divergence."""

_ONE_PARTY: Final = (Gaussian, DiscreteGaussian)
"""Mechanisms whose noise does not depend on who takes part, so that a participant can be in the sample or not."""

_SAMPLED: Final = (PoissonSampled, SampledWithoutReplacement)

_KNOWN: Final = frozenset({Gaussian, NonPrivate, Composed, *_SAMPLED, *_FORMULAS})


@dataclass(frozen=True, slots=True)
class _Precision:
    """A Gaussian release: all of them together are one, with the sum of 1/sigma^2."""

    value: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """A sampled Gaussian; many with the same formula are evaluated as one array."""

    formula: Callable[[float, _Array, _Array], _Array]
    part: float
    noise_multiplier: float


@dataclass(frozen=True, slots=True, eq=False)
class _Other:
    """Any other curve.

    Without `smooth`, it has kinks at integers. `quick` is an upper bound that takes no time, and often the same.
    """

    curve: Curve
    quick: Curve
    smooth: bool


@dataclass(frozen=True, slots=True)
class _Infinite:
    """No guarantee at all."""


_Term: TypeAlias = _Precision | _Pair | _Other | _Infinite


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
        infinite: one of the events has no guarantee at all.
        unsampled_precision: the sum of 1/sigma^2 if every release is a Gaussian, sampled or not, else None. Without
            sampling they are together one Gaussian release with that precision, which is an upper bound too.
        sampled: whether sampling gains anything.
        smooth_to: up to this order the curve is as exact between integers as at them; above, it has kinks there.
        pairs: sampled Gaussians of different parameters; each costs time at every order.
    """

    def __init__(self, events: Mapping[Event, int], quick_from: float = math.inf) -> None:
        counts: dict[_Term, int] = {}
        for event, count in events.items():
            if count:
                for term, times in _terms(event):
                    counts[term] = counts.get(term, 0) + times * count
        precisions = [term.value * count for term, count in counts.items() if isinstance(term, _Precision)]
        pairs = [(term, count) for term, count in counts.items() if isinstance(term, _Pair)]
        self.infinite = _Infinite() in counts
        self._precision = math.fsum(precisions)
        self._others = [(term, count) for term, count in counts.items() if isinstance(term, _Other)]
        self._pairs = [_PairArrays(pairs, formula) for formula in {term.formula for term, _ in pairs}]
        self.pairs = len(pairs)
        self.sampled = bool(pairs) or any(isinstance(term.curve, SampledCurve) for term, _ in self._others)
        self.unsampled_precision: float | None = None
        if not self._others and not self.infinite:
            self.unsampled_precision = self._precision + math.fsum(arrays.precision() for arrays in self._pairs)
        self.smooth_to = math.inf
        poisson = [term.noise_multiplier for term, _ in pairs if term.formula is poisson_gaussian_rdp]
        if poisson:
            self.smooth_to = largest_real_order(np.array(poisson))
        if not all(term.smooth for term, _ in self._others):
            self.smooth_to = 1.0
        self._quick_from = quick_from
        self._known: dict[float, float] = {}

    def __call__(self, orders: _Array) -> _Array:
        """Returns the bound at each order, at least 1, shape as `orders`; at 1, on the Kullback-Leibler divergence."""
        if self.infinite:
            return np.full(orders.shape, math.inf)
        rdp = 0.5 * self._precision * orders
        quick = orders > self._quick_from
        for term, count in self._others:
            for part, curve in ((quick, term.quick), (~quick, term.curve)):
                if part.any():
                    rdp[part] += count * curve(orders[part])
        for pairs in self._pairs:
            rdp += [pairs.rdp(float(order)) for order in orders]
        # What is no number is no bound: no guarantee is known there.
        return np.where(np.isnan(rdp), math.inf, rdp)

    def at(self, order: float) -> float:
        """Returns the bound at one order; equal questions are answered from memory."""
        known = self._known.get(order)
        if known is None:
            known = self._known[order] = float(self(np.array([order]))[0])
        return known

    def piece(self, left: int) -> Curve:
        """Returns a bound for orders between an integer and the next that takes no time.

        (alpha - 1) rho(alpha) is convex, and so below the chord; formulas without cost are evaluated.
        """
        smooth = [(term, count) for term, count in self._others if term.smooth and term.quick is term.curve]
        slope = self._precision / 2

        def exact(orders: _Array) -> _Array:
            total: _Array = slope * orders
            for term, count in smooth:
                total += count * term.curve(orders)
            return total

        ends = np.array([left, left + 1.0])
        low, high = (ends - 1) * (np.array([self.at(end) for end in ends]) - exact(ends))

        def curve(orders: _Array) -> _Array:
            between: _Array = exact(orders) + (low + (orders - left) * (high - low)) / (orders - 1)
            return between

        return curve

    def steep_from(self) -> float:
        """Returns an order above which some sampled Gaussian gains little from sampling: its curve rises steeply."""
        return min((pairs.steep_from() for pairs in self._pairs), default=math.inf)

    def sketch(self) -> "RenyiCurve":
        """Returns a curve of nearly the same shape and far fewer sampled Gaussians. It is no bound."""
        sketch = copy(self)
        sketch._known = {}
        sketch._pairs = [pairs.sketch() for pairs in self._pairs]
        sketch.pairs = sum(pairs.size for pairs in sketch._pairs)
        return sketch

    def total_variation(self) -> float:
        """Returns an upper bound on the total variation distance of the outputs on neighbours.

        The sum of the distances of the releases. For a Gaussian that is erf(mu/sqrt 8), sampling scales it, and for any
        other curve it follows from the Kullback-Leibler divergence.
        """
        if self.infinite:
            return 1.0
        total = math.erf(math.sqrt(self._precision / 8)) + math.fsum(pairs.total_variation() for pairs in self._pairs)
        rest = math.fsum(count * float(term.curve(np.ones(1))[0]) for term, count in self._others)
        return min(1.0, total + total_variation_of(rest))


def total_variation_of(kl_divergence: float) -> float:
    """Returns a bound on the total variation: the better of Pinsker's and Bretagnolle and Huber's inequality."""
    return min(math.sqrt(kl_divergence / 2), math.sqrt(-math.expm1(-kl_divergence)))


class _PairArrays:
    """Sampled Gaussians with one formula, as arrays."""

    def __init__(self, pairs: list[tuple[_Pair, int]], formula: Callable[[float, _Array, _Array], _Array]) -> None:
        own = [(term.part, term.noise_multiplier, count) for term, count in pairs if term.formula is formula]
        self._formula = formula
        self._part, self._sigma, self._count = np.array(own, dtype=np.float64).T.copy()

    @property
    def size(self) -> int:
        return len(self._part)

    def rdp(self, order: float) -> float:
        return float(self._count @ self._formula(order, self._part, self._sigma))

    def precision(self) -> float:
        with np.errstate(over="ignore", divide="ignore"):
            return float(self._count @ (1 / self._sigma / self._sigma))

    def sketch(self) -> "_PairArrays":
        """Returns the geometric means of groups that turn steep at about the same order and have about the same noise.

        The groups of those that turn steep first, which decide where all together do, are the smallest.
        """
        by_steepness = np.argsort(self._steep_from())
        ends = np.unique(np.rint(np.geomspace(1, self.size, 64))).astype(np.int64)[:-1]
        groups = [
            group
            for alike in np.split(by_steepness, ends)
            for group in np.array_split(alike[np.argsort(self._sigma[alike])], 8)
            if group.size
        ]
        sketch = copy(self)
        sketch._part = np.array([np.exp(np.log(self._part[group]).mean()) for group in groups])
        sketch._sigma = np.array([np.exp(np.log(self._sigma[group]).mean()) for group in groups])
        sketch._count = np.array([self._count[group].sum() for group in groups])
        return sketch

    def steep_from(self) -> float:
        return float(self._steep_from().min())

    def _steep_from(self) -> _Array:
        # At alpha = 2 sigma^2 log(1/q), q^alpha e^(alpha^2/2sigma^2), the last term of the binomial sum, is 1.
        with np.errstate(over="ignore"):
            return np.asarray(1 - 2 * self._sigma**2 * np.log(self._part), dtype=np.float64)

    def total_variation(self) -> float:
        return float(self._count @ (self._part * erf(1 / (math.sqrt(8) * self._sigma))))


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
    formula = _FORMULAS[type(event)]

    def curve(orders: _Array) -> _Array:
        return formula(orders, event)

    if not isinstance(event, Skellam):
        return ((_Other(curve, curve, smooth=True), 1),)

    def published(orders: _Array) -> _Array:
        return _published_skellam_rdp(orders, event)

    # Where the numerical bound is the smaller one, it is at all orders near.
    at_2 = np.array([2.0])
    smooth = float(numerical_skellam_rdp(at_2, event)[0]) <= float(skellam_rdp(at_2, event)[0])
    return ((_Other(curve, published, smooth), 1),)


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
        return ((_Pair(poisson_gaussian_rdp, probability, sigma), 1),)
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
        return ((_Pair(gaussian_without_replacement_rdp, part, sigma), 1),)
    return _any_sampled(WithoutReplacementCurve, inner, part)


def _any_sampled(kind: type[SampledCurve], inner: Event, part: float) -> tuple[tuple[_Term, int], ...]:
    # The sums take the curve at every integer up to the order.
    curve = RenyiCurve({inner: 1}, quick_from=_INNER_NUMERICAL_TO)
    if curve.infinite:
        return ((_Infinite(), 1),)
    sampled = kind(curve, part)
    return ((_Other(sampled, sampled, smooth=False), 1),)


def _noise_multiplier(event: Event) -> float | None:
    """Returns that of the one Gaussian release that `event` amounts to; None if it is no Gaussian."""
    terms = _terms(event)
    if not terms or not all(isinstance(term, _Precision) for term, _ in terms):
        return None
    if isinstance(event, Gaussian):
        return event.noise_multiplier
    precision = math.fsum(term.value * count for term, count in terms if isinstance(term, _Precision))
    return 1 / math.sqrt(precision) if precision > 0 else None


def _precision(noise_multiplier: float) -> float:
    return 1 / noise_multiplier / noise_multiplier

"""What was released, as data: one frozen record for each kind of release.

A record says what the adversary saw and against which neighbour the figure in it is meant; it computes nothing. An
accountant interprets it, and refuses what it has no valid bound for. Records compare and hash by value, so that a
thousand equal rounds are one record and a count.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from dp.checks import MAX_COUNT, check_count, check_fraction, check_member, check_real
from dp.errors import InvalidParameterError, UnlikeEventsError
from dp.vocabulary import Relation, Unit

__all__ = [
    "Composed",
    "DiscreteGaussian",
    "DistributedDiscreteGaussian",
    "Event",
    "Gaussian",
    "NonPrivate",
    "PoissonSampled",
    "SampledWithoutReplacement",
    "Skellam",
]

_MAX_INTEGER: Final = 2**127
"""Sensitivities and dimensions up to here: far beyond any vector, and no formula overflows a float."""

_MAX_DEPTH: Final = 16
_MAX_PARTS: Final = 2**16
"""The most parts of a composition: more than anybody wrote down, and taken apart in a second."""

_SMALLEST_SHARE: Final = Fraction(1, 4)
"""A local standard deviation of 1/2: below it the bound on the sum of discrete Gaussians is not proved."""


class Event:
    """Base of all records: each has a `relation` and a `unit`.

    An accountant meets a subclass that it does not know with `UnsupportedEventError`.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def relation(self) -> Relation:
            """The neighbouring relation that the record's figures are stated for."""

        @property
        def unit(self) -> Unit:
            """What one participant of that relation is."""


@dataclass(frozen=True, slots=True)
class Gaussian(Event):
    """One release with continuous Gaussian noise.

    Args:
        noise_multiplier: the noise's standard deviation over the L2 sensitivity *under this relation*: for replace-one
            the sensitivity is twice the clip norm. Above 0.
        relation: the neighbouring relation.
        unit: the unit of privacy.

    Raises:
        InvalidParameterError: a number is out of range.
    """

    noise_multiplier: float
    relation: Relation = Relation.ADD_REMOVE
    unit: Unit = Unit.EXAMPLE

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise_multiplier", _multiplier(self.noise_multiplier))
        _check_whom(self)


@dataclass(frozen=True, slots=True)
class DiscreteGaussian(Event):
    """One release of integers with discrete Gaussian noise that one party adds (Canonne, Kamath, Steinke 2020).

    Args:
        variance: the parameter sigma^2 of the noise on the integers, exact.
        squared_sensitivity: the square of the L2 sensitivity on the integers.
        relation: the neighbouring relation.
        unit: the unit of privacy.

    Raises:
        InvalidParameterError: a number is out of range, or a float.
    """

    variance: Fraction
    squared_sensitivity: int
    relation: Relation
    unit: Unit

    def __post_init__(self) -> None:
        object.__setattr__(self, "variance", _variance("variance", self.variance))
        _check_integers(self, "squared_sensitivity")
        _check_whom(self)


@dataclass(frozen=True, slots=True)
class DistributedDiscreteGaussian(Event):
    """One sum of integers in which each of several participants added discrete Gaussian noise of its own.

    Source: Kairouz, Liu, Steinke 2021, section 4. The sum of discrete Gaussians is none, hence the number of shares.

    Args:
        local_variance: the parameter sigma^2 of each share, exact, at least 1/4.
        shares: how many honest participants' shares are in the sum, at least 1.
        squared_sensitivity: the square of the L2 sensitivity on the integers.
        l1_sensitivity: the L1 sensitivity on the integers.
        dimension: entries of the vector.
        relation: zero-out or replace-one; a participant who is removed takes its noise along, so add/remove is refused.
        unit: the unit of privacy.

    Raises:
        InvalidParameterError: a number is out of range, or a float, or the relation is add/remove.
    """

    local_variance: Fraction
    shares: int
    squared_sensitivity: int
    l1_sensitivity: int
    dimension: int
    relation: Relation = Relation.ZERO_OUT
    unit: Unit = Unit.CLIENT

    def __post_init__(self) -> None:
        object.__setattr__(self, "local_variance", _variance("local_variance", self.local_variance))
        if self.local_variance < _SMALLEST_SHARE:
            raise InvalidParameterError("local_variance", self.local_variance, f"at least {_SMALLEST_SHARE}")
        _check_integers(self, "shares", "squared_sensitivity", "l1_sensitivity", "dimension")
        _check_whom(self, with_shares=True)


@dataclass(frozen=True, slots=True)
class Skellam(Event):
    """One sum of integers with Skellam noise, of one party or many: sums of Skellam noise are Skellam noise.

    Source: Agarwal, Kairouz, Liu 2021.

    Args:
        variance: the variance of all honest noise in the sum together, exact.
        squared_sensitivity: the square of the L2 sensitivity on the integers.
        l1_sensitivity: the L1 sensitivity on the integers.
        relation: zero-out or replace-one; a participant who is removed takes its noise along, so add/remove is refused.
        unit: the unit of privacy.

    Raises:
        InvalidParameterError: a number is out of range, or a float, or the relation is add/remove.
    """

    variance: Fraction
    squared_sensitivity: int
    l1_sensitivity: int
    relation: Relation = Relation.ZERO_OUT
    unit: Unit = Unit.CLIENT

    def __post_init__(self) -> None:
        object.__setattr__(self, "variance", _variance("variance", self.variance))
        _check_integers(self, "squared_sensitivity", "l1_sensitivity")
        _check_whom(self, with_shares=True)


@dataclass(frozen=True, slots=True)
class NonPrivate(Event):
    """A release without any guarantee: epsilon is infinite from here on.

    Args:
        relation: the neighbouring relation of what it is composed with.
        unit: the unit of privacy of what it is composed with.
    """

    relation: Relation
    unit: Unit

    def __post_init__(self) -> None:
        _check_whom(self)


@dataclass(frozen=True, slots=True)
class PoissonSampled(Event):
    """A release computed on a secret sample in which each participant is with the same probability, independently.

    An adversary who knows the sample gets no amplification, and has to be accounted for with the inner event.

    Args:
        probability: of each participant to be in the sample, 0 to 1.
        event: what is released of the sample.

    Raises:
        InvalidParameterError: the probability is out of range, or `event` is no event.
    """

    probability: float
    event: Event

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", check_real("probability", self.probability, low=0.0, high=1.0))
        _check_event(self.event)

    @property
    def relation(self) -> Relation:
        """That of the inner event."""
        return self.event.relation

    @property
    def unit(self) -> Unit:
        """That of the inner event."""
        return self.event.unit


@dataclass(frozen=True, slots=True)
class SampledWithoutReplacement(Event):
    """A release computed on a secret sample of a fixed size, each such sample as likely as any other.

    Args:
        population: participants to sample from, public, at least 1.
        sample: participants in the sample, 0 to `population`.
        event: what is released of the sample; its relation must be replace-one, as the proofs are for no other.

    Raises:
        InvalidParameterError: a number is out of range, `event` is no event, or its relation is not replace-one.
    """

    population: int
    sample: int
    event: Event

    def __post_init__(self) -> None:
        object.__setattr__(self, "population", check_count("population", self.population, low=1))
        object.__setattr__(self, "sample", check_count("sample", self.sample, low=0, high=self.population))
        _check_event(self.event)
        if self.relation is not Relation.REPLACE_ONE:
            raise InvalidParameterError("relation", self.relation, "replace-one under sampling without replacement")

    @property
    def relation(self) -> Relation:
        """That of the inner event."""
        return self.event.relation

    @property
    def unit(self) -> Unit:
        """That of the inner event."""
        return self.event.unit


@dataclass(frozen=True, slots=True)
class Composed(Event):
    """Several releases, each made a number of times, under one relation and unit.

    Args:
        events: pairs of an event and its count, at least one pair; a count of 0 is allowed.

    Raises:
        InvalidParameterError: there is no event, something is none, or a count is out of range.
        UnlikeEventsError: two events differ in their relation or unit.
    """

    events: tuple[tuple[Event, int], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.events, tuple | list) or not all(_is_pair(entry) for entry in self.events):
            raise InvalidParameterError("events", type(self.events), "a tuple of pairs of an event and a count")
        object.__setattr__(self, "events", tuple((event, check_count("count", count)) for event, count in self.events))
        if not self.events:
            raise InvalidParameterError("events", (), "at least one pair: none of them has no relation")
        first = self.events[0][0]
        for event, _ in self.events:
            _check_event(event)
            check_alike(first, offered=event)
        depth, parts, releases = _extent(self)
        if depth > _MAX_DEPTH or parts > _MAX_PARTS or releases > MAX_COUNT:
            allowed = f"at most {_MAX_DEPTH} deep, of {_MAX_PARTS} parts and of 2**63 releases in all"
            raise InvalidParameterError("events", f"{depth} deep, {parts} parts, {releases:.3g} releases", allowed)

    @property
    def relation(self) -> Relation:
        """That of all the events."""
        return self.events[0][0].relation

    @property
    def unit(self) -> Unit:
        """That of all the events."""
        return self.events[0][0].unit


def check_alike(expected: Event, *, offered: Event) -> None:
    """Checks that two events speak of the same neighbours.

    Raises:
        UnlikeEventsError: they differ in their relation or their unit.
    """
    if expected.relation is not offered.relation:
        raise UnlikeEventsError("relation", str(expected.relation), str(offered.relation))
    if expected.unit is not offered.unit:
        raise UnlikeEventsError("unit", str(expected.unit), str(offered.unit))


def _extent(event: Event) -> tuple[int, int, int]:
    """Returns how deep compositions are nested, how many parts there are, and how many releases."""
    if not isinstance(event, Composed):
        return 0, 1, 1
    extents = [(*_extent(part), count) for part, count in event.events]
    return (
        1 + max(depth for depth, _, _, _ in extents),
        sum(parts for _, parts, _, _ in extents),
        sum(releases * count for _, _, releases, count in extents),
    )


def _is_pair(entry: object) -> bool:
    return isinstance(entry, tuple) and len(entry) == 2


def _check_event(event: object) -> None:
    if not isinstance(event, Event):
        raise InvalidParameterError("event", event, "an Event")


def _check_whom(event: Event, *, with_shares: bool = False) -> None:
    check_member("relation", event.relation, Relation)
    check_member("unit", event.unit, Unit)
    if with_shares and event.relation is Relation.ADD_REMOVE:
        allowed = "zero-out or replace-one: a participant who is removed takes its noise share along"
        raise InvalidParameterError("relation", str(event.relation), allowed)


def _check_integers(event: Event, *names: str) -> None:
    for name in names:
        object.__setattr__(event, name, check_count(name, getattr(event, name), low=1, high=_MAX_INTEGER))


def _multiplier(value: object) -> float:
    return check_real("noise_multiplier", value, low=0.0, open_low=True)


def _variance(name: str, value: object) -> Fraction:
    variance = check_fraction(name, value)
    # What a float cannot hold, no formula can use.
    check_real(name, variance, low=0.0, open_low=True)
    return variance

"""From the events of one trusted party to records of a ledger: the other direction of `dp.ledger.events`."""

from dataclasses import replace
from fractions import Fraction
from typing import Final

from dp.checks import check_count
from dp.errors import InvalidParameterError, UnlikeEventsError, UnsupportedEventError
from dp.events import Composed, DiscreteGaussian, Event, Gaussian, NonPrivate, PoissonSampled, SampledWithoutReplacement
from dp.ledger.records import CONTINUOUS, EXACT_SAMPLER, NO_SAMPLER, Central, Header
from dp.vocabulary import COMPOSED, DISCRETE_GAUSSIAN, GAUSSIAN, NO_NOISE, SampleKnownTo, Sampling

__all__ = ["centrals_of"]

_CHOICES: Final = (
    "SampleKnownTo.PARTICIPANTS (the server, or clients that saw a roster: no amplification against them) or "
    "SampleKnownTo.NOBODY (only the trusted party that drew it: amplification against everybody else)"
)

_NOT_TAKEN: Final = (
    "a ledger takes Gaussian noise of one trusted party this way; rounds with everybody's are reserved, and a release "
    "without noise is recorded as past"
)


def centrals_of(
    header: Header, event: Event, count: int, *, known_to: SampleKnownTo | None, dimension: int, past: bool = False
) -> tuple[Central, ...]:
    """Returns the records of releases to which one trusted party adds the noise.

    Args:
        header: of the ledger.
        event: a `Gaussian` or `DiscreteGaussian`, or several of them composed, perhaps on a sample; or several of all
            these composed.
        count: how often it happens.
        known_to: who knows the samples; None where there are none.
        dimension: coordinates of the vectors that get discrete noise.
        past: whether it was released already: then also without noise, as `NonPrivate`.

    Returns:
        The records: several are one call's, and count together.

    Raises:
        UnlikeEventsError: the relation or unit is not that of the header.
        UnsupportedEventError: this is no event of one trusted party.
        InvalidParameterError: the count is out of range, or there is a sample and nobody said who knows it.
    """
    count = check_count("count", count, low=1)
    if not (known_to is None or isinstance(known_to, SampleKnownTo)):
        raise InvalidParameterError("known_to", known_to, f"said where there is a sample: {_CHOICES}")
    records = _records(event, count, known_to=known_to or SampleKnownTo.PARTICIPANTS, dimension=dimension)
    if not past and any(part.mechanism == NO_NOISE for one in records for part in (one, *one.parts)):
        raise UnsupportedEventError(event, _NOT_TAKEN)
    _check_alike(header, event)
    sampled = any(record.sampling is not None for record in records)
    if known_to is None and sampled:
        raise InvalidParameterError("known_to", known_to, f"said where there is a sample: {_CHOICES}")
    last = len(records) - 1
    return tuple(replace(record, following=last - place) for place, record in enumerate(records))


def _records(event: Event, count: int, *, known_to: SampleKnownTo, dimension: int) -> list[Central]:
    if isinstance(event, Composed):
        return [
            record
            for part, times in event.events
            if times
            for record in _records(part, check_count("count", times * count), known_to=known_to, dimension=dimension)
        ]
    if not isinstance(event, PoissonSampled | SampledWithoutReplacement):
        return [_mechanism(event, count, dimension)]
    sampling = (
        Sampling(known_to, probability=Fraction(event.probability))
        if isinstance(event, PoissonSampled)
        else Sampling(known_to, population=event.population, sample=event.sample)
    )
    if not isinstance(event.event, Composed):
        return [replace(_mechanism(event.event, count, dimension), sampling=sampling)]
    parts = _records(event.event, 1, known_to=known_to, dimension=dimension)
    if any(part.sampling is not None for part in parts):
        raise UnsupportedEventError(event, _NOT_TAKEN)
    composed = Central(mechanism=COMPOSED, parts=tuple(parts), sampling=sampling, count=count, sampler=NO_SAMPLER)
    return [composed] if parts else []


def _mechanism(event: object, count: int, dimension: int) -> Central:
    if isinstance(event, NonPrivate):
        return Central(mechanism=NO_NOISE, count=count, sampler=NO_SAMPLER)
    if isinstance(event, Gaussian):
        multiplier = Fraction(event.noise_multiplier)
        return Central(mechanism=GAUSSIAN, noise_multiplier=multiplier, count=count, sampler=CONTINUOUS)
    if isinstance(event, DiscreteGaussian):
        return Central(
            mechanism=DISCRETE_GAUSSIAN,
            variance=event.variance,
            squared_sensitivity=event.squared_sensitivity,
            dimension=dimension,
            count=count,
            sampler=EXACT_SAMPLER,
        )
    raise UnsupportedEventError(event, _NOT_TAKEN)


def _check_alike(header: Header, event: Event) -> None:
    if event.relation is not header.relation:
        raise UnlikeEventsError("relation", str(header.relation), str(event.relation))
    if event.unit is not header.unit:
        raise UnlikeEventsError("unit", str(header.unit), str(event.unit))

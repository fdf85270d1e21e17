"""From the events of one trusted party to records of a ledger: the other direction of `dp.ledger.events`."""

from fractions import Fraction
from typing import Final

from dp.checks import check_count
from dp.errors import InvalidParameterError, UnlikeEventsError, UnsupportedEventError
from dp.events import Composed, DiscreteGaussian, Event, Gaussian, PoissonSampled, SampledWithoutReplacement
from dp.ledger.records import CONTINUOUS, EXACT_SAMPLER, Central, Header
from dp.vocabulary import DISCRETE_GAUSSIAN, GAUSSIAN, SampleKnownTo, Sampling

__all__ = ["centrals_of"]

_CHOICES: Final = (
    "SampleKnownTo.PARTICIPANTS (the server, or clients that saw a roster: no amplification against them) or "
    "SampleKnownTo.NOBODY (only the trusted party that drew it: amplification against everybody else)"
)


def centrals_of(
    header: Header, event: Event, count: int, *, known_to: SampleKnownTo | None, dimension: int
) -> tuple[Central, ...]:
    """Returns the records of releases to which one trusted party adds the noise.

    Args:
        header: of the ledger.
        event: a `Gaussian` or `DiscreteGaussian`, perhaps on a sample; or several of them composed.
        count: how often it happens.
        known_to: who knows the samples; None where there are none.
        dimension: coordinates of the vectors that get discrete noise.

    Raises:
        UnlikeEventsError: the relation or unit is not that of the header.
        UnsupportedEventError: this is no event of one trusted party.
        InvalidParameterError: the count is out of range, or there is a sample and nobody said who knows it.
    """
    count = check_count("count", count, low=1)
    if isinstance(event, Composed):
        return tuple(
            record
            for part, times in event.events
            if times
            for record in centrals_of(
                header, part, check_count("count", times * count), known_to=known_to, dimension=dimension
            )
        )
    mechanism = event.event if isinstance(event, PoissonSampled | SampledWithoutReplacement) else event
    if not isinstance(mechanism, Gaussian | DiscreteGaussian):
        reason = "a ledger takes Gaussian noise of one trusted party this way; rounds with everybody's are reserved"
        raise UnsupportedEventError(event, reason)
    sampling = None
    if isinstance(event, PoissonSampled):
        sampling = Sampling(_said(known_to), probability=Fraction(event.probability))
    elif isinstance(event, SampledWithoutReplacement):
        sampling = Sampling(_said(known_to), population=event.population, sample=event.sample)
    if mechanism.relation is not header.relation:
        raise UnlikeEventsError("relation", str(header.relation), str(mechanism.relation))
    if mechanism.unit is not header.unit:
        raise UnlikeEventsError("unit", str(header.unit), str(mechanism.unit))
    if isinstance(mechanism, Gaussian):
        multiplier = Fraction(mechanism.noise_multiplier)
        return (
            Central(
                mechanism=GAUSSIAN, noise_multiplier=multiplier, sampling=sampling, count=count, sampler=CONTINUOUS
            ),
        )
    return (
        Central(
            mechanism=DISCRETE_GAUSSIAN,
            variance=mechanism.variance,
            squared_sensitivity=mechanism.squared_sensitivity,
            dimension=dimension,
            sampling=sampling,
            count=count,
            sampler=EXACT_SAMPLER,
        ),
    )


def _said(known_to: SampleKnownTo | None) -> SampleKnownTo:
    if not isinstance(known_to, SampleKnownTo):
        raise InvalidParameterError("known_to", known_to, f"said where there is a sample: {_CHOICES}")
    return known_to

"""From the events of one trusted party to records of a ledger: the other direction of `dp.ledger.events`."""

from fractions import Fraction

from dp.checks import check_count
from dp.errors import UnlikeEventsError, UnsupportedEventError
from dp.events import Composed, DiscreteGaussian, Event, Gaussian, PoissonSampled, SampledWithoutReplacement
from dp.ledger.records import CONTINUOUS, EXACT_SAMPLER, Central, Header
from dp.vocabulary import DISCRETE_GAUSSIAN, GAUSSIAN, SampleKnownTo, Sampling

__all__ = ["centrals_of"]


def centrals_of(
    header: Header, event: Event, count: int, *, known_to: SampleKnownTo, dimension: int
) -> tuple[Central, ...]:
    """Returns the records of releases to which one trusted party adds the noise.

    Args:
        header: of the ledger.
        event: a `Gaussian` or `DiscreteGaussian`, perhaps on a sample; or several of them composed.
        count: how often it happens.
        known_to: who knows the samples.
        dimension: coordinates of the vectors that get discrete noise.

    Raises:
        UnlikeEventsError: the relation or unit is not that of the header.
        UnsupportedEventError: this is no event of one trusted party.
        InvalidParameterError: the count is out of range.
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
    sampling = None
    mechanism = event
    if isinstance(event, PoissonSampled):
        mechanism = event.event
        sampling = Sampling(known_to, probability=Fraction(event.probability))
    elif isinstance(event, SampledWithoutReplacement):
        mechanism = event.event
        sampling = Sampling(known_to, population=event.population, sample=event.sample)
    if not isinstance(mechanism, Gaussian | DiscreteGaussian):
        reason = "a ledger takes Gaussian noise of one trusted party this way; rounds with everybody's are reserved"
        raise UnsupportedEventError(event, reason)
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

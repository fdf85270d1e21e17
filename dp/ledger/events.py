"""From a record to the event that it stands for: what somebody saw, given who was honest and what was secret.

Four questions are asked of every release, and differ in two things: whose noise is in the sum, and whether the sample
was secret from the one who looks.

* `promised`: noise of the fewest participants that the round could have been released with; against the header's
  adversary. This is the guarantee, and what the budget is held against.
* `realised`: noise of those who were in the sum, as far as the record says; else as promised. Informative: it is a
  guarantee only if who dropped out does not depend on anybody's data.
* `server`: as promised, against the server and everybody that saw a roster.
* `outsider`: as promised, against those that see what is released and no roster.

From the participants with noise in the sum, the header's colluders are taken away: they know their own.
"""

import enum
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from dp.checks import float_above, float_below
from dp.errors import InvalidParameterError
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
from dp.ledger.records import CONTINUOUS, EXACT_SAMPLER, NO_SAMPLER, Central, Header, ReleaseRecord, Reserve, Sum
from dp.mechanisms.rounding import largest_l1
from dp.vocabulary import (
    COMPOSED,
    DISCRETE_GAUSSIAN,
    GAUSSIAN,
    NO_NOISE,
    SKELLAM,
    Adversary,
    Relation,
    SampleKnownTo,
    Sampling,
    Unit,
)

__all__ = [
    "EventTable",
    "Released",
    "Seen",
    "View",
    "Views",
    "check_release",
    "event_of",
    "noise_samples",
    "seen_by",
    "unsampled",
]


class View(enum.StrEnum):
    """Which question is asked of a release."""

    PROMISED = "promised"
    REALISED = "realised"
    SERVER = "server"
    OUTSIDER = "outsider"


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """What one record stands for; records that stand for the same share one object, so that looking it up is cheap.

    Args:
        event: what was released.
        times: how often.
        samples: of noise, in all of them.
    """

    event: Event
    times: int
    samples: int


class Views(NamedTuple):
    """What one record stands for in each view."""

    promised: Released
    realised: Released
    server: Released
    outsider: Released


class EventTable:
    """Decides what each record of a ledger stands for, once for all records that are alike.

    Args:
        header: of the ledger.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._plans: dict[object, int] = {}
        self._views: dict[tuple[int, int | None], Views] = {}
        self._released: dict[tuple[int, Seen], Released] = {}
        self._alike: dict[tuple[Event, int, int], Released] = {}

    def views(self, release: ReleaseRecord, survivors: int | None = None) -> Views:
        """Returns what a record stands for.

        Args:
            release: the record.
            survivors: of a settled round.

        Raises:
            InvalidParameterError: a figure is out of an event's range.
        """
        plan = self._plans.setdefault(_substance(release), len(self._plans))
        if (plan, survivors) not in self._views:
            seen = (self._in_view(plan, release, view, survivors) for view in View)
            self._views[plan, survivors] = Views(*seen)
        return self._views[plan, survivors]

    def _in_view(self, plan: int, release: ReleaseRecord, view: View, survivors: int | None) -> Released:
        seen = plan, seen_by(self._header, release, view, survivors)
        if seen not in self._released:
            times = release.count if isinstance(release, Central) else 1
            key = event_of(self._header, release, view, survivors), times, noise_samples(release)
            self._released[seen] = self._alike.setdefault(key, Released(*key))
        return self._released[seen]


def _substance(release: ReleaseRecord) -> object:
    """Returns what of a record bears on its event; equal rounds have it in common."""
    if isinstance(release, Central):
        return (
            release.mechanism,
            release.noise_multiplier,
            release.variance,
            release.squared_sensitivity,
            release.dimension,
            release.sampling,
            release.count,
            release.sampler,
            tuple(map(_substance, release.parts)),
        )
    if isinstance(release, Sum):
        return release.survivors
    return (
        release.mechanism,
        release.sampling,
        release.min_survivors,
        release.squared_norm_bound,
        release.dimension,
        release.invited,
        release.local_variance,
        release.clip_bit_variance,
    )


def check_release(header: Header, release: ReleaseRecord) -> None:
    """Checks that the figures of one record can all be true at once.

    Raises:
        InvalidParameterError: a figure cannot be true beside the others.
    """
    if isinstance(release, Reserve):
        _check_reserve(header, release)
    elif isinstance(release, Sum):
        _check_sum(release)
    else:
        _check_central(release)


class Seen(NamedTuple):
    """What of a release a view differs in.

    Args:
        contributors: participants with noise in the sum; 0 where one party adds it.
        amplified: whether the sample, if there is one, is secret.
    """

    contributors: int
    amplified: bool


def seen_by(header: Header, release: ReleaseRecord, view: View, survivors: int | None = None) -> Seen:
    """Returns what the answer to a question about a release depends on; the arguments are those of `event_of`."""
    amplified = view is View.OUTSIDER or (view is not View.SERVER and header.adversary is Adversary.OUTSIDER)
    if isinstance(release, Sum) or release.sampling is None:
        amplified = False
    elif release.sampling.known_to is SampleKnownTo.NOBODY:
        amplified = True
    if isinstance(release, Central | Sum):
        return Seen(0, amplified)
    return Seen(survivors if survivors is not None and view is View.REALISED else release.min_survivors, amplified)


def event_of(header: Header, release: ReleaseRecord, view: View, survivors: int | None = None) -> Event:
    """Returns the event that one record stands for; a `Central` stands for `count` of them.

    Args:
        header: of the ledger.
        release: the record.
        view: the question.
        survivors: of a settled round, for `View.REALISED`.

    Raises:
        InvalidParameterError: a figure is out of an event's range.
    """
    seen = seen_by(header, release, view, survivors)
    if isinstance(release, Sum):
        return NonPrivate(header.relation, header.unit)
    if isinstance(release, Central):
        event = _central(header, release)
    else:
        event = _round(header, release, seen.contributors - header.colluders)
    return _sampled(event, release.sampling) if release.sampling is not None and seen.amplified else event


def unsampled(released: Released) -> Released:
    """Returns the same as it looks to somebody who knows the samples."""
    event = released.event
    if isinstance(event, PoissonSampled | SampledWithoutReplacement):
        return Released(event.event, released.times, released.samples)
    return released


def noise_samples(release: ReleaseRecord) -> int:
    """Returns how many samples of noise were drawn, each a little off its distribution."""
    if isinstance(release, Reserve):
        coordinates = release.dimension + (release.clip_bit_variance is not None)
        return release.invited * coordinates
    if isinstance(release, Sum):
        return 0
    if release.mechanism == COMPOSED:
        return release.count * sum(map(noise_samples, release.parts))
    return release.count * (release.dimension or 0) if release.sampler == EXACT_SAMPLER else 0


# --- One round with everybody's noise ---


def _round(header: Header, reserve: Reserve, honest: int) -> Event:
    update = _distributed(
        header,
        reserve,
        honest,
        reserve.local_variance,
        squared_norm=reserve.squared_norm_bound,
        dimension=reserve.dimension,
    )
    if reserve.clip_bit_variance is None:
        return update
    # The bit is sent as -1 or +1, one more coordinate with noise of its own scale: the two divergences add up.
    bit = _distributed(header, reserve, honest, reserve.clip_bit_variance, squared_norm=1, dimension=1)
    return Composed(((update, 1), (bit, 1)))


def _distributed(
    header: Header, reserve: Reserve, honest: int, local_variance: Fraction, *, squared_norm: int, dimension: int
) -> Event:
    # Two vectors of a norm differ by at most twice that norm. Add/remove is refused by the events themselves.
    factor = 2 if header.relation is Relation.REPLACE_ONE else 1
    squared_sensitivity = factor * factor * squared_norm
    l1_sensitivity = factor * largest_l1(squared_norm, dimension=dimension)
    if reserve.mechanism == SKELLAM:
        return Skellam(honest * local_variance, squared_sensitivity, l1_sensitivity, header.relation, header.unit)
    return DistributedDiscreteGaussian(
        local_variance, honest, squared_sensitivity, l1_sensitivity, dimension, header.relation, header.unit
    )


def _check_reserve(header: Header, reserve: Reserve) -> None:
    if reserve.min_survivors > reserve.invited:
        raise InvalidParameterError("min_survivors", reserve.min_survivors, f"at most invited, {reserve.invited}")
    if reserve.min_survivors <= header.colluders:
        raise InvalidParameterError("min_survivors", reserve.min_survivors, f"above colluders, {header.colluders}")
    if reserve.threshold > reserve.invited:
        raise InvalidParameterError("threshold", reserve.threshold, f"at most invited, {reserve.invited}")
    least = largest_l1(reserve.squared_norm_bound, dimension=reserve.dimension)
    if reserve.l1_bound < least:
        raise InvalidParameterError("l1_bound", reserve.l1_bound, f"at least {least}, by squared_norm_bound")
    if reserve.sampling is not None and reserve.sampling.known_to is not SampleKnownTo.PARTICIPANTS:
        allowed = "participants: the server and its clients see who takes part in a round"
        raise InvalidParameterError("sampling.known_to", str(reserve.sampling.known_to), allowed)
    if header.unit is Unit.EXAMPLE and reserve.sampling is not None:
        raise InvalidParameterError("sampling", reserve.sampling.scheme, "None: clients are sampled, examples are not")
    if header.unit is Unit.EXAMPLE and reserve.clip_bit_variance is not None:
        allowed = "None: one example can turn a client's whole bit"
        raise InvalidParameterError("clip_bit_variance", str(reserve.clip_bit_variance), allowed)
    drawn = None if reserve.sampling is None else reserve.sampling.sample
    if drawn is not None and drawn != reserve.invited:
        raise InvalidParameterError("sampling.sample", drawn, f"invited, {reserve.invited}")


def _check_sum(record: Sum) -> None:
    if record.survivors > record.invited:
        raise InvalidParameterError("survivors", record.survivors, f"at most invited, {record.invited}")


# --- Noise of one trusted party, or none ---


def _central(header: Header, central: Central) -> Event:
    if central.mechanism == NO_NOISE:
        return NonPrivate(header.relation, header.unit)
    if central.mechanism == COMPOSED:
        return Composed(tuple((_central(header, part), part.count) for part in central.parts))
    if central.mechanism == GAUSSIAN and central.noise_multiplier is not None:
        return Gaussian(float_below(central.noise_multiplier), header.relation, header.unit)
    if central.variance is not None and central.squared_sensitivity is not None:
        return DiscreteGaussian(central.variance, central.squared_sensitivity, header.relation, header.unit)
    raise InvalidParameterError("mechanism", central.mechanism, "one whose figures are in the record")


_FIGURES: Final = {
    GAUSSIAN: ("noise_multiplier",),
    DISCRETE_GAUSSIAN: ("variance", "squared_sensitivity", "dimension"),
    NO_NOISE: (),
    COMPOSED: ("parts",),
}
_SAMPLERS: Final = {
    GAUSSIAN: CONTINUOUS,
    DISCRETE_GAUSSIAN: EXACT_SAMPLER,
    NO_NOISE: NO_SAMPLER,
    COMPOSED: NO_SAMPLER,
}


def _check_central(central: Central) -> None:
    needed = _FIGURES[central.mechanism]
    for name in ("noise_multiplier", "variance", "squared_sensitivity", "dimension", "parts"):
        value = getattr(central, name)
        if (value not in (None, ())) is not (name in needed):
            raise InvalidParameterError(
                name, value, f"given if and only if the mechanism has one ({', '.join(needed)})"
            )
    for part in central.parts:
        _check_central(part)
    sampler = _SAMPLERS[central.mechanism]
    if central.sampler != sampler:
        raise InvalidParameterError("sampler", central.sampler, f"{sampler} for {central.mechanism}")


def _sampled(event: Event, sampling: Sampling) -> Event:
    """Returns the event on a secret sample; as it is where amplification is not proved, as that holds in any case."""
    replaced = event.relation is Relation.REPLACE_ONE
    if sampling.probability is not None:
        if replaced or not _of_one_party(event):
            return event
        return PoissonSampled(float_above(sampling.probability), event)
    if sampling.population is None or sampling.sample is None or not replaced:
        return event
    return SampledWithoutReplacement(sampling.population, sampling.sample, event)


def _of_one_party(event: Event) -> bool:
    """Returns whether the noise is one party's: Poisson sampling is proved to amplify no other."""
    if isinstance(event, Composed):
        return all(_of_one_party(part) for part, _ in event.events)
    return isinstance(event, Gaussian | DiscreteGaussian | NonPrivate)

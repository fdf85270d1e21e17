"""The words that every room of the package shares: whom a guarantee protects, against whom, and by which noise.

Two guarantees add up only where relation and unit are the same: an epsilon for one relation is no epsilon for another.
"""

import enum
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

__all__ = [
    "COMPOSED",
    "DISCRETE_GAUSSIAN",
    "DISTRIBUTED_DISCRETE_GAUSSIAN",
    "FIXED_SAMPLE",
    "GAUSSIAN",
    "NO_NOISE",
    "POISSON_SAMPLE",
    "SKELLAM",
    "Adversary",
    "Relation",
    "SampleKnownTo",
    "Sampling",
    "Unit",
]

SKELLAM: Final = "skellam"
DISTRIBUTED_DISCRETE_GAUSSIAN: Final = "distributed-discrete-gaussian"
GAUSSIAN: Final = "gaussian"
DISCRETE_GAUSSIAN: Final = "discrete-gaussian"
NO_NOISE: Final = "none"
COMPOSED: Final = "composed"


class Relation(enum.StrEnum):
    """Which two data sets an adversary must not tell apart."""

    ZERO_OUT = "zero-out"
    """One participant sends the zero vector instead of its own, with its noise share; the roster is public."""

    REPLACE_ONE = "replace-one"
    """One participant's data is replaced by any other; the number of participants is public.

    Sensitivities are of the *difference*: twice the clip norm, where zero-out has the clip norm once.
    """

    ADD_REMOVE = "add-remove"
    """One participant is added or removed; nobody is told how many there are."""


class Unit(enum.StrEnum):
    """What one participant of the relation is."""

    CLIENT = "client"
    """All the data of one client."""

    EXAMPLE = "example"
    """One training example."""


class Adversary(enum.StrEnum):
    """Against whom the budget holds."""

    PARTICIPANT = "participant"
    """The server and everybody who saw a roster: sampling that they know amplifies nothing."""

    OUTSIDER = "outsider"
    """Those who see what is released, and no roster."""


class SampleKnownTo(enum.StrEnum):
    """Who knows which participants a sample has: amplification is against everybody else."""

    PARTICIPANTS = "participants"
    """The server, and every client that saw a roster."""

    NOBODY = "nobody"
    """Nobody but the trusted party that drew it and holds the data."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the participants of one release were drawn: at random, secretly and independently of the data.

    Cohorts of those who happen to be there are no sample in this sense: such a release has no `Sampling`.

    Args:
        known_to: who learns the sample.
        probability: of each participant to be in a Poisson sample; or
        population: participants that a sample of a fixed size is drawn from, without replacement, and
        sample: that size.
    """

    known_to: SampleKnownTo
    probability: Fraction | None = None
    population: int | None = None
    sample: int | None = None

    @property
    def scheme(self) -> str:
        """The name of the scheme: "poisson" or "without-replacement"."""
        return POISSON_SAMPLE if self.probability is not None else FIXED_SAMPLE


POISSON_SAMPLE: Final = "poisson"
FIXED_SAMPLE: Final = "without-replacement"

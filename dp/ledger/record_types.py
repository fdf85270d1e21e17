"""The records of a ledger as types; `dp.ledger.records` has their bytes."""

import enum
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from dp.exact_json import SHA256_BYTES
from dp.vocabulary import Adversary, Relation, Sampling, Unit

__all__ = [
    "CONTINUOUS",
    "EXACT_SAMPLER",
    "MECHANISM_VERSION",
    "NO_HEAD",
    "NO_SAMPLER",
    "Central",
    "Close",
    "Cohort",
    "Head",
    "Header",
    "MemberForm",
    "Record",
    "ReleaseRecord",
    "Reserve",
    "Settle",
    "Sum",
    "following",
]

NO_HEAD: Final = bytes(SHA256_BYTES)
"""What a header that continues no file holds in the place of a head."""

MECHANISM_VERSION: Final = 1
"""The version of all mechanisms so far: another version would be another way of making the noise."""

EXACT_SAMPLER: Final = "exact/1"
"""The samplers of `dp.noise.samplers`: every sample is off by a total variation of 2**-100 at most."""

CONTINUOUS: Final = "continuous"
"""Gaussian noise as a real number: floating-point samplers only come near it, by how much nobody has shown."""

NO_SAMPLER: Final = "none"
"""Nothing was drawn: a release without noise, or one that is composed of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first record: what the budget is for, and under which assumptions figures are computed.

    Args:
        scope: the budget's name: all releases about one population share it, over all files and programs.
        unit: whose privacy.
        relation: under which neighbours.
        delta: above 0 and below 1, exact.
        budget: the epsilon that must not be exceeded, exact.
        adversary: against whom.
        colluders: participants of a round whose noise the adversary knows and takes away.
        key: the Ed25519 public key that signs heads; None where nothing is signed.
    """

    scope: str
    unit: Unit
    relation: Relation
    delta: Fraction
    budget: Fraction
    adversary: Adversary = Adversary.PARTICIPANT
    colluders: int = 0
    key: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """A round that may be released from now on. Everything that its promised epsilon follows from is here.

    Args:
        round: above that of all earlier rounds.
        session: the id of the aggregation session.
        mechanism: "skellam" or "distributed-discrete-gaussian".
        mechanism_version: of it.
        sampling: how the invited were drawn; None where they were not drawn, but took part as they were there.
        invited: participants asked; all may add noise.
        min_survivors: below which no participant helps to release the sum.
        threshold: participants whose help a release needs.
        squared_norm_bound: B2: every participant's integer vector has at most this squared L2 norm.
        l1_bound: B1: and at most this L1 norm.
        dimension: of the vector, all coordinates with noise.
        modulus_bits: sums are taken modulo 2 to this.
        local_variance: the parameter of one participant's noise in one coordinate, exact.
        clip_bit_variance: the same for the one coordinate in {-1, +1} that adapts the clip norm; None without it.
        sampler: what drew the noise.
        context: the hash of the task that participants signed or masked for.
        roster: the hash of the roster.
        clip_norm: informative: the clip norm, the exact rational of a float.
        scale: informative: steps of the lattice for one unit of the vector.
        rounding: informative: the probability at which a rounding is redrawn.
        epsilon: this round's promise alone, as `dp.ledger.epsilon` rounds it; None if it is not finite.
        label: informative: what is released, such as "weights of layer 3"; None if nobody said.
        run: informative: the id of the training or study that it is part of, 1 to 64 bytes.
        evidence: informative: the SHA-256 of a document about it, such as a protocol of a review.
    """

    round: int
    session: bytes
    mechanism: str
    mechanism_version: int = MECHANISM_VERSION
    sampling: Sampling | None = None
    invited: int
    min_survivors: int
    threshold: int
    squared_norm_bound: int
    l1_bound: int
    dimension: int
    modulus_bits: int
    local_variance: Fraction
    clip_bit_variance: Fraction | None = None
    sampler: str = EXACT_SAMPLER
    context: bytes
    roster: bytes
    clip_norm: Fraction | None = None
    scale: Fraction | None = None
    rounding: Fraction | None = None
    epsilon: Fraction | None = None
    label: str | None = None
    run: bytes | None = None
    evidence: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """What became of a reserved round: whose vectors and noise are in the sum.

    Args:
        round: its number.
        survivors: how many participants are in the sum.
        members: which: a bitmap over the cohort, its first member in the lowest bit of the first byte, in as few bytes
            as the invited need; None if it is not said.
        cohort: the hash of the cohort that the bitmap is over, whose `Cohort` came before; None where the ledger does
            not say who they are: then the invited are meant, in rising order of their ids.
    """

    round: int
    survivors: int
    members: bytes | None = None
    cohort: bytes | None = None


class MemberForm(enum.StrEnum):
    """What a ledger holds of a participant."""

    IDS = "ids"
    """The ids themselves, 8 bytes each, big-endian."""

    SALTED_HASHES = "salted-sha256"
    """SHA-256 of a salt that the operator keeps, and the id: who has the salt can look an id up, nobody else can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Who may be in a sum, or a part of them: a long cohort takes several records.

    Args:
        cohort: the SHA-256 of all its members, as `dp.ledger.participation` computes it: sums name it by that.
        form: what is held of each member.
        first: the place in the cohort of the first member here, from 0.
        members: of each member, one after another, 8 bytes or 32. They rise.
        following: as in `Central`: a cohort is there as a whole, or not at all.
    """

    cohort: bytes
    form: MemberForm
    first: int = 0
    members: bytes
    following: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A sum without noise that was released: no epsilon bounds it, and who was in it can be audited.

    Args:
        session: the id of the aggregation session.
        invited: participants asked.
        survivors: how many are in the sum.
        members, cohort: which, as in `Settle`.
        context: the hash of the task that participants signed or masked for.
        roster: the hash of the roster.
        label, run, evidence: as in `Reserve`.
    """

    session: bytes
    invited: int
    survivors: int
    members: bytes | None = None
    cohort: bytes | None = None
    context: bytes
    roster: bytes
    label: str | None = None
    run: bytes | None = None
    evidence: bytes | None = None

    @property
    def epsilon(self) -> None:
        """None: nothing finite is true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """Releases, all alike, to which one trusted party added Gaussian noise; or none.

    Args:
        mechanism: "gaussian", "discrete-gaussian", or "none": a release without noise, which no epsilon bounds. Or
            "composed": several of them on the same sample.
        mechanism_version: of it.
        noise_multiplier: of "gaussian": the standard deviation over the L2 sensitivity, the exact rational of a float.
        variance: of "discrete-gaussian": its parameter on the integers, exact.
        squared_sensitivity: of "discrete-gaussian": on the integers, under the header's relation.
        dimension: of "discrete-gaussian": coordinates with noise.
        sampling: how the participants were drawn; None without amplification.
        count: how many such releases.
        sampler: what drew the noise.
        epsilon: these releases' promise alone, as in `Reserve`.
        parts: of "composed": what is released of one sample, each part with its own `count` and without a sampling.
        following: how many further records of the same call come right after this one: all count, or none.
        label, run, evidence: as in `Reserve`.
    """

    mechanism: str
    mechanism_version: int = MECHANISM_VERSION
    noise_multiplier: Fraction | None = None
    variance: Fraction | None = None
    squared_sensitivity: int | None = None
    dimension: int | None = None
    sampling: Sampling | None = None
    count: int = 1
    sampler: str = CONTINUOUS
    epsilon: Fraction | None = None
    parts: "tuple[Central, ...]" = ()
    following: int = 0
    label: str | None = None
    run: bytes | None = None
    evidence: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The signature over the hash of the record before: everything up to there is what the signer wrote."""

    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The last record of a file; signed as a head is, under another label, where the header has a key."""

    signature: bytes | None = None


def following(record: "Record") -> int:
    """Returns how many further records of the same call come right after this one."""
    return record.following if isinstance(record, Central | Cohort) else 0


ReleaseRecord: TypeAlias = Reserve | Central | Sum
"""A record of something that was released, or may be from now on."""

Record: TypeAlias = Header | Reserve | Settle | Central | Cohort | Sum | Head | Close

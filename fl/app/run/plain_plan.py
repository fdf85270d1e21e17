"""The frozen plan of a training without noise: what every client of a plain run accepts, and nothing else.

Sums are as private as secure aggregation alone makes them: a server learns the weighted mean of every round exactly,
and whatever follows from many of them. `fl.private.plan` is the plan with noise.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from fl.arrays.schema import ArraySchema
from fl.checks import check_integer
from fl.codecs.own_clips import ClipsByName
from fl.codecs.value_sums import ValueSums
from fl.codecs.weighted_mean import WeightedMean
from fl.cohort import SAMPLE_IDENTITY, threshold
from fl.errors import UnsafePlanError
from secagg import (
    AdversaryModel,
    ClientPolicy,
    InvalidParameterError,
    PolicyViolationError,
    SessionParams,
)

__all__ = ["PlainPlan"]

_SCHEMA = "plain-plan/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPlan:
    """A training by plain weighted means.

    Args:
        schema: the arrays that every client sends, its update.
        clients: how many are invited to a round.
        max_dropouts: how many of them may vanish.
        colluders: how many of them may work with the server.
        rounds: R.
        clip: the largest magnitude of an update's entry.
        weight_cap: the largest weight of a client.
        modulus_bits: sums are taken modulo two to this.
        adversary: what the sessions defend against.
        small_consortium: accept two honest survivors instead of three.
        clips: of arrays that are clipped on their own, by name.
        ranges: of the side values, by name: what else clients send, to be summed.

    Raises:
        UnsafePlanError: no client would take part.
        InvalidParameterError, ModulusTooSmallError: a number is out of its range, or the modulus is too small.
    """

    schema: ArraySchema
    clients: int
    max_dropouts: int
    colluders: int
    rounds: int
    clip: float
    weight_cap: int
    modulus_bits: int
    adversary: AdversaryModel
    small_consortium: bool = False
    clips: ClipsByName = ()
    ranges: Mapping[str, tuple[float, float]] | tuple[tuple[str, tuple[float, float]], ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.adversary, AdversaryModel):
            raise InvalidParameterError("adversary", self.adversary, "an AdversaryModel")
        # The sizes of a cohort are refused with what they may be by the session's own parameters.
        object.__setattr__(self, "clients", check_integer("clients", self.clients, low=1, high=2**20))
        object.__setattr__(
            self, "max_dropouts", check_integer("max_dropouts", self.max_dropouts, low=0, high=self.clients - 1)
        )
        object.__setattr__(
            self, "colluders", check_integer("colluders", self.colluders, low=0, high=(self.clients - 1) // 2)
        )
        object.__setattr__(self, "rounds", check_integer("rounds", self.rounds, low=1, high=2**53))
        # In the one form that the codecs give them.
        object.__setattr__(self, "clips", self.codec.clips)
        object.__setattr__(self, "ranges", self.values.ranges)
        params = self.session
        if params.min_survivors > self.min_survivors:
            most = self.clients - params.min_survivors
            why = f"a session takes at least {params.min_survivors} survivors: at most {most} may vanish"
            raise UnsafePlanError("max_dropouts", self.max_dropouts, why)
        policy = self.policy(params, {0: SAMPLE_IDENTITY} if params.active else {})
        try:
            policy.check(params)
        except PolicyViolationError as error:
            why = f"no client would take part: {error.rule} would be {error.offered}, and must be {error.accepted}"
            what = "max_dropouts" if error.rule == "min_survivors" else "colluders"
            raise UnsafePlanError(what, getattr(self, what), why) from error

    @property
    def min_survivors(self) -> int:
        """The fewest clients whose mean is released."""
        return self.clients - self.max_dropouts

    @property
    def session(self) -> SessionParams:
        """What the sessions of all rounds have in common."""
        return self.session_params(0)

    @property
    def codec(self) -> WeightedMean:
        """From arrays to the words that a session sums, and back."""
        # What is declared was checked where the model was read, with the dtypes of its arrays.
        names = tuple(entry.name for entry in self.schema.entries)
        return WeightedMean(
            self.schema, self.clip, self.modulus_bits, self.clients, self.weight_cap, averaged=names, clips=self.clips
        )

    @property
    def values(self) -> ValueSums:
        """From the side values to words that follow those of the arrays, and back."""
        return ValueSums(self.ranges, self.modulus_bits, self.clients)

    @property
    def digest(self) -> bytes:
        """32 bytes: the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode("ascii")).digest()

    def session_params(self, round_number: int) -> SessionParams:
        """Returns the parameters of a round's session."""
        codec = self.codec
        return SessionParams(
            cohort_size=self.clients,
            threshold=threshold(
                clients=self.clients,
                max_dropouts=self.max_dropouts,
                colluders=self.colluders,
                adversary=self.adversary,
            ),
            vector_length=codec.vector_length + self.values.vector_length,
            modulus_bits=self.modulus_bits,
            adversary=self.adversary,
            min_survivors=self.min_survivors,
            round_number=round_number,
            application=codec.application(self.digest),
        )

    def policy(self, params: SessionParams, identities: dict[int, bytes]) -> ClientPolicy:
        """Returns what a client accepts: exactly this session.

        Args:
            params: of the round's session.
            identities: every client's public key, where the plan defends against a lying server.
        """
        return ClientPolicy(
            identities=identities,
            adversary=self.adversary,
            min_cohort=max(3, self.min_survivors),
            max_cohort=max(3, self.clients),
            corrupt_clients=self.colluders,
            min_survivors=self.min_survivors,
            small_consortium=self.small_consortium,
            vector_length=params.vector_length,
            modulus_bits=params.modulus_bits,
            application=params.application,
            round_number=params.round_number,
            max_message_bytes=2**62,
        )

    def to_json(self) -> str:
        """Returns the plan as canonical JSON: sorted keys, no spaces, ASCII, clips and ranges as "p/q"."""
        raw = {
            "schema": _SCHEMA,
            "model": self.schema.digest.hex(),
            "clients": self.clients,
            "max_dropouts": self.max_dropouts,
            "colluders": self.colluders,
            "rounds": self.rounds,
            "clip": str(Fraction(self.clip)),
            "weight_cap": self.weight_cap,
            "modulus_bits": self.modulus_bits,
            "adversary": self.adversary.name,
            "small_consortium": self.small_consortium,
            "clips": {str(name): str(Fraction(clip)) for name, clip in dict(self.clips).items()},
            "side_values": {name: [str(Fraction(end)) for end in ends] for name, ends in dict(self.ranges).items()},
        }
        return json.dumps(raw, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))

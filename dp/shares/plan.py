"""The plan of a number of private sums: what every participant has to do, and what that guarantees.

A plan is integers, exact rationals and names. Its epsilon follows from them alone, by the accountant: everybody who
holds the plan can work it out again, and two programs agree on its bytes.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Final, Self

from dp.accounting.accountant import Bound, Method, RdpAccountant
from dp.accounting.sampler_share import bound_under_target
from dp.checks import check_count
from dp.errors import InvalidParameterError
from dp.events import Composed, DistributedDiscreteGaussian, Event, SampledWithoutReplacement, Skellam
from dp.mechanisms.rounding import LIKELY, largest_l1, squared_norm_bound
from dp.shares.fields import FIELDS
from dp.shares.modulus import WRAP_PROBABILITY, bit_wrap_probability, sum_variance, wrap_probability
from dp.vocabulary import SKELLAM, Adversary, Relation, SampleKnownTo, Sampling, Unit

__all__ = ["DistributedPlan"]

_SCHEMA: Final = "distributed-plan/1"

_FINEST: Final = 2**40
"""The most steps of the lattice that the clip norm may have: float64 then still has 12 bits of each step."""

_SLACK: Final = 1 + Fraction(1, 2**40)
"""Two computers' figures may differ by this factor: their libraries of elementary functions round differently."""

_WRAP_SLACK: Final = 2
"""The same for the estimated probability of a wrap, which is far from exact itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributedPlan:
    """What `dp.plan` returns; all of it is public.

    Args:
        mechanism: "skellam" or "distributed-discrete-gaussian".
        relation: zero-out or replace-one; the latter where sampling amplifies.
        unit: whose privacy: that of a client, or of one example of a client's; a client's vector is then the sum of its
            examples' vectors, each of which was clipped and rounded on its own.
        adversary: against whom the promise holds.
        target_epsilon: what was asked for.
        delta: what was asked for; what the samplers are off by is taken from it.
        rounds: how many sums this is for.
        sampling: how each round's clients are drawn; None where all who are there take part.
        clients: how many are invited to a round.
        vectors_per_client: the most vectors that a client adds up: 1 for clients, else the most examples it has.
        min_survivors: with fewer vectors in a sum, no client helps to release it.
        colluders: of the survivors, those whose noise the adversary knows.
        clip: the clip norm of one vector, weighted and with all side values: the binary64, exactly.
        dimension: entries of the vector.
        padded_dimension: a power of two: the vector is padded with zeros, then rotated.
        scale: steps of the lattice for one unit of the vector: the binary64, exactly.
        beta: a rounding is repeated with at most this probability: the binary64, exactly.
        squared_norm_bound: B2, enforced by the client on the rounded vector.
        l1_bound: B1, the largest L1 norm of such a vector.
        local_variance: the parameter of one client's noise in each coordinate.
        clip_bit_variance: the same for the one coordinate in {-1, +1} that adapts the clip norm; None without it.
        modulus_bits: sums are taken modulo 2 to this.
        smallest_modulus_bits: with fewer bits there is no such plan.
        wrap_probability: of one round, estimated: the binary64, exactly.
        inflation: by what rounding raised the L2 sensitivity, and so the noise: the binary64, exactly.
        promised_epsilon: of all rounds together, at `min_survivors`: the binary64, exactly.
        order: the order of the Renyi divergence that gives it, if one does: the binary64, exactly.
        method: the bound that gives it.

    Raises:
        InvalidParameterError: a value is out of range, or cannot be beside the others.
    """

    mechanism: str
    relation: Relation
    unit: Unit
    adversary: Adversary
    target_epsilon: Fraction
    delta: Fraction
    rounds: int
    sampling: Sampling | None
    clients: int
    vectors_per_client: int
    min_survivors: int
    colluders: int
    clip: Fraction
    dimension: int
    padded_dimension: int
    scale: Fraction
    beta: Fraction
    squared_norm_bound: int
    l1_bound: int
    local_variance: Fraction
    clip_bit_variance: Fraction | None
    modulus_bits: int
    smallest_modulus_bits: int
    wrap_probability: Fraction
    inflation: Fraction
    promised_epsilon: Fraction
    order: Fraction | None
    method: Method

    def __post_init__(self) -> None:
        for name, codec in FIELDS.items():
            codec.encode(name, getattr(self, name))
        _check_relation(self)
        _check_cohort(self)
        if self.padded_dimension != 1 << (self.dimension - 1).bit_length():
            raise InvalidParameterError("padded_dimension", self.padded_dimension, "the next power of two")
        expected = largest_l1(self.squared_norm_bound, dimension=self.padded_dimension)
        if self.l1_bound != expected:
            raise InvalidParameterError("l1_bound", self.l1_bound, f"{expected}, by squared_norm_bound")
        if self.modulus_bits < self.smallest_modulus_bits:
            raise InvalidParameterError("modulus_bits", self.modulus_bits, f"at least {self.smallest_modulus_bits}")

    @property
    def amplified(self) -> bool:
        """Whether the adversary does not know who is in a round."""
        return self.sampling is not None and self.adversary is Adversary.OUTSIDER

    @property
    def honest_shares(self) -> int:
        """Shares of noise that the promise counts on."""
        return self.min_survivors - self.colluders

    @property
    def scaled_clip(self) -> float:
        """The clip norm in steps of the lattice."""
        return float(self.scale * self.clip)

    @property
    def noisy_coordinates(self) -> int:
        """Entries of a client's vector that get noise: the padded vector, and the clip bit if there is one."""
        return self.padded_dimension + (self.clip_bit_variance is not None)

    @property
    def squared_sensitivity(self) -> int:
        """The square of the L2 sensitivity on the lattice, under the plan's relation."""
        # Two vectors of a norm differ by at most twice that norm.
        return self.squared_norm_bound * (4 if self.relation is Relation.REPLACE_ONE else 1)

    @property
    def l1_sensitivity(self) -> int:
        """The L1 sensitivity on the lattice, under the plan's relation."""
        return self.l1_bound * (2 if self.relation is Relation.REPLACE_ONE else 1)

    def event(self, survivors: int | None = None) -> Event:
        """Returns what one round is to the accountant.

        Args:
            survivors: how many clients' vectors and noise are in the sum; by default `min_survivors`.

        Raises:
            InvalidParameterError: there cannot be that many, or only colluders are left.
        """
        inner = self._inner(survivors)
        if not self.amplified or self.sampling is None:
            return inner
        population, sample = self.sampling.population, self.sampling.sample
        if population is None or sample is None:  # pragma: no cover - refused when the plan was made
            raise InvalidParameterError("sampling", self.sampling, "of a fixed size")
        return SampledWithoutReplacement(population, sample, inner)

    def epsilon(self, survivors: int | None = None) -> Bound:
        """Returns the epsilon of all rounds together, if each had this many survivors.

        With more than `min_survivors` it is smaller than the promise, and a guarantee only if who drops out does not
        depend on anybody's data.

        Args:
            survivors: as of `event`.

        Returns:
            The bound at `delta`; it never rises with the survivors. Infinity if the samplers use up all of delta.

        Raises:
            InvalidParameterError: as of `event`.
        """
        return self._epsilon(self.event(survivors))

    def participant_epsilon(self, survivors: int | None = None) -> Bound:
        """Returns the epsilon against the server and all who saw a roster: sampling hides nothing from them.

        Args:
            survivors: as of `event`.
        """
        return self._epsilon(self._inner(survivors))

    def verify(self) -> None:
        """Works out again what the plan says of itself, and refuses the first figure that does not hold.

        To be called by each party that did not make the plan. In this order:

        * `promised_epsilon`: the accountant's epsilon of all rounds is no larger, and the promise keeps the target.
        * `scale`: the clip norm has at most 2**40 steps of the lattice; and `beta` is in the range of floats.
        * `squared_norm_bound`: a client whose vector keeps to the clip norm can round it within the bound. With less it
          would have to refuse, and so tell about its vector's norm.
        * `modulus_bits`: a round's sum wraps with a probability of at most `WRAP_PROBABILITY`, 1e-6, and so do its
          clip bits if there are any.
        * `wrap_probability`: no less than half of the probability as it is worked out here.
        * `inflation`: the quotient of the norm bound and the scaled clip norm.

        What is left needs no check here: `padded_dimension` and `l1_bound` are checked when a plan is made,
        `smallest_modulus_bits` depends on a choice that the plan does not hold, and `order` and `method` only say how
        the promise was found.

        Raises:
            InvalidParameterError: a figure does not hold. `parameter` names it, `allowed` says what would.

        Guarantees:
            A plan that `dp.plan` made passes on every computer: figures may differ by what libraries of elementary
            functions differ in.

        Cost:
            That of `epsilon`: milliseconds, and seconds where the numerical divergence decides.
        """
        bound = self.epsilon().value
        if not math.isfinite(bound) or self.promised_epsilon * _SLACK < Fraction(bound):
            raise InvalidParameterError("promised_epsilon", float(self.promised_epsilon), f"at least {bound!r}")
        if self.promised_epsilon > self.target_epsilon:
            allowed = f"at most target_epsilon, {float(self.target_epsilon)!r}"
            raise InvalidParameterError("promised_epsilon", float(self.promised_epsilon), allowed)
        self._verify_lattice()
        self._verify_modulus()

    def round_wraps(self) -> tuple[float, float]:
        """Returns the estimated probabilities that a round's sum wraps in the vector, and in the clip bit if any."""
        variance = sum_variance(
            self.scaled_clip,
            dimension=self.padded_dimension,
            clients=self.clients,
            local_variance=float(self.local_variance),
            vectors_per_client=self.vectors_per_client,
        )
        vector = wrap_probability(self.modulus_bits, dimension=self.padded_dimension, variance=variance)
        if self.clip_bit_variance is None:
            return vector, 0.0
        return vector, bit_wrap_probability(
            self.modulus_bits, clients=self.clients, local_variance=float(self.clip_bit_variance)
        )

    def to_dict(self) -> dict[str, object]:
        """Returns the plan as JSON values: integers, texts, and rationals as "p/q" in lowest terms."""
        return {name: codec.encode(name, getattr(self, name)) for name, codec in FIELDS.items()} | {"schema": _SCHEMA}

    @classmethod
    def from_dict(cls, raw: Mapping[str, object]) -> Self:
        """Returns the plan that `to_dict` wrote. A party that did not make it should `verify` it.

        Raises:
            InvalidParameterError: a field is missing, unknown or not as `to_dict` writes it.
        """
        schema = raw.get("schema") if isinstance(raw, Mapping) else None
        if type(schema) is not str or schema != _SCHEMA:
            raise InvalidParameterError("schema", schema, _SCHEMA)
        unlike = sorted((set(raw) ^ set(FIELDS)) - {"schema"}, key=str)
        if unlike:
            raise InvalidParameterError(str(unlike[0]), raw.get(unlike[0]), "a field of a plan, and each of them there")
        values: dict[str, Any] = {name: codec.decode(name, raw[name]) for name, codec in FIELDS.items()}
        return cls(**values)

    def digest(self) -> bytes:
        """Returns the SHA-256 of the plan as JSON with sorted keys, without spaces, in ASCII."""
        text = json.dumps(self.to_dict(), ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).digest()

    def _verify_lattice(self) -> None:
        steps = self.scale * self.clip
        # Whether it is in the range of floats is asked first.
        if steps > 2 * _FINEST or not 0 < float(steps) <= _FINEST:
            raise InvalidParameterError("scale", self.scale, "one with which the clip norm has at most 2**40 steps")
        # Clients have room for the usual beta at least, whatever the plan says.
        beta = min(float(self.beta), LIKELY)
        if beta == 0:
            raise InvalidParameterError("beta", self.beta, "in the range of floats")
        least = squared_norm_bound(self.scaled_clip, self.padded_dimension, beta=beta)
        if self.squared_norm_bound < least:
            allowed = f"at least {least}: a client whose vector rounds to more would have to refuse, and tell its norm"
            raise InvalidParameterError("squared_norm_bound", self.squared_norm_bound, allowed)

    def _verify_modulus(self) -> None:
        vector, bits = self.round_wraps()
        if max(vector, bits) > WRAP_PROBABILITY * _SLACK:
            allowed = f"more: the sum of a round would wrap with probability {max(vector, bits):.2g}, above 1e-6"
            raise InvalidParameterError("modulus_bits", self.modulus_bits, allowed)
        wraps = min(1.0, vector + bits)
        if self.wrap_probability * _WRAP_SLACK < Fraction(wraps):
            raise InvalidParameterError("wrap_probability", float(self.wrap_probability), f"about {wraps:.2g}")
        inflation = Fraction(math.sqrt(self.squared_norm_bound) / self.scaled_clip)
        if self.inflation > inflation * _SLACK or self.inflation * _SLACK < inflation:
            raise InvalidParameterError("inflation", float(self.inflation), f"{float(inflation)!r}")

    def _inner(self, survivors: int | None) -> Event:
        if survivors is None:
            survivors = self.min_survivors
        honest = check_count("survivors", survivors, low=self.colluders + 1, high=self.clients) - self.colluders
        squared, absolute = self.squared_sensitivity, self.l1_sensitivity
        update = self._noisy(
            honest, self.local_variance, squared=squared, absolute=absolute, dimension=self.padded_dimension
        )
        if self.clip_bit_variance is None:
            return update
        # The bit is sent as -1 or +1. Whose contribution is zeroed sends 0; whose is replaced, perhaps the other one.
        most = 2 if self.relation is Relation.REPLACE_ONE else 1
        bit = self._noisy(honest, self.clip_bit_variance, squared=most * most, absolute=most, dimension=1)
        return Composed(((update, 1), (bit, 1)))

    def _noisy(self, honest: int, local_variance: Fraction, *, squared: int, absolute: int, dimension: int) -> Event:
        if self.mechanism == SKELLAM:
            return Skellam(honest * local_variance, squared, absolute, self.relation, self.unit)
        return DistributedDiscreteGaussian(
            local_variance, honest, squared, absolute, dimension, self.relation, self.unit
        )

    def _epsilon(self, event: Event) -> Bound:
        accountant = RdpAccountant().compose(event, self.rounds)
        samples = self.rounds * self.clients * self.noisy_coordinates
        target = float(self.target_epsilon)
        return bound_under_target(accountant.epsilon, delta=self.delta, samples=samples, target=target)


if {field.name for field in fields(DistributedPlan)} != set(FIELDS):  # pragma: no cover
    raise TypeError("a field of a plan has no JSON form")


def _check_cohort(plan: DistributedPlan) -> None:
    if plan.unit is Unit.CLIENT and plan.vectors_per_client != 1:
        raise InvalidParameterError("vectors_per_client", plan.vectors_per_client, "1 where a client is the unit")
    if plan.unit is Unit.EXAMPLE and plan.clip_bit_variance is not None:
        raise InvalidParameterError(
            "clip_bit_variance", plan.clip_bit_variance, "None: clients have bits, examples not"
        )
    if plan.unit is Unit.EXAMPLE and plan.sampling is not None:
        raise InvalidParameterError("sampling", plan.sampling.scheme, "None: it is clients that are sampled")
    if plan.min_survivors > plan.clients:
        raise InvalidParameterError("min_survivors", plan.min_survivors, f"at most clients, {plan.clients}")
    if plan.colluders >= plan.min_survivors:
        raise InvalidParameterError("colluders", plan.colluders, f"below min_survivors, {plan.min_survivors}")
    sampling = plan.sampling
    if sampling is not None and sampling.known_to is not SampleKnownTo.PARTICIPANTS:
        allowed = "participants: the server and its clients see who takes part in a round"
        raise InvalidParameterError("sampling.known_to", str(sampling.known_to), allowed)
    if sampling is not None and sampling.sample != plan.clients:
        raise InvalidParameterError("sampling.sample", sampling.sample, f"clients, {plan.clients}")


def _check_relation(plan: DistributedPlan) -> None:
    if plan.relation is Relation.ADD_REMOVE:
        allowed = "zero-out or replace-one: a client that is removed takes its share of the noise along"
        raise InvalidParameterError("relation", str(plan.relation), allowed)
    if plan.sampling is not None and plan.sampling.probability is not None:
        allowed = "None or of a fixed size: Poisson sampling is not proved to amplify noise that is added in shares"
        raise InvalidParameterError("sampling", plan.sampling.scheme, allowed)
    if plan.amplified and plan.relation is not Relation.REPLACE_ONE:
        raise InvalidParameterError("relation", str(plan.relation), "replace-one where a secret sample amplifies")

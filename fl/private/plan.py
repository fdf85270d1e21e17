"""The frozen plan of a private training: the one object from which clients and server derive all that they do.

A plan is made once, from what its user thinks in, and is the same on the server and on every client: its digest is part
of each session's context, so that parties who hold different plans cannot even exchange keys. All of it is public.

The order in which a vector is treated, on which the figures rest: flatten; clip to the L2 norm `clip`; multiply by the
weight over its public cap; append the side values; rotate; clip all of it to the joint norm; scale to the lattice;
round under the norm bound; add the local noise; reduce modulo 2**modulus_bits; mask.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from dp import AdaptiveClipping, DistributedPlan, Header, InvalidParameterError, Reserve, Unit
from dp.ledger import NO_HEAD, encode
from dp.mechanisms import CLIP_RANGE, LIKELY, squared_norm_bound
from dp.shares import WRAP_PROBABILITY, bit_wrap_probability, sum_variance, wrap_probability
from fl.arrays.schema import ArraySchema
from fl.errors import PlanMismatchError, UnsafePlanError
from fl.private.side_values import SideValue, joint_factor
from secagg import AdversaryModel, ClientId, ClientPolicy, PolicyViolationError, SessionParams
from secagg import InvalidParameterError as SessionParameterError

__all__ = ["MAX_WEIGHT", "WEIGHT", "PrivatePlan"]

WEIGHT: Final = "weight"
"""The side value that a weighted mean has of its own: the noisy sum of the weights is its denominator."""

MAX_WEIGHT: Final = 2**53

_SCHEMA: Final = "private-plan/1"
_LABEL: Final = b"fl private round 1"
_ROUND: Final = struct.Struct("<32s32sd")

_FINEST: Final = 2.0**40
"""Steps of the lattice in the clip norm: float64 then still has 12 bits of each step."""

_SLACK: Final = 1 + 2.0**-40
"""By so much a figure of another computer may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivatePlan:
    """A private training; made by `fl.private.planning.make_plan`, or read by `from_json`.

    Args:
        scope: the name of the privacy budget.
        schema: the arrays that every client sends.
        noise: lattice, noise and promise.
        session: the parameters of a session, for round 0 and without the rest of its application.
        clip: the L2 norm that an update is clipped to, in the first round where it adapts.
        weight_cap: the largest weight of a client; 1 where all count the same.
        side_values: declared side values, the weight among them where there is a cap above 1.
        adaptive: how the clip norm adapts; None if it does not.
        small_consortium: clients accept two honest survivors, as consortia do whose members know each other.

    Raises:
        UnsafePlanError: the parts do not fit each other, and the promise would not hold.
    """

    scope: str
    schema: ArraySchema
    noise: DistributedPlan
    session: SessionParams
    clip: float
    weight_cap: int
    side_values: tuple[SideValue, ...]
    adaptive: AdaptiveClipping | None
    small_consortium: bool = False

    def __post_init__(self) -> None:
        _check_vector(self)
        _check_noise(self)
        _check_session(self)

    # --- What everybody derives ---

    @property
    def rounds(self) -> int:
        """R: the budget is for so many."""
        return self.noise.rounds

    @property
    def clients(self) -> int:
        """How many are invited to a round."""
        return self.noise.clients

    @property
    def min_survivors(self) -> int:
        """With fewer vectors in a sum no client helps to release it: the noise is calibrated to these."""
        return self.noise.min_survivors

    @property
    def vector_length(self) -> int:
        """Words that a client sends: the rotated vector, and the clip bit if there is one."""
        return self.noise.noisy_coordinates

    def joint_clip(self, clip: float) -> float:
        """Returns the norm bound of update and side values together, for a round's clip norm."""
        return clip * joint_factor(self.side_values)

    def adaptive_at(self, clip: float) -> AdaptiveClipping | None:
        """Returns the adaptive clipping of the round with this clip norm, None if the norm does not adapt."""
        return None if self.adaptive is None else replace(self.adaptive, clip_norm=clip)

    def scale(self, clip: float) -> float:
        """Returns steps of the lattice for one unit of the vector: the lattice follows the clip norm."""
        return self.noise.scaled_clip / self.joint_clip(clip)

    @property
    def digest(self) -> bytes:
        """32 bytes: the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode("ascii")).digest()

    def application(self, clip: float, head: bytes) -> bytes:
        """Returns what a round's session binds beside its number: this plan, the round's clip norm, and the ledger.

        Args:
            clip: of the round.
            head: the ledger's, when the round begins.
        """
        return _LABEL + _ROUND.pack(self.digest, head, clip)

    def session_params(self, round_number: int, clip: float, head: bytes) -> SessionParams:
        """Returns the parameters of a round's session.

        Raises:
            PlanMismatchError: the plan has no such round.
        """
        self.check_round(round_number, clip)
        return _with(self.session, round_number, self.application(clip, head))

    def policy(
        self, round_number: int, clip: float, head: bytes, identities: Mapping[ClientId, bytes] | None = None
    ) -> ClientPolicy:
        """Returns what a client accepts in a round: this plan's session, and no other.

        Args:
            round_number: from 1.
            clip: the round's clip norm.
            head: of the ledger, as this client's own counter has it.
            identities: every client's public key, where the plan defends against a lying server.

        Raises:
            PlanMismatchError: the plan has no such round.
        """
        params = self.session_params(round_number, clip, head)
        return _policy(self, params, {} if identities is None else identities)

    def check_round(self, round_number: int, clip: float) -> None:
        """Checks that the plan has such a round.

        Raises:
            PlanMismatchError: the number is not from 1 to R, or the clip norm is not the plan's.
        """
        if type(round_number) is not int or not 1 <= round_number <= self.rounds:
            raise PlanMismatchError("round", round_number, f"1 to {self.rounds}")
        if self.adaptive is None:
            if clip != self.clip:
                raise PlanMismatchError("clip norm", clip, self.clip)
        elif not self.adaptive.smallest <= clip <= self.adaptive.largest:
            raise PlanMismatchError("clip norm", clip, f"from {self.adaptive.smallest} to {self.adaptive.largest}")

    # --- What the ledger says of it ---

    def header(self, key: bytes | None = None) -> Header:
        """Returns the header of a ledger for this plan alone: its budget is what the plan may spend.

        Args:
            key: the public key that signs the ledger.
        """
        noise = self.noise
        return Header(
            scope=self.scope,
            unit=noise.unit,
            relation=noise.relation,
            delta=noise.delta,
            budget=noise.target_epsilon,
            adversary=noise.adversary,
            colluders=noise.colluders,
            key=key,
        )

    def check_header(self, header: Header) -> None:
        """Checks that a ledger counts what this plan promises.

        Raises:
            PlanMismatchError: it is for another scope, unit, relation, adversary or delta, or assumes fewer colluders.
        """
        ours = self.header()
        for name in ("scope", "unit", "relation", "adversary", "delta"):
            if getattr(header, name) != getattr(ours, name):
                raise PlanMismatchError(f"ledger ({name})", str(getattr(header, name)), str(getattr(ours, name)))
        if header.colluders < ours.colluders:
            raise PlanMismatchError("ledger (colluders)", header.colluders, f"at least {ours.colluders}")

    def reserve(self, round_number: int, session_id: bytes, clip: float, context: bytes, roster: bytes) -> Reserve:
        """Returns a round's record, in which only the claimed epsilon is missing.

        Args:
            round_number: of the round.
            session_id: of the aggregation session.
            clip: the round's clip norm.
            context: the session's.
            roster: the hash of who takes part.
        """
        noise = self.noise
        return Reserve(
            round=round_number,
            session=session_id,
            mechanism=noise.mechanism,
            sampling=noise.sampling,
            invited=noise.clients,
            min_survivors=noise.min_survivors,
            threshold=self.session.threshold,
            squared_norm_bound=noise.squared_norm_bound,
            l1_bound=noise.l1_bound,
            dimension=noise.padded_dimension,
            modulus_bits=noise.modulus_bits,
            local_variance=noise.local_variance,
            clip_bit_variance=noise.clip_bit_variance,
            context=context,
            roster=roster,
            clip_norm=Fraction(self.joint_clip(clip)),
            scale=Fraction(self.scale(clip)),
            rounding=noise.beta,
        )

    # --- What comes out ---

    def noise_stddev(self, survivors: int, clip: float | None = None) -> float:
        """Returns the standard deviation of the noise in each coordinate of the released *sum* of vectors.

        Args:
            survivors: whose vectors and noise are in it.
            clip: the round's clip norm; None is the first round's.
        """
        return math.sqrt(survivors * self.noise.local_variance) / self.scale(self.clip if clip is None else clip)

    def side_value_stddev(self, name: str, survivors: int) -> float:
        """Returns the standard deviation of the noise in the released sum of a side value, in its own unit.

        Raises:
            PlanMismatchError: no such side value is declared.
        """
        for side in self.side_values:
            if side.name == name:
                return self.noise_stddev(survivors) / (side.share * self.clip) * side.half
        raise PlanMismatchError("side value", name, ", ".join(side.name for side in self.side_values) or "none")

    # --- As bytes ---

    def to_json(self) -> str:
        """Returns the plan as canonical JSON: sorted keys, no spaces, ASCII, rationals as "p/q"."""
        adaptive = None
        if self.adaptive is not None:
            adaptive = {name: _exact(getattr(self.adaptive, name)) for name in _ADAPTIVE}
        raw = {
            "schema": _SCHEMA,
            "scope": self.scope,
            "model": self.schema.digest.hex(),
            "noise": self.noise.to_dict(),
            "session": self.session.encode().hex(),
            "clip": _exact(self.clip),
            "weight_cap": self.weight_cap,
            "side_values": [
                [side.name, _exact(side.low), _exact(side.high), _exact(side.share)] for side in self.side_values
            ],
            "adaptive": adaptive,
            "small_consortium": self.small_consortium,
        }
        return json.dumps(raw, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, schema: ArraySchema) -> "PrivatePlan":
        """Returns the plan that `to_json` wrote, after working its promise out again.

        Args:
            text: the canonical JSON.
            schema: of this party's own model.

        Raises:
            PlanMismatchError: the text is no plan in canonical form, or one for another model.
            UnsafePlanError: the plan does not hold what it promises.
        """
        try:
            plan = _read(json.loads(text), schema)
        except (PlanMismatchError, UnsafePlanError):
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
            raise PlanMismatchError(
                "text", f"{type(error).__name__}: {str(error)[:200]}", "a plan as to_json"
            ) from error
        if plan.to_json() != text:
            raise PlanMismatchError("text", "not in canonical form", "a plan as to_json writes it")
        return plan


_ADAPTIVE: Final = ("clip_norm", "bit_stddev", "quantile", "learning_rate", "smallest", "largest")


def _exact(number: float) -> str:
    numerator, denominator = number.as_integer_ratio()
    return f"{numerator}/{denominator}"


def _float(text: str) -> float:
    numerator, denominator = text.split("/")
    return int(numerator) / int(denominator)


def _read(raw: dict[str, object], schema: ArraySchema) -> PrivatePlan:
    fields = {"schema", "scope", "model", "noise", "session", "clip", "weight_cap", "side_values", "adaptive"}
    if not isinstance(raw, dict) or raw.keys() != fields | {"small_consortium"} or raw["schema"] != _SCHEMA:
        raise PlanMismatchError("text", "other fields", f"those of {_SCHEMA}")
    if raw["model"] != schema.digest.hex():
        raise PlanMismatchError("model", str(raw["model"])[:64], schema.digest.hex())
    noise, sides, adaptive = raw["noise"], raw["side_values"], raw["adaptive"]
    if not isinstance(noise, dict) or not isinstance(sides, list) or not isinstance(adaptive, dict | None):
        raise PlanMismatchError("text", "fields of other types", f"those of {_SCHEMA}")
    return PrivatePlan(
        scope=_text(raw["scope"]),
        schema=schema,
        noise=DistributedPlan.from_dict(noise),
        session=SessionParams.decode(bytes.fromhex(_text(raw["session"]))),
        clip=_float(_text(raw["clip"])),
        weight_cap=_whole(raw["weight_cap"]),
        side_values=tuple(
            SideValue(name=_text(name), low=_float(low), high=_float(high), share=_float(share))
            for name, low, high, share in sides
        ),
        adaptive=None
        if adaptive is None
        else AdaptiveClipping(**{name: _float(adaptive.pop(name)) for name in _ADAPTIVE}, **adaptive),
        small_consortium=raw["small_consortium"] is True,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not an integer")
    return value


def _with(params: SessionParams, round_number: int, application: bytes) -> SessionParams:
    return SessionParams(
        cohort_size=params.cohort_size,
        threshold=params.threshold,
        vector_length=params.vector_length,
        modulus_bits=params.modulus_bits,
        adversary=params.adversary,
        suite=params.suite,
        neighbours=params.neighbours,
        min_survivors=params.min_survivors,
        round_number=round_number,
        application=application,
    )


def _policy(plan: PrivatePlan, params: SessionParams, identities: Mapping[ClientId, bytes]) -> ClientPolicy:
    return ClientPolicy(
        identities=identities,
        adversary=params.adversary,
        min_cohort=plan.min_survivors,
        max_cohort=plan.clients,
        corrupt_fraction=_fraction(plan.noise.colluders, plan.clients),
        min_survivors=plan.min_survivors,
        small_consortium=plan.small_consortium,
        vector_length=params.vector_length,
        modulus_bits=params.modulus_bits,
        application=params.application,
        round_number=params.round_number,
    )


def _fraction(colluders: int, clients: int) -> float:
    """Returns a float which times `clients` is rounded up to `colluders`, no more."""
    near = colluders / clients
    while math.ceil(Fraction(str(near)) * clients) > colluders:
        near = math.nextafter(near, 0.0)
    return near


def _check_noise(plan: PrivatePlan) -> None:
    """Checks that a ledger can count the rounds, that the promise follows from the noise, and that no sum wraps."""
    noise = plan.noise
    try:
        encode(plan.header(), NO_HEAD)
        noise.verify()
    except InvalidParameterError as error:
        raise UnsafePlanError(error.parameter, error.offered, f"it must be {error.allowed}") from error
    dimension, variance = noise.padded_dimension, float(noise.local_variance)
    if not 0 < noise.scaled_clip <= _FINEST:
        raise UnsafePlanError("scale", float(noise.scale), "the clip norm must be at most 2**40 steps of the lattice")
    least = squared_norm_bound(noise.scaled_clip, dimension, LIKELY)
    if noise.squared_norm_bound < least:
        why = f"a client whose clipped vector rounds to more would have to refuse, and tell its norm: at least {least}"
        raise UnsafePlanError("squared_norm_bound", noise.squared_norm_bound, why)
    spread = sum_variance(noise.scaled_clip, dimension, noise.clients, variance, noise.vectors_per_client)
    wraps = wrap_probability(noise.modulus_bits, dimension, spread)
    if noise.clip_bit_variance is not None:
        wraps = max(wraps, bit_wrap_probability(noise.modulus_bits, noise.clients, float(noise.clip_bit_variance)))
    if wraps > WRAP_PROBABILITY * _SLACK:
        why = f"the sum of a round would wrap with probability {wraps:.2g}, above {WRAP_PROBABILITY:g}"
        raise UnsafePlanError("modulus_bits", noise.modulus_bits, why)
    if noise.wrap_probability * Fraction(2) < Fraction(wraps):
        raise UnsafePlanError("wrap_probability", float(noise.wrap_probability), f"it is {wraps:.2g}")


def _check_vector(plan: PrivatePlan) -> None:
    noise = plan.noise
    if type(plan.weight_cap) is not int or not 1 <= plan.weight_cap <= MAX_WEIGHT:
        why = "weights need a public cap, an int from 1 to 2**53: without one nothing bounds what a client changes"
        raise UnsafePlanError("weight_cap", plan.weight_cap, why)
    weighted = [side for side in plan.side_values if side.name == WEIGHT]
    if (plan.weight_cap > 1) is not bool(weighted) or any((s.low, s.high) != (0.0, plan.weight_cap) for s in weighted):
        raise UnsafePlanError(
            "side_values", WEIGHT, "it is declared if and only if weight_cap is above 1, from 0 to it"
        )
    if noise.unit is Unit.EXAMPLE and plan.side_values:
        why = "a weight or side value is a client's: in a plan for single examples it would be released without noise"
        raise UnsafePlanError("side_values", [side.name for side in plan.side_values], why)
    if noise.dimension != plan.schema.size + len(plan.side_values):
        expected = plan.schema.size + len(plan.side_values)
        raise UnsafePlanError("noise.dimension", noise.dimension, f"model and side values have {expected} entries")
    joint = plan.joint_clip(plan.clip)
    if not math.isclose(float(noise.clip), joint, rel_tol=1e-12):
        raise UnsafePlanError("noise.clip", float(noise.clip), f"update and side values together have the norm {joint}")
    if (noise.clip_bit_variance is None) is not (plan.adaptive is None):
        raise UnsafePlanError("adaptive", plan.adaptive, "the noise of its bits has to be in the noise's plan")
    if plan.adaptive is not None and not CLIP_RANGE[0] <= plan.joint_clip(plan.adaptive.largest) <= CLIP_RANGE[1]:
        why = "with the side values it leaves the range of floats: choose a smaller largest clip norm"
        raise UnsafePlanError("adaptive.largest", plan.adaptive.largest, why)
    if plan.adaptive is not None and plan.adaptive.clip_norm != plan.clip:
        raise UnsafePlanError("adaptive.clip_norm", plan.adaptive.clip_norm, f"the first round's clip is {plan.clip}")


def _check_session(plan: PrivatePlan) -> None:
    params, noise = plan.session, plan.noise
    if params.min_survivors != noise.min_survivors:
        why = f"the noise is calibrated to {noise.min_survivors}: fewer would break the promise, more waste utility"
        raise UnsafePlanError("min_survivors", params.min_survivors, why)
    for name, ours in (
        ("cohort_size", noise.clients),
        ("vector_length", noise.noisy_coordinates),
        ("modulus_bits", noise.modulus_bits),
    ):
        if getattr(params, name) != ours:
            raise UnsafePlanError(name, getattr(params, name), f"the noise was planned for {ours}")
    if params.round_number != 0 or params.application:
        raise UnsafePlanError("session", "a round's", "a plan has the parameters that its rounds have in common")
    key = {0: bytes(32)} if params.adversary is AdversaryModel.ACTIVE else {}
    try:
        policy = _policy(plan, params, key)
        policy.check(params)
    except PolicyViolationError as error:
        why = f"no client would take part; it accepts {error.accepted}"
        raise UnsafePlanError(error.rule, error.offered, why) from error
    except SessionParameterError as error:
        raise UnsafePlanError(error.parameter, error.offered, f"it must be {error.allowed}") from error
    required = policy.required_survivors(params)
    if required > params.min_survivors:
        why = f"no client would help to release the sum; it insists on {required}, for the honest ones among them"
        raise UnsafePlanError("min_survivors", params.min_survivors, why)

"""The frozen plan of a private training: the one object from which clients and server derive all that they do.

A plan is made once, from what its user thinks in, and is the same on the server and on every client: its digest is part
of each session's context, so that parties who hold different plans cannot even exchange keys. What is known only when a
round's training starts (model, clip norm, ledger) is part of the context of its masks: `PrivatePlan.task`. All of it is
public.

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
from typing import Final

from dp import Header, Reserve
from fl.arrays.schema import ArraySchema
from fl.errors import PlanMismatchError, UnsafePlanError
from fl.private.plan_checks import check_noise, check_session, check_vector
from fl.private.plan_json import decode_plan, encode_plan
from fl.private.plan_ledger import plan_header, plan_reserve
from fl.private.plan_policy import client_policy
from fl.private.plan_record import PlanRecord
from secagg import ClientId, ClientPolicy, InvalidInputError, SessionParams
from secagg.protocol import frame

__all__ = ["PrivatePlan", "check_digest"]

_LABEL: Final = b"fl private round 2"
_TASK: Final = b"fl private task 2"
_ROUND: Final = struct.Struct("<Qd")
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivatePlan(PlanRecord):
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

    def __post_init__(self) -> None:
        check_vector(self)
        check_noise(self)
        check_session(self)

    # --- What everybody derives ---

    @property
    def digest(self) -> bytes:
        """32 bytes: the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode("ascii")).digest()

    @property
    def application(self) -> bytes:
        """What every session of this plan binds beside its number: the plan."""
        return _LABEL + self.digest

    def session_params(self, round_number: int) -> SessionParams:
        """Returns the parameters of a round's session.

        Raises:
            PlanMismatchError: the plan has no such round.
        """
        self.check_round_number(round_number)
        return replace(self.session, round_number=round_number, application=self.application)

    def policy(self, round_number: int, identities: Mapping[ClientId, bytes] | None = None) -> ClientPolicy:
        """Returns what a client accepts in a round: this plan's session, and no other.

        Args:
            round_number: from 1.
            identities: every client's public key, where the plan defends against a lying server.

        Raises:
            PlanMismatchError: the plan has no such round.
        """
        return client_policy(self, self.session_params(round_number), {} if identities is None else identities)

    def task(self, round_number: int, *, clip: float, head: bytes, model_digest: bytes) -> bytes:
        """Returns what a round's masks are bound to: 32 bytes, the hash of all that is known only when training starts.

        Clients that were told of different models, clip norms or ledgers mask differently, and their sum is noise.

        Args:
            round_number: from 1.
            clip: the round's clip norm.
            head: the ledger's, when the round's shares are delivered, 32 bytes.
            model_digest: 32-byte digest of what every client is given to work on.

        Raises:
            PlanMismatchError: the plan has no such round or clip norm.
            InvalidInputError: a digest is not 32 bytes.
        """
        self.check_round(round_number, clip)
        check_digest("head", head)
        check_digest("model_digest", model_digest)
        fields = (_TASK, self.digest, _ROUND.pack(round_number, clip), head, model_digest)
        return hashlib.sha256(frame(*fields)).digest()

    def check_round_number(self, round_number: int) -> None:
        """Checks that the plan has such a round.

        Raises:
            PlanMismatchError: the number is not from 1 to R.
        """
        if type(round_number) is not int or not 1 <= round_number <= self.rounds:
            raise PlanMismatchError("round", round_number, f"1 to {self.rounds}")

    def check_round(self, round_number: int, clip: float) -> None:
        """Checks that the plan has such a round, with such a clip norm.

        Raises:
            PlanMismatchError: the number is not from 1 to R, or the clip norm is not the plan's.
        """
        self.check_round_number(round_number)
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
        return plan_header(self, key)

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

    def reserve(self, round_number: int, session_id: bytes, *, clip: float, context: bytes, roster: bytes) -> Reserve:
        """Returns a round's record, in which only the claimed epsilon is missing.

        Args:
            round_number: of the round.
            session_id: of the aggregation session.
            clip: the round's clip norm.
            context: the session's.
            roster: the hash of who takes part.
        """
        return plan_reserve(
            self, round_number=round_number, session_id=session_id, clip=clip, context=context, roster=roster
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
        return encode_plan(self)

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
            record = decode_plan(json.loads(text), schema)
            plan = cls(
                scope=record.scope,
                schema=record.schema,
                noise=record.noise,
                session=record.session,
                clip=record.clip,
                weight_cap=record.weight_cap,
                side_values=record.side_values,
                adaptive=record.adaptive,
                small_consortium=record.small_consortium,
            )
        except (PlanMismatchError, UnsafePlanError):
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
            raise PlanMismatchError(
                "text", f"{type(error).__name__}: {str(error)[:200]}", "a plan as to_json"
            ) from error
        if plan.to_json() != text:
            raise PlanMismatchError("text", "not in canonical form", "a plan as to_json writes it")
        return plan


def check_digest(name: str, digest: bytes) -> None:
    """Checks that a digest is 32 bytes.

    Raises:
        InvalidInputError: it is not.
    """
    if type(digest) is not bytes or len(digest) != _DIGEST_BYTES:
        raise InvalidInputError(name, "wrong type or length", f"{_DIGEST_BYTES} bytes")

"""One round of a run, with noise or without: from the clients' contributions to the mean, through the real protocol."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from dp import BudgetExceededError, Ledger, RoundCounter, Unit
from fl.app.run.journal import RoundRecord
from fl.app.run.plain_plan import PlainPlan
from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema, NamedArrays
from fl.parallel import thread_pool
from fl.private.contribution import Contribution
from fl.private.plan import PrivatePlan
from fl.private.side_values import WEIGHT, scaled_side_values
from fl.private.simulation import simulate_round
from secagg import AdversaryModel, ClientId, Identity, InvalidInputError, TooFewClientsError, simulate

__all__ = ["Dropouts", "PlainRounds", "PrivateRounds", "RoundResult", "Rounds"]

Dropouts = Mapping[str, frozenset[ClientId]]
"""Who vanishes, by the stage that it no longer answers."""

_NO_HASH: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What came of a round.

    Attributes:
        mean: the mean update; None if there is none.
        clip: the next round's clip norm.
        record: what is known of the round.
    """

    mean: NamedArrays | None
    clip: float
    record: RoundRecord


class Rounds(ABC):
    """The rounds of one plan."""

    @abstractmethod
    def exhausted(self, round_number: int, clip: float) -> BudgetExceededError | None:
        """Returns what would be spent, if that is more than the budget; a round then must not begin."""

    @abstractmethod
    def checked(self, contribution: Contribution, clip: float) -> Contribution:
        """Returns a copy of a contribution that the round can take.

        Raises:
            SchemaMismatchError: its arrays are not the model's.
            InvalidInputError: an entry is not finite, or the weight or a side value is refused.
        """

    @abstractmethod
    def run(
        self,
        round_number: int,
        clip: float,
        contributions: Mapping[ClientId, Contribution],
        dropouts: Dropouts,
        model_digest: bytes,
    ) -> RoundResult:
        """Runs a round; when it returns, or after any error, the round counts.

        Args:
            round_number: from 1.
            clip: the round's clip norm.
            contributions: as `checked` returned them, of all who do not vanish before they are asked.
            dropouts: who vanishes, by stage.
            model_digest: of what the clients worked on.

        Raises:
            DPError, SecAggError, OSError: it failed, and has no result.
        """


class PrivateRounds(Rounds):
    """Rounds with noise, a ledger, and clients that count.

    Args:
        plan: the training's.
        ledger: open for writing.
        counters: each client's own.
        identities: each client's long-term key, where the plan defends against a lying server.
        denominator: a public number to divide by; None is the survivors, or the noisy sum of the weights.
        sign: whether to sign the ledger after each round.
    """

    def __init__(
        self,
        plan: PrivatePlan,
        ledger: Ledger,
        counters: Mapping[ClientId, RoundCounter],
        identities: Mapping[ClientId, Identity] | None,
        denominator: float | None,
        *,
        sign: bool,
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._counters = counters
        self._identities = identities
        self._denominator = denominator
        self._sign = sign

    def exhausted(self, round_number: int, clip: float) -> BudgetExceededError | None:
        """Asks the ledger."""
        draft = self._plan.reserve(round_number, bytes(16), clip, _NO_HASH, _NO_HASH)
        if not self._ledger.would_exceed(draft):
            return None
        return BudgetExceededError(self._ledger.epsilon_with(draft), float(self._ledger.header.budget))

    def checked(self, contribution: Contribution, clip: float) -> Contribution:
        """Checks what `PrivateVector` will check, before a round depends on it."""
        plan = self._plan
        if plan.noise.unit is Unit.EXAMPLE:
            return _checked_examples(plan, contribution)
        update = _checked_update(contribution, plan.schema)
        weight = _checked_weight(contribution.weight, plan.weight_cap)
        sides = contribution.side_values
        declared = tuple(side for side in plan.side_values if side.name != WEIGHT)
        scaled_side_values(declared, {} if sides is None else sides, clip)
        return Contribution(update, weight, dict(sides or {}))

    def run(
        self,
        round_number: int,
        clip: float,
        contributions: Mapping[ClientId, Contribution],
        dropouts: Dropouts,
        model_digest: bytes,
    ) -> RoundResult:
        """Runs `simulate_round`: the ledger is reserved before unmasking and settled after."""
        started = time.perf_counter()
        record = RoundRecord(round=round_number, outcome="too few clients", invited=len(self._counters), clip=clip)
        params = self._plan.session
        try:
            with thread_pool(params.vector_length, params.neighbours + 1, params.modulus_bits) as threads:
                done = simulate_round(
                    self._plan,
                    self._ledger,
                    round_number,
                    self._counters,
                    contributions.__getitem__,
                    identities=self._identities,
                    clip=clip,
                    dropouts=dropouts,
                    model_digest=model_digest,
                    executor=threads,
                )
        except TooFewClientsError as error:
            reserved = round_number in self._ledger.unsettled
            detail = f"{_left(error)}; it {'was reserved and counts in full' if reserved else 'was not reserved'}"
            return RoundResult(None, clip, self._closed(record, started, detail=detail))
        mean: NamedArrays | None = None
        outcome, detail = "released", ""
        try:
            mean = done.released.mean(self._denominator)
        except InvalidInputError as error:
            outcome, detail = "no mean", str(error)
        record = self._closed(
            record,
            started,
            outcome=outcome,
            detail=detail,
            survivors=len(done.survivors),
            side_values=dict(done.released.side_values),
            bytes_up=_mean(done.bytes_up, done.survivors),
            bytes_down=_mean(done.bytes_down, done.survivors),
        )
        return RoundResult(mean, done.released.next_clip(), record)

    def _closed(self, record: RoundRecord, started: float, **known: object) -> RoundRecord:
        if self._sign:
            self._ledger.sign_head()
        return _known(record, started, epsilon=self._ledger.spent, **known)


class PlainRounds(Rounds):
    """Rounds without noise.

    Args:
        plan: the training's.
        clients: the ids.
    """

    def __init__(self, plan: PlainPlan, clients: tuple[ClientId, ...]) -> None:
        self._plan = plan
        self._clients = clients

    def exhausted(self, round_number: int, clip: float) -> None:
        """Returns None: there is no budget."""

    def checked(self, contribution: Contribution, clip: float) -> Contribution:
        """Checks what `WeightedMean` will check, before a round depends on it."""
        if contribution.side_values:
            raise InvalidInputError("side_values", "there are some", "left out: a plain run declares none")
        update = _checked_update(contribution, self._plan.schema)
        return Contribution(update, _checked_weight(contribution.weight, self._plan.weight_cap))

    def run(
        self,
        round_number: int,
        clip: float,
        contributions: Mapping[ClientId, Contribution],
        dropouts: Dropouts,
        model_digest: bytes,
    ) -> RoundResult:
        """Runs one session of `secagg.simulate`, whose clients accept this plan and this round only."""
        started = time.perf_counter()
        params, codec = self._plan.session_params(round_number), self._plan.codec
        vectors = {
            # Who vanishes before it is asked has no vector, and nobody looks at this one.
            client: codec.encode(given.update, given.weight)
            if (given := contributions.get(client)) is not None and given.update is not None
            else np.empty(0, np.uint64)
            for client in self._clients
        }
        # The simulation gives the clients fresh identities, and puts them in the place of these.
        identities = {0: _NO_HASH} if params.adversary is AdversaryModel.ACTIVE else {}
        record = RoundRecord(round=round_number, outcome="too few clients", invited=len(self._clients), clip=clip)
        try:
            with thread_pool(params.vector_length, params.neighbours + 1, params.modulus_bits) as threads:
                done = simulate(
                    vectors,
                    params,
                    dropouts=dropouts,
                    policy=self._plan.policy(params, identities),
                    model_digest=model_digest,
                    executor=threads,
                )
        except TooFewClientsError as error:
            return RoundResult(None, clip, _known(record, started, detail=_left(error)))
        mean: NamedArrays | None = None
        outcome, detail, sides = "released", "", {}
        try:
            mean, total_weight = codec.decode(done.sum, len(done.survivors))
            sides = {WEIGHT: float(total_weight)}
        except InvalidInputError as error:
            # All survivors have weight 0.
            outcome, detail = "no mean", str(error)
        record = _known(
            record,
            started,
            outcome=outcome,
            detail=detail,
            survivors=len(done.survivors),
            side_values=sides,
            bytes_up=_mean(done.traffic.up, done.survivors),
            bytes_down=_mean(done.traffic.down, done.survivors),
        )
        return RoundResult(mean, clip, record)


def _checked_update(contribution: Contribution, schema: ArraySchema) -> Arrays:
    if contribution.update is None or contribution.examples is not None:
        raise InvalidInputError("update", "none is given, or examples are", "one update: this run protects clients")
    return restore(flatten(contribution.update, schema), schema)


def _checked_examples(plan: PrivatePlan, contribution: Contribution) -> Contribution:
    examples = contribution.examples
    if contribution.update is not None or examples is None:
        raise InvalidInputError("examples", "none are given, or an update is", "the updates of single examples")
    if contribution.weight != 1 or contribution.side_values:
        raise InvalidInputError("weight", "given with examples, or side values are", "left out with examples")
    if len(examples) > plan.noise.vectors_per_client:
        raise InvalidInputError("examples", "there are too many", f"at most {plan.noise.vectors_per_client}")
    copied = np.empty((len(examples), plan.schema.size))
    if isinstance(examples, np.ndarray):
        if examples.dtype != np.float64 or examples.shape != copied.shape:
            raise InvalidInputError("examples", f"{examples.dtype} {examples.shape}", f"float64 {copied.shape}")
        copied[:] = examples
    else:
        for place, example in enumerate(examples):
            copied[place] = flatten(example, plan.schema)
    if not np.isfinite(copied).all():
        raise InvalidInputError("examples", "NaN or infinity is among them", "finite")
    return Contribution(examples=copied)


def _checked_weight(weight: object, cap: int) -> int:
    if isinstance(weight, bool) or not isinstance(weight, int | np.integer) or not 0 <= weight <= cap:
        # The text does not tell the weight, which is secret.
        raise InvalidInputError("weight", "no int in the range of weights", f"an int from 0 to weight_cap, {cap}")
    return int(weight)


def _known(record: RoundRecord, started: float, **known: object) -> RoundRecord:
    return msgspec.structs.replace(record, protocol_s=round(time.perf_counter() - started, 4), **known)


def _left(error: TooFewClientsError) -> str:
    return f"at {error.stage}: {error.needed} needed, {error.remaining} left"


def _mean(by_client: Mapping[ClientId, int], clients: frozenset[ClientId]) -> float:
    return sum(by_client[client] for client in clients) / len(clients)

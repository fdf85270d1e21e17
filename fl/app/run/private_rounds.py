"""Rounds with noise: the ledger reserves a round before anybody is asked to unmask, and settles it after."""

import math
import time
from collections.abc import Mapping
from typing import Final

from dp import BudgetExceededError, Ledger, RoundCounter
from fl.app.run.contributions import checked_private
from fl.app.run.dropouts import Dropouts
from fl.app.run.journal import RoundRecord
from fl.app.run.rounds import RoundResult, Rounds, closed, mean_bytes, too_few
from fl.arrays.schema import NamedArrays
from fl.parallel import thread_pool
from fl.private import Contribution, LedgerNotes, PrivatePlan, simulate_round
from secagg import ClientId, Identity, InvalidInputError, TooFewClientsError

__all__ = ["PrivateRounds"]

_NO_HASH: Final = bytes(32)


class PrivateRounds(Rounds):
    """Rounds with noise, a ledger, and clients that count.

    Args:
        plan: the training's.
        ledger: open for writing.
        counters: each client's own.
        identities: each client's long-term key, where the plan defends against a lying server.
        denominator: a public number to divide by; None is the survivors, or the noisy sum of the weights.
        sign: whether to sign the ledger after each round.
        notes: what the ledger says of the rounds beside their privacy.
    """

    def __init__(
        self,
        *,
        plan: PrivatePlan,
        ledger: Ledger,
        counters: Mapping[ClientId, RoundCounter],
        identities: Mapping[ClientId, Identity] | None,
        denominator: float | None,
        sign: bool,
        notes: LedgerNotes,
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._counters = counters
        self._identities = identities
        self._denominator = denominator
        self._sign = sign
        self._notes = notes

    def exhausted(self, round_number: int, clip: float) -> BudgetExceededError | None:
        """Asks the ledger."""
        draft = self._plan.reserve(round_number, bytes(16), clip=clip, context=_NO_HASH, roster=_NO_HASH)
        if not self._ledger.would_exceed(draft):
            return None
        return BudgetExceededError(self._ledger.epsilon_with(draft), float(self._ledger.header.budget))

    def checked(self, contribution: Contribution, clip: float) -> Contribution:
        """Checks what `PrivateVector` will check, before a round depends on it."""
        return checked_private(contribution, self._plan, clip)

    def run(
        self,
        round_number: int,
        *,
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
                    contribute=contributions.__getitem__,
                    identities=self._identities,
                    clip=clip,
                    dropouts=dropouts,
                    model_digest=model_digest,
                    executor=threads,
                    notes=self._notes,
                )
        except TooFewClientsError as error:
            reserved = round_number in self._ledger.unsettled
            detail = f"{too_few(error)}; it {'was reserved and counts in full' if reserved else 'was not reserved'}"
            return RoundResult(None, clip, self._recorded(record, started, detail=detail))
        mean: NamedArrays | None = None
        outcome, detail = "released", ""
        try:
            mean = done.released.mean(self._denominator)
        except InvalidInputError as error:
            outcome, detail = "no mean", str(error)
        record = self._recorded(
            record,
            started,
            outcome=outcome,
            detail=detail,
            survivors=len(done.survivors),
            side_values=dict(done.released.side_values),
            bytes_up=mean_bytes(done.bytes_up, done.survivors),
            bytes_down=mean_bytes(done.bytes_down, done.survivors),
        )
        return RoundResult(mean, done.released.next_clip(), record, error=math.inf)

    def _recorded(self, record: RoundRecord, started: float, **known: object) -> RoundRecord:
        if self._sign:
            self._ledger.sign_head()
        return closed(record, started, epsilon=self._ledger.spent, **known)

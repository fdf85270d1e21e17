"""Rounds without noise: one session of plain secure aggregation each."""

import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fl.app.run.contributions import checked_plain
from fl.app.run.dropouts import Dropouts
from fl.app.run.journal import RoundRecord
from fl.app.run.plain_plan import PlainPlan
from fl.app.run.rounds import RoundResult, Rounds, closed, mean_bytes, too_few
from fl.arrays.schema import NamedArrays
from fl.cohort import SAMPLE_IDENTITY
from fl.parallel import thread_pool
from fl.private import Contribution
from fl.private.side_values import WEIGHT
from secagg import AdversaryModel, ClientId, InvalidInputError, TooFewClientsError, simulate

__all__ = ["PlainRounds"]


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
        return checked_plain(contribution, self._plan)

    def run(
        self,
        round_number: int,
        *,
        clip: float,
        contributions: Mapping[ClientId, Contribution],
        dropouts: Dropouts,
        model_digest: bytes,
    ) -> RoundResult:
        """Runs one session of `secagg.simulate`, whose clients accept this plan and this round only."""
        started = time.perf_counter()
        params, codec = self._plan.session_params(round_number), self._plan.codec
        # A client that vanishes before it is asked has no vector, and nobody looks at this one.
        vectors = {client: self._words(contributions.get(client)) for client in self._clients}
        # The simulation gives the clients fresh identities, and puts them in the place of these.
        identities = {self._clients[0]: SAMPLE_IDENTITY} if params.adversary is AdversaryModel.ACTIVE else {}
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
            return RoundResult(None, clip, closed(record, started, detail=too_few(error)))
        mean: NamedArrays | None = None
        outcome, detail, off = "released", "", 0.0
        survivors, words = len(done.survivors), codec.vector_length
        sides = {WEIGHT: 0.0, **self._plan.values.decode(done.sum[words:], survivors)}
        try:
            mean, total_weight = codec.decode(done.sum[:words], survivors)
            sides[WEIGHT] = float(total_weight)
            off = codec.error_bound(survivors, total_weight=total_weight)
        except InvalidInputError as error:
            # All survivors have weight 0.
            outcome, detail = "no mean", str(error)
        record = closed(
            record,
            started,
            outcome=outcome,
            detail=detail,
            survivors=survivors,
            clipped=self._clipped_share(contributions, done.survivors),
            side_values=sides,
            bytes_up=mean_bytes(done.traffic.up, done.survivors),
            bytes_down=mean_bytes(done.traffic.down, done.survivors),
        )
        return RoundResult(mean, clip, record, error=off)

    def _words(self, given: Contribution | None) -> npt.NDArray[Any]:
        if given is None or given.update is None:
            return np.empty(0, np.uint64)
        values = self._plan.values.encode(given.side_values or {})
        return np.concatenate([self._plan.codec.encode(given.update, given.weight), values])

    def _clipped_share(self, contributions: Mapping[ClientId, Contribution], survivors: Collection[ClientId]) -> float:
        """Returns the part of the survivors whose update was clipped somewhere: known here, where all are."""
        updates = [given.update for client in survivors if (given := contributions.get(client)) is not None]
        clipped = [update is not None and self._plan.codec.clipped_count(update) > 0 for update in updates]
        return sum(clipped) / len(survivors)

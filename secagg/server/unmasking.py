"""Stage 4 on the server: shares, each checked on its own, and the sum."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secagg.errors import (
    ClientId,
    InvalidShareError,
    TooFewClientsError,
)
from secagg.primitives.shamir import LIMBS, SHARE_BYTES, decode_shares
from secagg.protocol.dealing import KIND_MASK_KEY, KIND_NAMES, KIND_SELF_MASK_SEED
from secagg.protocol.messages import UnmaskingShares
from secagg.server.collecting import CollectingFromRoster
from secagg.server.facts import Signed, members
from secagg.server.faults import Fault, disputed
from secagg.server.rebuilding import rebuild_secrets, remove_masks
from secagg.stages import Stage


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a session releases.

    Args:
        sum: the survivors' vectors summed modulo 2**modulus_bits; words, shape (vector_length,).
        survivors: whose vectors are in the sum (U3).
        culprits: clients that broke a rule, each with its first fault. What was refused did not count; who
            sent something sound instead can be among the survivors all the same.
    """

    sum: npt.NDArray[np.unsignedinteger] = field(repr=False)
    survivors: frozenset[ClientId]
    culprits: Mapping[ClientId, Fault]


class CollectingUnmasking(CollectingFromRoster[Signed, UnmaskingShares]):
    """Stage 4: one share of each peer from every answering client; each is checked on its own."""

    stage = Stage.UNMASK
    expects = UnmaskingShares

    def __init__(self, facts: Signed, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.summed.dealt.enrolled, facts.answering, faults)
        size = len(self._index)
        self._survivors = members(facts.summed.survivors, size)
        self._dealers = members(facts.summed.dealt.dealers, size)
        self._limbs = np.zeros((*self._neighbours.shape, LIMBS), np.uint32)
        self._available = np.zeros(self._neighbours.shape, np.bool_)

    def _accept(self, sender: ClientId, message: UnmaskingShares) -> None:
        index = self._index[sender]
        neighbours = self._neighbours[index]
        expected = self._dealers[neighbours] & ~self.facts.summed.unopened[index]
        dealers, places = neighbours[expected], self._places[index, expected]
        if len(message.table) != len(dealers) * SHARE_BYTES:
            raise self._malformed(sender, f"{len(dealers)} shares are awaited")
        points, limbs, canonical = decode_shares(message.table)
        sound = canonical & (points == index + 1)
        commitments = self.facts.summed.dealt.share_commitments[dealers, places]
        for position, dealer in enumerate(dealers.tolist()):
            kind = KIND_SELF_MASK_SEED if self._survivors[dealer] else KIND_MASK_KEY
            share = message.table[position * SHARE_BYTES :][:SHARE_BYTES]
            commitment = self._cohort.share_commitment(dealer, holder=index, kind=kind, share=share)
            if not sound[position] or commitment != commitments[position, kind - 1].tobytes():
                raise InvalidShareError(sender, "responder", self._cohort.client(dealer), KIND_NAMES[kind])
        self._limbs[dealers, places] = limbs
        self._available[dealers, places] = True
        self._arrived[index] = True

    def _shortage(self) -> TooFewClientsError | None:
        return self._smallest_neighbourhood(self._dealers, np.count_nonzero(self._available, axis=1))

    def _note_disputed(self) -> None:
        shortage = self._shortage()
        if shortage is None or shortage.neighbourhood is None:
            return
        dealer = self._index[shortage.neighbourhood]
        peers = self._neighbours[dealer]
        reports = int(np.count_nonzero(self.facts.summed.unopened[peers, self._places[dealer]]))
        if reports:
            self.faults.setdefault(shortage.neighbourhood, disputed(self.stage, reports=reports, peers=len(peers)))

    def close(self, executor: Executor | None = None) -> Result:
        """Rebuilds the secrets, takes the masks off and releases the sum.

        Args:
            executor: runs the mask generation in tasks of some coordinates or masks each; None is serial.

        Raises:
            TooFewClientsError: some secret has too few shares yet; the stage stays open.
            InvalidShareError: a dealer shared badly: it is named, and the session has failed.
        """
        self._require_open()
        self._note_disputed()
        self._require_closable()
        # Bonawitz et al. 2017, figure 4, round 4, server: from t shares each, rebuild s_u of U2 without U3 and b_u of
        # U3; expand both and take them off the sum of the masked inputs.
        summed = self.facts.summed
        secrets, errors = rebuild_secrets(
            self._cohort,
            dealers=self._dealers,
            survivors=self._survivors,
            seed_commitments=summed.dealt.seed_commitments,
            limbs=self._limbs,
            available=self._available,
        )
        for error in errors:
            self.faults.setdefault(error.dealer, Fault(self.stage, type(error).__name__, str(error)))
        if errors:
            self._closed = True
            raise errors[0]
        # A copy, so that a failing executor leaves the stage as it was and the caller can close it again.
        total = summed.masked_sum.copy()
        task_ctx = self._cohort.task_context(summed.dealt.model_digest, dealers=summed.dealt.dealers)
        remove_masks(
            self._cohort, secrets, survivors=self._survivors, task_ctx=task_ctx, masked_sum=total, executor=executor
        )
        self._closed = True
        return Result(total, frozenset(self._clients(self._survivors)), dict(self.faults))

"""Stage 1 on the server: sealed shares, each passed on to the one peer that can open it."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.errors import (
    ClientId,
    InvalidInputError,
    TooFewClientsError,
    UnexpectedMessageError,
)
from secagg.primitives.bitmap import encode_bitmap
from secagg.protocol.messages import SEALED_BYTES, SHARE_RECORD_BYTES, ShareDelivery, ShareKeys
from secagg.protocol.transcript import (
    COMMITMENT_BYTES,
    CONTEXT_BYTES,
    MODEL_DIGEST_BYTES,
    NO_MODEL,
)
from secagg.server.collecting import CollectingFromRoster, Outbound
from secagg.server.facts import Dealt, Enrolled, Held, members
from secagg.server.faults import Fault
from secagg.server.masked_inputs import CollectingMaskedInputs
from secagg.stages import Stage

Present: TypeAlias = npt.NDArray[np.bool_]


class CollectingShares(CollectingFromRoster[Enrolled, ShareKeys]):
    """Stage 1: sealed shares, and the commitments to them."""

    stage = Stage.SHARE_KEYS
    expects = ShareKeys

    def __init__(self, facts: Enrolled, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts, None, faults)
        size = len(self._index)
        self._records = np.zeros((*self._neighbours.shape, SHARE_RECORD_BYTES), np.uint8)
        self._seed_commitments = np.zeros((size, CONTEXT_BYTES), np.uint8)

    def _accept(self, sender: ClientId, message: ShareKeys) -> None:
        index = self._index[sender]
        self._records[index] = np.frombuffer(message.table, np.uint8).reshape(-1, SHARE_RECORD_BYTES)
        self._seed_commitments[index] = np.frombuffer(message.self_mask_commitment, np.uint8)
        self._arrived[index] = True

    def _pruned(self) -> Present:
        """Returns U2: those who dealt, without those who have fewer than t neighbours in it, again and again."""
        kept = self._arrived.copy()
        while True:
            alone = kept & (self._cohort.graph.members_present(kept) < self.params.threshold)
            if not alone.any():
                return kept
            kept &= ~alone

    def _shortage(self) -> TooFewClientsError | None:
        needed, arrived = self.params.min_survivors, int(np.count_nonzero(self._arrived))
        if arrived < needed:
            return self._too_few(needed, arrived)
        kept = int(np.count_nonzero(self._pruned()))
        return self._too_few(needed, kept) if kept < needed else None

    def hold(self) -> "HoldingShares":
        """Fixes who dealt (U2), and delivers nothing yet.

        Raises:
            TooFewClientsError: not enough shares yet; the stage stays open.
        """
        self._require_closable()
        # Bonawitz et al. 2017, figure 4, round 1, server: U2 is who sent ciphertexts, at least t.
        dealers = encode_bitmap(self._pruned())
        following = HoldingShares(Held(self.facts, dealers, self._records, self._seed_commitments), self.faults)
        self._closed = True
        del self._records
        return following

    def close(
        self, model_digest: bytes = NO_MODEL
    ) -> tuple["CollectingMaskedInputs", Mapping[ClientId, ShareDelivery]]:
        """Fixes who dealt (U2) and delivers to each what its peers addressed to it.

        Args:
            model_digest: 32-byte digest of what every client is given to work on.

        Raises:
            InvalidInputError: the digest is unusable; the stage stays open.
            TooFewClientsError: not enough shares yet; the stage stays open.
        """
        check_model_digest(model_digest)
        return self.hold().close(model_digest)


class HoldingShares(CollectingFromRoster[Held, ShareKeys]):
    """Between stages 1 and 2: who dealt is fixed, and what they work on is not known yet.

    Nobody is awaited. A server that prepares a session during the one before it waits here, and may be saved.
    """

    stage = Stage.SHARE_KEYS
    expects = ShareKeys

    def __init__(self, facts: Held, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.enrolled, bytes(len(facts.dealers)), faults)
        self._present = members(facts.dealers, len(self._index))

    def _accept(self, sender: ClientId, message: ShareKeys) -> None:  # pragma: no cover - nobody is awaited
        raise UnexpectedMessageError(sender, "ShareKeys", "nothing: who dealt is fixed")

    def _shortage(self) -> None:
        return None

    def close(self, model_digest: bytes) -> tuple["CollectingMaskedInputs", Mapping[ClientId, ShareDelivery]]:
        """Delivers to each dealer what its peers addressed to it.

        Args:
            model_digest: 32-byte digest of what every client is given to work on.

        Raises:
            InvalidInputError: the digest is unusable; nothing changed.
        """
        check_model_digest(model_digest)
        self._require_closable()
        # Ibid.: each of U2 gets the ciphertexts encrypted for it.
        facts, dealers, records = self.facts, self._present, self.facts.records
        commitments = records[:, :, SEALED_BYTES:].reshape(*self._neighbours.shape, 2, COMMITMENT_BYTES).copy()
        dealt = Dealt(facts.enrolled, model_digest, facts.dealers, commitments, facts.seed_commitments)
        following = CollectingMaskedInputs(dealt, self.faults)
        self._closed = True
        cohort, places = self._cohort, self._places
        # The outbound messages own the records from here on; they go when the caller has sent them.
        del self.facts

        def deliver(client: ClientId) -> ShareDelivery:
            index = cohort.roster.index[client]
            neighbours = cohort.graph.table[index]
            dealt = dealers[neighbours]
            addressed = records[neighbours[dealt], places[index, dealt]]
            return ShareDelivery(encode_bitmap(dealers[cohort.visible(index)]), addressed.tobytes())

        return following, Outbound(self._clients(dealers), deliver)


def check_model_digest(model_digest: bytes) -> None:
    """Checks the digest of what clients are given to work on.

    Raises:
        InvalidInputError: it is not 32 bytes.
    """
    if type(model_digest) is not bytes or len(model_digest) != MODEL_DIGEST_BYTES:
        raise InvalidInputError("model_digest", "wrong type or length", f"{MODEL_DIGEST_BYTES} bytes")

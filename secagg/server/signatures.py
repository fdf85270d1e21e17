"""Stage 3 on the server (ACTIVE): the survivors' signatures over the survivor set."""

from collections.abc import Mapping

import numpy as np

from secagg.errors import (
    ClientId,
    TooFewClientsError,
)
from secagg.primitives.bitmap import encode_bitmap
from secagg.primitives.signing import SIGNATURE_BYTES, verify
from secagg.protocol.messages import ConsistencySignature, UnmaskingRequest
from secagg.protocol.transcript import (
    consistency_digest,
)
from secagg.server.collecting import CollectingFromRoster, Outbound
from secagg.server.facts import Signed, Summed, members
from secagg.server.faults import Fault
from secagg.server.unmasking import CollectingUnmasking
from secagg.stages import Stage


class CollectingSignatures(CollectingFromRoster[Summed, ConsistencySignature]):
    """Stage 3 (ACTIVE): the survivors' signatures over the survivor set."""

    stage = Stage.CONSISTENCY
    expects = ConsistencySignature

    def __init__(self, facts: Summed, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.dealt.enrolled, facts.survivors, faults)
        size = len(self._index)
        self._survivors = members(facts.survivors, size)
        self._dealers = members(facts.dealt.dealers, size)
        self._signatures = np.zeros((size, SIGNATURE_BYTES), np.uint8)
        self._digest = consistency_digest(
            self.params.suite,
            self._cohort.task_context(facts.dealt.model_digest, dealers=facts.dealt.dealers),
            roster_hash=self._cohort.roster_hash,
            survivors=facts.survivors,
            total=int(np.count_nonzero(self._survivors)),
        )

    def _accept(self, sender: ClientId, message: ConsistencySignature) -> None:
        identity = self.facts.dealt.enrolled.invitees.identities[sender]
        verify(identity, digest=self._digest, signature=message.signature, signer=sender, what="the survivor set")
        index = self._index[sender]
        self._signatures[index] = np.frombuffer(message.signature, np.uint8)
        self._arrived[index] = True

    def _shortage(self) -> TooFewClientsError | None:
        needed, signed = self.params.min_signatures, int(np.count_nonzero(self._arrived))
        if signed < needed:
            return self._too_few(needed, signed)
        return self._smallest_neighbourhood(self._dealers, self._cohort.graph.members_present(self._arrived))

    def close(self) -> tuple["CollectingUnmasking", Mapping[ClientId, UnmaskingRequest]]:
        """Asks everyone who signed (U4) for its shares.

        Raises:
            TooFewClientsError: too few signatures yet, in all or from some neighbourhood; the stage stays open.
        """
        self._require_closable()
        # Bonawitz et al. 2017, figure 4, round 3, server: U4 is who signed, at least t; each of them gets all
        # signatures.
        signers = encode_bitmap(self._arrived)
        message = UnmaskingRequest(signers, self._signatures[self._arrived].tobytes())
        outbound = Outbound(self._clients(self._arrived), lambda _: message)
        following = CollectingUnmasking(Signed(self.facts, signers), self.faults)
        self._closed = True
        return following, outbound

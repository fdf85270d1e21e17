"""Stage 4 on the client (ACTIVE): checks the signatures of others over its own survivor set, answers once."""

import numpy as np

from secagg.client.checks import check_majority, check_quorum
from secagg.client.held import Fixed
from secagg.client.state import ClientState
from secagg.client.survivors import consistency_digest_of, require_lengths
from secagg.errors import SERVER
from secagg.primitives.signing import SIGNATURE_BYTES, verify
from secagg.protocol.messages import UnmaskingRequest, UnmaskingShares


class Unmasking(ClientState[Fixed]):
    """Stage 4 (ACTIVE): checks that every involved neighbourhood signed the same survivor set, answers once."""

    __slots__ = ()

    def unmask(self, request: UnmaskingRequest) -> UnmaskingShares:
        """Releases one share of each peer.

        Raises:
            MalformedMessageError: wrong lengths; the state stays usable.
            AuthenticationError, InconsistentServerError: final.
        """
        membership = self._peek().membership
        require_lengths(request, membership)
        fixed = self._spend()
        place = membership.place()
        cohort, index, neighbours = place.cohort, place.index, place.neighbours

        # Bonawitz et al. 2017, figure 4, round 4, user: verify that U4 is within U3, that |U4| >= t, and that every
        # signature is over U3. Here t is asked of every neighbourhood that this answer helps to open.
        signers, survivors = place.members(request.signers), place.members(fixed.survivors)
        digest = consistency_digest_of(fixed, cohort)
        for position, signer in enumerate(np.flatnonzero(signers).tolist()):
            signature = request.signatures[position * SIGNATURE_BYTES :][:SIGNATURE_BYTES]
            verify(
                membership.identity_keys[signer],
                digest=digest,
                signature=signature,
                signer=SERVER,
                what="the survivor set",
            )
        involved = np.append(neighbours[place.members(fixed.dealers)[neighbours]], index)
        check_quorum(
            signers,
            survivors=survivors,
            involved=involved,
            graph=cohort.graph,
            threshold=membership.params.threshold,
        )
        check_majority(
            signers,
            held=place.members(fixed.held) & survivors,
            index=index,
            required_signatures=membership.required_signatures,
            required_survivors=membership.required_survivors,
        )
        # Ibid.: for each v of U2 the share of s_v if v is not in U3, else of b_v: never both.
        return UnmaskingShares(fixed.answer)

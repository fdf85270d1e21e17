"""Stage 3 on the client (ACTIVE): checks the survivor set, fixes it and signs it, once."""

from secagg.client.held import Masked
from secagg.client.state import ClientState
from secagg.client.survivors import consistency_digest_of, fix, require_lengths
from secagg.client.unmasking import Unmasking
from secagg.errors import InvalidStateError
from secagg.protocol.messages import ConsistencySignature, SurvivorSet


class CheckingConsistency(ClientState[Masked]):
    """Stage 3 (ACTIVE): checks the survivor set, fixes it and signs it, once."""

    __slots__ = ()

    def check_consistency(self, survivors: SurvivorSet) -> tuple[Unmasking, ConsistencySignature]:
        """Fixes the survivor set and signs it.

        Raises:
            MalformedMessageError: wrong lengths; the state stays usable.
            InconsistentServerError, PolicyViolationError: final.
        """
        require_lengths(survivors, self._peek().membership)
        if self._identity is None:
            raise InvalidStateError("the consistency stage signs, and this state has no identity")
        masked = self._spend()
        # Bonawitz et al. 2017, figure 4, round 3, user: abort if U3 is smaller than t or lacks u; sign U3.
        fixed, cohort = fix(masked, survivors)
        return Unmasking(fixed), ConsistencySignature(self._identity.sign(consistency_digest_of(fixed, cohort)))

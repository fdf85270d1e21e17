"""Stage 4 on the client (HONEST_BUT_CURIOUS): checks the survivor set, fixes it and answers."""

from secagg.client.held import Masked
from secagg.client.state import ClientState
from secagg.client.survivors import fix, require_lengths
from secagg.protocol.messages import SurvivorSet, UnmaskingShares


class AwaitingSurvivors(ClientState[Masked]):
    """Stage 4 (HONEST_BUT_CURIOUS): checks the survivor set, fixes it and answers."""

    __slots__ = ()

    def unmask(self, survivors: SurvivorSet) -> UnmaskingShares:
        """Releases one share of each peer.

        Raises:
            MalformedMessageError: wrong lengths; the state stays usable.
            InconsistentServerError, PolicyViolationError: final.
        """
        require_lengths(survivors, self._peek().membership)
        # Bonawitz et al. 2017, figure 4, round 4, user, without round 3: for each v of U2 the share of s_v if v is not
        # in U3, else of b_v. `fix` keeps these shares and drops the others.
        fixed, _ = fix(self._spend(), survivors)
        return UnmaskingShares(fixed.answer)

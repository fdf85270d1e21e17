"""What each client state holds between messages: the content of a client's snapshot.

Fewer secrets from state to state: the seal key goes once the peers' opening keys are derived, the
mask key and the self-mask seed go once the vector is masked, and once the survivor set is fixed only
the one answer that it allows is left. The identity key is never part of it.
"""

from secagg.errors import ClientId
from secagg.params import SessionParams
from secagg.policy import ClientPolicy
from secagg.protocol.cohort import Cohort
from secagg.protocol.roster import decode_roster
from secagg.protocol.single_use import Secrets


class Invited(Secrets, frozen=True):
    """A session that this client's policy accepts."""

    params: SessionParams
    session_id: bytes
    client: ClientId
    policy: ClientPolicy


class Advertised(Secrets, frozen=True):
    """The keys that were advertised, with their private halves."""

    invited: Invited
    seal_private: bytes
    mask_private: bytes
    signature: bytes


class Membership(Secrets, frozen=True):
    """A checked roster, and this client's place in it."""

    params: SessionParams
    session_id: bytes
    client: ClientId
    required_survivors: int
    required_signatures: int
    entries: bytes
    roster_total: int
    identity_keys: tuple[bytes, ...]

    def cohort(self) -> Cohort:
        """Returns the public facts of the session, as far as this client sees them."""
        return Cohort(self.params, self.session_id, decode_roster(self.entries, self.params))


class Shared(Secrets, frozen=True):
    """After dealing: the secrets that the masks come from, and a key to open each neighbour's seal."""

    membership: Membership
    mask_private: bytes
    self_mask_seed: bytes
    opening_keys: bytes


class Masked(Secrets, frozen=True):
    """After masking: shares of others only, neither the mask key nor the self-mask seed."""

    membership: Membership
    task_ctx: bytes
    dealers: bytes
    held: bytes
    shares: bytes


class Fixed(Secrets, frozen=True):
    """After the survivor set is fixed: the one answer that this client can give."""

    membership: Membership
    task_ctx: bytes
    dealers: bytes
    held: bytes
    survivors: bytes
    total: int
    answer: bytes

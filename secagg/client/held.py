"""What each client state holds between messages: the content of a client's snapshot.

Fewer secrets from state to state: the seal key goes once the peers' opening keys are derived, the
mask key and the self-mask seed go once the vector is masked, and once the survivor set is fixed only
the one answer that it allows is left. The identity key is never part of it.
"""

import numpy as np
import numpy.typing as npt

from secagg.errors import SERVER, ClientId, MalformedMessageError
from secagg.params import SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.bitmap import decode_bitmap
from secagg.protocol.cohort import Cohort
from secagg.protocol.roster import decode_roster, entry_bytes
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

    @property
    def size(self) -> int:
        """How many clients' entries this client sees; known without decoding any."""
        return len(self.entries) // entry_bytes(self.params)

    def place(self) -> "Place":
        """Returns the public facts of the session as far as this client sees them, and where it stands in them."""
        return Place(Cohort(self.params, self.session_id, decode_roster(self.entries, self.params)), self.client)


class Place:
    """Where a client stands in its session. Nothing here is secret.

    Args:
        cohort: the public facts of the session, as far as the client sees them.
        client: the client.
    """

    __slots__ = ("cohort", "index", "neighbours", "size")

    def __init__(self, cohort: Cohort, client: ClientId) -> None:
        self.cohort = cohort
        self.index = cohort.roster.index[client]
        self.neighbours = cohort.graph.neighbours(self.index)
        self.size = len(cohort.roster)

    def members(self, bitmap: bytes) -> npt.NDArray[np.bool_]:
        """Returns a bitmap over the roster that this client sees as bools, shape (size,).

        Raises:
            MalformedMessageError: it is no such bitmap.
        """
        present = decode_bitmap(bitmap, self.size)
        if present is None:
            raise MalformedMessageError(SERVER, f"no bitmap over {self.size} clients")
        return present


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

"""What is settled when each of the server's stages begins: the content of a server's snapshot."""

import numpy as np
import numpy.typing as npt

from secagg.errors import ClientId, InvalidStateError
from secagg.params import SessionParams
from secagg.primitives.bitmap import decode_bitmap
from secagg.protocol.cohort import Cohort
from secagg.protocol.concealed import Concealed
from secagg.protocol.roster import decode_roster


class Invitees(Concealed, frozen=True, forbid_unknown_fields=True, tag=True):
    """Before stage 0: who is invited, and in the ACTIVE model whose identity key is which."""

    params: SessionParams
    session_id: bytes
    clients: frozenset[ClientId]
    identities: dict[ClientId, bytes]


class Enrolled(Concealed, frozen=True, forbid_unknown_fields=True, tag=True):
    """After stage 0: the roster U1."""

    invitees: Invitees
    entries: bytes

    def cohort(self) -> Cohort:
        """Returns the public facts of the session."""
        params = self.invitees.params
        return Cohort(params, self.invitees.session_id, decode_roster(self.entries, params))


class Held(Concealed, frozen=True, forbid_unknown_fields=True, tag=True):
    """Stage 1 is over and nothing is delivered yet: who dealt (U2, a bitmap), and their records.

    `records` has shape (dealers, neighbours, record bytes), a dealer's neighbours ascending, and `seed_commitments`
    (dealers, 32); uint8. Rows of those who are not in U2 are of no use.
    """

    enrolled: Enrolled
    dealers: bytes
    records: np.ndarray
    seed_commitments: np.ndarray


class Dealt(Concealed, frozen=True, forbid_unknown_fields=True, tag=True):
    """After stage 1: who dealt (U2, a bitmap), and the commitments.

    `share_commitments` has shape (dealers, neighbours, kinds, 16), a dealer's neighbours ascending, and
    `seed_commitments` (dealers, 32); uint8.
    """

    enrolled: Enrolled
    model_digest: bytes
    dealers: bytes
    share_commitments: np.ndarray
    seed_commitments: np.ndarray


class Summed(Concealed, frozen=True, forbid_unknown_fields=True, tag=True):
    """After stage 2: the survivors (U3, a bitmap), the masked sum, and whose seals did not open.

    `unopened` has shape (holders, neighbours), bool. `masked_sum` has shape (vector_length,), words.
    """

    dealt: Dealt
    survivors: bytes
    unopened: np.ndarray
    masked_sum: np.ndarray


class Signed(Concealed, frozen=True, forbid_unknown_fields=True, tag=True):
    """Before stage 4: who may answer (U4 in the ACTIVE model, else U3; a bitmap)."""

    summed: Summed
    answering: bytes


def members(bitmap: bytes, size: int) -> npt.NDArray[np.bool_]:
    """Returns a bitmap of the server's own making as bools, shape (size,)."""
    present = decode_bitmap(bitmap, size)
    if present is None:
        raise InvalidStateError("the snapshot holds a bitmap of the wrong size")
    return present

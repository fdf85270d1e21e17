"""What the client's states have in common: they are single-use, and most of them sign with the client's identity."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.primitives.signing import Identity
from secagg.protocol.single_use import Held, SingleUse

Vector: TypeAlias = npt.NDArray[np.integer]


class ClientState(SingleUse[Held]):
    """A state of the client. Its one transition spends it and returns the next state with the message to send.

    * The caller's own arguments are checked first: a `LocalError` leaves the state usable.
    * A message of a wrong length is a `MalformedMessageError` and leaves the state usable, so that garbage from the
      network cannot end a session.
    * Any other fault is the server's, final, and drops the secrets.

    Args:
        held: what the state holds.
        identity: the client's long-term key; needed in the ACTIVE model, None in the other.
    """

    __slots__ = ("_identity",)

    def __init__(self, held: Held, identity: Identity | None = None) -> None:
        super().__init__(held)
        self._identity = identity

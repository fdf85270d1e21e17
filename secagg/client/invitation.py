"""What a server offers, read before anything is accepted."""

from secagg.errors import SERVER
from secagg.params import SessionParams
from secagg.protocol.messages import INVITATION_BYTES
from secagg.protocol.wire import Octets, decode_invitation, immutable

__all__ = ["read_invitation"]


def read_invitation(data: Octets) -> tuple[SessionParams, bytes]:
    """Returns the parameters and the 16-byte id of the session that an invitation offers.

    For a layer above that has to judge the offer before it makes a `ClientSession`. Nothing is accepted by reading:
    hand the same bytes to `ClientSession.receive` afterwards.

    Raises:
        MalformedMessageError: the bytes are no invitation of this version, or its parameters are invalid.
        InvalidInputError: `data` is not bytes, bytearray or memoryview, or a view that was released.
    """
    return decode_invitation(immutable(data, INVITATION_BYTES, SERVER))

"""What one exchange carries between the server and one client: messages of several sessions, as one piece of bytes.

    magic (4) | version (1) | sender (1) | client (8) | count (1) | count x [session (16) | length (8) | message]

The sender is 0 for the server, 1 for a client, whose id follows. All integers are little-endian. Nothing here is
authenticated: each message is checked by its own session. The client's id says as whom it answers, and is believed
where the session's signature or the transport confirms it.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from secagg.errors import SERVER, ClientId, Culprit, InvalidInputError, MalformedMessageError
from secagg.protocol.labels import WIRE_VERSION
from secagg.protocol.transcript import SESSION_ID_BYTES
from secagg.protocol.wire import Octets

__all__ = ["MOST_PARTS", "Part", "decode_bundle", "encode_bundle"]

_MAGIC: Final = b"SAGB"
_HEAD: Final = struct.Struct("<4sBBQB")
_PART: Final = struct.Struct(f"<{SESSION_ID_BYTES}sQ")

MOST_PARTS: Final = 8
"""Messages in a bundle: those of this session and of the next, and farewells to ones that were given up."""


class Part(NamedTuple):
    """One message, and the session that it is for."""

    session_id: bytes
    message: bytes | memoryview


def encode_bundle(parts: Sequence[Part], client: ClientId | None = None) -> bytes:
    """Returns the bytes of a bundle.

    Args:
        parts: at most `MOST_PARTS`, in the order in which they are to be taken.
        client: the id of the client that sends it; None where the server does.
    """
    head = _HEAD.pack(_MAGIC, WIRE_VERSION, int(client is not None), client or 0, len(parts))
    pieces: list[bytes | memoryview] = [head]
    for session_id, message in parts:
        pieces += (_PART.pack(session_id, len(message)), message)
    return b"".join(pieces)


def decode_bundle(data: Octets, culprit: Culprit) -> tuple[ClientId, tuple[Part, ...]]:
    """Returns as whom the sender answers (0 for the server), and the messages as views of `data`.

    Args:
        data: as received.
        culprit: who sent it.

    Raises:
        InvalidInputError: `data` is not bytes, bytearray or memoryview, or a view that was released.
        MalformedMessageError: it is no bundle of this version, in its one form.
    """
    view = _view(data)
    if view.nbytes < _HEAD.size:
        raise MalformedMessageError(culprit, "a bundle: shorter than its head")
    magic, version, sender, client, count = _HEAD.unpack_from(view)
    if magic != _MAGIC or version != WIRE_VERSION:
        raise MalformedMessageError(culprit, f"no bundle of version {WIRE_VERSION}")
    if sender != (culprit is not SERVER) or (not sender and client) or count > MOST_PARTS:
        raise MalformedMessageError(culprit, "a bundle: its head is of another role, or counts too many messages")
    parts: list[Part] = []
    at = _HEAD.size
    for _ in range(count):
        if view.nbytes - at < _PART.size:
            raise MalformedMessageError(culprit, "a bundle: cut short")
        session_id, length = _PART.unpack_from(view, at)
        at += _PART.size
        if length > view.nbytes - at:
            raise MalformedMessageError(culprit, "a bundle: cut short")
        parts.append(Part(session_id, view[at : at + length]))
        at += length
    if at != view.nbytes:
        raise MalformedMessageError(culprit, "a bundle: something follows its last message")
    if len({part.session_id for part in parts}) != count:
        raise MalformedMessageError(culprit, "a bundle: two messages of one session")
    return client, tuple(parts)


def _view(data: Octets) -> memoryview:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidInputError("data", f"it is {type(data).__name__}", "bytes, bytearray or memoryview")
    try:
        view = memoryview(data)
        # A bytearray may change underneath its views.
        return view if type(data) is bytes else memoryview(bytes(view))
    except ValueError:
        raise InvalidInputError("data", "it is a memoryview that was released", "readable") from None

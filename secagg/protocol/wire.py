"""Messages as bytes: the header, and strict decoding.

`decode` takes any bytes from a peer and returns a message, or raises `MalformedMessageError` and nothing else. The
header and the length limit, which follows from type and parameters, are checked before anything is parsed.
"""

import struct
from typing import Final

import msgspec

from secagg.errors import (
    SERVER,
    Culprit,
    InvalidInputError,
    InvalidParameterError,
    MalformedMessageError,
    StrayMessageError,
)
from secagg.params import SessionParams
from secagg.primitives.prg import Suite
from secagg.protocol import labels
from secagg.protocol.messages import (
    HEADER_BYTES,
    INVITATION_BYTES,
    MESSAGE_TYPES,
    Invitation,
    Message,
    MessageType,
)

MAGIC: Final = b"SAGG"
_HEADER: Final = struct.Struct("<4sBBB16s")

_DECODERS: Final = {kind: msgspec.msgpack.Decoder(message) for kind, message in MESSAGE_TYPES.items()}
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(message: Message, suite: Suite, session_id: bytes) -> bytes:
    """Returns header and body."""
    buffer = bytearray(_HEADER.pack(MAGIC, labels.WIRE_VERSION, suite, message.kind, session_id))
    _ENCODER.encode_into(message, buffer, HEADER_BYTES)
    return bytes(buffer)


def decode_invitation(data: bytes) -> tuple[SessionParams, bytes]:
    """Returns the parameters and the session id that a server offers.

    Raises:
        MalformedMessageError: the bytes are no invitation of this version, or its parameters are invalid.
    """
    suite, message_type, session_id = _read_header(data, SERVER)
    if message_type is not Invitation:
        raise MalformedMessageError(SERVER, f"expected an Invitation, not {message_type.__name__}")
    message = _decode_body(data, Invitation, INVITATION_BYTES - HEADER_BYTES, SERVER)
    if not isinstance(message, Invitation):
        raise MalformedMessageError(SERVER, "body and header disagree on the type")
    try:
        params = SessionParams.decode(message.params)
    except InvalidParameterError as error:
        raise MalformedMessageError(SERVER, f"invalid parameters: {error.parameter}") from None
    if params.suite is not suite:
        raise MalformedMessageError(SERVER, "header and parameters disagree on the suite")
    return params, session_id


def decode(data: bytes, culprit: Culprit, params: SessionParams, *, session_id: bytes) -> Message:
    """Returns the message of one session that `data` holds.

    Args:
        data: immutable bytes; a vector in the message is a view of them.
        culprit: who sent them.
        params: the session's parameters, which set the length limit of each type.
        session_id: the session's id.

    Raises:
        StrayMessageError: it is of another session.
        MalformedMessageError: for any other bytes, and never anything else.
    """
    suite, message_type, found_session = _read_header(data, culprit)
    if found_session != session_id:
        raise StrayMessageError(culprit)
    if suite is not params.suite:
        raise MalformedMessageError(culprit, "the message is of another suite than its session")
    return _decode_body(data, message_type, message_type.limit(params), culprit)


def immutable(data: bytes | bytearray | memoryview, limit: int, culprit: Culprit) -> bytes:
    """Returns received data as bytes: unchanged, or copied where it could change underneath a view.

    Args:
        data: as received.
        limit: the most bytes; a flood is refused before it is copied or hashed.
        culprit: who sent it.

    Raises:
        InvalidInputError: `data` is nothing of the kind.
        MalformedMessageError: it is longer than `limit`.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidInputError("data", f"it is {type(data).__name__}", "bytes, bytearray or memoryview")
    if memoryview(data).nbytes > limit:
        raise MalformedMessageError(culprit, f"more than the {limit} bytes that any message here can have")
    return data if type(data) is bytes else bytes(data)


def _read_header(data: bytes, culprit: Culprit) -> tuple[Suite, MessageType, bytes]:
    if type(data) is not bytes:
        raise MalformedMessageError(culprit, f"a message is bytes, not {type(data).__name__}")
    if len(data) < HEADER_BYTES:
        raise MalformedMessageError(culprit, "shorter than a header")
    magic, version, suite, kind, session_id = _HEADER.unpack_from(data)
    if magic != MAGIC or version != labels.WIRE_VERSION:
        raise MalformedMessageError(culprit, f"no message of version {labels.WIRE_VERSION}")
    if suite not in Suite.__members__.values() or kind not in MESSAGE_TYPES:
        raise MalformedMessageError(culprit, "unknown suite or message type")
    return Suite(suite), MESSAGE_TYPES[kind], session_id


def _decode_body(data: bytes, message_type: MessageType, limit: int, culprit: Culprit) -> Message:
    size = len(data) - HEADER_BYTES
    if size > limit:
        raise MalformedMessageError(culprit, f"{message_type.__name__}: {size} bytes, at most {limit} allowed")
    try:
        return _DECODERS[message_type.kind].decode(memoryview(data)[HEADER_BYTES:])
    except msgspec.MsgspecError:
        # The decoder's own text may quote content, so it goes no further.
        raise MalformedMessageError(culprit, f"{message_type.__name__}: the body does not decode") from None

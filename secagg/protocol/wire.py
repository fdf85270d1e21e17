"""Messages as bytes: the header, and strict decoding.

Whatever comes is checked from cheap to dear: its type, the 23 bytes of its header and with them the session, the length
that this type of message can have here. Only then is it copied, hashed or parsed. `decode` returns a message, or raises
`MalformedMessageError`, or `StrayMessageError` for a message of another session, and nothing else.
"""

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

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

Octets: TypeAlias = bytes | bytearray | memoryview
"""What a caller may hand over as received."""

_DECODERS: Final = {kind: msgspec.msgpack.Decoder(message) for kind, message in MESSAGE_TYPES.items()}
_ENCODER: Final = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a message say of it: nothing here is authenticated."""

    suite: int
    kind: int
    session_id: bytes


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
    _require_bytes(data, SERVER)
    header = read_header(data, SERVER)
    suite, message_type = _known(header, SERVER)
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
    return params, header.session_id


def invitation_received(data: Octets) -> bytes:
    """Returns data that came before there is a session as bytes, if they may be an invitation.

    Raises:
        InvalidInputError: `data` is nothing of the kind.
        StrayMessageError: it is a message of some session that began earlier.
        MalformedMessageError: it is no message of this version, or too long.
    """
    kind = read_header(data, SERVER).kind
    if kind in MESSAGE_TYPES and kind != Invitation.kind:
        raise StrayMessageError(SERVER, f"a {MESSAGE_TYPES[kind].__name__} before any invitation")
    return immutable(data, INVITATION_BYTES, SERVER)


def received(data: Octets, culprit: Culprit, params: SessionParams, *, session_id: bytes) -> bytes:
    """Returns received data as bytes, once header and length are those of a message of this session.

    Args:
        data: as received.
        culprit: who sent it.
        params: the session's parameters.
        session_id: the session's id.

    Raises:
        InvalidInputError: `data` is nothing of the kind.
        StrayMessageError: it is a message of another session.
        MalformedMessageError: it is no message, or longer than one of its type can be.
    """
    message_type = _for_session(data, culprit, params, session_id)
    return immutable(data, HEADER_BYTES + message_type.limit(params), culprit)


def decode(data: bytes, culprit: Culprit, params: SessionParams, *, session_id: bytes) -> Message:
    """Returns the message of one session that `data` holds.

    Args:
        data: immutable bytes; a vector in the message is a view of them.
        culprit: who sent them.
        params: the session's parameters, which set the length limit of each type.
        session_id: the session's id.

    Raises:
        StrayMessageError: it is a message of another session; nobody is at fault.
        MalformedMessageError: for any other bytes, and never anything else.
    """
    _require_bytes(data, culprit)
    message_type = _for_session(data, culprit, params, session_id)
    return _decode_body(data, message_type, message_type.limit(params), culprit)


def immutable(data: Octets, limit: int, culprit: Culprit) -> bytes:
    """Returns received data as bytes: unchanged, or copied where it could change underneath a view.

    Args:
        data: as received.
        limit: the most bytes; a flood is refused before it is copied or hashed.
        culprit: who sent it.

    Raises:
        InvalidInputError: `data` is nothing of the kind.
        MalformedMessageError: it is longer than `limit`.
    """
    if _octets(data).nbytes > limit:
        raise MalformedMessageError(culprit, f"more than the {limit} bytes that such a message can have here")
    return data if type(data) is bytes else bytes(data)


def read_header(data: Octets, culprit: Culprit) -> Header:
    """Returns the header of a message of this version.

    Raises:
        InvalidInputError: `data` is nothing of the kind.
        MalformedMessageError: it begins with no such header.
    """
    head = _octets(data)[:HEADER_BYTES]
    if head.nbytes < HEADER_BYTES:
        raise MalformedMessageError(culprit, "shorter than a header")
    magic, version, suite, kind, session_id = _HEADER.unpack(head)
    if magic != MAGIC or version != labels.WIRE_VERSION:
        raise MalformedMessageError(culprit, f"no message of version {labels.WIRE_VERSION}")
    return Header(suite, kind, session_id)


def _for_session(data: Octets, culprit: Culprit, params: SessionParams, session_id: bytes) -> MessageType:
    header = read_header(data, culprit)
    if header.session_id != session_id:
        raise StrayMessageError(culprit, "it belongs to another session")
    suite, message_type = _known(header, culprit)
    if suite is not params.suite:
        raise MalformedMessageError(culprit, "the message is of another suite than its session")
    return message_type


def _known(header: Header, culprit: Culprit) -> tuple[Suite, MessageType]:
    if header.suite not in Suite.__members__.values() or header.kind not in MESSAGE_TYPES:
        raise MalformedMessageError(culprit, "unknown suite or message type")
    return Suite(header.suite), MESSAGE_TYPES[header.kind]


def _require_bytes(data: object, culprit: Culprit) -> None:
    if type(data) is not bytes:
        raise MalformedMessageError(culprit, f"a message is bytes, not {type(data).__name__}")


def _octets(data: Octets) -> memoryview:
    """Returns a view of the single bytes, whatever the form of the view that was given."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidInputError("data", f"it is {type(data).__name__}", "bytes, bytearray or memoryview")
    try:
        view = memoryview(data)
        plain = view.format == "B" and view.ndim == 1 and view.contiguous
        return view if plain else memoryview(view.tobytes())
    except ValueError:
        raise InvalidInputError("data", "it is a memoryview that was released", "readable") from None


def _decode_body(data: bytes, message_type: MessageType, limit: int, culprit: Culprit) -> Message:
    size = len(data) - HEADER_BYTES
    if size > limit:
        raise MalformedMessageError(culprit, f"{message_type.__name__}: {size} bytes, at most {limit} allowed")
    try:
        return _DECODERS[message_type.kind].decode(memoryview(data)[HEADER_BYTES:])
    except msgspec.MsgspecError:
        # The decoder's own text may quote content, so it goes no further.
        raise MalformedMessageError(culprit, f"{message_type.__name__}: the body does not decode") from None

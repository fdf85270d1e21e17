"""What goes between the server of a private round and a client: messages of the aggregation session, and more.

An `Offer` begins the session. A `Task` comes with what the client is to work on: the clip norm and the ledger as they
are then. Every other message of the server is a `Step`. A client answers an offer with `Joined`, which says how much of
the ledger it has seen; its other answers are messages of the session alone.
"""

from typing import Final, TypeAlias, TypeVar

import msgspec

from secagg import SERVER, ClientId, Culprit, MalformedMessageError

__all__ = [
    "Joined",
    "Offer",
    "RoundMessage",
    "Step",
    "Task",
    "decode_joined",
    "decode_round_message",
    "encode_round_message",
    "is_round_message",
]

_MAX_LINES: Final = 2**22
_HEAD_BYTES: Final = 32
_MAGIC: Final = b"flPR\x02"


class Offer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="offer"):
    """The first message of a round. What it says may be known long before anybody trains.

    Args:
        plan_digest: of the plan that the server holds.
        round_number: from 1.
        session: the session's invitation.
    """

    plan_digest: bytes
    round_number: int
    session: bytes


class Task(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="task"):
    """The message that asks for the contribution. The session's masks are bound to what it says: `PrivatePlan.task`.

    Args:
        clip: the round's clip norm.
        ledger: lines of the ledger, from the head that the client said it knows, or from its header on.
        session: the session's delivery.
    """

    clip: float
    ledger: tuple[bytes, ...]
    session: bytes


class Step(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="step"):
    """Every other message of a round.

    Args:
        ledger: with the request to unmask, the lines since the task; the round's `reserve` is among them.
        session: a message of the session.
    """

    ledger: tuple[bytes, ...]
    session: bytes


class Joined(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="joined"):
    """A client's answer to an offer.

    Args:
        head: the last head of the ledger that the client has seen, empty before its first round.
        session: the session's advertisement.
    """

    head: bytes
    session: bytes


RoundMessage: TypeAlias = Offer | Task | Step

_Message = TypeVar("_Message", Offer | Task | Step, Joined)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RoundMessage)
_joined = msgspec.msgpack.Decoder(Joined)


def encode_round_message(message: RoundMessage | Joined) -> bytes:
    """Returns the message's bytes."""
    return _MAGIC + _encoder.encode(message)


def is_round_message(data: bytes | bytearray | memoryview) -> bool:
    """Whether bytes begin as a private round's own messages do; those of its session begin otherwise."""
    return isinstance(data, bytes | bytearray | memoryview) and bytes(data[: len(_MAGIC)]) == _MAGIC


def decode_round_message(data: bytes | bytearray | memoryview) -> RoundMessage:
    """Returns a message of the server.

    Raises:
        MalformedMessageError: the bytes are no canonical message of this version.
    """
    message = _decoded(_decoder, data, SERVER)
    if not isinstance(message, Offer) and len(message.ledger) > _MAX_LINES:
        raise MalformedMessageError(SERVER, "private round: more lines than a ledger can have")
    return message


def decode_joined(data: bytes | bytearray | memoryview, sender: ClientId) -> Joined:
    """Returns a client's answer to an offer.

    Raises:
        MalformedMessageError: the bytes are none, in canonical form and of this version.
    """
    joined = _decoded(_joined, data, sender)
    if len(joined.head) not in (0, _HEAD_BYTES):
        raise MalformedMessageError(sender, "private round: a head of another length")
    return joined


def _decoded(
    decoder: msgspec.msgpack.Decoder[_Message], data: bytes | bytearray | memoryview, culprit: Culprit
) -> _Message:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise MalformedMessageError(culprit, "no bytes")
    try:
        data = bytes(data)
    except ValueError:
        raise MalformedMessageError(culprit, "a memoryview that was released") from None
    if not data.startswith(_MAGIC):
        raise MalformedMessageError(culprit, "no message of a private round, or one of another version")
    try:
        message = decoder.decode(memoryview(data)[len(_MAGIC) :])
    # A tag that is no UTF-8 is a ValueError of its own.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedMessageError(culprit, f"private round: {type(error).__name__}") from None
    if encode_round_message(message) != data:
        raise MalformedMessageError(culprit, "private round: not in canonical form")
    return message

"""What the server of a private round sends: a message of the aggregation session, and the ledger's new lines.

Clients answer with messages of the session alone.
"""

from typing import Final, TypeAlias

import msgspec

from secagg import SERVER, MalformedMessageError

__all__ = ["Offer", "RoundMessage", "Step", "decode_round_message", "encode_round_message"]

_MAX_LINES: Final = 2**22
_MAGIC: Final = b"flPR\x01"


class Offer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="offer"):
    """The first message of a round.

    Args:
        plan_digest: of the plan that the server holds.
        round_number: from 1.
        clip: the round's clip norm.
        ledger: lines of the ledger from some head on that the client knows, or from its header on.
        session: the session's invitation.
    """

    plan_digest: bytes
    round_number: int
    clip: float
    ledger: tuple[bytes, ...]
    session: bytes


class Step(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="step"):
    """Every other message of a round.

    Args:
        ledger: with the request to unmask, the lines since the offer; the round's `reserve` is among them.
        session: a message of the session.
    """

    ledger: tuple[bytes, ...]
    session: bytes


RoundMessage: TypeAlias = Offer | Step

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RoundMessage)


def encode_round_message(message: RoundMessage) -> bytes:
    """Returns the message's bytes."""
    return _MAGIC + _encoder.encode(message)


def decode_round_message(data: bytes) -> RoundMessage:
    """Returns the message.

    Raises:
        MalformedMessageError: the bytes are no canonical message of this version.
    """
    if not isinstance(data, bytes) or not data.startswith(_MAGIC):
        raise MalformedMessageError(SERVER, "no message of a private round, or one of another version")
    try:
        message: RoundMessage = _decoder.decode(memoryview(data)[len(_MAGIC) :])
    # A tag that is no UTF-8 is a ValueError of its own.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedMessageError(SERVER, f"private round: {type(error).__name__}") from None
    if encode_round_message(message) != data or len(message.ledger) > _MAX_LINES:
        raise MalformedMessageError(SERVER, "private round: not in canonical form")
    return message

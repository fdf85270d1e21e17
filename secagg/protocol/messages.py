"""The messages: one frozen type for each arrow of the protocol, with its lengths.

Types carry no optional fields: a change is a new type or version. `secagg.protocol.wire` reads and writes them.
"""

import enum
from typing import ClassVar, Final, TypeAlias

from secagg.errors import Culprit, MalformedMessageError
from secagg.params import SessionParams, encoded_params_limit
from secagg.primitives.agreement import KEY_BYTES
from secagg.primitives.bitmap import bitmap_bytes, decode_bitmap
from secagg.primitives.shamir import SHARE_BYTES
from secagg.primitives.signing import SIGNATURE_BYTES
from secagg.protocol.concealed import Concealed
from secagg.protocol.roster import entry_bytes
from secagg.protocol.sealing import SEAL_OVERHEAD_BYTES
from secagg.protocol.transcript import COMMITMENT_BYTES, CONTEXT_BYTES

SEALED_BYTES: Final = SEAL_OVERHEAD_BYTES + 2 * SHARE_BYTES
"""A sealed pair of shares: of the mask key and of the self-mask seed."""

SHARE_RECORD_BYTES: Final = SEALED_BYTES + 2 * COMMITMENT_BYTES
"""A sealed pair with the commitments to its two shares."""

HEADER_BYTES: Final = 23
"""Magic, version, suite, type and session id: see `secagg.protocol.wire`."""

_ENVELOPE_BYTES: Final = 32
"""MessagePack's own bytes: array and type tag, and up to 5 bytes before each of at most three fields."""


class Message(Concealed, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of all messages. `repr` shows the type and never the content."""

    kind: ClassVar[int]

    def require_lengths(self, culprit: Culprit, params: SessionParams, roster_size: int) -> None:
        """Checks every field's length against the parameters and the roster.

        Raises:
            MalformedMessageError: a length is wrong; no state is spent on it.
        """
        problem = self._length_problem(params, roster_size)
        if problem is not None:
            raise MalformedMessageError(culprit, f"{type(self).__name__}: {problem}")

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        raise NotImplementedError

    @classmethod
    def limit(cls, params: SessionParams) -> int:
        """Returns the most bytes that a body of this type can have under these parameters."""
        return cls._content_limit(params) + _ENVELOPE_BYTES

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        raise NotImplementedError


class Invitation(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Server to client: the parameters of a session."""

    kind = 1
    params: bytes

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        return None

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return encoded_params_limit()


class AdvertiseKeys(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Client to server, stage 0: two public keys, and in the ACTIVE model a signature over them."""

    kind = 2
    seal_key: bytes
    mask_key: bytes
    signature: bytes

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        if len(self.seal_key) != KEY_BYTES or len(self.mask_key) != KEY_BYTES:
            return f"a key is not {KEY_BYTES} bytes"
        expected = SIGNATURE_BYTES if params.active else 0
        return _wrong_length("signature", self.signature, expected)

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return 2 * KEY_BYTES + SIGNATURE_BYTES


class KeyRoster(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Server to client, stage 0: the entries that this client sees, and how many clients the roster has."""

    kind = 3
    entries: bytes
    total: int

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        size, most = entry_bytes(params), params.visible_among(params.cohort_size)
        if not self.entries or len(self.entries) % size or len(self.entries) > most * size:
            return f"entries are not 1 to {most} records of {size} bytes"
        return None if 0 <= self.total < 2**32 else "total is no u32"

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return params.visible_among(params.cohort_size) * entry_bytes(params)


class ShareKeys(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """Client to server, stage 1: a record for each neighbour, and the commitment to its self-mask seed."""

    kind = 4
    table: bytes
    self_mask_commitment: bytes

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        expected = params.neighbours_among(roster_size) * SHARE_RECORD_BYTES
        return _wrong_length("table", self.table, expected) or _wrong_length(
            "self_mask_commitment", self.self_mask_commitment, CONTEXT_BYTES
        )

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return params.neighbours * SHARE_RECORD_BYTES + CONTEXT_BYTES


class ShareDelivery(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Server to client, stage 1: who dealt (U2), as far as this client sees, and the records addressed to it."""

    kind = 5
    dealers: bytes
    table: bytes

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        # How many records there are depends on the graph too: `secagg.protocol.dealing.open_delivery` counts them.
        if len(self.table) > params.neighbours * SHARE_RECORD_BYTES:
            return f"table has more than {params.neighbours} records"
        return _no_bitmap("dealers", self.dealers, params.visible_among(roster_size))

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return _bitmap_limit(params) + params.neighbours * SHARE_RECORD_BYTES


class MaskedInput(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """Client to server, stage 2: the masked vector, packed, and the peers whose seal did not open."""

    kind = 6
    vector: memoryview
    unopened: bytes
    task_digest: bytes

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        return (
            _no_bitmap("unopened", self.unopened, params.visible_among(roster_size))
            or _wrong_length("vector", self.vector, params.packed_vector_bytes)
            or _wrong_length("task_digest", self.task_digest, CONTEXT_BYTES)
        )

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return params.packed_vector_bytes + _bitmap_limit(params) + CONTEXT_BYTES


class SurvivorSet(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=7):
    """Server to client, after stage 2: U3, as a bitmap over the entries that this client sees, and its whole size."""

    kind = 7
    survivors: bytes
    total: int

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        if not 0 <= self.total < 2**32:
            return "total is no u32"
        return _no_bitmap("survivors", self.survivors, params.visible_among(roster_size))

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return _bitmap_limit(params)


class ConsistencySignature(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=8):
    """Client to server, stage 3 (ACTIVE): the signature over the survivor set."""

    kind = 8
    signature: bytes

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        return _wrong_length("signature", self.signature, SIGNATURE_BYTES)

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return SIGNATURE_BYTES


class UnmaskingRequest(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=9):
    """Server to client, after stage 3 (ACTIVE): who signed, and the signatures in roster order."""

    kind = 9
    signers: bytes
    signatures: bytes

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        signers = decode_bitmap(self.signers, roster_size)
        if signers is None:
            return f"signers is no bitmap over {roster_size} clients"
        return _wrong_length("signatures", self.signatures, int(signers.sum()) * SIGNATURE_BYTES)

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return bitmap_bytes(params.cohort_size) + params.cohort_size * SIGNATURE_BYTES


class UnmaskingShares(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=10):
    """Client to server, stage 4: for each peer one share, of the kind that the survivor set decides."""

    kind = 10
    table: bytes

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        most = params.neighbours_among(roster_size)
        if len(self.table) % SHARE_BYTES or len(self.table) > most * SHARE_BYTES:
            return f"table is not at most {most} shares of {SHARE_BYTES} bytes"
        return None

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return params.neighbours * SHARE_BYTES


class AbortCode(enum.IntEnum):
    """Why a party leaves. Coarse on purpose: nothing about what opened and what did not."""

    LEAVING = 1
    POLICY = 2
    PROTOCOL = 3
    TOO_FEW_CLIENTS = 4


class Abort(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag=11):
    """Either way: the sender leaves the session. Authenticated by the transport only."""

    kind = 11
    code: AbortCode

    def _length_problem(self, params: SessionParams, roster_size: int) -> str | None:
        return None

    @classmethod
    def _content_limit(cls, params: SessionParams) -> int:
        return 0


MessageType: TypeAlias = type[Message]

MESSAGE_TYPES: Final[dict[int, MessageType]] = {
    message.kind: message
    for message in (
        Invitation,
        AdvertiseKeys,
        KeyRoster,
        ShareKeys,
        ShareDelivery,
        MaskedInput,
        SurvivorSet,
        ConsistencySignature,
        UnmaskingRequest,
        UnmaskingShares,
        Abort,
    )
}
"""The messages by the number that header and body carry."""

INVITATION_BYTES: Final = HEADER_BYTES + encoded_params_limit() + _ENVELOPE_BYTES
"""The longest invitation: known before there are any parameters."""


def largest_message_bytes(params: SessionParams) -> int:
    """Returns the most bytes that any message of a session can have, header included."""
    return HEADER_BYTES + max(message_type.limit(params) for message_type in MESSAGE_TYPES.values())


def _bitmap_limit(params: SessionParams) -> int:
    return bitmap_bytes(params.visible_among(params.cohort_size))


def _no_bitmap(field: str, value: bytes, size: int) -> str | None:
    return f"{field} is no bitmap over {size} clients" if decode_bitmap(value, size) is None else None


def _wrong_length(field: str, value: bytes | memoryview, expected: int) -> str | None:
    return None if len(value) == expected else f"{field} has {len(value)} bytes, not {expected}"

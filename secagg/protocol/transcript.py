"""The hashes of everything that both sides must agree on (docs/protocol.md, "Encodings" and "Contexts").

Every hashed or derived value goes through `frame`, which is injective: two different lists of
fields never give the same bytes.
"""

import hashlib
import struct
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secagg.errors import ClientId
from secagg.params import SessionParams
from secagg.primitives.prg import Suite
from secagg.protocol import labels

CONTEXT_BYTES: Final = 32
SESSION_ID_BYTES: Final = 16
MODEL_DIGEST_BYTES: Final = 32
COMMITMENT_BYTES: Final = 16

NO_MODEL: Final = bytes(MODEL_DIGEST_BYTES)
"""The model digest of a session in which clients are given no model to work on."""

_LENGTH = struct.Struct("<Q")
_SHORT_LENGTHS: Final = tuple(_LENGTH.pack(size) for size in range(257))


def u64(value: int) -> bytes:
    """Returns a client id or a round number as eight little-endian bytes."""
    return _LENGTH.pack(value)


def frame(*fields: bytes) -> bytes:
    """Returns each field behind its length: injective."""
    # The server hashes every share: a loop and a table of lengths take a third of a generator's time.
    parts = []
    for field in fields:
        size = len(field)
        parts.append(_SHORT_LENGTHS[size] if size < len(_SHORT_LENGTHS) else _LENGTH.pack(size))
        parts.append(field)
    return b"".join(parts)


def hash_fields(suite: Suite, use: bytes, *fields: bytes) -> bytes:
    """Returns SHA-256 over the label of `use` and the framed fields, 32 bytes."""
    return hashlib.sha256(frame(labels.label(suite, use), *fields)).digest()


def derive_key(suite: Suite, secret: bytes, *fields: bytes, salt: bytes, use: bytes) -> bytes:
    """Returns a 32-byte key of `secret` for one use: HKDF-SHA256 (RFC 5869)."""
    info = frame(labels.label(suite, use), *fields)
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)


def session_context(params: SessionParams, session_id: bytes) -> bytes:
    """Returns the context that stage 0 is signed under."""
    return hash_fields(
        params.suite,
        labels.SESSION_CONTEXT,
        bytes([labels.WIRE_VERSION]),
        bytes([params.suite]),
        params.application,
        session_id,
        params.encode(),
    )


def roster_context(params: SessionParams, *, session_ctx: bytes, roster_hash: bytes) -> bytes:
    """Returns the context of the seals: clients that were shown different rosters cannot open each other's.

    Where no client sees the whole roster its hash stays out.
    """
    shown = roster_hash if params.shows_roster else b""
    return hash_fields(params.suite, labels.ROSTER_CONTEXT, session_ctx, shown)


def graph_seed(suite: Suite, roster_hash: bytes) -> bytes:
    """Returns what fixes the order of the clients on the ring."""
    return hash_fields(suite, labels.GRAPH, roster_hash)


def task_context(params: SessionParams, *, roster_ctx: bytes, model_digest: bytes, dealers: bytes) -> bytes:
    """Returns the context of the masks: clients that were given different models mask differently.

    That defeats the model-inconsistency attack of Pasquini et al. 2022. So do clients that were told of different
    dealers (U2, a bitmap over the roster), as long as they see the whole roster: a server cannot make one end of a
    pair mask with the other and not the other way round.
    """
    shown = dealers if params.shows_roster else b""
    return hash_fields(params.suite, labels.TASK_CONTEXT, roster_ctx, u64(params.round_number), model_digest, shown)


def task_digest(suite: Suite, task_ctx: bytes) -> bytes:
    """Returns what a client shows of its task context, so that an honest server sees a mismatch at once."""
    return hash_fields(suite, labels.TASK_DIGEST, task_ctx)


def advertisement_digest(
    suite: Suite, session_ctx: bytes, *, client: ClientId, seal_key: bytes, mask_key: bytes
) -> bytes:
    """Returns what a client signs in stage 0."""
    return hash_fields(suite, labels.ADVERTISEMENT_SIGNATURE, session_ctx, u64(client), seal_key, mask_key)


def consistency_digest(suite: Suite, task_ctx: bytes, *, roster_hash: bytes, survivors: bytes, total: int) -> bytes:
    """Returns what a client signs in stage 3; `survivors` is the bitmap over the roster."""
    return hash_fields(
        suite, labels.CONSISTENCY_SIGNATURE, task_ctx, roster_hash, survivors, total.to_bytes(4, "little")
    )


def share_commitment(
    suite: Suite, roster_ctx: bytes, *, dealer: ClientId, holder: ClientId, kind: int, share: bytes
) -> bytes:
    """Returns the 16-byte commitment to one share."""
    digest = hash_fields(suite, labels.SHARE_COMMITMENT, roster_ctx, u64(dealer), u64(holder), bytes([kind]), share)
    return digest[:COMMITMENT_BYTES]


def self_mask_commitment(suite: Suite, *, roster_ctx: bytes, client: ClientId, seed: bytes) -> bytes:
    """Returns the commitment to a client's self-mask seed."""
    return hash_fields(suite, labels.SELF_MASK_COMMITMENT, roster_ctx, u64(client), seed)

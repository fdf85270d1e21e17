"""The roster: who takes part in one session, with the keys that each advertised.

In a sparse graph under HONEST_BUT_CURIOUS a client sees its neighbours' entries and its own only.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from secagg.errors import AuthenticationError, ClientId, Culprit
from secagg.params import SessionParams
from secagg.primitives.agreement import KEY_BYTES, check_public_key
from secagg.primitives.signing import SIGNATURE_BYTES, verify
from secagg.protocol import labels
from secagg.protocol.transcript import advertisement_digest, hash_fields

_ID_AND_INDEX: Final = struct.Struct("<QI")


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """One client's advertisement: its id, its public keys, and in the ACTIVE model its signature over them."""

    client: ClientId
    seal_key: bytes
    mask_key: bytes
    signature: bytes


def entry_bytes(params: SessionParams) -> int:
    """Returns the bytes of one encoded entry."""
    return _ID_AND_INDEX.size + 2 * KEY_BYTES + (SIGNATURE_BYTES if params.active else 0)


class Roster:
    """Entries in strictly ascending id, of all clients or of those that one client sees.

    Args:
        entries: in the order given; `secagg.client.checks.check_roster` refuses any other than ascending.
        ranks: each entry's rank in the whole roster; by default the entries are the whole roster.
    """

    __slots__ = ("__dict__", "entries", "ranks")

    def __init__(self, entries: Sequence[RosterEntry], ranks: Sequence[int] | None = None) -> None:
        self.entries = tuple(entries)
        self.ranks = tuple(range(len(entries)) if ranks is None else ranks)

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def index(self) -> dict[ClientId, int]:
        """Place among the entries, from 0, by client id."""
        return {entry.client: rank for rank, entry in enumerate(self.entries)}

    def encode(self) -> bytes:
        """Returns the canonical entries, as sent and hashed."""
        return b"".join(
            _ID_AND_INDEX.pack(entry.client, rank) + entry.seal_key + entry.mask_key + entry.signature
            for entry, rank in zip(self.entries, self.ranks, strict=True)
        )

    @cached_property
    def points(self) -> npt.NDArray[np.int64]:
        """Each entry's Shamir point, its rank in the whole roster + 1: never 0, where the secret lies."""
        return np.array(self.ranks, np.int64) + 1

    def part(self, places: npt.NDArray[np.intp]) -> "Roster":
        """Returns the entries at some places, with their ranks."""
        chosen = places.tolist()
        return Roster([self.entries[place] for place in chosen], [self.ranks[place] for place in chosen])

    def digest(self, params: SessionParams, session_ctx: bytes) -> bytes:
        """Returns the hash of the roster under one session."""
        return hash_fields(params.suite, labels.ROSTER, session_ctx, self.encode())


def decode_roster(data: bytes, params: SessionParams) -> Roster:
    """Returns the roster, with the rank that each record carries.

    Args:
        data: whole records; `secagg.protocol.messages` has checked the length.
        params: says whether records carry signatures.
    """
    size = entry_bytes(params)
    entries, ranks = [], []
    for start in range(0, len(data), size):
        client, rank = _ID_AND_INDEX.unpack_from(data, start)
        keys = start + _ID_AND_INDEX.size
        entries.append(
            RosterEntry(
                client,
                data[keys : keys + KEY_BYTES],
                data[keys + KEY_BYTES : keys + 2 * KEY_BYTES],
                data[keys + 2 * KEY_BYTES : start + size],
            )
        )
        ranks.append(rank)
    return Roster(entries, ranks)


def check_advertisement(
    params: SessionParams,
    session_ctx: bytes,
    *,
    entry: RosterEntry,
    identities: Mapping[ClientId, bytes],
    culprit: Culprit,
) -> None:
    """Checks one client's keys: canonical, not of low order, and in the ACTIVE model signed by its identity.

    Args:
        params: the session's parameters.
        session_ctx: the context that the signature covers.
        entry: the client's entry.
        identities: the identity keys that the *checking* party trusts, never ones from the message.
        culprit: who is named if a check fails.

    Raises:
        AuthenticationError: a key or the signature does not hold.
    """
    check_public_key(entry.seal_key, culprit)
    check_public_key(entry.mask_key, culprit)
    if params.active:
        identity = identities.get(entry.client)
        if identity is None:
            raise AuthenticationError(culprit, f"no identity key is known for client {entry.client}")
        digest = advertisement_digest(
            params.suite, session_ctx, client=entry.client, seal_key=entry.seal_key, mask_key=entry.mask_key
        )
        verify(
            identity,
            digest=digest,
            signature=entry.signature,
            signer=culprit,
            what=f"the keys of client {entry.client}",
        )

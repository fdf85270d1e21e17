"""The roster: who takes part in one session, with the keys that each advertised."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from secagg import labels
from secagg.agreement import KEY_BYTES
from secagg.errors import ClientId
from secagg.params import SessionParams
from secagg.signing import SIGNATURE_BYTES
from secagg.transcript import hash_fields

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
    """Entries in strictly ascending id; a client's roster index is its rank.

    Args:
        entries: in the order given; `secagg.checks.check_roster` refuses any other than ascending.
    """

    __slots__ = ("__dict__", "entries")

    def __init__(self, entries: Sequence[RosterEntry]) -> None:
        self.entries = tuple(entries)

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def index(self) -> dict[ClientId, int]:
        """Roster index by client id."""
        return {entry.client: rank for rank, entry in enumerate(self.entries)}

    def encode(self) -> bytes:
        """Returns the canonical entries, as sent and hashed."""
        return b"".join(
            _ID_AND_INDEX.pack(entry.client, rank) + entry.seal_key + entry.mask_key + entry.signature
            for rank, entry in enumerate(self.entries)
        )

    def digest(self, params: SessionParams, session_ctx: bytes) -> bytes:
        """Returns the hash of the roster under one session."""
        return hash_fields(params.suite, labels.ROSTER, session_ctx, self.encode())


def decode_roster(data: bytes, params: SessionParams) -> tuple[Roster, list[int]]:
    """Returns the roster and the index that each record carries.

    Args:
        data: whole records; `secagg.messages` has checked the length.
        params: says whether records carry signatures.
    """
    size = entry_bytes(params)
    entries, indices = [], []
    for start in range(0, len(data), size):
        client, index = _ID_AND_INDEX.unpack_from(data, start)
        keys = start + _ID_AND_INDEX.size
        entries.append(
            RosterEntry(
                client,
                data[keys : keys + KEY_BYTES],
                data[keys + KEY_BYTES : keys + 2 * KEY_BYTES],
                data[keys + 2 * KEY_BYTES : start + size],
            )
        )
        indices.append(index)
    return Roster(entries), indices

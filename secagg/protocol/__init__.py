"""What client and server agree on: messages, contexts and labels, sealed shares, rosters; and how either is persisted.

A layer above frames and labels what it hashes with `frame` and `label`, derives keys with `derive_key`, and keeps its
own state in snapshots of its own role.
"""

from secagg.protocol.concealed import Concealed
from secagg.protocol.labels import label
from secagg.protocol.messages import AbortCode, MaskedInput, Message
from secagg.protocol.single_use import Uncopyable
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from secagg.protocol.transcript import NO_MODEL, derive_key, frame, session_context
from secagg.protocol.turns import Turns
from secagg.protocol.wire import decode

__all__ = [
    "NO_MODEL",
    "AbortCode",
    "Concealed",
    "MaskedInput",
    "Message",
    "SnapshotRole",
    "Turns",
    "Uncopyable",
    "decode",
    "derive_key",
    "frame",
    "label",
    "read_snapshot",
    "session_context",
    "write_snapshot",
]

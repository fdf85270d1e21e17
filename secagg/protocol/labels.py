"""Domain-separation labels: one for each use of a hash, a key derivation or a signature.

Every label carries the wire version and the suite, so that nothing made for one use, version or
suite can serve another. A label is never built from what a peer sent.
"""

from functools import lru_cache
from typing import Final

WIRE_VERSION: Final = 2

SESSION_CONTEXT: Final = b"session-context"
ROSTER: Final = b"roster"
ROSTER_CONTEXT: Final = b"roster-context"
GRAPH: Final = b"graph"
TASK_CONTEXT: Final = b"task-context"
TASK_DIGEST: Final = b"task-digest"
ADVERTISEMENT_SIGNATURE: Final = b"advertisement-signature"
CONSISTENCY_SIGNATURE: Final = b"consistency-signature"
SEAL_KEY: Final = b"seal-key"
SEAL_ASSOCIATED_DATA: Final = b"seal-associated-data"
PAIRWISE_MASK: Final = b"pairwise-mask"
SELF_MASK: Final = b"self-mask"
SHARE_COMMITMENT: Final = b"share-commitment"
SELF_MASK_COMMITMENT: Final = b"self-mask-commitment"


@lru_cache(maxsize=64)
def label(suite: int, use: bytes) -> bytes:
    """Returns the label of one use under one suite, for example b"secagg/2/suite-1/roster"."""
    return b"secagg/%d/suite-%d/%b" % (WIRE_VERSION, suite, use)

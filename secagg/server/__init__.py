"""The server: one stage for each arrow from the clients.

    CollectingKeys > CollectingShares > CollectingMaskedInputs > CollectingSignatures > CollectingUnmasking

(HONEST_BUT_CURIOUS skips CollectingSignatures. HoldingShares lies between shares and masked inputs where a session is
prepared before its model is known.) Each stage takes messages in any order through
`receive`; `close` ends it and returns the next stage with what to send to whom. Every predicate on
which a client would abort and which a peer can violate is checked here on receipt: the message
is refused, its sender named, and the session goes on. The server keeps one running sum and no vector.
"""

from typing import TypeAlias

from secagg.server.collecting import Collecting, Outbound
from secagg.server.faults import DISPUTED, Fault
from secagg.server.keys import CollectingKeys
from secagg.server.masked_inputs import CollectingMaskedInputs
from secagg.server.shares import CollectingShares, HoldingShares
from secagg.server.signatures import CollectingSignatures
from secagg.server.unmasking import CollectingUnmasking, Result

AnyStage: TypeAlias = (
    CollectingKeys
    | CollectingShares
    | HoldingShares
    | CollectingMaskedInputs
    | CollectingSignatures
    | CollectingUnmasking
)

__all__ = [
    "DISPUTED",
    "AnyStage",
    "Collecting",
    "CollectingKeys",
    "CollectingMaskedInputs",
    "CollectingShares",
    "CollectingSignatures",
    "CollectingUnmasking",
    "Fault",
    "HoldingShares",
    "Outbound",
    "Result",
]

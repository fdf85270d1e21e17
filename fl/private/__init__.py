"""The private round: secure aggregation whose sums have noise, planned and accounted for. Needs the extra `dp`.

`make_plan` turns what a user thinks in into a `PrivatePlan`, and `describe` prints it. In each round one `ServerRound`
and a `ClientRound` for each client exchange bytes; `simulate_round` runs them in one process. Rounds one after another
are `ClientRounds`, for `secagg.pipeline`. A client hands in a
`Contribution`, and what comes out is a `PrivateSum`. `PrivateVector` is the way from one to the other. `LedgerNotes`:
what a ledger says of a round beside its privacy.
"""

from fl.errors import NoMeanError, PlanMismatchError, UnsafePlanError
from fl.private.client_round import ClientRound, CountedRoundError
from fl.private.client_rounds import ClientRounds
from fl.private.contribution import Contribution
from fl.private.ledger_notes import LedgerNotes
from fl.private.plan import PrivatePlan
from fl.private.plan_page import describe
from fl.private.planning import make_plan
from fl.private.private_sum import PrivateSum
from fl.private.server_round import ServerRound
from fl.private.side_values import SideValue
from fl.private.simulation import SimulatedRound, simulate_round
from fl.private.vector import PrivateVector

__all__ = [
    "ClientRound",
    "ClientRounds",
    "Contribution",
    "CountedRoundError",
    "LedgerNotes",
    "NoMeanError",
    "PlanMismatchError",
    "PrivatePlan",
    "PrivateSum",
    "PrivateVector",
    "ServerRound",
    "SideValue",
    "SimulatedRound",
    "UnsafePlanError",
    "describe",
    "make_plan",
    "simulate_round",
]

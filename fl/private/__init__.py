"""The private round: everything that a user of it needs, in one place. Needs the extra `dp`."""

from fl.errors import PlanMismatchError, UnsafePlanError
from fl.private.client_round import ClientRound
from fl.private.contribution import Contribution
from fl.private.plan import PrivatePlan
from fl.private.plan_page import describe
from fl.private.planning import make_plan
from fl.private.server_round import ServerRound
from fl.private.side_values import SideValue
from fl.private.simulation import SimulatedRound, simulate_round
from fl.private.vector import PrivateSum, PrivateVector

__all__ = [
    "ClientRound",
    "Contribution",
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

"""The private round: everything that a user of it needs, in one place. Needs the extra `dp`."""

from fl.client_round import ClientRound
from fl.errors import PlanMismatchError, UnsafePlanError
from fl.plan import PrivatePlan
from fl.plan_page import describe
from fl.planning import make_plan
from fl.private_simulation import Contribution, SimulatedRound, simulate_round
from fl.private_vector import PrivateSum, PrivateVector
from fl.server_round import ServerRound
from fl.side_values import SideValue

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

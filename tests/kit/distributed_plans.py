"""Plans of private sums, each a little unlike the usual one."""

from typing import Any

from dp.shares.plan import DistributedPlan
from dp.shares.planning import plan
from dp.vocabulary import Adversary, SampleKnownTo, Sampling

__all__ = ["OUTSIDERS", "USUAL", "planned"]

USUAL: dict[str, Any] = {
    "epsilon": 5.0,
    "delta": 1e-5,
    "rounds": 100,
    "sampling": None,
    "clip": 1.0,
    "dimension": 1000,
    "clients": 100,
    "min_survivors": 70,
    "colluders": 0,
    "modulus_bits": 20,
}

OUTSIDERS: dict[str, Any] = {
    "sampling": Sampling(SampleKnownTo.PARTICIPANTS, population=10**5, sample=100),
    "adversary": Adversary.OUTSIDER,
}
"""A secret sample, and a promise against those who do not see who is in it."""


def planned(**changes: Any) -> DistributedPlan:
    """Returns the usual plan, but for the changes."""
    return plan(**(USUAL | changes))

"""Noise in shares: each participant adds a part, and their sum is what privacy follows from."""

from dp.shares.modulus import WRAP_PROBABILITY, bit_wrap_probability, sum_variance, wrap_probability
from dp.shares.plan import DistributedPlan
from dp.shares.planning import InfeasiblePlanError, plan

__all__ = [
    "WRAP_PROBABILITY",
    "DistributedPlan",
    "InfeasiblePlanError",
    "bit_wrap_probability",
    "plan",
    "sum_variance",
    "wrap_probability",
]

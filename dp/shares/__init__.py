"""Noise in shares: each participant adds a part, and privacy follows from the sum.

Sources: Kairouz, Liu, Steinke 2021 (discrete Gaussian shares, the modulus); Agarwal, Kairouz, Liu 2021 (Skellam).

* `plan`: chooses lattice, noise and modulus for a number of sums; `InfeasiblePlanError` says what would be feasible.
* `DistributedPlan`: the result, with its exact JSON and digest. A party that did not make it calls `verify`.
* `WRAP_PROBABILITY`, `sum_variance`, `wrap_probability`, `bit_wrap_probability`: whether a noisy sum fits a modulus.
"""

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

"""Exact noise on the integers: samplers whose every sample is within 2**-100 of its distribution in total variation."""

from dp.noise.keystream import SEED_BYTES, Keystream
from dp.noise.samplers import (
    LARGEST_VARIANCE,
    SMALLEST_VARIANCE,
    TOTAL_VARIATION_BITS,
    discrete_gaussian,
    skellam,
    total_variation,
)

__all__ = [
    "LARGEST_VARIANCE",
    "SEED_BYTES",
    "SMALLEST_VARIANCE",
    "TOTAL_VARIATION_BITS",
    "Keystream",
    "discrete_gaussian",
    "skellam",
    "total_variation",
]

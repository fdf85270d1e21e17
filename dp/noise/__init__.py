"""Exact noise on the integers: each sample is within 2**-100 of the distribution named, in total variation.

Samples are integers by construction, drawn by inversion of tables whose errors are bounded (large discrete Gaussians:
Canonne, Kamath, Steinke 2020, algorithm 3). Their randomness is AES in counter mode, under a key from the operating
system that is used once.

* `discrete_gaussian` (Canonne, Kamath, Steinke 2020) and `skellam` (Agarwal, Kairouz, Liu 2021): arrays of noise.
* `total_variation`: what many samples together are off by; `TOTAL_VARIATION_BITS`: the 100 of one sample.
* `SMALLEST_VARIANCE`, `LARGEST_VARIANCE`: the noise that can be had.
* `Keystream`, `SEED_BYTES`: the source of bits, for tests and benchmarks that repeat a sample.
"""

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

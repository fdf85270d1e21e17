"""A modulus that noisy sums fit into."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard

from dp.mechanisms.rounding import LIKELY, scaled_clip_of, squared_norm_bound
from dp.shares.modulus import largest_sum_variance, needed_bits, sum_variance, wrap_probability

FALSE_POSITIVES = 5.5
"""Standard deviations that a count may be beyond its mean: less than one test in 10**7 fails by chance."""

dimensions = st.integers(0, 40).map(lambda bits: 2**bits)


def rounded(rng, rows):
    """Each entry up or down at random, with itself as the mean."""
    below = np.floor(rows)
    return below + (rng.random(rows.shape) < rows - below)


@given(
    st.integers(4, 64), st.integers(1, 10**6), dimensions, st.floats(1e-9, 0.5), st.floats(1e-3, 1e3), st.floats(0, 1e6)
)
def test_the_scale_is_that_of_the_published_formula(bits, clients, dimension, probability, clip, sigma):
    with mp.workdps(40):
        k = mp.sqrt(2) * mp.erfinv(1 - mp.mpf(probability) / dimension)
        room = mp.mpf(4) ** bits - clients * k**2
        if room <= 0:
            return
        scale = mp.sqrt(room) / (
            2 * k * mp.sqrt(mp.mpf(clip) ** 2 * clients**2 / dimension + clients * mp.mpf(sigma) ** 2)
        )
        scaled_clip, local_variance = float(scale * clip), float((scale * sigma) ** 2)
    variance = sum_variance(scaled_clip, dimension=dimension, clients=clients, local_variance=local_variance)
    assert needed_bits(dimension, probability=probability, variance=variance) == pytest.approx(bits, abs=1e-9)
    assert largest_sum_variance(bits, dimension=dimension, probability=probability) == pytest.approx(variance, rel=1e-9)
    assert wrap_probability(bits, dimension=dimension, variance=variance) == pytest.approx(probability, rel=1e-6)


@pytest.mark.parametrize(
    ("dimension", "noise_multiplier", "bits"), [(1024, 1.9, 10.4), (2**20, 0.6, 13.4), (2**20, 1.9, 15.1)]
)
def test_the_figures_for_a_hundred_clients(dimension, noise_multiplier, bits):
    # Noise set for half of the hundred, on the lattice on which rounding adds a half to the square of the sensitivity.
    clip = scaled_clip_of(math.sqrt(1.5), dimension, beta=LIKELY)
    local_variance = noise_multiplier**2 * squared_norm_bound(clip, dimension, beta=LIKELY) / 50
    assert (
        round(
            needed_bits(
                dimension,
                probability=1e-6,
                variance=sum_variance(clip, dimension=dimension, clients=100, local_variance=local_variance),
            ),
            1,
        )
        == bits
    )


@pytest.mark.parametrize("worst", ["spread", "single", "opposite"])
@pytest.mark.parametrize(("local_variance", "clip"), [(0.0, 9.0), (3.0, 9.0), (40.0, 25.0)])
def test_noisy_rotated_sums_wrap_no_more_often_than_estimated(worst, local_variance, clip):
    rng = np.random.default_rng(7)
    trials, dimension, clients, probability = 6000, 64, 20, 0.05
    bits = needed_bits(
        dimension,
        probability=probability,
        variance=sum_variance(clip, dimension=dimension, clients=clients, local_variance=local_variance),
    )
    # All clients have the same vector, or half of them its negative.
    vector = np.eye(dimension)[0] if worst == "single" else rng.standard_normal(dimension)
    signs = rng.choice([-1.0, 1.0], (trials, dimension))
    rows = signs * vector @ (hadamard(dimension) / math.sqrt(dimension)) * (clip / np.linalg.norm(vector))
    against = clients // 2 if worst == "opposite" else 0
    sums = sum(rounded(rng, -rows if client < against else rows) for client in range(clients))
    # The sum of Skellam noise is Skellam noise.
    sums += rng.poisson(clients * local_variance / 2, sums.shape) - rng.poisson(
        clients * local_variance / 2, sums.shape
    )
    wraps = np.count_nonzero(np.abs(sums).max(axis=1) > 2 ** (bits - 1))
    assert wraps <= trials * probability + FALSE_POSITIVES * math.sqrt(trials * probability)
    if worst == "spread" and local_variance:
        # And not for want of trying.
        assert wraps > trials * probability / 3


def test_nothing_wraps_more_often_than_always():
    assert wrap_probability(1, dimension=2**20, variance=1e12) == 1

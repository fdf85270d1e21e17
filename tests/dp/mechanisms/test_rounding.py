"""Rounding under a norm bound: the bounds are their formulas, and hold."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp.mechanisms.rounding import LIKELY, largest_l1, scaled_clip_of, squared_norm_bound

FALSE_POSITIVES = 5.5


"""Standard deviations that a count may be beyond its mean: less than one test in 10**7 fails by chance."""


clips = st.floats(1e-3, 1e9)


dimensions = st.integers(0, 40).map(lambda bits: 2**bits)


def rounded(rng, rows):
    """Each entry up or down at random, with itself as the mean."""
    below = np.floor(rows)
    return below + (rng.random(rows.shape) < rows - below)


@given(clips, dimensions, st.floats(1e-6, 0.999))
def test_the_norm_bound_is_its_formula(clip, dimension, beta):
    with mp.workdps(40):
        c, d = mp.mpf(clip), mp.mpf(dimension)
        likely = c**2 + d / 4 + mp.sqrt(2 * mp.log(1 / mp.mpf(beta))) * (c + mp.sqrt(d) / 2)
        true = min((c + mp.sqrt(d)) ** 2, likely)
        assert abs(squared_norm_bound(clip, dimension, beta=beta) - true) <= 1 + float(true) * 1e-14


@given(st.integers(1, 10**20), dimensions)
def test_the_l1_bound_is_exact(squared, dimension):
    bound = largest_l1(squared, dimension=dimension)
    assert bound <= squared
    assert bound**2 <= dimension * squared
    assert bound == squared or (bound + 1) ** 2 > dimension * squared


@pytest.mark.parametrize(("squared", "dimension", "vector"), [(4, 16, [1, 1, 1, 1]), (18, 2, [3, 3]), (9, 1, [3])])
def test_the_l1_bound_is_reached(squared, dimension, vector):
    assert sum(k * k for k in vector) == squared
    assert sum(vector) == largest_l1(squared, dimension=dimension)


@given(st.floats(1.0001, 20), dimensions)
def test_the_coarsest_lattice_has_the_inflation_asked_for(inflation, dimension):
    clip = scaled_clip_of(inflation, dimension, beta=LIKELY)
    root = math.sqrt(dimension)
    squared = min((clip + root) ** 2, clip**2 + dimension / 4 + clip + root / 2)
    assert math.sqrt(squared) / clip == pytest.approx(inflation, rel=1e-9)


@pytest.mark.parametrize("beta", [LIKELY, 0.05])
@pytest.mark.parametrize(("clip", "dimension"), [(0.3, 1), (2.5, 16), (10.0, 64), (100.0, 256)])
@pytest.mark.parametrize("halves", [False, True])
def test_a_rounding_is_repeated_no_more_often_than_promised(beta, clip, dimension, halves):
    rng = np.random.default_rng(5)
    trials = 4000
    directions = np.ones((trials, dimension)) if halves else rng.standard_normal((trials, dimension))
    rows = directions * (clip / np.linalg.norm(directions, axis=1))[:, None]
    if halves:
        # The fractions that rounding changes most, as far as the length allows.
        rows = np.sign(rows) * np.minimum(np.abs(rows), 0.5)
    refused = np.count_nonzero((rounded(rng, rows) ** 2).sum(axis=1) > squared_norm_bound(clip, dimension, beta=beta))
    assert refused <= trials * beta + FALSE_POSITIVES * math.sqrt(trials * beta * (1 - beta))

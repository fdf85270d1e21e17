"""Rounding under a norm bound: the bound holds in integers, the mean is kept, and what was not clipped is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from dp.errors import InvalidParameterError
from dp.mechanisms.conditional_rounding import _round_within, round_within, squared_length
from dp.mechanisms.rounding import LIKELY, squared_norm_bound
from dp.noise.keystream import Keystream


@given(stnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(-(2**44), 2**44)))
def test_squared_lengths_are_exact(vector):
    assert squared_length(vector) == sum(int(entry) ** 2 for entry in vector)


def test_squared_lengths_of_long_vectors_are_exact():
    vector = np.full(2**15 + 3, 2**44, np.int64)
    vector[::2] = -(2**23) + 1
    assert squared_length(vector) == sum(int(entry) ** 2 for entry in vector)
    vector[:] = 2**23 - 1
    assert squared_length(vector) == len(vector) * (2**23 - 1) ** 2


def test_squared_lengths_of_huge_integers_are_refused():
    for entry in (2**44 + 1, -(2**44) - 1, 2**63 - 1, -(2**63) + 1):
        with pytest.raises(InvalidParameterError, match="vector"):
            squared_length(np.array([0, entry]))


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 300), st.floats(0.01, 1e6), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32))
def test_the_bound_holds_and_every_entry_is_a_neighbour(dimension, scaled_clip, dtype, seed):
    vector = np.random.default_rng(seed).standard_normal(dimension)
    vector = (vector * (0.999999 / np.linalg.norm(vector))).astype(dtype)
    bound = squared_norm_bound(scaled_clip, dimension, beta=LIKELY)
    rounded = round_within(vector, scaled_clip, max(1, bound))
    assert rounded.dtype == np.int64
    assert sum(int(entry) ** 2 for entry in rounded) <= max(1, bound)
    assert np.all(np.abs(rounded - vector.astype(np.float64) * scaled_clip) < 1)


def test_a_rounding_that_is_too_long_is_made_again():
    # Of (1/2, ..., 1/2) most roundings have about 32 ones; at most 24 are asked for.
    vector = np.full(64, 0.5)
    lengths = [squared_length(round_within(vector, 1.0, 24)) for _ in range(20)]
    assert max(lengths) <= 24
    assert min(lengths) > 0


def test_the_mean_is_kept():
    # 2**18 roundings of 0.3: the mean is off by more than 6 standard errors with a probability below 2e-9.
    vector = np.full(2**18, -0.3, np.float64)
    rounded = round_within(vector, 1.0, 2**18)
    assert set(np.unique(rounded)) == {-1, 0}
    assert abs(rounded.mean() + 0.3) < 6 * math.sqrt(0.21 / 2**18)


def test_the_same_words_give_the_same_integers_and_fresh_calls_others():
    vector = np.full(256, 0.5)
    one, same = (_round_within(vector, 1.0, 256, Keystream(bytes(32))) for _ in range(2))
    assert np.array_equal(one, same)
    assert not np.array_equal(round_within(vector, 1.0, 256), round_within(vector, 1.0, 256))


def test_what_was_not_clipped_is_refused_and_not_in_the_text():
    with pytest.raises(InvalidParameterError, match="clipped before") as caught:
        round_within(np.full(4, 1234.5), 1.0, 4)
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize(
    ("vector", "scale", "bound"),
    [
        (np.array([math.nan]), 1.0, 1),
        (np.array([math.inf]), 1.0, 1),
        (np.array([1e300]), 1e300, 1),
        (np.array([]), 1.0, 1),
        (np.ones((2, 2)), 1.0, 9),
        (np.ones(2, np.int64), 1.0, 9),
        (np.ones(2, np.float16), 1.0, 9),
        ([1.0], 1.0, 9),
        (np.ones(1), 0.0, 9),
        (np.ones(1), math.nan, 9),
        (np.ones(1), 1.0, 0),
        (np.ones(1), 1.0, 1.5),
    ],
    ids=str,
)
def test_bad_input_is_refused(vector, scale, bound):
    with pytest.raises(InvalidParameterError):
        round_within(vector, scale, bound)

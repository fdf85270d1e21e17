"""What rounding can do at worst is within the sensitivity that is accounted for."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dp.mechanisms import clipping
from dp.mechanisms.gaussian import GaussianMechanism
from dp.noise.keystream import Keystream
from dp.vocabulary import Relation
from tests.kit.gaussian_releases import ALWAYS_DOWN, ALWAYS_UP, SEED, RepeatedWords, mechanism, noise_of, rounded

FALSE_POSITIVE = 1e-6


each_relation = pytest.mark.parametrize("relation", Relation)


def rounded_sum(ours: GaussianMechanism, vectors: Any, source: Any) -> np.ndarray:
    steps = ours._release_sum(vectors, np.zeros(ours.dimension, np.int64), source) / ours.spacing
    assert np.array_equal(steps, np.rint(steps))
    return steps.astype(np.int64)


def squared_length(steps: np.ndarray) -> int:
    return sum(step * step for step in steps.tolist())


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[GaussianMechanism, np.ndarray, np.ndarray]:
    """A mechanism on a coarse lattice, where rounding is most of the sensitivity, and two vectors that far apart."""
    dimension = draw(st.integers(1, 30))
    ours = mechanism(draw(st.floats(0.5, 2.0)), 1.0, dimension, max_price=draw(st.sampled_from([1.0, 0.1])))
    centre = draw(st.lists(st.floats(-10.0, 10.0), min_size=dimension, max_size=dimension))
    # About the borders between two multiples small differences do most.
    vector = np.where(draw(st.booleans()), np.rint(np.array(centre) / ours.spacing) * ours.spacing, centre)
    change = np.array(draw(st.lists(st.floats(-1.0, 1.0), min_size=dimension, max_size=dimension)))
    return ours, vector, vector + clipping.clip(change, ours.l2_sensitivity * (1 - 2.0**-40)).vector


@given(case=neighbours(), words=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=7))
@settings(deadline=None)
def test_no_luck_with_rounding_takes_neighbours_further_apart_than_the_sensitivity(case: Any, words: list[int]):
    ours, one, other = case
    distance = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(one.tolist(), other.tolist(), strict=True))
    assert distance <= Fraction(ours.l2_sensitivity) ** 2
    sources = [ALWAYS_UP, ALWAYS_DOWN, RepeatedWords(*words), RepeatedWords(0, 2**64 - 1)]
    for first in sources:
        for second in sources:
            difference = rounded(ours, one, first) - rounded(ours, other, second)
            assert squared_length(difference) <= ours.squared_sensitivity


def test_the_worst_rounding_comes_close_to_the_sensitivity():
    """So the part of rounding is needed: without it, or with half of it, this would be above."""
    ours = mechanism(1.0, 1.0, 400, max_price=1.0)
    step = ours.spacing
    on_lattice = 1.0 / step / math.sqrt(400)
    one = np.full(400, 0.01 * step)
    other = one - np.full(400, (on_lattice * 0.999) * step)
    difference = rounded(ours, one, ALWAYS_UP) - rounded(ours, other, ALWAYS_DOWN)
    assert math.sqrt(squared_length(difference)) > 1.0 / step + 1.2 * math.sqrt(400)
    assert squared_length(difference) <= ours.squared_sensitivity


@each_relation
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_one_participant_moves_a_sum_by_no_more_than_the_sensitivity(relation: Relation, data: st.DataObject):
    dimension = data.draw(st.integers(1, 20))
    ours = mechanism(1.0, 1.0, dimension, relation, max_price=1.0)
    rows = st.lists(st.floats(-1e6, 1e6), min_size=dimension, max_size=dimension).map(np.array)
    rest = data.draw(st.lists(rows, max_size=3))
    mine, theirs = data.draw(rows), data.draw(rows)
    with_mine = [*rest, mine]
    without = {Relation.ADD_REMOVE: rest, Relation.ZERO_OUT: [*rest, 0 * mine], Relation.REPLACE_ONE: [*rest, theirs]}
    # The others' roundings are the same; the last one's are whatever they are.
    for first in (ALWAYS_UP, ALWAYS_DOWN):
        for second in (ALWAYS_UP, ALWAYS_DOWN):
            common = rounded_sum(ours, rest, ALWAYS_UP)
            one = common + rounded_sum(ours, [mine], first)
            other = common + rounded_sum(ours, without[relation][len(rest) :], second)
            assert squared_length(one - other) <= ours.squared_sensitivity
    assert np.array_equal(rounded_sum(ours, with_mine, ALWAYS_UP), common + rounded_sum(ours, [mine], ALWAYS_UP))


@given(vector=st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3), words=st.lists(st.integers(0, 2**64 - 1)))
@settings(deadline=None)
def test_each_coordinate_goes_to_one_of_its_two_neighbours(vector: list[float], words: list[int]):
    ours = mechanism(0.75, max_price=1.0)
    for source in (ALWAYS_UP, ALWAYS_DOWN, RepeatedWords(*words, 7)):
        for step, entry in zip(rounded(ours, np.array(vector), source).tolist(), vector, strict=True):
            exact = Fraction(entry) / Fraction(ours.spacing)
            assert math.floor(exact) <= step <= math.ceil(exact)


def test_rounding_is_up_exactly_as_often_as_the_fraction_says():
    """A word decides by its first 53 bits: k = 0, ..., 2**53 - 1 is below the fraction of 2**53 or not."""
    ours = mechanism(1.0, dimension=1, max_price=1.0)
    for fraction in (0.25, 0.5, 1 - 2.0**-53, 2.0**-53):
        border = int(fraction * 2**53)
        vector = np.array([fraction * ours.spacing])
        assert rounded(ours, vector, RepeatedWords((border << 11) - 1)).tolist() == [1]
        assert rounded(ours, vector, RepeatedWords(border << 11)).tolist() == [0]
        if 2 * fraction == int(2 * fraction):
            assert rounded(ours, 3 * ours.spacing - vector, RepeatedWords((border << 11) - 1)).tolist() == [3]
            assert rounded(ours, -vector, RepeatedWords((border << 11) - 1)).tolist() == [0]
            assert rounded(ours, -vector, RepeatedWords(border << 11)).tolist() == [-1]


def test_rounding_has_no_bias():
    size = 200_000
    ours = mechanism(1.0, dimension=size)
    steps = np.random.default_rng(3).uniform(-3, 3, size)
    errors = rounded(ours, steps * ours.spacing, Keystream(SEED)) - steps
    fraction = steps - np.floor(steps)
    z = errors.sum() / math.sqrt((fraction * (1 - fraction)).sum())
    assert abs(z) < stats.norm.isf(FALSE_POSITIVE / 2)


def test_a_sum_is_exact_in_any_order():
    """Floats added up depend on their order; multiples of the lattice do not."""
    ours = mechanism(1.0, dimension=50)
    rows = np.random.default_rng(4).standard_normal((200, 50))
    rows = np.rint(rows / 30 / ours.spacing) * ours.spacing
    total = rounded_sum(ours, rows, ALWAYS_DOWN)
    assert np.array_equal(total, rounded_sum(ours, rows[::-1], ALWAYS_UP))
    assert total.tolist() == [sum(int(entry / ours.spacing) for entry in column) for column in rows.T.tolist()]
    noise = noise_of(ours)
    released = ours._release_sum(rows, noise.copy(), Keystream(SEED))
    assert np.array_equal(released, (total + noise) * ours.spacing)


def test_long_vectors_are_clipped_and_short_ones_are_not():
    ours = mechanism(2.0, dimension=2, relation=Relation.REPLACE_ONE)
    assert ours.clip_norm == 1.0
    released = ours.spacing * rounded_sum(ours, [[3e9, -4e9], [0.25, 0.5]] @ np.eye(2), ALWAYS_DOWN)
    assert released == pytest.approx([0.85, -0.3], abs=1e-6)

"""Clipping: the promise in exact arithmetic, what is left alone, whatever floats can hold, and what is refused.

The oracle adds squares of fractions; no bound here allows for rounding.
"""

import math
import pickle
import sys
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from dp.errors import InvalidParameterError
from dp.mechanisms.clipping import CLIP_RANGE, Clipped, clip, clip_layers
from dp.vocabulary import Relation

SECRET = 1234.5678
LEAST_FLOAT = 5e-324

entries = st.floats(allow_nan=False, allow_infinity=False)
norms = st.floats(*CLIP_RANGE) | st.floats(1e-3, 1e3)
vectors = stnp.arrays(np.float64, st.integers(1, 40), elements=entries | st.floats(-10, 10))


def squared_norm(vector: np.ndarray) -> Fraction:
    return sum((Fraction(entry) ** 2 for entry in vector.reshape(-1).tolist()), Fraction(0))


def squared_norm_of_many(vector: np.ndarray) -> Fraction:
    """The same in integers: entries of ordinary size in steps of 2**-200."""
    steps = [int(Fraction(entry) * 2**200) for entry in vector.tolist()]
    assert all(Fraction(step, 2**200) == entry for step, entry in zip(steps[:10], vector.tolist(), strict=False))
    return Fraction(sum(step * step for step in steps), 2**400)


def naive(vector: np.ndarray, clip_norm: float) -> np.ndarray:
    """The formula as it is usually typed."""
    return vector * min(1.0, clip_norm / float(np.linalg.norm(vector)))


@pytest.mark.slow
@given(vector=vectors, clip_norm=norms)
@example(vector=np.array([3.0, 4.0]), clip_norm=5.0)
@example(vector=np.array([3.0, 4.0]), clip_norm=math.nextafter(5.0, 0.0))
@example(vector=np.array([math.nextafter(3.0, 4.0), 4.0]), clip_norm=5.0)
@example(vector=np.full(2, sys.float_info.max), clip_norm=CLIP_RANGE[0])
@example(vector=np.full(3, LEAST_FLOAT), clip_norm=CLIP_RANGE[0])
@example(vector=np.array([2.0**500, 2.0**500]), clip_norm=CLIP_RANGE[1])
@example(vector=np.array([2.0**-460, 2.0**-461]), clip_norm=2.0**-460)
@example(vector=np.array([1.0, 2.0**-700]), clip_norm=1.0)
@settings(deadline=None, max_examples=300)
def test_the_promise_holds_exactly_and_nothing_else_changes(vector: np.ndarray, clip_norm: float):
    result = clip(vector, clip_norm)
    before, bound = squared_norm(vector), Fraction(clip_norm) ** 2
    after = squared_norm(result.vector)
    assert after <= bound
    assert result.norm_bound == clip_norm
    if not result.clipped:
        assert np.array_equal(result.vector, vector)
    elif before <= bound:
        # Scaled without need: only beside entries whose squares no sum of floats can hold.
        assert min(abs(entry) for entry in vector.tolist() if entry) < clip_norm * 2.0**-480
        assert before > bound * (1 - Fraction(1, 2**37))
    if result.clipped:
        assert after >= bound * (1 - Fraction(1, 2**36))
        with mpmath.workprec(200):
            factor = mpmath.mpf(clip_norm) / mpmath.sqrt(mpmath.fsum(mpmath.mpf(entry) ** 2 for entry in vector))
            allowed = mpmath.mpf(clip_norm) * 2.0**-37
            for old, new in zip(vector.tolist(), result.vector.tolist(), strict=True):
                assert abs(mpmath.mpf(old) * factor - new) <= allowed


@given(vector=vectors, clip_norm=norms)
@settings(deadline=None)
def test_clipping_again_changes_nothing(vector: np.ndarray, clip_norm: float):
    once = clip(vector, clip_norm)
    again = clip(once.vector, clip_norm)
    assert not again.clipped
    assert np.array_equal(again.vector, once.vector)


@given(vector=vectors)
@settings(deadline=None)
def test_the_norm_is_right(vector: np.ndarray):
    with mpmath.workprec(200):
        exact = mpmath.sqrt(mpmath.fsum(mpmath.mpf(entry) ** 2 for entry in vector))
        expected = min(exact, mpmath.mpf(sys.float_info.max))
        assert abs(clip(vector, 1.0).norm - expected) <= max(expected * 2.0**-40, mpmath.mpf(2) ** -1074)


def test_the_usual_formula_breaks_the_promise_that_ours_keeps():
    generator = np.random.default_rng(1)
    broken = 0
    for _ in range(200):
        vector = generator.standard_normal(50)
        broken += squared_norm(naive(vector, 1.0)) > 1
        assert squared_norm(clip(vector, 1.0).vector) <= 1
    assert broken > 50


@pytest.mark.slow
@pytest.mark.parametrize("size", [8191, 8192, 8193, 20_003])
def test_long_vectors_keep_the_promise(size: int):
    vector = np.random.default_rng(size).standard_normal(size)
    length = math.sqrt(squared_norm_of_many(vector))
    for clip_norm in (0.1, 1.0, math.nextafter(length, 0.0), length, math.nextafter(length, math.inf)):
        result = clip(vector, clip_norm)
        assert squared_norm_of_many(result.vector) <= Fraction(clip_norm) ** 2
        assert result.clipped == (squared_norm_of_many(vector) > Fraction(clip_norm) ** 2)
        assert result.norm == pytest.approx(length, rel=2**-40)


@given(scale=st.integers(-480, 480), zeros=st.integers(0, 5))
def test_a_vector_of_exactly_the_clip_norm_is_left_alone(scale: int, zeros: int):
    clip_norm = math.ldexp(5.0, scale)
    vector = np.concatenate([np.ldexp([3.0, -4.0], scale), np.zeros(zeros)])
    result = clip(vector, clip_norm)
    assert not result.clipped
    assert np.array_equal(result.vector, vector)
    for place in (0, 1):
        longer = vector.copy()
        longer[place] = math.nextafter(longer[place], math.copysign(math.inf, longer[place]))
        assert clip(longer, clip_norm).clipped


def test_vectors_of_about_the_clip_norm_are_told_apart_exactly():
    generator = np.random.default_rng(2)
    seen = set()
    for _ in range(300):
        vector = generator.standard_normal(10)
        vector /= np.linalg.norm(vector)
        result = clip(vector, 1.0)
        assert result.clipped == (squared_norm(vector) > 1)
        seen.add(result.clipped)
    assert seen == {False, True}


@given(n=st.integers(2**20, 2**26 - 1), scale=st.integers(-400, 400), size=st.sampled_from([0, 100, 9000]))
@settings(deadline=None)
def test_one_part_in_2_to_the_106_decides(n: int, scale: int, size: int):
    """(2n^2 - 1)^2 + (2n)^2 is (2n^2)^2 + 1, and (2n^2)^2 + (2n)^2 is (2n^2 + 1)^2 - 1."""
    for first, clip_norm, above in ((2 * n * n - 1, 2 * n * n, True), (2 * n * n, 2 * n * n + 1, False)):
        assert (first**2 + (2 * n) ** 2 > clip_norm**2) == above
        vector = np.zeros(size + 2)
        vector[0], vector[-1] = math.ldexp(first, scale), math.ldexp(-2 * n, scale)
        assert clip(vector, math.ldexp(clip_norm, scale)).clipped == above


def test_where_exact_squares_underflow_it_is_clipped():
    for first in (1.0, math.nextafter(1.0, 0.0)):
        result = clip(np.array([first, 2.0**-600]), 1.0)
        assert result.clipped
        assert squared_norm(result.vector) <= 1
    assert not clip(np.array([0.5, 2.0**-600]), 1.0).clipped


@pytest.mark.parametrize(
    ("vector", "norm"),
    [
        (np.full(4, 60000.0, np.float16), 120000.0 - 64.0),
        (np.full(4, 2.0**-24, np.float16), 2.0**-23),
        (np.full(4, 2.0**100, np.float32), 2.0**101),
        (np.full(4, 2.0**-149, np.float32), 2.0**-148),
        (np.full(4, 2.0**1000), 2.0**1001),
        (np.full(4, 2.0**1023), sys.float_info.max),
        (np.full(4, LEAST_FLOAT), 2 * LEAST_FLOAT),
        (np.array([3, -4], np.int8), 5.0),
        (np.array([2**53, 0], np.uint64), 2.0**53),
        (np.array([-(2**53), 0], np.int64), 2.0**53),
    ],
    ids=str,
)
def test_norms_that_overflow_or_underflow_in_their_own_dtype(vector: np.ndarray, norm: float):
    if vector.dtype == np.float16 and norm > 1:
        norm = 2 * float(vector[0])
    with np.errstate(all="raise"):
        result = clip(vector, 1.0)
    assert result.norm == norm
    assert result.vector.dtype == np.float64
    assert result.clipped == (norm > 1)
    assert squared_norm(result.vector) <= 1
    if result.clipped:
        assert squared_norm(result.vector) >= 1 - Fraction(1, 2**36)
        assert np.array_equal(np.sign(result.vector), np.sign(vector.astype(np.float64)))
    else:
        assert np.array_equal(result.vector, vector.astype(np.float64))


def test_large_and_denormal_entries_together_are_clipped_without_a_warning():
    with np.errstate(all="raise"):
        result = clip(np.array([1e308, LEAST_FLOAT, -1e308, 0.0]), 2.0**-500)
    assert result.clipped
    assert squared_norm(result.vector) <= Fraction(1, 2**1000)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_zero_stays_zero(dtype: type):
    result = clip(np.zeros(5, dtype), CLIP_RANGE[0])
    assert result.vector.tolist() == [0.0] * 5
    assert result.norm == 0
    assert not result.clipped


def test_the_result_is_a_read_only_copy():
    for clip_norm in (100.0, 0.1):
        vector = np.array([1.0, 2.0])
        result = clip(vector, clip_norm)
        kept = result.vector.tolist()
        vector[:] = math.nan
        assert result.vector.tolist() == kept
        with pytest.raises(ValueError, match="read-only"):
            result.vector[0] = 1e9


def test_byte_order_and_strides_do_not_matter():
    plain = np.arange(1.0, 9.0)
    expected = clip(plain, 1.0).vector
    padded = np.zeros(16)
    padded[::2] = plain
    read_only = plain.copy()
    read_only.flags.writeable = False
    for twin in (plain.astype(">f8"), padded[::2], plain[::-1].copy()[::-1], read_only):
        assert np.array_equal(clip(twin, 1.0).vector, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused_and_not_silenced(dtype: type, bad: float):
    vector = np.array([SECRET, bad, 0.0], dtype)
    with pytest.raises(InvalidParameterError, match="NaN or infinity") as error:
        clip(vector, 1.0)
    assert error.value.parameter == "vector"
    assert "1234" not in str(error.value)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_a_signalling_nan_is_refused_without_a_warning():
    with pytest.raises(InvalidParameterError):
        clip(np.array([0x7FA00000], np.uint32).view(np.float32), 1.0)


@pytest.mark.parametrize(
    "vector",
    [
        np.array([]),
        np.zeros((0, 3)),
        np.ones((2, 2)),
        np.array(1.0),
        np.array([True]),
        np.array([1j]),
        np.array([SECRET], np.longdouble),
        np.array([SECRET], object),
        np.array(["1"]),
        np.array([2**53 + 1]),
        np.array([-(2**53) - 1]),
        np.array([2**63], np.uint64),
        [SECRET],
        SECRET,
        None,
    ],
    ids=lambda vector: f"{type(vector).__name__}-{getattr(vector, 'dtype', '')}-{getattr(vector, 'shape', '')}",
)
def test_other_vectors_are_refused(vector: Any):
    with pytest.raises(InvalidParameterError) as error:
        clip(vector, 1.0)
    assert error.value.parameter == "vector"
    assert "1234" not in str(error.value)


@pytest.mark.parametrize("clip_norm", [0, -1.0, math.nan, math.inf, 2.0**501, 2.0**-501, True, "1", None, 10**400])
def test_other_clip_norms_are_refused(clip_norm: Any):
    with pytest.raises(InvalidParameterError) as error:
        clip(np.ones(2), clip_norm)
    assert error.value.parameter == "clip_norm"
    with pytest.raises(InvalidParameterError) as error:
        clip_layers([np.ones(2), np.ones(2)], [1.0, clip_norm])
    assert error.value.parameter == "clip_norms[1]"


def test_the_sensitivity_travels_with_the_result():
    results = [clip(np.array([3.0, 4.0]), 2.5), clip_layers([np.ones(2), np.ones((2, 2))], [1.5, 2.0])]
    for result in results:
        assert result.norm_bound == 2.5
        assert result.l2_sensitivity(Relation.ZERO_OUT) == 2.5
        assert result.l2_sensitivity(Relation.ADD_REMOVE) == 2.5
        assert result.l2_sensitivity(Relation.REPLACE_ONE) == 5.0
        with pytest.raises(InvalidParameterError):
            result.l2_sensitivity("zero-out")


def test_nothing_private_is_in_the_repr():
    assert repr(clip(np.array([SECRET]), 10.0)) == "Clipped(norm_bound=10.0)"
    assert repr(clip_layers([np.array([SECRET])], [10.0])) == "ClippedLayers(norm_bounds=(10.0,), norm_bound=10.0)"


def test_results_survive_pickling():
    result = clip(np.array([3.0, 4.0]), 1.0)
    twin = pickle.loads(pickle.dumps(result))
    assert isinstance(twin, Clipped)
    assert np.array_equal(twin.vector, result.vector)
    assert (twin.norm, twin.clipped, twin.norm_bound) == (5.0, True, 1.0)


@pytest.mark.slow
@given(
    layers=st.lists(stnp.arrays(np.float64, stnp.array_shapes(max_dims=3, max_side=3), elements=entries), min_size=1),
    data=st.data(),
)
@settings(deadline=None)
def test_layers_keep_their_own_promise_and_the_joint_one(layers: list[np.ndarray], data: st.DataObject):
    clip_norms = data.draw(st.lists(norms, min_size=len(layers), max_size=len(layers)))
    result = clip_layers(layers, clip_norms)
    assert result.norm_bounds == tuple(clip_norms)
    joint = Fraction(0)
    for place, (layer, clip_norm) in enumerate(zip(layers, clip_norms, strict=True)):
        alone = clip(layer.reshape(-1), clip_norm)
        assert result.vectors[place].shape == layer.shape
        assert np.array_equal(result.vectors[place].reshape(-1), alone.vector)
        assert (result.norms[place], result.clipped[place]) == (alone.norm, alone.clipped)
        joint += squared_norm(result.vectors[place])
    exact = sum((Fraction(clip_norm) ** 2 for clip_norm in clip_norms), Fraction(0))
    assert joint <= exact <= Fraction(result.norm_bound) ** 2
    below = Fraction(math.nextafter(math.nextafter(result.norm_bound, 0.0), 0.0))
    assert below**2 < exact


def test_a_layer_may_have_any_shape():
    result = clip_layers([np.array(-8.0), np.asfortranarray(np.ones((2, 2), np.float16))], (4.0, 3.0))
    assert result.vectors[0].shape == ()
    assert float(result.vectors[0]) == pytest.approx(-4.0, rel=1e-11)
    assert result.vectors[1].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert result.norm_bound == 5.0
    assert result.clipped == (True, False)


@pytest.mark.parametrize(
    ("layers", "clip_norms", "parameter"),
    [
        ([], [], "layers"),
        (np.ones((2, 2)), [1.0, 1.0], "layers"),
        ({"a": np.ones(2)}, [1.0], "layers"),
        (None, [1.0], "layers"),
        ([np.ones(2)], [1.0, 1.0], "clip_norms"),
        ([np.ones(2), np.ones(2)], [1.0], "clip_norms"),
        ([np.ones(2)], 1.0, "clip_norms"),
        ([np.ones(2), np.array([math.nan])], [1.0, 1.0], "layers[1]"),
        ([np.ones(2), np.array([])], [1.0, 1.0], "layers[1]"),
        ([[1.0], np.ones(2)], [1.0, 1.0], "layers[0]"),
    ],
)
def test_other_layers_are_refused(layers: Any, clip_norms: Any, parameter: str):
    with pytest.raises(InvalidParameterError) as error:
        clip_layers(layers, clip_norms)
    assert error.value.parameter == parameter

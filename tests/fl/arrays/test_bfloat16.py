"""bfloat16: every value widened exactly, every value narrowed to the nearest, as the package that owns it reads it."""

import sys
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import fl
from fl.arrays.bfloat16 import LARGEST, bfloat16, is_bfloat16, narrowed, widened
from fl.errors import MissingExtraError, SchemaMismatchError
from secagg import InvalidInputError

ml_dtypes: Any = pytest.importorskip("ml_dtypes")
DTYPE: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)


def test_the_dtype_is_known_by_what_it_is():
    assert is_bfloat16(DTYPE)
    assert bfloat16() == DTYPE
    assert not any(map(is_bfloat16, (np.dtype("f2"), np.dtype("u2"), np.dtype("V2"), np.dtype([("bfloat16", "u2")]))))
    assert float(ml_dtypes.finfo(DTYPE).max) == LARGEST


def test_every_word_is_widened_as_its_package_does():
    words = np.arange(2**16, dtype=np.uint16).view(DTYPE)
    with np.errstate(invalid="ignore"):
        assert np.array_equal(widened(words), words.astype(np.float32), equal_nan=True)


def test_every_finite_word_comes_back_and_so_does_what_lies_next_to_it():
    words = np.arange(2**16, dtype=np.uint16).view(DTYPE)
    finite = words[np.isfinite(widened(words))]
    values = widened(finite).astype(np.float64)
    for near in (values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)):
        back, beyond = narrowed(near, DTYPE)
        assert np.array_equal(widened(back), values)
        assert not beyond.any()


@settings(deadline=None, max_examples=300)
@given(st.floats(-LARGEST, LARGEST))
def test_the_nearest_is_taken_and_of_two_the_even(value: float):
    single = widened(np.arange(2**16, dtype=np.uint16).view(DTYPE))
    exact = single[np.isfinite(single)].astype(np.float64)
    found = float(widened(narrowed(np.array([value]), DTYPE)[0])[0])
    distance = np.abs(exact - value).min()
    assert abs(found - value) == distance
    ties = [one for one in exact if abs(one - value) == distance]
    if len(set(ties)) == 2:
        assert np.float32(found).view(np.uint32) >> 16 & 1 == 0


def test_a_value_just_above_the_middle_is_not_rounded_twice():
    # Between 1 and 1 + 2**-7; as a float32 it is the middle itself.
    back, _ = narrowed(np.array([1 + 2**-8 + 1e-12, 1 + 2**-8, 1 + 3 * 2**-8]), DTYPE)
    assert widened(back).tolist() == [1 + 2**-7, 1.0, 1 + 2**-6]


def test_a_model_is_averaged_in_it():
    model = {"w": np.array([[1.5, -2.25]], DTYPE), "b": DTYPE.type(0.5)}
    schema = fl.ArraySchema.of(model)
    assert [entry.dtype for entry in schema.entries] == [DTYPE, DTYPE]
    assert schema.digest != fl.ArraySchema.of({"w": np.zeros((1, 2), np.float16), "b": np.float16(0)}).digest
    codec = fl.WeightedMean(schema, clip=4.0, modulus_bits=32, clients=4, weight_cap=1)
    words = [codec.encode(model, 1).astype(np.uint64) for _ in range(4)]
    mean = dict(codec.decode(sum(words[1:], words[0]).astype(np.uint32), 4)[0])
    assert mean["w"].dtype == DTYPE
    assert mean["w"].tolist() == [[1.5, -2.25]]
    moved = dict(fl.fedavg.apply(model, {"w": np.array([[1.0, 0.25]]), "b": np.array(-0.5)}))
    assert moved["w"].astype(np.float64).tolist() == [[2.5, -2.0]]
    assert float(moved["b"]) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_name(bad: float):
    model = {"w": np.array([0, bad], DTYPE)}
    with pytest.raises(InvalidInputError, match="'w'"):
        fl.flatten(model, fl.ArraySchema.of(model))


def test_what_leaves_the_range_is_refused_or_within_the_tolerance_moved():
    schema = fl.ArraySchema.of({"w": np.zeros(2, DTYPE)})
    vector = np.array([-1e39, 0.5])
    with pytest.raises(InvalidInputError, match="out of the range of bfloat16"):
        fl.restore(vector, schema, tolerance=1e38)
    assert dict(fl.restore(vector, schema, tolerance=1e39))["w"].tolist() == [-LARGEST, 0.5]


def test_its_other_dtypes_are_refused_by_name():
    with pytest.raises(SchemaMismatchError, match="'w'"):
        fl.ArraySchema.of({"w": np.zeros(2, ml_dtypes.float8_e4m3fn)})


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingExtraError) as refused:
        bfloat16()
    assert (refused.value.extra, refused.value.package) == ("bfloat16", "ml_dtypes")

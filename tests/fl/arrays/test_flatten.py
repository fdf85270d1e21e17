"""fl.arrays.flatten: arrays to one vector and back."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import ArraySchema
from fl.errors import SchemaMismatchError
from secagg.errors import InvalidInputError

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
floats = st.sampled_from(["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
integers = st.sampled_from(["i1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "u1", "<u2", ">u4", "<u8", ">u8"])


def float_arrays(dtype: str) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(dtype, shapes, elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False))


def integer_arrays(dtype: str) -> st.SearchStrategy[np.ndarray]:
    limits = np.iinfo(dtype)
    return hnp.arrays(dtype, shapes, elements=st.integers(max(limits.min, -(2**53)), min(limits.max, 2**53)))


arrays = st.one_of(floats.flatmap(float_arrays), integers.flatmap(integer_arrays))
containers = st.one_of(
    st.lists(arrays, max_size=4), st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), arrays, max_size=4)
)


@settings(deadline=None)
@given(containers)
def test_a_model_survives_the_round_trip_exactly(model: Any):
    schema = ArraySchema.of(model)
    vector = flatten(model, schema)
    assert vector.dtype == np.float64
    ordered = [model[name] for name in sorted(model)] if isinstance(model, dict) else model
    assert vector.tolist() == [float(value) for array in ordered for value in array.ravel().tolist()]

    restored = restore(vector, schema)
    assert type(restored) is type(model)
    pairs = [(restored[key], model[key]) for key in (model if isinstance(model, dict) else range(len(model)))]
    assert len(restored) == len(model)
    for after, before in pairs:
        assert after.shape == before.shape
        assert after.dtype == before.dtype.newbyteorder("=")
        assert after.dtype.isnative
        # repr tells -0.0 from 0.0.
        assert [repr(value) for value in after.ravel().tolist()] == [repr(value) for value in before.ravel().tolist()]


def test_strided_and_fortran_arrays_are_read_in_index_order():
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    model = [base[::2, ::-3], np.asfortranarray(base)]
    expected = [5.0, 2.0, 17.0, 14.0, *map(float, range(24))]
    assert flatten(model, ArraySchema.of(model)).tolist() == expected


def test_the_restored_arrays_own_their_memory():
    model = [np.ones(3), np.ones((2, 2))]
    vector = flatten(model, ArraySchema.of(model))
    restored = restore(vector, ArraySchema.of(model))
    vector[:] = 7
    assert restored[0].tolist() == [1, 1, 1]
    restored[1][0, 0] = 9
    assert vector.tolist() == [7] * 7


@pytest.mark.parametrize(("dtype", "value"), [("i8", 2**53), ("i8", -(2**53)), ("u8", 2**53)])
def test_integers_up_to_two_to_the_53_pass(dtype: str, value: int):
    model = [np.array([0, value], dtype)]
    assert [int(entry) for entry in flatten(model, ArraySchema.of(model))] == [0, value]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("i8", 2**53 + 1), ("i8", -(2**53) - 1), ("i8", -(2**63)), ("u8", 2**53 + 1), (">u8", 2**64 - 1)],
)
def test_larger_integers_are_refused(dtype: str, value: int):
    model = {"steps": np.array([[0, value]], dtype)}
    with pytest.raises(InvalidInputError, match="array 'steps'") as caught:
        flatten(model, ArraySchema.of(model))
    assert str(abs(value)) not in str(caught.value)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_the_name_of_its_array(dtype: str, value: float):
    model = {"bias": np.zeros(2, dtype), "layer.weight": np.array([[1.0, value]], dtype)}
    with pytest.raises(InvalidInputError, match=r"array 'layer\.weight'"):
        flatten(model, ArraySchema.of(model))


def test_a_signalling_nan_is_refused_without_a_warning():
    model = [np.array([0x7FA00000], np.uint32).view(np.float32)]
    with pytest.raises(InvalidInputError):
        flatten(model, ArraySchema.of(model))


def test_integers_are_rounded_half_to_even():
    schema = ArraySchema.of([np.zeros(7, np.int16)])
    [restored] = restore(np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999, -2.5001]), schema)
    assert restored.tolist() == [0, 2, 2, 0, -2, 2, -3]


@pytest.mark.parametrize(
    ("dtype", "fits", "too_large"),
    [
        ("i1", 127.5 - 1e-9, 127.5),
        ("i1", -128.5, -128.6),
        ("u1", -0.5, -0.51),
        ("u1", 255.4, 256.0),
        ("u4", 2.0**32 - 1, 2.0**32),
        ("i8", -(2.0**63), -(2.0**63) - 2048),
        ("i8", 2.0**63 - 1024, 2.0**63),
        ("u8", 2.0**64 - 2048, 2.0**64),
        ("f2", 65519.0, 65520.0),
        ("f2", -65519.0, -65520.0),
        ("f4", 3.4028235677973362e38, 3.4028235677973366e38),
    ],
)
def test_a_value_out_of_the_dtypes_range_is_refused_and_never_wraps(dtype: str, fits: float, too_large: float):
    schema = ArraySchema.of([np.zeros(2), np.zeros(2, dtype)])
    [_, restored] = restore(np.array([1e300, 1e300, 0, fits]), schema)
    assert abs(float(restored[1]) - fits) <= max(0.5, 2.0**-11 * abs(fits))
    with pytest.raises(InvalidInputError, match=rf"array 1: .* out of the range of {np.dtype(dtype)}"):
        restore(np.array([1e300, 1e300, 0, too_large]), schema)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["f8", "f2", "i4"])
def test_a_vector_that_is_not_finite_is_refused(dtype: str, value: float):
    with pytest.raises(InvalidInputError, match="array 'a'"):
        restore(np.array([value]), ArraySchema.of({"a": np.zeros(1, dtype)}))


@pytest.mark.parametrize(
    "vector", [np.zeros(2), np.zeros((3, 1)), np.zeros(3, np.float32), np.zeros(3, np.int64), [0.0, 0.0, 0.0]], ids=repr
)
def test_a_vector_of_the_wrong_form_is_refused(vector: Any):
    with pytest.raises(SchemaMismatchError, match=r"expected float64 of shape \(3,\)"):
        restore(vector, ArraySchema.of([np.zeros(3)]))


def test_arrays_of_another_schema_are_refused():
    with pytest.raises(SchemaMismatchError, match="dtype of array 0"):
        flatten([np.zeros(3, np.float32)], ArraySchema.of([np.zeros(3)]))


def test_a_model_without_arrays_is_an_empty_vector():
    assert flatten([], ArraySchema.of([])).shape == (0,)
    assert restore(np.zeros(0), ArraySchema.of({})) == {}

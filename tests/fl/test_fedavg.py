"""fl.fedavg: federated averaging on models as lists or dicts of arrays."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl import fedavg
from fl.arrays.schema import ArraySchema
from fl.codecs.weighted_mean import WeightedMean
from fl.errors import SchemaMismatchError
from secagg.errors import InvalidInputError, InvalidParameterError


def test_a_delta_is_local_minus_global_in_float64():
    delta = fedavg.client_delta(
        {"a": np.array([1, 200], np.uint8), "b": np.float16(0.5)},
        {"b": np.float16(0.25), "a": np.array([3, 0], np.uint8)},
    )
    assert isinstance(delta, dict)
    assert {name: (array.dtype.name, array.tolist()) for name, array in delta.items()} == {
        "a": ("float64", [2.0, -200.0]),
        "b": ("float64", -0.25),
    }


def test_apply_adds_the_scaled_delta_and_keeps_dtypes():
    model = [np.array([1.0, 2.0], np.float32), np.array([[7]], np.int16)]
    delta = [np.array([0.5, -4.0]), np.array([[3.0]])]
    assert [array.tolist() for array in fedavg.apply(model, delta)] == [[1.5, -2.0], [[10]]]
    halved = fedavg.apply(model, delta, learning_rate=0.5)
    # 8.5 is rounded to even.
    assert [array.tolist() for array in halved] == [[1.25, 0.0], [[8]]]
    assert [array.dtype.name for array in halved] == ["float32", "int16"]


def test_inputs_are_left_as_they_were():
    model, local, delta = [np.array([1.0, 2.0])], [np.array([3.0, 5.0])], [np.array([9.0, 9.0])]
    returned = [*fedavg.client_delta(model, local), *fedavg.apply(model, delta)]
    for array in returned:
        array[:] = -1
    assert [model[0].tolist(), local[0].tolist(), delta[0].tolist()] == [[1, 2], [3, 5], [9, 9]]


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), max_size=5))
@settings(deadline=None)
def test_applying_the_own_delta_gives_the_local_model(pairs: list[tuple[int, int]]):
    before = {"a": np.array([pair[0] for pair in pairs], np.int32)}
    after = {"a": np.array([pair[1] for pair in pairs], np.int32)}
    assert fedavg.apply(before, fedavg.client_delta(before, after))["a"].tolist() == [pair[1] for pair in pairs]


def test_a_round_moves_the_model_to_the_weighted_mean_of_the_local_models():
    rng = np.random.default_rng(3)
    model = {"w": rng.normal(size=(4, 2)).astype(np.float32), "b": rng.normal(size=2).astype(np.float32)}
    weights = [10, 1, 4]
    locals_ = [{k: (v + rng.normal(0, 0.05, v.shape)).astype(np.float32) for k, v in model.items()} for _ in weights]
    schema = fedavg.delta_schema(ArraySchema.of(model))
    mean = WeightedMean(schema, clip=0.5, modulus_bits=40, clients=5, weight_cap=10)
    words = [mean.encode(fedavg.client_delta(model, local), w) for local, w in zip(locals_, weights, strict=True)]
    mean_delta, total_weight = mean.decode(np.sum(words, axis=0, dtype=np.uint64), 3)
    assert total_weight == 15
    moved = fedavg.apply(model, mean_delta)
    for name in model:
        expected = np.average([local[name].astype(np.float64) for local in locals_], axis=0, weights=weights)
        assert np.abs(moved[name] - expected).max() < 1e-6


def test_the_delta_schema_keeps_names_and_shapes():
    schema = ArraySchema.of({"a": np.zeros((2, 3), np.int8), "b": np.float16(1)})
    assert fedavg.delta_schema(schema) == ArraySchema.of({"a": np.zeros((2, 3)), "b": np.float64(0)})


@pytest.mark.parametrize(
    "local",
    [[np.zeros(2)], {"a": np.zeros(3)}, {"a": np.zeros(2, np.float32)}, {"b": np.zeros(2)}],
    ids=["container", "shape", "dtype", "name"],
)
def test_models_of_two_schemas_have_no_delta(local: Any):
    with pytest.raises(SchemaMismatchError):
        fedavg.client_delta({"a": np.zeros(2)}, local)
    with pytest.raises(SchemaMismatchError):
        fedavg.apply({"a": np.zeros(2)}, local)


@pytest.mark.parametrize("learning_rate", [np.nan, np.inf, -np.inf, 10**400, "1", None, True])
def test_a_learning_rate_must_be_a_finite_number(learning_rate: Any):
    with pytest.raises(InvalidParameterError, match="learning_rate"):
        fedavg.apply([np.zeros(2)], [np.zeros(2)], learning_rate)


@pytest.mark.parametrize(
    ("dtype", "start", "step"),
    [("u1", 1, -2.0), ("i1", 127, 1.0), ("f2", 60000, 9999.0), ("f8", 1.7e308, 1.7e308)],
)
def test_a_step_out_of_the_dtypes_range_is_refused(dtype: str, start: float, step: float):
    with pytest.raises(InvalidInputError, match="array 0"):
        fedavg.apply([np.array([start], dtype)], [np.array([step])])


def test_a_difference_beyond_float64_is_refused():
    with pytest.raises(InvalidInputError, match="array 0"):
        fedavg.client_delta([np.array([-1.7e308])], [np.array([1.7e308])])


def test_a_scaled_step_beyond_float64_is_refused():
    with pytest.raises(InvalidInputError, match="array 0"):
        fedavg.apply([np.zeros(1)], [np.array([1e300])], learning_rate=1e300)

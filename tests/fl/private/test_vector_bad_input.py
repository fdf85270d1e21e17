"""fl.private.vector: what does not fit is refused, and no text tells it."""

import math
import pickle
from typing import Any

import numpy as np
import pytest

from fl.errors import SchemaMismatchError
from fl.private.vector import PrivateVector
from secagg.errors import InvalidInputError, LocalError
from tests.kit.private_round_scene import (
    LOSS,
    MODEL,
    planned,
    update_of,
)
from tests.kit.private_vectors import CONTEXT

RICH = {"side_values": (LOSS,), "weight_cap": 50}

SECRET = 3.14159

UPDATES: dict[str, tuple[Any, type[LocalError], str]] = {
    "nan": ({"b": np.full(3, math.nan), "w": np.full((4, 3), SECRET)}, InvalidInputError, "array 'b'"),
    "infinity": ({"b": np.full(3, SECRET), "w": np.full((4, 3), -math.inf)}, InvalidInputError, "array 'w'"),
    "another shape": ({"b": np.full(3, SECRET), "w": np.zeros((3, 4))}, SchemaMismatchError, "shape of array 'w'"),
    "another dtype": ({"b": np.zeros(3, np.float32), "w": np.zeros((4, 3))}, SchemaMismatchError, "dtype of array 'b'"),
    "an array missing": ({"b": np.full(3, SECRET)}, SchemaMismatchError, "missing ['w']"),
    "an array more": (MODEL | {"c": np.zeros(1)}, SchemaMismatchError, "unknown ['c']"),
    "a list": ([np.zeros(3), np.zeros((4, 3))], SchemaMismatchError, "container"),
    "nothing": ({}, SchemaMismatchError, "missing"),
    "no arrays": ({"b": [SECRET] * 3, "w": np.zeros((4, 3))}, SchemaMismatchError, "array 'b'"),
    "an array": (np.zeros(15), SchemaMismatchError, "container"),
    "none": (None, SchemaMismatchError, "container"),
}


@pytest.mark.parametrize(("update", "failure", "named"), UPDATES.values(), ids=UPDATES)
def test_an_update_that_does_not_fit_is_refused_and_not_told(update: Any, failure: type[LocalError], named: str):
    with pytest.raises(failure) as refused:
        PrivateVector(planned(**RICH), CONTEXT, 1.0).encode(update, 3, {"loss": 1.0})
    assert named in str(refused.value)
    assert str(SECRET) not in str(pickle.loads(pickle.dumps(refused.value)))


@pytest.mark.parametrize(
    "weight", [51, -1, 2.0, True, np.True_, "3", None, math.nan, 10**30, np.int64(51), np.float64(3), [3]], ids=repr
)
def test_a_weight_out_of_its_range_is_refused_and_not_told(weight: Any):
    with pytest.raises(InvalidInputError) as refused:
        PrivateVector(planned(**RICH), CONTEXT, 1.0).encode(update_of(1), weight, {"loss": 1.0})
    assert (refused.value.field, refused.value.allowed) == ("weight", "an int from 0 to 50")
    assert refused.value.problem == "no int in the plan's range"


def test_weights_of_numpy_are_weights():
    vector = PrivateVector(planned(**RICH), CONTEXT, 1.0)
    for weight in (np.int8(50), np.uint64(0), np.int32(7)):
        vector.encode(update_of(1), weight, {"loss": 1.0})


@pytest.mark.parametrize("weight", [0, 2])
def test_without_weights_all_count_the_same(weight: int):
    # Zero is a weight: whoever has no data sends noise alone.
    vector = PrivateVector(planned(), CONTEXT, 1.0)
    if weight == 0:
        vector.encode(update_of(1), 0)
        return
    with pytest.raises(InvalidInputError, match="from 0 to 1"):
        vector.encode(update_of(1), weight)


@pytest.mark.parametrize(
    ("sides", "field"),
    [
        (None, "side_values"),
        ({}, "side_values"),
        ({"loss": 1.0, "accuracy": 1.0}, "side_values"),
        ({"loss": 1.0, "weight": 3.0}, "side_values"),
        ([("loss", 1.0)], "side_values"),
        (["loss"], "side_values"),
        (5, "side_values"),
        (np.zeros(3), "side_values"),
        ({"loss": SECRET + 5}, "side value loss"),
        ({"loss": -SECRET}, "side value loss"),
        ({"loss": math.nan}, "side value loss"),
        ({"loss": math.inf}, "side value loss"),
        ({"loss": "much"}, "side value loss"),
        ({"loss": True}, "side value loss"),
    ],
    ids=str,
)
def test_side_values_that_were_not_declared_so_are_refused_and_not_told(sides: Any, field: str):
    with pytest.raises(InvalidInputError) as refused:
        PrivateVector(planned(**RICH), CONTEXT, 1.0).encode(update_of(1), 3, sides)
    assert refused.value.field == field
    assert "3.14" not in str(refused.value)
    assert "8.14" not in str(refused.value)


def test_side_values_are_refused_where_none_is_declared():
    with pytest.raises(InvalidInputError, match="'loss' is missing or undeclared"):
        PrivateVector(planned(), CONTEXT, 1.0).encode(update_of(1), 1, {"loss": 1.0})


@pytest.mark.parametrize(
    "total",
    [
        np.zeros(15, np.uint32),
        np.zeros(17, np.uint32),
        np.zeros((4, 4), np.uint32),
        np.zeros(16, np.uint16),
        np.zeros(16, np.int32),
        np.zeros(16),
        [0] * 16,
        None,
        np.full(16, 2**20, np.uint32),
    ],
    ids=["short", "long", "shape", "dtype", "sign", "float", "list", "none", "word"],
)
def test_what_is_no_sum_is_refused(total: Any):
    plan = planned(modulus_bits=20)
    with pytest.raises(InvalidInputError) as refused:
        PrivateVector(plan, CONTEXT, 1.0).decode(total, 4)
    assert refused.value.field == "total"


@pytest.mark.parametrize("survivors", [0, -1, 6, True, 4.0, None, "4"], ids=repr)
def test_what_is_no_number_of_survivors_is_refused(survivors: Any):
    plan = planned(modulus_bits=24)
    with pytest.raises(InvalidInputError) as refused:
        PrivateVector(plan, CONTEXT, 1.0).decode(np.zeros(16, np.uint32), survivors)
    assert (refused.value.field, refused.value.allowed) == ("survivors", "an int from 1 to 5")

"""Honest values at the end of a dtype's range are never refused for what rounding or noise adds to them."""

import math
from typing import Any

import numpy as np
import pytest

import fl
from fl import codecs, private, training
from fl.private import PrivateVector
from secagg import InvalidInputError

ENDS = [(np.uint8, 0), (np.uint8, 255), (np.int8, -128), (np.uint16, 65535), (np.float16, 65504), (np.float16, -65504)]
each_end = pytest.mark.parametrize(("dtype", "value"), ENDS, ids=lambda one: getattr(one, "__name__", str(one)))


@each_end
def test_a_weighted_mean_ends_where_the_dtype_does(dtype: type[np.generic], value: float):
    arrays = {"n": np.full(50, value, dtype)}
    codec = fl.WeightedMean(fl.ArraySchema.of(arrays), clip=70000.0, modulus_bits=14, clients=4, weight_cap=1)
    total = sum(codec.encode(arrays, 1).astype(np.uint64) for _ in range(4)).astype(np.uint16)
    mean = dict(codec.decode(total, 4)[0])["n"]
    assert mean.dtype == dtype
    off = np.abs(mean.astype(np.float64) - value)
    assert off.max() <= codec.quantizer.error_bound(4, 4)


@each_end
def test_a_low_bit_mean_too(dtype: type[np.generic], value: float):
    schema = fl.ArraySchema.of({"n": np.full(50, value, dtype)})
    vector = fl.flatten({"n": np.full(50, value, dtype)}, schema)
    low = codecs.LowBit(
        dimension=50, bits=3, clip_norm=max(1.0, float(np.linalg.norm(vector))), clients=4, weight_cap=1, seed=bytes(32)
    )
    total = sum(low.encode(vector, 1).astype(np.uint64) for _ in range(4)).astype(low.quantizer.word_dtype)
    mean, weight = low.decode(total, 4)
    bound = low.error_bound(4, total_weight=weight)
    assert np.abs(mean - vector).max() <= bound
    fl.restore(mean, schema, tolerance=bound)


@each_end
def test_a_model_at_the_end_stays_there(dtype: type[np.generic], value: float):
    model = {"n": np.full(3, value, dtype)}
    beyond = {"n": np.full(3, math.copysign(20.0, value - 1))}
    with pytest.raises(InvalidInputError, match="'n'"):
        fl.fedavg.apply(model, beyond, tolerance=0.1)
    moved = fl.fedavg.apply(model, beyond, tolerance=20.0)
    assert np.array_equal(dict(moved)["n"], model["n"])
    optimizer = training.FedAvg()
    _, moved = optimizer.step(optimizer.start(model), model, beyond, tolerance=20.0)
    assert np.array_equal(dict(moved)["n"], model["n"])


@each_end
def test_noise_leaves_no_dtype(dtype: type[np.generic], value: float):
    arrays = {"n": np.full(50, value, dtype)}
    terms: dict[str, Any] = {"scope": "s", "clients": 4, "max_dropouts": 0, "colluders": 0, "delta": 1e-5, "rounds": 1}
    plan = private.make_plan(
        schema=fl.ArraySchema.of(arrays), clip=600000.0, epsilon=1.0, averaged=["n"], modulus_bits=24, **terms
    )
    vector = PrivateVector(plan, bytes(32), plan.clip)
    total = sum(vector.encode(arrays).astype(np.uint64) for _ in range(4)) & np.uint64(2**24 - 1)
    mean = dict(vector.decode(total.astype(np.uint32), 4).mean())["n"]
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    assert mean.dtype == dtype
    # Of fifty entries with noise far beyond the range, some are at either end.
    assert {float(mean.min()), float(mean.max())} == {float(limits.min), float(limits.max)}


def test_what_no_error_explains_is_refused():
    schema = fl.ArraySchema.of({"n": np.zeros(2, np.uint8)})
    with pytest.raises(InvalidInputError, match="out of the range of uint8"):
        fl.restore(np.array([0.0, 258.0]), schema, tolerance=2.0)
    assert dict(fl.restore(np.array([-1e300, 257.0]), schema, tolerance=math.inf))["n"].tolist() == [0, 255]

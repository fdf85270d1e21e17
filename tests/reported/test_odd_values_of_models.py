"""Whatever a caller hands to a public name of `fl`, only the package's own errors come out, and numpy's scalars count.

One argument at a time is replaced by each value of a zoo, in constructors, codecs and steps.
"""

import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import fl
from dp import DPError
from fl import arrays, codecs, fedavg, private, training
from secagg import SecAggError, Suite
from tests.reported.test_odd_values import ZOO as TEXTS_AND_NUMBERS

ZOO: dict[str, Callable[[], object]] = TEXTS_AND_NUMBERS | {
    "-0.0": lambda: -0.0,
    "subnormal": lambda: 5e-324,
    "Fraction": lambda: Fraction(10**400),
    "Decimal": lambda: Decimal("nan"),
    "UUID": lambda: UUID(int=1),
    "span of time": lambda: np.timedelta64(1),
    "date": lambda: np.datetime64("2020-01-01"),
    "largest uint64": lambda: np.uint64(2**64 - 1),
    "half infinity": lambda: np.float16("inf"),
    "0-d array": lambda: np.array(1),
    "array of text": lambda: np.array("x"),
    "new strings": lambda: np.array(["a"], np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else "a",
    "two numbers": lambda: np.array([1, 2]),
    "objects": lambda: np.zeros(3, object),
    "booleans": lambda: np.zeros(3, bool),
    "complex numbers": lambda: np.zeros(3, complex),
    "long doubles": lambda: np.zeros(3, np.longdouble),
    "records": lambda: np.zeros(3, [("a", float)]),
    "masked": lambda: np.ma.array([1.0, 2.0, 3.0], mask=[True, False, False]),
    "model": lambda: {"w": np.zeros(3)},
    "model of objects": lambda: {"w": np.zeros(3, object)},
    "lone surrogate": lambda: {"\ud800": np.zeros(3)},
    "class": lambda: int,
}

MODEL = {"w": np.zeros(3), "b": np.zeros((2, 2), np.float32)}
SCHEMA = fl.ArraySchema.of(MODEL)
DELTA = fedavg.client_delta(MODEL, MODEL)
COUNTS = {"n": np.zeros(3, np.int64)}
MEAN = fl.WeightedMean(SCHEMA, clip=1.0, modulus_bits=32, clients=4, weight_cap=3)
COUNT = fl.IntegerSum(fl.ArraySchema.of(COUNTS), low=-5, high=5, modulus_bits=32, clients=4)
VALUES = codecs.ValueSums({"loss": (0, 1)}, modulus_bits=32, clients=4)
LOW = codecs.LowBit(10, 4, 1.0, 4, 3, bytes(32))
RANDOM = codecs.RandomK(10, 4, bytes(32))
PART = arrays.SharedPart.all_but(SCHEMA, ["b"])
ADAM = training.FedAdam()
SESSION = {"certificate": None, "adversary": None, "suite": Suite.AES_128_CTR, "min_survivors": 3, "round_number": 5}
PLAN = {
    "scope": "s",
    "schema": SCHEMA,
    "clients": 20,
    "max_dropouts": 4,
    "colluders": 2,
    "clip": 1.0,
    "epsilon": 8.0,
    "delta": 2.0**-17,
    "rounds": 3,
    "modulus_bits": 16,
    "weight_cap": 10,
    "averaged": (),
    "mechanism": "skellam",
    "small_consortium": False,
}

CALLS: dict[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {
    "WeightedMean": (
        fl.WeightedMean,
        {"schema": SCHEMA, "clip": 1.0, "modulus_bits": 32, "clients": 4, "weight_cap": 3, "averaged": (), "clips": ()},
    ),
    "WeightedMean.encode": (MEAN.encode, {"arrays": MODEL, "weight": 1}),
    "WeightedMean.decode": (MEAN.decode, {"total": MEAN.encode(MODEL, 2), "survivors": 1}),
    "WeightedMean.error_bound": (MEAN.error_bound, {"survivors": 2, "total_weight": 3}),
    "WeightedMean.session_params": (MEAN.session_params, SESSION),
    "IntegerSum": (fl.IntegerSum, {"schema": COUNT.schema, "low": 0, "high": 5, "modulus_bits": 32, "clients": 4}),
    "IntegerSum.encode": (COUNT.encode, {"arrays": COUNTS}),
    "IntegerSum.decode": (COUNT.decode, {"total": COUNT.encode(COUNTS), "survivors": 1}),
    "IntegerSum.session_params": (COUNT.session_params, SESSION),
    "ValueSums": (codecs.ValueSums, {"ranges": {"a": (0, 1)}, "modulus_bits": 32, "clients": 4}),
    "a value's range": (lambda low, high: codecs.ValueSums({"a": (low, high)}, 32, 4), {"low": 0.5, "high": 2.0}),
    "ValueSums.encode": (VALUES.encode, {"values": {"loss": 0.5}}),
    "a value": (lambda value: VALUES.encode({"loss": value}).tolist(), {"value": 0.5}),
    "ValueSums.decode": (VALUES.decode, {"total": VALUES.encode({"loss": 0}), "survivors": 1}),
    "ValueSums.step": (VALUES.step, {"name": "loss"}),
    "Quantizer": (fl.Quantizer, {"clip": 1.0, "modulus_bits": 32, "clients": 4, "weight_cap": 3}),
    "LowBit": (
        codecs.LowBit,
        {"dimension": 10, "bits": 4, "clip_norm": 1.0, "clients": 4, "weight_cap": 3, "seed": bytes(32)},
    ),
    "LowBit.encode": (LOW.encode, {"vector": np.zeros(10), "weight": 1}),
    "LowBit.decode": (LOW.decode, {"total": LOW.encode(np.zeros(10), 1), "survivors": 1}),
    "RandomK": (lambda **k: codecs.RandomK(**k).indices.tolist(), {"length": 10, "kept": 4, "seed": bytes(32)}),
    "RandomK.spread": (RANDOM.spread, {"values": np.zeros(4), "unbiased": True}),
    "sparsifier": (
        lambda **k: codecs.sparsifier(**k).indices.tolist(),
        {"method": "random-k", "length": 10, "kept": 4, "seed": bytes(32)},
    ),
    "best_range_factor": (codecs.best_range_factor, {"levels": 3, "survivors": 4}),
    "unbiased_range_factor": (codecs.unbiased_range_factor, {"dimension": 10, "clients": 4, "probability": 0.5}),
    "flatten": (fl.flatten, {"arrays": MODEL, "schema": SCHEMA}),
    "restore": (fl.restore, {"vector": np.zeros(7), "schema": SCHEMA, "tolerance": 0.5}),
    "ArraySpec": (fl.ArraySpec, {"name": "w", "shape": (3,), "dtype": np.dtype("f4")}),
    "ArraySchema": (fl.ArraySchema, {"kind": "dict", "entries": SCHEMA.entries}),
    "ArraySchema.of": (fl.ArraySchema.of, {"arrays": MODEL}),
    "an array's name": (
        lambda name: fl.ArraySchema.of({name if isinstance(name, str) else "w": np.zeros(2)}),
        {"name": "w"},
    ),
    "SharedPart.all_but": (
        lambda schema, pattern: arrays.SharedPart.all_but(schema, [pattern]).digest,
        {"schema": SCHEMA, "pattern": "b"},
    ),
    "SharedPart's patterns": (arrays.SharedPart.all_but, {"schema": SCHEMA, "patterns": ["b"]}),
    "SharedPart.split": (PART.split, {"model": MODEL}),
    "client_delta": (fedavg.client_delta, {"global_model": MODEL, "local_model": MODEL}),
    "apply": (
        fedavg.apply,
        {"global_model": MODEL, "mean_delta": DELTA, "learning_rate": 1.0, "tolerance": 0.0},
    ),
    "FedAdam": (training.FedAdam, {"learning_rate": 0.5, "tau": 0.5, "beta_1": 0.5, "beta_2": 0.5}),
    "FedAdam.step": (
        ADAM.step,
        {"state": ADAM.start(MODEL), "model": MODEL, "mean_delta": DELTA, "tolerance": 0.0},
    ),
    "proximal_penalty": (training.proximal_penalty, {"local": MODEL, "global_model": MODEL, "mu": 0.5}),
    "StalenessWeights": (training.StalenessWeights, {"weight_cap": 16, "max_staleness": 4}),
    "SideValue": (private.SideValue, {"name": "a", "low": 0.0, "high": 1.0, "share": 0.5}),
    "client_id": (fl.client_id, {"name": 5}),
    "ClientIds": (lambda names: dict(fl.ClientIds(names)), {"names": ["a", 5]}),
    "make_plan": (private.make_plan, PLAN),
}


ROUNDED_AT_RANDOM = {"WeightedMean.encode", "LowBit.encode"}


@pytest.mark.parametrize("name", [*[*CALLS][:-1], pytest.param("make_plan", marks=pytest.mark.slow)])
def test_only_the_packages_own_errors_come_out(name: str):
    call, usual = CALLS[name]
    for parameter in usual:
        for odd, make in ZOO.items():
            problem = outcome(call, {**usual, parameter: make()})
            assert not problem, f"{parameter} = {odd}: {problem}"


def outcome(call: Callable[..., object], arguments: Mapping[str, object]) -> str:
    """What is wrong with how a call ends; nothing if it returns, or refuses with a short error of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call(**arguments)
        except (SecAggError, DPError) as error:
            return "" if len(str(error)) < 3000 else "a text of that length"
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is not ours
            return f"{type(error).__name__}: {error}"[:200]
    return ""


def of_numpy(value: object) -> list[object]:
    if type(value) is bool:
        return [np.bool_(value)]
    if type(value) is int:
        return [np.int64(value), np.uint8(value), np.int16(value)]
    if type(value) is float:
        return [np.float64(value), np.float32(value), np.longdouble(value)]
    return [np.str_(value)] if type(value) is str else []


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ROUNDED_AT_RANDOM])
def test_numpys_scalars_are_taken_wherever_pythons_are(name: str):
    call, usual = CALLS[name]
    expected = repr(call(**usual))
    for parameter, value in usual.items():
        for scalar in of_numpy(value):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                # Their representations tell numpy's numbers from Python's, too.
                assert repr(call(**{**usual, parameter: scalar})) == expected, f"{parameter} = {scalar!r}"


def test_a_span_of_time_is_no_number():
    """numpy derives it from its integers."""
    for call in (
        lambda one: MEAN.encode(MODEL, one),
        lambda one: MEAN.decode(MEAN.encode(MODEL, 1), one),
        fl.client_id,
    ):
        with pytest.raises(SecAggError):
            call(np.timedelta64(1))


def test_a_single_text_is_no_list_of_names():
    """Of its letters, or of the names within it."""
    schema = fl.ArraySchema.of({"running_var": np.zeros(2)})
    for averaged in ("running_var", "a running_var"):
        with pytest.raises(SecAggError, match="a list of arrays' names"):
            private.make_plan(**PLAN | {"schema": schema, "averaged": averaged})
        with pytest.raises(SecAggError, match="a list of arrays' names"):
            fl.WeightedMean(schema, 1.0, 32, 4, 1, averaged)  # type: ignore[arg-type]

"""An integer sum is exact for every value in its range, and refuses what could leave it."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import secagg
from fl import ArraySchema, IntegerSum
from fl.errors import ModulusTooSmallError, RangeTooWideError, SchemaMismatchError
from secagg import InvalidInputError, InvalidParameterError

ARRAYS = {"votes": np.array([[1, -3], [0, 7]], np.int8), "batches": np.array(40), "none": np.zeros(0, np.uint64)}
SCHEMA = ArraySchema.of(ARRAYS)


def sums(**change: Any) -> IntegerSum:
    terms: dict[str, Any] = {"schema": SCHEMA, "low": -100, "high": 100, "modulus_bits": 16, "clients": 4}
    return IntegerSum(**(terms | change))


def test_a_session_sums_signed_integers_exactly():
    codec = sums(clients=8)
    words = {client: codec.encode(ARRAYS) for client in range(8)}
    done = secagg.simulate(words, codec.session_params(), dropouts={secagg.Stage.MASKED_INPUT: {2}})
    total = dict(codec.decode(done.sum, len(done.survivors)))
    assert total["votes"].tolist() == [[7, -21], [0, 49]]
    assert (total["batches"].dtype, total["batches"].shape, int(total["batches"])) == (np.int64, (), 280)
    assert total["none"].shape == (0,)


@settings(deadline=None, max_examples=200)
@given(data=st.data(), clients=st.integers(1, 9))
def test_every_value_in_range_is_summed_exactly(data: st.DataObject, clients: int):
    most = 2**63 // clients - 1
    low = data.draw(st.integers(-most, most))
    high = data.draw(st.integers(low, most))
    needed = max(1, (clients * (high - low)).bit_length())
    schema = ArraySchema.of([np.zeros(3, np.int64)])
    terms: dict[str, Any] = {"low": low, "high": high, "clients": clients}
    if needed > 64:
        with pytest.raises(RangeTooWideError) as refused:
            IntegerSum(schema, modulus_bits=64, **terms)
        assert refused.value.needed == needed
        return
    bits = data.draw(st.integers(needed, 64))
    codec = IntegerSum(schema, modulus_bits=bits, **terms)
    entries = st.lists(st.integers(low, high), min_size=3, max_size=3)
    given_in = [data.draw(entries) for _ in range(clients)]
    words = [codec.encode([np.array(values, np.int64)]) for values in given_in]
    total = sum((word.astype(np.uint64) for word in words), np.zeros(3, np.uint64)).astype(words[0].dtype)
    assert next(iter(codec.decode(total, clients))).tolist() == [sum(column) for column in zip(*given_in, strict=True)]
    if needed > 1:
        with pytest.raises(RangeTooWideError):
            IntegerSum(schema, modulus_bits=needed - 1, **terms)


def test_the_modulus_that_is_needed_is_said():
    with pytest.raises(RangeTooWideError) as refused:
        sums(modulus_bits=9)
    # Four times 200 is 800, which takes ten bits.
    assert refused.value.needed == 10
    assert "at least 10" in str(refused.value)
    assert isinstance(refused.value, ModulusTooSmallError)
    assert sums(modulus_bits=10, high=np.int64(100), low=np.int8(-100)).width == 200


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"low": 0.5}, "low"),
        ({"high": -101}, "high"),
        ({"high": True}, "high"),
        ({"low": 0, "high": 2**62, "modulus_bits": 64}, "high"),
        ({"low": -(2**62), "high": 0, "modulus_bits": 64}, "low"),
        ({"modulus_bits": 65}, "modulus_bits"),
        ({"clients": 0}, "clients"),
        ({"schema": ARRAYS}, "schema"),
    ],
)
def test_what_could_leave_an_int64_or_is_no_parameter_is_refused(change: dict[str, Any], what: str):
    with pytest.raises(InvalidParameterError) as refused:
        sums(**change)
    assert refused.value.parameter == what


def test_floats_are_refused_by_name():
    with pytest.raises(SchemaMismatchError, match="'w'"):
        sums(schema=ArraySchema.of({"w": np.zeros(2, np.float32)}))


@pytest.mark.parametrize("value", [101, -101, 2**63 - 1])
def test_a_value_out_of_the_range_is_refused_and_not_told(value: int):
    with pytest.raises(InvalidInputError, match="'batches'") as refused:
        sums().encode(ARRAYS | {"batches": np.array(value)})
    assert str(value) not in str(refused.value).replace("-100 to 100", "")


def test_unsigned_values_beyond_an_int64_are_refused():
    codec = sums(schema=ArraySchema.of([np.zeros(1, np.uint64)]), low=0, high=2**60, modulus_bits=64)
    with pytest.raises(InvalidInputError, match="out of the range"):
        codec.encode([np.array([2**64 - 1], np.uint64)])


@pytest.mark.parametrize(
    "total",
    [np.zeros(6, np.uint16), np.zeros(5, np.uint32), [0] * 5, np.full(5, 801, np.uint16), np.zeros(5, int)],
)
def test_what_is_no_such_sum_is_refused(total: Any):
    codec = sums()
    codec.decode(np.zeros(5, np.uint16), 4)
    with pytest.raises(InvalidInputError) as refused:
        codec.decode(total, 4)
    assert refused.value.field == "total"


def test_every_setting_is_bound():
    variants = [sums(), sums(low=-99), sums(high=99), sums(modulus_bits=17), sums(clients=5)]
    assert len({one.application() for one in variants}) == len(variants)
    assert sums().application(b"x") == sums().application() + b"x"

"""fl.codecs.value_sums: sums of losses and counts, exact for whole numbers and within a known step for others."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import secagg
from fl.codecs import ValueSums
from fl.errors import RangeTooWideError
from secagg.errors import InvalidInputError, InvalidParameterError

RANGES = {"loss": (0.0, 5.0), "right": (0.0, 60000.0), "change": (-1.0, 1.0)}


def sums(**change: Any) -> ValueSums:
    terms: dict[str, Any] = {"ranges": RANGES, "modulus_bits": 32, "clients": 5}
    return ValueSums(**(terms | change))


def test_a_session_sums_counts_exactly_and_losses_closely():
    codec = sums()
    values = {client: {"loss": client / 7, "right": 9 * client, "change": -1 / client} for client in range(1, 6)}
    words = {client: codec.encode(given) for client, given in values.items()}
    params = codec.session_params(min_survivors=4)
    done = secagg.simulate(words, params, dropouts={"masked_input": {3}})
    found = codec.decode(done.sum, len(done.survivors))
    assert found["right"] == 9 * (1 + 2 + 4 + 5)
    assert abs(found["loss"] - 12 / 7) <= 4 * codec.step("loss") / 2 < 1e-7
    assert abs(found["change"] + 1 + 1 / 2 + 1 / 4 + 1 / 5) <= 4 * codec.step("change") / 2 + 1e-15


@given(
    low=st.floats(-(2.0**40), 2.0**40),
    width=st.floats(2.0**-20, 2.0**40),
    bits=st.integers(1, 64),
    clients=st.integers(1, 50),
    at=st.floats(0, 1),
)
@settings(deadline=None, max_examples=300)
def test_nothing_wraps_and_errors_are_bounded(low: float, width: float, bits: int, clients: int, at: float):
    high = low + width
    if not low < high:
        return
    try:
        codec = ValueSums({"x": (low, high)}, bits, clients)
    except RangeTooWideError as error:
        if bits < error.needed <= 64:
            ValueSums({"x": (low, high)}, error.needed, clients)
        return
    value = min(max(low + at * width, low), high)
    assert clients * int(codec.encode({"x": high})[0]) < 2**bits
    total = (codec.encode({"x": value}).astype(object) * clients).astype(codec.encode({"x": low}).dtype)
    off = abs(Fraction(codec.decode(total, clients)["x"]) - clients * Fraction(value))
    assert off <= clients * Fraction(codec.step("x")) / 2 + Fraction(abs(clients * value)) / 2**52
    assert codec.step("x") <= 1


@pytest.mark.parametrize("value", [60001, -1, 60000.5, float("nan"), float("inf"), 10**400])
def test_a_value_out_of_its_range_is_refused_and_not_told(value: float):
    with pytest.raises(InvalidInputError, match="right") as refused:
        sums().encode({"loss": 1.0, "change": 0, "right": value})
    assert str(value) not in str(refused.value).replace("60000", "")


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, np.array([1.0])])
def test_what_is_no_number_is_refused(value: object):
    with pytest.raises(InvalidInputError, match="loss"):
        sums().encode({"loss": value, "change": 0, "right": 1})  # type: ignore[dict-item]


def test_numbers_of_numpy_are_numbers():
    given: dict[str, Any] = {"loss": np.float32(0.5), "right": np.uint64(7), "change": np.longdouble(-0.0)}
    assert sums().decode(sums().encode(given), 1) == {"loss": 0.5, "right": 7.0, "change": 0.0}


@pytest.mark.parametrize("values", [{}, {"loss": 1.0}, dict.fromkeys([*RANGES, "other"], 0.5), [1.0]])
def test_what_is_missing_or_undeclared_is_refused(values: Any):
    with pytest.raises(InvalidInputError):
        sums().encode(values)


@pytest.mark.parametrize(
    "change",
    [
        {"ranges": {"x": (1.0, 1.0)}},
        {"ranges": {"x": (1.0, float("inf"))}},
        {"ranges": {"x": (0.0,)}},
        {"ranges": {"": (0.0, 1.0)}},
        {"ranges": {3: (0.0, 1.0)}},
        {"ranges": (("x", (0, 1)), ("x", (0, 2)))},
        {"ranges": "loss"},
        {"ranges": ("loss", "x")},
        {"ranges": (("x", 1, 2),)},
        {"ranges": None},
        {"modulus_bits": 65},
        {"clients": 0},
    ],
)
def test_terms_that_are_none_are_refused(change: dict[str, Any]):
    with pytest.raises(InvalidParameterError):
        sums(**change)


def test_a_modulus_without_room_for_whole_numbers_is_refused_with_what_it_needs():
    with pytest.raises(RangeTooWideError) as refused:
        sums(modulus_bits=18)
    assert refused.value.needed == 19
    assert sums(modulus_bits=19).step("right") == 1


def test_what_is_no_sum_is_refused():
    codec = sums()
    for total in (np.zeros(2, np.uint32), np.zeros(3, np.uint64), np.full(3, 2**32 - 1, np.uint32)):
        with pytest.raises(InvalidInputError, match="total"):
            codec.decode(total, 1)
    with pytest.raises(InvalidParameterError):
        codec.decode(np.zeros(3, np.uint32), 6)


def test_every_setting_is_bound_into_the_session():
    others = [{}, {"modulus_bits": 33}, {"clients": 6}, {"ranges": RANGES | {"loss": (0.0, 6.0)}}]
    assert len({sums(**change).session_params().application for change in others}) == 4
    assert sums() == sums(ranges=tuple(RANGES.items()))
    assert hash(sums()) == hash(sums())

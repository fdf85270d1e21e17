"""fl.private.side_values: declared ranges, coordinates and back, and no number in any text."""

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.private.side_values import SideValue, joint_factor, read_side_values, scaled_side_values
from secagg.errors import InvalidInputError, InvalidParameterError

LOSS = SideValue(name="loss", low=0.0, high=5.0, share=0.5)
SHIFT = SideValue(name="shift", low=-3.0, high=-1.0)


@st.composite
def declared_and_reported(draw: st.DrawFn) -> tuple[SideValue, list[float]]:
    low = draw(st.floats(-1e6, 1e6))
    side = SideValue(
        name=draw(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=5)),
        low=low,
        high=low + draw(st.floats(1e-2, 1e6)),
        share=draw(st.floats(2.0**-20, 1)),
    )
    return side, draw(st.lists(st.floats(side.low, side.high), min_size=1, max_size=5))


@settings(deadline=None)
@given(case=declared_and_reported(), clip=st.floats(1e-6, 1e6))
def test_sums_of_coordinates_are_read_as_sums_of_values(case: tuple[SideValue, list[float]], clip: float):
    side, values = case
    coordinates = [scaled_side_values([side], {side.name: value}, clip) for value in values]
    total = read_side_values([side], np.add.reduce(coordinates), clip, len(values))
    scale = max(abs(side.low), abs(side.high)) * len(values)
    assert total[side.name] == pytest.approx(math.fsum(values), abs=1e-9 * scale)


@settings(deadline=None)
@given(case=declared_and_reported(), clip=st.floats(1e-6, 1e6))
def test_no_value_in_the_range_is_longer_than_its_share(case: tuple[SideValue, list[float]], clip: float):
    side, values = case
    for value in [*values, side.low, side.high]:
        (coordinate,) = scaled_side_values([side], {side.name: value}, clip)
        # The formula of the module, in exact numbers.
        low, high = Fraction(side.low), Fraction(side.high)
        exact = (2 * Fraction(value) - low - high) / (high - low) * Fraction(side.share) * Fraction(clip)
        assert abs(exact) <= Fraction(side.share) * Fraction(clip)
        assert coordinate == pytest.approx(float(exact), abs=1e-8 * side.share * clip)


def test_both_ends_and_the_middle():
    coordinates = [
        scaled_side_values([LOSS], {"loss": value}, 2.0)[0] for value in (0, 2.5, 5, np.float32(5), np.int8(0))
    ]
    assert coordinates == [-1, 0, 1, 1, -1]


def test_the_joint_norm_is_that_of_the_longest_vector():
    assert joint_factor([]) == 1
    assert joint_factor([LOSS, SHIFT]) == pytest.approx(math.sqrt(1 + 0.25 + 0.01), rel=1e-15)


def test_coordinates_are_in_the_order_of_the_declaration():
    values = {"shift": -1.0, "loss": 0.0}
    assert scaled_side_values([LOSS, SHIFT], values, 1.0).tolist() == [-0.5, 0.1]
    assert scaled_side_values([SHIFT, LOSS], values, 1.0).tolist() == [0.1, -0.5]
    assert scaled_side_values([], {}, 1.0).shape == (0,)


@pytest.mark.parametrize(
    "value", [5.000001, -1e-9, math.nan, math.inf, -math.inf, np.nan, 10**400, np.float64(6), np.int64(-1)], ids=str
)
def test_a_value_out_of_its_range_is_refused_and_not_told(value: Any):
    with pytest.raises(InvalidInputError) as refused:
        scaled_side_values([LOSS], {"loss": value}, 1.0)
    assert refused.value.field == "side value loss"
    assert refused.value.allowed == "from 0 to 5"
    assert str(value) not in str(pickle.loads(pickle.dumps(refused.value)))
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("value", [True, np.True_, "3", None, 3j, [3.0], np.array(3.0), Fraction(3)], ids=repr)
def test_what_is_no_number_is_refused(value: Any):
    with pytest.raises(InvalidInputError) as refused:
        scaled_side_values([LOSS], {"loss": value}, 1.0)
    assert (refused.value.field, refused.value.allowed) == ("side value loss", "a number")


@pytest.mark.parametrize("values", [{}, {"shift": -2.0}, {"loss": 1.0, "accuracy": 0.5}, {"loss": 1.0, 3: 4.0}])
def test_a_value_that_is_missing_or_undeclared_is_named(values: Any):
    with pytest.raises(InvalidInputError) as refused:
        scaled_side_values([LOSS], values, 1.0)
    assert refused.value.field == "side_values"
    assert "is missing or undeclared" in refused.value.problem


@pytest.mark.parametrize("values", [[1.0], "loss", 5, ("loss", 1.0)], ids=repr)
def test_values_without_names_are_refused(values: Any):
    with pytest.raises(InvalidInputError) as refused:
        scaled_side_values([LOSS], values, 1.0)
    assert refused.value.field == "side_values"


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"name": ""}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": b"loss"}, "name"),
        ({"low": math.nan}, "side value loss: low"),
        ({"high": math.inf}, "side value loss: high"),
        ({"high": 2.0**101}, "side value loss: high"),
        ({"high": 10**400}, "side value loss: high"),
        ({"low": True}, "side value loss: low"),
        ({"low": "0"}, "side value loss: low"),
        ({"low": None}, "side value loss: low"),
        ({"low": 5.0}, "side value loss: high"),
        ({"low": 6.0}, "side value loss: high"),
        ({"share": 0.0}, "side value loss: share"),
        ({"share": 2.0**-21}, "side value loss: share"),
        ({"share": 1.01}, "side value loss: share"),
        ({"share": -0.5}, "side value loss: share"),
        ({"share": math.nan}, "side value loss: share"),
    ],
    ids=str,
)
def test_a_declaration_that_says_nothing_is_refused(changes: dict[str, Any], parameter: str):
    fields: dict[str, Any] = {"name": "loss", "low": 0.0, "high": 5.0, "share": 0.5}
    with pytest.raises(InvalidParameterError) as refused:
        SideValue(**(fields | changes))
    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 5e-324), (1.0, math.nextafter(1, 2)), (2.0**99, 2.0**99 + 2.0**50), (0.0, 2.0**-101)]
)
def test_a_range_whose_ends_floats_do_not_tell_apart_is_refused(low: float, high: float):
    # Half of the first is 0; the others would send twice their share.
    with pytest.raises(InvalidParameterError) as refused:
        SideValue(name="loss", low=low, high=high)
    assert refused.value.allowed.startswith("not so near")


def test_two_of_one_name_and_too_many_are_refused():
    with pytest.raises(InvalidParameterError):
        joint_factor([LOSS, SideValue(name="loss", low=1, high=2)])
    many = [SideValue(name=str(number), low=0, high=1) for number in range(1001)]
    joint_factor(many[:1000])
    with pytest.raises(InvalidParameterError):
        joint_factor(many)

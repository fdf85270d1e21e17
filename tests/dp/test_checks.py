"""Arguments are refused by name before any formula sees them."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp.checks import check_count, check_fraction, check_member, check_real, float_above, float_below
from dp.errors import InvalidParameterError
from dp.vocabulary import Relation, Unit


@pytest.mark.parametrize("value", [True, np.True_, "1", None, math.nan, math.inf, -math.inf, 0.0, 1.5, 10**400])
def test_a_number_out_of_range_is_refused(value: Any) -> None:
    with pytest.raises(InvalidParameterError, match="figure"):
        check_real("figure", value, low=0.0, high=1.0, open_low=True)


@pytest.mark.parametrize("value", [1, 1.0, Fraction(1), np.float32(1), np.int8(1)])
def test_a_number_comes_out_as_a_float(value: Any) -> None:
    assert type(check_real("figure", value, low=0.0, high=1.0)) is float


@pytest.mark.parametrize("value", [True, 1.0, -1, 2**63 + 1, "1", None])
def test_a_count_is_an_integer_in_its_range(value: Any) -> None:
    with pytest.raises(InvalidParameterError, match="count"):
        check_count("count", value)
    assert type(check_count("count", np.int64(3))) is int


@pytest.mark.parametrize("value", [True, 0.5, 0, -1, "1/2"])
def test_an_exact_number_is_no_float(value: Any) -> None:
    with pytest.raises(InvalidParameterError, match="share"):
        check_fraction("share", value)
    assert check_fraction("share", 0, open_low=False) == 0


def test_a_member_is_one_of_its_own_enumeration() -> None:
    assert check_member("unit", Unit.CLIENT, Unit) is Unit.CLIENT
    for value in ("client", Relation.ZERO_OUT):
        with pytest.raises(InvalidParameterError, match="unit"):
            check_member("unit", value, Unit)


@given(st.fractions(min_value=0, max_value=10**9))
def test_floats_beside_a_fraction_are_the_nearest_on_their_side(number: Fraction) -> None:
    low, high = float_below(number), float_above(number)
    assert Fraction(low) <= number <= Fraction(high)
    assert high <= math.nextafter(low, math.inf)
